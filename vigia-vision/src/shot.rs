//! Single shots of an object: how sharp one is, and a small picture of it to keep.
//!
//! [`sharpness`] is one of the factors of `vigia_core::quality`; [`cut`] takes the object out of its frame into memory of
//! its own, so that the frame can go; [`jpeg`] encodes such a picture. Boxes are in source pixels, also where the planes
//! show the source picture reduced.

use std::sync::Arc;

use vigia_core::frame::{Colour, Image, PixelBuffer, PixelFormat};
use vigia_core::geometry::{BBox, Size};
use vigia_core::model::{Channels, Fit, InputSpec, Scaling};

use crate::picture::{PictureError, RgbImage, encode_jpeg, to_rgb};
use crate::preprocess::{Preprocessor, SlotState};

mod laplacian;
#[cfg(test)]
mod tests;

pub use self::laplacian::sharpness;

/// The box grown by `margin` (a share of its width and height, on each side), as far as it lies in the picture, as a
/// picture of its own, and where that lies in the frame, in source pixels.
///
/// Only the cut is copied: its planes as they are, from whole pixels on and, where chroma is subsampled, from whole chroma
/// samples on, so that the cut may be a few pixels larger than the box. Where its longer side has more than `longest` pixels
/// it is brought down to that, as the mean of the covered area and as RGB. The cut stands at full size for itself
/// ([`Image::reduction`] is 1).
///
/// Nothing for boxes that have no area in the picture, and where a number is not finite.
pub fn cut(image: &Image, bbox: &BBox, margin: f32, longest: u32) -> Option<(Image, BBox)> {
    let region = Region::around(image, &bbox.grown(margin), image.format())?;
    let longest = longest.max(1);
    let cut = if region.size().width.max(region.size().height) > longest {
        shrunk(image, &region, longest)?
    } else {
        copied(image, &region)?
    };
    Some((cut, region.in_source(image)))
}

/// A picture as JPEG, 4:2:0, whatever its format and colours; `quality` is 1 to 100.
///
/// # Errors
/// As [`encode_jpeg`].
pub fn jpeg(image: &Image, quality: u8) -> Result<Vec<u8>, PictureError> {
    let mut rgb = RgbImage::default();
    to_rgb(image, &mut rgb);
    encode_jpeg(&rgb, quality)
}

/// A part of the planes: pixels of the first plane, from `x.0` up to and without `x.1`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    x: (usize, usize),
    y: (usize, usize),
}

impl Region {
    /// What of a box in source pixels lies in the picture, grown to whole chroma samples of `format`.
    fn around(image: &Image, bbox: &BBox, format: PixelFormat) -> Option<Self> {
        if !bbox.is_proper() {
            return None;
        }
        let inside = bbox.clipped(image.source_size());
        if !inside.is_proper() {
            return None;
        }
        let step = image.reduction() as f32;
        let side = |from: f32, to: f32, len: u32, grid: usize| {
            let (from, to, len) = ((from / step).floor() as usize, (to / step).ceil() as usize, len as usize);
            let (from, to) = (from / grid * grid, to.next_multiple_of(grid).min(len));
            (from < to).then_some((from, to))
        };
        let (h, v) = subsampling(format);
        let size = image.size();
        Some(Self { x: side(inside.x1, inside.x2, size.width, h)?, y: side(inside.y1, inside.y2, size.height, v)? })
    }

    fn size(&self) -> Size {
        Size::new((self.x.1 - self.x.0) as u32, (self.y.1 - self.y.0) as u32)
    }

    /// The same part in source pixels.
    fn in_source(&self, image: &Image) -> BBox {
        let step = image.reduction() as f32;
        let [x1, x2, y1, y2] = [self.x.0, self.x.1, self.y.0, self.y.1].map(|pixel| pixel as f32 * step);
        BBox { x1, y1, x2, y2 }.clipped(image.source_size())
    }
}

/// Pixels per chroma sample, across and down.
fn subsampling(format: PixelFormat) -> (usize, usize) {
    match format {
        PixelFormat::Yuv { h, v } => (usize::from(h.max(1)), usize::from(v.max(1))),
        PixelFormat::Nv12 => (2, 2),
        PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Gray => (1, 1),
    }
}

/// Planes one behind the other.
struct Packed {
    bytes: Vec<u8>,
    /// Where each plane ends.
    ends: [usize; 3],
}

impl PixelBuffer for Packed {
    fn plane(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends.get(index - 1).copied().unwrap_or(self.bytes.len()) };
        let end = self.ends.get(index).copied().unwrap_or(start);
        &self.bytes[start..end]
    }
}

/// The region's planes, sample for sample; absent where a buffer does not hold what it held when the image was made.
fn copied(image: &Image, region: &Region) -> Option<Image> {
    let (format, size) = (image.format(), region.size());
    let (h, v) = subsampling(format);
    let (mut bytes, mut strides, mut ends) = (Vec::new(), [0; 3], [0; 3]);
    let total = (0..format.planes()).map(|plane| format.plane_size(plane, size)).map(|(row, rows)| row * rows).sum();
    bytes.reserve_exact(total);
    for plane in 0..format.planes() {
        let (row, rows) = format.plane_size(plane, size);
        let (from, stride) = image.plane(plane);
        // Bytes before the region in a row, and rows before it.
        let (left, top) = match (format, plane) {
            (PixelFormat::Rgb | PixelFormat::Bgr, _) => (region.x.0 * 3, region.y.0),
            (_, 0) => (region.x.0, region.y.0),
            (PixelFormat::Nv12, _) => (region.x.0, region.y.0 / 2),
            _ => (region.x.0 / h, region.y.0 / v),
        };
        for y in top..top + rows {
            bytes.extend_from_slice(from.get(y * stride + left..)?.get(..row)?);
        }
        strides[plane] = row;
        ends[plane..].fill(bytes.len());
    }
    Image::new(format, size, strides, image.colour(), Arc::new(Packed { bytes, ends })).ok()
}

/// The region as RGB, its longer side `longest` pixels.
fn shrunk(image: &Image, region: &Region, longest: u32) -> Option<Image> {
    let Size { width, height } = region.size();
    let scaled = |side: u32| {
        let (whole, most) = (u64::from(width.max(height)), u64::from(longest));
        ((u64::from(side) * most + whole / 2) / whole).max(1) as u32
    };
    let size = Size::new(scaled(width), scaled(height));
    let plain = InputSpec {
        size,
        channels: Channels::Rgb,
        mean: [0.0; 3],
        scale: [1.0; 3],
        fit: Fit::Stretch,
        scaling: Scaling::Area,
    };
    let mut levels = vec![0.0; plain.len()];
    Preprocessor::new(plain).fill(image, Some(region.in_source(image)), &mut levels, &mut SlotState::default());
    let (red, rest) = levels.split_at(size.pixels() as usize);
    let (green, blue) = rest.split_at(red.len());
    let byte = |level: &f32| (level + 0.5) as u8;
    let pixels = red.iter().zip(green).zip(blue);
    let bytes: Vec<u8> = pixels.flat_map(|((r, g), b)| [byte(r), byte(g), byte(b)]).collect();
    Image::new(PixelFormat::Rgb, size, [size.width as usize * 3, 0, 0], Colour::default(), Arc::new(bytes)).ok()
}
