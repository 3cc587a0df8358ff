//! Where the picture lies in the tensor, and which source position each tensor pixel shows.
//!
//! Two frames of reference meet here: tensor pixels (whole numbers `d`) and source pixels in edge coordinates
//! (`vigia_core::geometry`: the first pixel's centre is at 0.5). Sampling follows the models' authors to the letter,
//! because small objects feel half a pixel: a letterboxed picture is resized to a *whole* number of pixels, each axis
//! by its own factor (`cv2.resize`), while boxes are mapped back by the one factor `1/r` (YOLOX `demo_utils`,
//! Ultralytics `scale_boxes`). The two differ by less than one tensor pixel at the picture's far edge, and not at all
//! where `side × r` is whole. Mapping back by the resized sides instead was measured to cost golden boxes.

use vigia_core::geometry::{BBox, Mapping, Size};
use vigia_core::model::{Align, Fit, InputSpec, Scaling};

/// Fractions of a pixel below this are rounding errors of the arithmetic.
const NEGLIGIBLE: f64 = 1e-6;
/// The same for sides that were computed from f32 regions.
const NEARLY: f64 = 1e-4;

/// How a tensor pixel's position is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// Its centre.
    Centre,
    /// Its left (top) edge, which is the source pixel of that whole number (TensorFlow's legacy grid).
    Corner {
        /// Padding lies before the picture and is blended with its first pixel.
        before: bool,
        /// Padding lies behind the picture and is blended with its last pixel.
        after: bool,
    },
    /// What OpenCV's `INTER_AREA` does when an axis does not shrink: neighbours are mixed only where a tensor pixel
    /// straddles the border between two source pixels.
    Straddle,
}

/// One axis of a [`Placement`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    rule: Rule,
    /// Source pixels per tensor pixel.
    scale: f64,
    /// Source position of the edge of tensor pixel 0.
    offset: f64,
    /// First and last source position that belong to the region and to the picture.
    low: f64,
    high: f64,
    /// Tensor pixel at which the region of interest begins.
    origin: usize,
    /// First tensor pixel that shows the picture.
    pub(super) first: usize,
    /// Number of tensor pixels that show the picture.
    pub(super) len: usize,
}

impl Axis {
    /// An axis on which nothing is shown.
    const EMPTY: Self =
        Self { rule: Rule::Centre, scale: 1.0, offset: 0.0, low: 0.0, high: 0.0, origin: 0, first: 0, len: 0 };

    /// Source position of the sample that tensor pixel `d` shows, kept half a pixel inside the region.
    pub(super) fn position(&self, d: usize) -> f64 {
        let raw = match self.rule {
            Rule::Centre => self.centre(d),
            Rule::Corner { .. } => (d as f64).mul_add(self.scale, self.offset) + 0.5,
            Rule::Straddle => {
                // imgproc/resize.cpp: sx = floor(dx * scale); fx = (dx + 1) - (sx + 1) / scale, its fraction if positive.
                let t = (d - self.origin) as f64;
                let left = (t * self.scale + NEGLIGIBLE * 1e-3).floor();
                let over = t + 1.0 - (left + 1.0) / self.scale;
                let mix = if over <= 0.0 { 0.0 } else { over.fract() };
                self.edge(self.origin) + left + mix + 0.5
            }
        };
        let (low, high) = (self.low + 0.5, self.high - 0.5);
        if low < high { raw.clamp(low, high) } else { f64::midpoint(self.low, self.high) }
    }

    /// First and last source position that tensor pixel `d` covers, cut to the region.
    pub(super) fn interval(&self, d: usize) -> (f64, f64) {
        (self.edge(d).clamp(self.low, self.high), self.edge(d + 1).clamp(self.low, self.high))
    }

    /// Share of the picture in tensor pixel `d`, 0..1; the rest is padding. Below 1 only on the corner grid.
    pub(super) fn cover(&self, d: usize) -> f64 {
        let Rule::Corner { before, after } = self.rule else { return 1.0 };
        let pixel = self.edge(d);
        let into = if before { pixel - (self.low - 1.0) } else { 1.0 };
        let left = if after { self.high - pixel } else { 1.0 };
        let cover = into.min(left).clamp(0.0, 1.0);
        if cover > 1.0 - NEGLIGIBLE { 1.0 } else { cover }
    }

    fn edge(&self, d: usize) -> f64 {
        (d as f64).mul_add(self.scale, self.offset)
    }

    fn centre(&self, d: usize) -> f64 {
        (d as f64 + 0.5).mul_add(self.scale, self.offset)
    }

    /// Keeps of the tensor pixels `from..to` those that show the picture.
    fn cut(mut self, from: usize, to: usize, picture: f64) -> Self {
        let shown = |d: usize| match self.rule {
            Rule::Corner { .. } => self.cover(d) > NEGLIGIBLE,
            _ => (0.0..=picture).contains(&self.centre(d)),
        };
        let inside = self.low < self.high;
        let first = (from..to).find(|&d| inside && shown(d)).unwrap_or(to);
        let last = (first..to).rev().find(|&d| shown(d)).map_or(first, |d| d + 1);
        (self.first, self.len) = (first, last - first);
        self
    }
}

/// How a picture lies in the tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Both axes shrink and the mean of the covered area is wanted.
    pub(super) area: bool,
    /// Tensor pixels to source pixels.
    pub(super) mapping: Mapping,
}

impl Placement {
    /// Nothing is shown.
    pub(super) const EMPTY: Self = Self {
        x: Axis::EMPTY,
        y: Axis::EMPTY,
        area: false,
        mapping: Mapping { scale_x: 1.0, scale_y: 1.0, offset_x: 0.0, offset_y: 0.0 },
    };

    /// Places `roi` (source pixels; `None` is all) of a source picture of size `picture` in the input that `spec` describes.
    pub(super) fn new(spec: &InputSpec, picture: Size, roi: Option<BBox>) -> Self {
        let roi = roi.unwrap_or_else(|| picture.whole());
        if !roi.is_proper() || spec.is_empty() || picture.pixels() == 0 {
            return Self::EMPTY;
        }
        let x = Side::new(roi.x1, roi.x2, picture.width, spec.size.width);
        let y = Side::new(roi.y1, roi.y2, picture.height, spec.size.height);
        let (x, y) = match spec.fit {
            Fit::Stretch => (x.stretched(), y.stretched()),
            Fit::Letterbox { align, enlarge, .. } => {
                let fit = (y.target / y.length).min(x.target / x.length);
                let r = if enlarge { fit } else { fit.min(1.0) };
                if spec.scaling == Scaling::BilinearCorner {
                    (x.squared(r, align), y.squared(r, align))
                } else {
                    (x.letterboxed(r, align), y.letterboxed(r, align))
                }
            }
        };
        let area = spec.scaling == Scaling::Area && x.scale >= 1.0 && y.scale >= 1.0;
        let mapping = Mapping {
            scale_x: x.map.0 as f32,
            scale_y: y.map.0 as f32,
            offset_x: x.map.1 as f32,
            offset_y: y.map.1 as f32,
        };
        Self { x: x.axis(spec.scaling, area), y: y.axis(spec.scaling, area), area, mapping }
    }
}

/// One axis of a region of interest.
struct Side {
    start: f64,
    length: f64,
    picture: f64,
    target: f64,
}

/// One axis of a region that was brought to the tensor's side.
struct Fitted {
    side: Side,
    /// Source pixels per tensor pixel, for sampling.
    scale: f64,
    /// Source position of the edge of tensor pixel 0, for sampling.
    offset: f64,
    /// The same two for mapping results back.
    map: (f64, f64),
    /// Tensor pixels that the region fills.
    origin: usize,
    end: usize,
}

impl Side {
    fn new(start: f32, end: f32, picture: u32, target: u32) -> Self {
        Self {
            start: f64::from(start),
            length: f64::from(end) - f64::from(start),
            picture: f64::from(picture),
            target: f64::from(target),
        }
    }

    fn stretched(self) -> Fitted {
        let (scale, offset, end) = (self.length / self.target, self.start, self.target as usize);
        Fitted { side: self, scale, offset, map: (scale, offset), origin: 0, end }
    }

    /// Scaled by `r` to a whole number of pixels: cut off as the YOLOX demo does at the top-left, rounded as Ultralytics
    /// does in the middle.
    fn letterboxed(self, r: f64, align: Align) -> Fitted {
        let side = self.length * r;
        let whole = match align {
            // Rounding errors (1440 * (416 / 1440) is below 416) must not cost a column.
            Align::TopLeft => (side + NEARLY).floor(),
            Align::Centre => side.round_ties_even(),
        }
        .clamp(1.0, self.target);
        let origin = match align {
            Align::TopLeft => 0.0,
            // round((target - whole) / 2 - 0.1)
            Align::Centre => ((self.target - whole) / 2.0).floor(),
        };
        let scale = self.length / whole;
        Fitted {
            scale,
            offset: self.start - origin * scale,
            map: (1.0 / r, self.start - origin / r),
            origin: origin as usize,
            end: (origin + whole) as usize,
            side: self,
        }
    }

    /// Padded by whole source pixels to the tensor's shape, then scaled (face-api's `padToSquare`, `resizeBilinear`).
    ///
    /// It maps results back by other numbers than it sampled with: boxes of a picture at the top-left by the resized
    /// side rounded to whole pixels (`NetInput.getReshapedInputDimensions`), landmarks of a centred crop by a padding
    /// that may end in half a pixel (`FaceLandmark68NetBase.postProcess`).
    fn squared(self, r: f64, align: Align) -> Fitted {
        let scale = 1.0 / r;
        let around = ((self.target * scale - self.length) / 2.0).max(0.0);
        let (padding, map) = match align {
            Align::TopLeft => (0.0, (self.length / (self.length * r).round().max(1.0), self.start)),
            Align::Centre => ((around + NEGLIGIBLE).floor(), (scale, self.start - around)),
        };
        let (offset, end) = (self.start - padding, self.target as usize);
        Fitted { side: self, scale, offset, map, origin: 0, end }
    }
}

impl Fitted {
    fn axis(self, scaling: Scaling, area: bool) -> Axis {
        let Side { start, length, picture, target } = self.side;
        let (low, high) = (start.max(0.0), (start + length).min(picture));
        let rule = match scaling {
            Scaling::Area if !area => Rule::Straddle,
            Scaling::Area | Scaling::Bilinear => Rule::Centre,
            Scaling::BilinearCorner => Rule::Corner {
                before: self.offset < low - NEGLIGIBLE,
                after: target.mul_add(self.scale, self.offset) > high + NEGLIGIBLE,
            },
        };
        let axis =
            Axis { rule, scale: self.scale, offset: self.offset, low, high, origin: self.origin, first: 0, len: 0 };
        axis.cut(self.origin, self.end, picture)
    }
}
