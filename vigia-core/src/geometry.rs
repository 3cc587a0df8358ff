//! Points, boxes and the map between a model's input and the source picture.
//!
//! Frame of reference: unless said otherwise, coordinates are pixels of the source picture, x to the right, y down,
//! (0, 0) at the outer corner of the top-left pixel, so the centre of that pixel is (0.5, 0.5).

/// A point, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// Width and height, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// A size of `width` × `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// The box that covers the whole picture.
    pub fn whole(self) -> BBox {
        BBox { x1: 0.0, y1: 0.0, x2: self.width as f32, y2: self.height as f32 }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// An axis-aligned box: left, top, right, bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BBox {
    /// Left.
    pub x1: f32,
    /// Top.
    pub y1: f32,
    /// Right.
    pub x2: f32,
    /// Bottom.
    pub y2: f32,
}

impl BBox {
    /// A box from its centre and its size.
    pub fn from_centre(cx: f32, cy: f32, width: f32, height: f32) -> Self {
        Self { x1: cx - width / 2.0, y1: cy - height / 2.0, x2: cx + width / 2.0, y2: cy + height / 2.0 }
    }

    /// Width in pixels; negative for a box that is inside out.
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// Height in pixels; negative for a box that is inside out.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// Area in square pixels, 0 for an empty box.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// True when all four numbers are finite and the box has an area.
    pub fn is_proper(&self) -> bool {
        self.x1.is_finite() && self.y1.is_finite() && self.x2.is_finite() && self.y2.is_finite() && self.area() > 0.0
    }

    /// The part of the box inside a picture of this size.
    #[must_use]
    pub fn clipped(&self, size: Size) -> Self {
        let (w, h) = (size.width as f32, size.height as f32);
        Self {
            x1: self.x1.clamp(0.0, w),
            y1: self.y1.clamp(0.0, h),
            x2: self.x2.clamp(0.0, w),
            y2: self.y2.clamp(0.0, h),
        }
    }

    /// The box grown by `margin` × its own width and height on each side.
    #[must_use]
    pub fn grown(&self, margin: f32) -> Self {
        let (dx, dy) = (self.width() * margin, self.height() * margin);
        Self { x1: self.x1 - dx, y1: self.y1 - dy, x2: self.x2 + dx, y2: self.y2 + dy }
    }

    /// Intersection over union with another box, 0..1; 0 when either is empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = self.x2.min(other.x2) - self.x1.max(other.x1);
        let h = self.y2.min(other.y2) - self.y1.max(other.y1);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let shared = w * h;
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }
}

/// The map from pixels of a model's input to pixels of the source picture: `source = model × scale + offset`, per axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mapping {
    /// Source pixels per model pixel, x.
    pub scale_x: f32,
    /// Source pixels per model pixel, y.
    pub scale_y: f32,
    /// Where the model's left edge lies in the source.
    pub offset_x: f32,
    /// Where the model's top edge lies in the source.
    pub offset_y: f32,
}

impl Mapping {
    /// A point of the model's input in source pixels.
    pub fn point(&self, x: f32, y: f32) -> Point {
        Point { x: x.mul_add(self.scale_x, self.offset_x), y: y.mul_add(self.scale_y, self.offset_y) }
    }

    /// A box of the model's input in source pixels.
    pub fn bbox(&self, b: &BBox) -> BBox {
        let (p, q) = (self.point(b.x1, b.y1), self.point(b.x2, b.y2));
        BBox { x1: p.x, y1: p.y, x2: q.x, y2: q.y }
    }
}

/// A map between two pixel grids that may also turn and shear: `x' = x[0]·x + x[1]·y + x[2]`, `y'` likewise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// The row that gives x.
    pub x: [f32; 3],
    /// The row that gives y.
    pub y: [f32; 3],
}

impl Affine {
    /// Where a point comes to lie.
    pub fn point(&self, p: Point) -> Point {
        let row = |r: &[f32; 3]| r[0] * p.x + r[1] * p.y + r[2];
        Point { x: row(&self.x), y: row(&self.y) }
    }

    /// The upright box around where a box comes to lie.
    pub fn around(&self, b: &BBox) -> BBox {
        let corners = [(b.x1, b.y1), (b.x2, b.y1), (b.x1, b.y2), (b.x2, b.y2)].map(|(x, y)| self.point(Point { x, y }));
        let edge =
            |of: fn(&Point) -> f32, pick: fn(f32, f32) -> f32| corners.iter().map(of).reduce(pick).unwrap_or(0.0);
        BBox {
            x1: edge(|p| p.x, f32::min),
            y1: edge(|p| p.y, f32::min),
            x2: edge(|p| p.x, f32::max),
            y2: edge(|p| p.y, f32::max),
        }
    }

    /// The way back; absent where the map loses a dimension or a number is not finite.
    pub fn inverse(&self) -> Option<Self> {
        let [[a, b, c], [d, e, f]] = [self.x, self.y].map(|row| row.map(f64::from));
        let area = a * e - b * d;
        let row = |p: f64, q: f64, r: f64| [p / area, q / area, r / area].map(|v| v as f32);
        let back = Self { x: row(e, -b, b * f - c * e), y: row(-d, a, c * d - a * f) };
        back.x.iter().chain(&back.y).all(|v| v.is_finite()).then_some(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_box() -> impl Strategy<Value = BBox> {
        (-50.0f32..50.0, -50.0f32..50.0, 0.0f32..80.0, 0.0f32..80.0).prop_map(|(x, y, w, h)| BBox {
            x1: x,
            y1: y,
            x2: x + w,
            y2: y + h,
        })
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            let v = a.iou(&b);
            prop_assert!((0.0..=1.0 + 1e-5).contains(&v));
            prop_assert!((v - b.iou(&a)).abs() < 1e-5);
        }

        #[test]
        fn a_box_covers_itself(a in any_box()) {
            prop_assume!(a.area() > 1e-3);
            prop_assert!((a.iou(&a) - 1.0).abs() < 1e-4);
        }

        #[test]
        fn there_and_back(x in -9.0f32..9.0, y in -9.0f32..9.0, a in 0.5f32..3.0, b in -2.0f32..2.0) {
            let there = Affine { x: [a, -b, 7.0], y: [b, a, -3.0] };
            let p = there.inverse().expect("a turn and a scale").point(there.point(Point { x, y }));
            prop_assert!((p.x - x).abs() < 1e-3 && (p.y - y).abs() < 1e-3);
        }

        #[test]
        fn clipping_stays_inside(a in any_box()) {
            let c = a.clipped(Size::new(30, 20));
            prop_assert!(c.x1 >= 0.0 && c.y1 >= 0.0 && c.x2 <= 30.0 && c.y2 <= 20.0 && c.area() <= a.area() + 1e-3);
        }
    }

    #[test]
    fn boxes_that_only_touch_share_nothing() {
        let a = BBox { x1: 0.0, y1: 0.0, x2: 1.0, y2: 1.0 };
        let b = BBox { x1: 1.0, y1: 0.0, x2: 2.0, y2: 1.0 };
        assert!(a.iou(&b).abs() < f32::EPSILON);
    }

    #[test]
    fn a_turned_box_is_inside_the_box_around_it() {
        let quarter = Affine { x: [0.0, -1.0, 10.0], y: [1.0, 0.0, 0.0] };
        let around = quarter.around(&BBox { x1: 1.0, y1: 2.0, x2: 3.0, y2: 7.0 });
        assert_eq!(around, BBox { x1: 3.0, y1: 1.0, x2: 8.0, y2: 3.0 });
        assert_eq!(Affine { x: [1.0, 1.0, 0.0], y: [2.0, 2.0, 0.0] }.inverse(), None);
        assert_eq!(Affine { x: [f32::NAN, 1.0, 0.0], y: [2.0, 1.0, 0.0] }.inverse(), None);
    }

    #[test]
    fn numbers_that_are_not_finite_make_no_box() {
        assert!(!BBox { x1: f32::NAN, y1: 0.0, x2: 1.0, y2: 1.0 }.is_proper());
        assert!(!BBox { x1: 0.0, y1: 0.0, x2: f32::INFINITY, y2: 1.0 }.is_proper());
    }
}
