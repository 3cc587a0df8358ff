//! Encoded pictures (JPEG, PNG, WebP, BMP) to the planes that the kernel reads, and finished pictures to JPEG.
//!
//! [`PictureDecoder::decode`] reads the header first, refuses what is too large, and then decodes into pooled memory:
//! a JPEG to its own YUV planes at the smallest of 1/1, 1/2, 1/4, 1/8 that the model's input does not have to enlarge
//! ([`Cover`]); the others to RGB or gray at full size. EXIF orientation is honoured, so the planes are upright.
//!
//! In this module, in reading order: the decoder here, [`PictureError`] in `error`, what the bytes are in `sniff`,
//! JPEG in `jpeg`, the other formats in `still`, orientation in `orient`, and [`RgbImage`] with [`to_rgb`] and
//! [`encode_jpeg`] in `rgb`. Unsafe code: the calls into libjpeg-turbo in `jpeg/turbo`, and one call of what is compiled
//! for AVX2 in `rgb/convert`.
//!
//! Not handled: ICC profiles (ignored), alpha (dropped, as OpenCV's `imread` does), 16-bit samples (their high byte is
//! taken), more than the first picture of an animation.

mod error;
mod jpeg;
mod orient;
mod rgb;
mod sniff;
mod still;

use std::ops::Range;
use std::sync::Arc;

use vigia_core::frame::{Colour, Image, PixelFormat};
use vigia_core::geometry::Size;
use vigia_core::model::{Fit, InputSpec};
use vigia_core::pool::{BufferPool, PooledBuffer, PooledPlanes};

pub use self::error::PictureError;
pub use self::rgb::{RgbImage, encode_jpeg, encode_jpeg_into, to_rgb};

/// What a picture may cost at most; checked before anything is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLimits {
    /// Encoded bytes.
    pub bytes: u64,
    /// Pixels, width × height, as the header declares them.
    pub pixels: u64,
}

impl Default for PictureLimits {
    /// 20 MB and 50 megapixels.
    fn default() -> Self {
        Self { bytes: 20_000_000, pixels: 50_000_000 }
    }
}

/// The model input that a picture is decoded for: it may be decoded smaller as long as it still covers this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Width and height of the model's input, in pixels.
    pub size: Size,
    /// True where each axis is scaled by itself; false where the picture keeps its shape (letterbox).
    pub stretch: bool,
}

impl Cover {
    /// What a model's input covers.
    pub fn of(input: &InputSpec) -> Self {
        Self { size: input.size, stretch: input.fit == Fit::Stretch }
    }

    /// The largest reduction, 1, 2, 4 or 8, at which a picture of `picture` pixels (upright) still has at least the
    /// pixels that the model's input shows of it.
    pub fn reduction(self, picture: Size) -> u32 {
        // Below 8 pixels libjpeg cannot tell 1/2 from its 5/8: both round to the same size.
        if picture.width.max(picture.height) < 8 {
            return 1;
        }
        let need = self.content(picture);
        let covers = |k: u32| picture.width.div_ceil(k) >= need.width && picture.height.div_ceil(k) >= need.height;
        [8, 4, 2].into_iter().find(|&k| covers(k)).unwrap_or(1)
    }

    /// Pixels of the model's input that show the picture; the rest of a letterbox is fill.
    fn content(self, picture: Size) -> Size {
        let (w, h) = (u64::from(picture.width), u64::from(picture.height));
        let (to_w, to_h) = (u64::from(self.size.width), u64::from(self.size.height));
        if self.stretch || w == 0 || h == 0 {
            return self.size;
        }
        let rounded = |part: u64, whole: u64| ((part + whole / 2) / whole).max(1) as u32;
        if to_w * h <= to_h * w {
            Size::new(self.size.width, rounded(h * to_w, w))
        } else {
            Size::new(rounded(w * to_h, h), self.size.height)
        }
    }
}

/// Decodes pictures into pooled memory. One is shared by all threads: `decode` takes `&self`, and concurrent calls
/// do not wait for each other but for two short locks (a buffer and a JPEG handle are taken and given back).
#[derive(Debug)]
pub struct PictureDecoder {
    limits: PictureLimits,
    buffers: BufferPool,
    handles: jpeg::Handles,
}

impl PictureDecoder {
    /// A decoder with these limits and empty pools.
    pub fn new(limits: PictureLimits) -> Self {
        Self { limits, buffers: BufferPool::new(), handles: jpeg::Handles::default() }
    }

    /// Refuses what is too long, or is no picture by its first bytes; looks no further.
    ///
    /// # Errors
    /// What it is instead.
    pub fn check(&self, bytes: &[u8]) -> Result<(), PictureError> {
        if bytes.len() as u64 > self.limits.bytes {
            return Err(PictureError::TooLarge { bytes: bytes.len() as u64, limit: self.limits.bytes });
        }
        sniff::format(bytes).map(drop)
    }

    /// Decodes one picture, upright. With `cover`, a JPEG may be decoded at 1/2, 1/4 or 1/8; without, at full size.
    pub fn decode(&self, bytes: &[u8], cover: Option<Cover>) -> Result<Image, PictureError> {
        if bytes.len() as u64 > self.limits.bytes {
            return Err(PictureError::TooLarge { bytes: bytes.len() as u64, limit: self.limits.bytes });
        }
        match sniff::format(bytes)? {
            sniff::Format::Jpeg => jpeg::decode(self, bytes, cover),
            sniff::Format::Png => still::png(self, bytes),
            sniff::Format::WebP => still::webp(self, bytes),
            sniff::Format::Bmp => still::bmp(self, bytes),
        }
    }

    /// Refuses a declared size before memory is taken for it.
    fn check_size(&self, format: &'static str, size: Size) -> Result<(), PictureError> {
        if size.pixels() == 0 {
            return Err(PictureError::Broken { format, detail: format!("its header declares {size} pixels") });
        }
        if size.pixels() > self.limits.pixels {
            return Err(PictureError::TooManyPixels { size, limit: self.limits.pixels });
        }
        if size.width.max(size.height) > MAX_SIDE {
            let what = format!("a picture of {size} pixels (a side may have {MAX_SIDE})");
            return Err(PictureError::Unsupported { format, what });
        }
        Ok(())
    }
}

/// Longest side of an [`Image`], in pixels.
const MAX_SIDE: u32 = 65_535;

/// Where planes lie that are packed one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Bytes from row to row, per plane.
    strides: [usize; 3],
    /// Where each plane ends, in bytes; of a missing one where the last one ends.
    ends: [usize; 3],
}

impl Layout {
    /// As TurboJPEG wants planes ("YUV Image Format Notes" of its documentation): luma has whole chroma samples, so up
    /// to 3 columns and rows more than the picture, with unspecified content; all else is tight.
    fn of(format: PixelFormat, size: Size) -> Self {
        let padded = match format {
            PixelFormat::Yuv { h, v } => {
                Size::new(size.width.next_multiple_of(u32::from(h)), size.height.next_multiple_of(u32::from(v)))
            }
            _ => size,
        };
        let (mut strides, mut end) = ([0; 3], 0);
        let ends = std::array::from_fn(|plane| {
            if plane < format.planes() {
                let (row, rows) = format.plane_size(plane, padded);
                strides[plane] = row;
                end += row * rows;
            }
            end
        });
        Self { strides, ends }
    }

    /// Bytes of all planes.
    fn len(&self) -> usize {
        self.ends[2]
    }

    /// Where a plane's bytes are.
    fn plane(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }
}

/// Freshly decoded planes, laid out by [`Layout`], on their way to an [`Image`].
struct Planes {
    format: PixelFormat,
    size: Size,
    buffer: PooledBuffer,
}

impl Planes {
    /// The finished picture: `source` pixels shown at 1/`reduction`.
    fn into_image(self, format: &'static str, reduction: u32, source: Size) -> Result<Image, PictureError> {
        let layout = Layout::of(self.format, self.size);
        let planes = PooledPlanes::new(self.buffer, layout.ends);
        // JPEG's own colours (JFIF): BT.601, full range, chroma in the middle; without effect on RGB.
        Image::new(self.format, self.size, layout.strides, Colour::default(), Arc::new(planes))
            .map(|image| image.with_reduction(reduction, source))
            .map_err(|e| PictureError::Broken { format, detail: e.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(width: u32, height: u32, stretch: bool) -> Cover {
        Cover { size: Size::new(width, height), stretch }
    }

    #[test]
    fn a_letterbox_needs_the_fitted_size_only() {
        assert_eq!(cover(640, 640, false).content(Size::new(1920, 1280)), Size::new(640, 427));
        assert_eq!(cover(640, 640, false).content(Size::new(720, 1280)), Size::new(360, 640));
        assert_eq!(cover(416, 416, false).content(Size::new(5000, 1)), Size::new(416, 1));
    }

    #[test]
    fn the_largest_reduction_that_covers_is_taken() {
        assert_eq!(cover(640, 640, false).reduction(Size::new(1280, 720)), 2);
        assert_eq!(cover(640, 640, false).reduction(Size::new(1279, 720)), 2);
        assert_eq!(cover(640, 640, false).reduction(Size::new(1278, 720)), 1);
        assert_eq!(cover(640, 640, true).reduction(Size::new(1280, 720)), 1);
        assert_eq!(cover(112, 112, true).reduction(Size::new(4000, 3000)), 8);
        assert_eq!(cover(416, 416, false).reduction(Size::new(1920, 1080)), 4);
        assert_eq!(cover(640, 640, false).reduction(Size::new(100, 100)), 1);
        assert_eq!(cover(1, 1, false).reduction(Size::new(5, 7)), 1);
    }

    #[test]
    fn luma_has_whole_chroma_samples() {
        let layout = Layout::of(PixelFormat::I420, Size::new(5, 3));
        assert_eq!(layout, Layout { strides: [6, 3, 3], ends: [24, 30, 36] });
        assert_eq!(layout.plane(1), 24..30);
        assert_eq!(Layout::of(PixelFormat::Rgb, Size::new(3, 2)), Layout { strides: [9, 0, 0], ends: [18; 3] });
        assert_eq!(Layout::of(PixelFormat::Gray, Size::new(3, 2)), Layout { strides: [3, 0, 0], ends: [6; 3] });
    }
}
