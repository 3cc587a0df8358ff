//! Pictures as decoders hand them over: planes that stay where they are, and the frame around them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::geometry::Size;
use crate::id::StreamRef;

/// How the samples of an [`Image`] lie in memory. All samples are 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Planar Y, U, V; U and V have one sample per `h` × `v` pixels (I420: 2 × 2, 4:2:2: 2 × 1, 4:4:4: 1 × 1).
    Yuv {
        /// Pixels in a row per chroma sample: 1, 2 or 4.
        h: u8,
        /// Rows per chroma sample: 1, 2 or 4.
        v: u8,
    },
    /// Y plane, then one plane of interleaved U, V with one pair per 2 × 2 pixels.
    Nv12,
    /// One plane, R G B.
    Rgb,
    /// One plane, B G R.
    Bgr,
    /// One plane, Y only.
    Gray,
}

impl PixelFormat {
    /// Planar 4:2:0, what most video decoders give.
    pub const I420: Self = Self::Yuv { h: 2, v: 2 };

    /// Number of planes.
    pub const fn planes(self) -> usize {
        match self {
            Self::Yuv { .. } => 3,
            Self::Nv12 => 2,
            Self::Rgb | Self::Bgr | Self::Gray => 1,
        }
    }

    /// Bytes in a row, and rows, of plane `index` of a picture of this size.
    pub const fn plane_size(self, index: usize, size: Size) -> (usize, usize) {
        let (w, h) = (size.width as usize, size.height as usize);
        match (self, index) {
            (Self::Rgb | Self::Bgr, _) => (w * 3, h),
            (Self::Gray, _) | (_, 0) => (w, h),
            (Self::Nv12, _) => (w.div_ceil(2) * 2, h.div_ceil(2)),
            (Self::Yuv { h: sub_h, v: sub_v }, _) => (w.div_ceil(sub_h as usize), h.div_ceil(sub_v as usize)),
        }
    }
}

/// Which colours Y, U and V stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColourMatrix {
    /// ITU-R BT.601: JPEG, standard definition video.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition video.
    Bt709,
}

/// Which numbers are black and white in Y.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColourRange {
    /// 0 to 255 (JPEG).
    #[default]
    Full,
    /// 16 to 235, chroma 16 to 240 (video).
    Limited,
}

/// Where a chroma sample lies horizontally among the pixels that share it; vertically it is in their middle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChromaSite {
    /// In the middle (JPEG, MPEG-1).
    #[default]
    Centre,
    /// On the left-most pixel (MPEG-2, H.264, H.265).
    Left,
}

/// Colour description of a picture; without effect on RGB, BGR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colour {
    /// Which colours Y, U and V stand for.
    pub matrix: ColourMatrix,
    /// Which numbers are black and white.
    pub range: ColourRange,
    /// Where chroma samples lie.
    pub site: ChromaSite,
}

/// Memory that holds an [`Image`]'s planes: a decoder's buffer, a pooled buffer, a vector.
pub trait PixelBuffer: Send + Sync {
    /// The bytes of plane `index`; empty where there is no such plane. The slice must be the same at each call.
    fn plane(&self, index: usize) -> &[u8];
}

impl PixelBuffer for Vec<u8> {
    fn plane(&self, index: usize) -> &[u8] {
        if index == 0 { self } else { &[] }
    }
}

/// Planes that do not hold what their description says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Width or height is 0 or larger than any picture.
    #[error("a picture of {0} pixels: both sides must be from 1 to 65535")]
    Size(Size),
    /// A plane is shorter than its rows need.
    #[error("plane {plane} of a {size} picture holds {got} bytes, its rows need {need}")]
    ShortPlane {
        /// Which plane.
        plane: usize,
        /// The picture's size.
        size: Size,
        /// Bytes that are there.
        got: usize,
        /// Bytes that the rows need.
        need: usize,
    },
}

/// A picture in the planes that a decoder wrote. Cloning shares the planes; pixels are never copied.
#[derive(Clone)]
pub struct Image {
    format: PixelFormat,
    size: Size,
    strides: [usize; 3],
    colour: Colour,
    reduction: u32,
    source: Size,
    buffer: Arc<dyn PixelBuffer>,
}

impl Image {
    /// A picture of `size` pixels over `buffer`; `strides` are bytes from row to row, per plane.
    ///
    /// # Errors
    /// When a plane is too short for its rows: nothing later has to check again.
    pub fn new(
        format: PixelFormat,
        size: Size,
        strides: [usize; 3],
        colour: Colour,
        buffer: Arc<dyn PixelBuffer>,
    ) -> Result<Self, ImageError> {
        let side = 1..=65_535;
        if !side.contains(&size.width) || !side.contains(&size.height) {
            return Err(ImageError::Size(size));
        }
        for (plane, &stride) in strides.iter().enumerate().take(format.planes()) {
            let (row, rows) = format.plane_size(plane, size);
            let need = stride.saturating_mul(rows - 1).saturating_add(row);
            let got = buffer.plane(plane).len();
            if got < need || stride < row {
                return Err(ImageError::ShortPlane { plane, size, got, need });
            }
        }
        Ok(Self { format, size, strides, colour, reduction: 1, source: size, buffer })
    }

    /// Says that the planes show a source picture of `source` pixels at 1/`reduction` of its size.
    #[must_use]
    pub fn with_reduction(mut self, reduction: u32, source: Size) -> Self {
        self.reduction = reduction.max(1);
        self.source = source;
        self
    }

    /// How the samples lie.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Pixels in the planes.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Pixels of the source picture, which results refer to. Larger than [`Self::size`] for a JPEG that was decoded at
    /// 1/2, 1/4 or 1/8.
    pub fn source_size(&self) -> Size {
        self.source
    }

    /// Source pixels per pixel of the planes: 1, 2, 4 or 8.
    pub fn reduction(&self) -> u32 {
        self.reduction
    }

    /// What the numbers mean as colours.
    pub fn colour(&self) -> Colour {
        self.colour
    }

    /// Bytes of plane `index`, and bytes from row to row.
    pub fn plane(&self, index: usize) -> (&[u8], usize) {
        (self.buffer.plane(index), self.strides[index])
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("format", &self.format)
            .field("size", &self.size)
            .field("reduction", &self.reduction)
            .finish_non_exhaustive()
    }
}

/// One picture of a stream on its way to a model.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Whose frame it is.
    pub stream: StreamRef,
    /// The frame's number within its source, from 0.
    pub frame_id: u64,
    /// When the picture was taken, for live sources; absent for files.
    pub captured_at: Option<SystemTime>,
    /// Presentation time from the start of the source; absent for single pictures.
    pub pts: Option<Duration>,
    /// The pixels.
    pub image: Image,
    /// How long decoding took; absent where the decoder does not tell (video decoders work ahead).
    pub decode: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Planes([Vec<u8>; 3]);
    impl PixelBuffer for Planes {
        fn plane(&self, index: usize) -> &[u8] {
            self.0.get(index).map_or(&[], Vec::as_slice)
        }
    }

    #[test]
    fn odd_sizes_round_chroma_up() {
        assert_eq!(PixelFormat::I420.plane_size(1, Size::new(5, 3)), (3, 2));
        assert_eq!(PixelFormat::Nv12.plane_size(1, Size::new(5, 3)), (6, 2));
        assert_eq!(PixelFormat::Yuv { h: 4, v: 1 }.plane_size(2, Size::new(5, 3)), (2, 3));
    }

    #[test]
    fn a_short_plane_is_refused_by_name() {
        let buffer = Arc::new(Planes([vec![0; 24], vec![0; 6], vec![0; 5]]));
        let e = Image::new(PixelFormat::I420, Size::new(6, 4), [6, 3, 3], Colour::default(), buffer);
        assert_eq!(e.err(), Some(ImageError::ShortPlane { plane: 2, size: Size::new(6, 4), got: 5, need: 6 }));
    }

    #[test]
    fn the_last_row_needs_no_padding() {
        let image = Image::new(PixelFormat::Rgb, Size::new(2, 2), [8, 0, 0], Colour::default(), Arc::new(vec![0; 14]));
        assert!(image.is_ok());
    }

    #[test]
    fn a_stride_below_the_row_is_refused() {
        let image = Image::new(PixelFormat::Gray, Size::new(4, 4), [3, 0, 0], Colour::default(), Arc::new(vec![0; 64]));
        assert!(image.is_err());
    }

    #[test]
    fn no_picture_has_no_pixels() {
        for size in [Size::new(0, 4), Size::new(4, 0), Size::new(70_000, 1)] {
            let image = Image::new(PixelFormat::Gray, size, [70_000, 0, 0], Colour::default(), Arc::new(vec![0; 64]));
            assert_eq!(image.err(), Some(ImageError::Size(size)));
        }
    }
}
