//! Pixels set on an RGB picture; whatever lies outside of it is clipped.

use crate::picture::RgbImage;

/// A rectangle of whole pixels; right and bottom are not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Rect {
    /// Pixels in a row; not positive when empty.
    pub(super) fn width(&self) -> i32 {
        self.right - self.left
    }

    /// Rows; not positive when empty.
    pub(super) fn height(&self) -> i32 {
        self.bottom - self.top
    }

    /// The rectangle with all sides moved outwards by `by` pixels.
    pub(super) fn grown(&self, by: i32) -> Self {
        Self { left: self.left - by, top: self.top - by, right: self.right + by, bottom: self.bottom + by }
    }

    /// Pixels that both have.
    pub(super) fn shared(&self, other: &Self) -> i64 {
        let w = self.right.min(other.right) - self.left.max(other.left);
        let h = self.bottom.min(other.bottom) - self.top.max(other.top);
        i64::from(w.max(0)) * i64::from(h.max(0))
    }
}

/// A picture that is drawn on.
pub(super) struct Canvas<'a> {
    pixels: &'a mut [[u8; 3]],
    width: i32,
    height: i32,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(image: &'a mut RgbImage) -> Self {
        let size = image.size();
        Self {
            pixels: image.bytes_mut().as_chunks_mut().0,
            width: size.width.min(i32::MAX as u32) as i32,
            height: size.height.min(i32::MAX as u32) as i32,
        }
    }

    /// Lays a colour over one pixel; `alpha` 0 leaves it, 255 replaces it.
    pub(super) fn blend(&mut self, x: i32, y: i32, colour: [u8; 3], alpha: u8) {
        if x < 0 || y < 0 || x >= self.width || y >= self.height {
            return;
        }
        blend(&mut self.pixels[y as usize * self.width as usize + x as usize], colour, alpha);
    }

    /// The pixels of row `y` from `left` to before `right`, as far as they are in the picture.
    fn row(&mut self, y: i32, left: i32, right: i32) -> &mut [[u8; 3]] {
        let (left, right) = (left.clamp(0, self.width), right.clamp(0, self.width));
        if y < 0 || y >= self.height || left >= right {
            return &mut [];
        }
        &mut self.pixels[y as usize * self.width as usize..][left as usize..right as usize]
    }

    /// Lays a colour over a rectangle.
    pub(super) fn fill(&mut self, rect: Rect, colour: [u8; 3], alpha: u8) {
        for y in rect.top.max(0)..rect.bottom.min(self.height) {
            self.row(y, rect.left, rect.right).iter_mut().for_each(|pixel| blend(pixel, colour, alpha));
        }
    }

    /// Lays a colour over a rectangle's border of `line` pixels, inside it; each pixel once.
    pub(super) fn frame(&mut self, rect: Rect, line: i32, colour: [u8; 3], alpha: u8) {
        if rect.width() <= 2 * line || rect.height() <= 2 * line {
            return self.fill(rect, colour, alpha);
        }
        let (inner_top, inner_bottom) = (rect.top + line, rect.bottom - line);
        self.fill(Rect { bottom: inner_top, ..rect }, colour, alpha);
        self.fill(Rect { top: inner_bottom, ..rect }, colour, alpha);
        let sides = Rect { top: inner_top, bottom: inner_bottom, ..rect };
        self.fill(Rect { right: rect.left + line, ..sides }, colour, alpha);
        self.fill(Rect { left: rect.right - line, ..sides }, colour, alpha);
    }

    /// Lays a colour over a rectangle with round corners.
    pub(super) fn rounded(&mut self, rect: Rect, radius: i32, colour: [u8; 3], alpha: u8) {
        let radius = radius.min(rect.width() / 2).min(rect.height() / 2).max(0);
        let (left, right) = (rect.left + radius, rect.right - radius);
        for y in rect.top.max(0)..rect.bottom.min(self.height) {
            // How far the pixel is inside the square that a corner is cut from, seen from the arc's centre.
            let dy = (rect.top + radius - y - 1).max(y - (rect.bottom - radius)) as f32 + 0.5;
            for x in (rect.left..left).chain(right..rect.right) {
                let dx = (left - x - 1).max(x - right) as f32 + 0.5;
                let part = if dy > 0.0 { covered(dx * dx + dy * dy, radius as f32, alpha) } else { alpha };
                self.blend(x, y, colour, part);
            }
            self.row(y, left, right).iter_mut().for_each(|pixel| blend(pixel, colour, alpha));
        }
    }

    /// Lays a colour over a disc around a point in pixels (0, 0 is the picture's corner); its edge is smooth.
    pub(super) fn disc(&mut self, cx: f32, cy: f32, radius: f32, colour: [u8; 3], alpha: u8) {
        // Half a pixel more than the radius: up to there a pixel is partly covered.
        let reach = radius + 0.5;
        let range = |centre: f32, reach: f32, len: i32| {
            let from = (centre - reach).clamp(0.0, len as f32) as i32;
            let to = (centre + reach + 1.0).clamp(0.0, len as f32) as i32;
            from..to
        };
        for y in range(cy, reach, self.height) {
            let dy = y as f32 + 0.5 - cy;
            let columns = range(cx, (reach * reach - dy * dy).max(0.0).sqrt(), self.width);
            for (x, pixel) in columns.clone().zip(self.row(y, columns.start, columns.end)) {
                let dx = x as f32 + 0.5 - cx;
                blend(pixel, colour, covered(dx * dx + dy * dy, radius, alpha));
            }
        }
    }
}

/// Lays a colour over a pixel.
fn blend(pixel: &mut [u8; 3], colour: [u8; 3], alpha: u8) {
    let alpha = u16::from(alpha);
    for (below, above) in pixel.iter_mut().zip(colour) {
        *below = ((u16::from(*below) * (255 - alpha) + u16::from(above) * alpha + 127) / 255) as u8;
    }
}

/// What a disc of opacity `alpha` covers of a pixel whose distance from the centre, squared, is this.
fn covered(squared: f32, radius: f32, alpha: u8) -> u8 {
    let part = (radius - squared.sqrt() + 0.5).clamp(0.0, 1.0);
    (f32::from(alpha) * part + 0.5) as u8
}
