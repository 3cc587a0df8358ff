//! Full RGB pictures, to draw on and to show. Nothing here is on the way to a model.
//!
//! The picture and the way to JPEG are here, rows of samples to pixels in `convert`, colours in `matrix`.

mod convert;
mod matrix;

use vigia_core::frame::Image;
use vigia_core::geometry::Size;

use super::{PictureError, jpeg};

/// An RGB picture, 3 bytes a pixel, rows tight; its memory is kept when the size changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RgbImage {
    size: Size,
    bytes: Vec<u8>,
}

impl RgbImage {
    /// A black picture.
    pub fn new(size: Size) -> Self {
        let mut image = Self::default();
        image.resize(size);
        image
    }

    /// Gives the picture another size; its pixels are then unspecified.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.bytes.resize(size.pixels() as usize * 3, 0);
    }

    /// Pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// R G B, row by row from the top.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// R G B, row by row from the top, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// Encodes a picture as JPEG, 4:2:0; `quality` is 1 to 100, 80 to 90 for people to look at.
///
/// # Errors
/// [`PictureError::Unsupported`] for a side of 0 or above 65500 pixels, [`PictureError::Codec`] without memory.
pub fn encode_jpeg(rgb: &RgbImage, quality: u8) -> Result<Vec<u8>, PictureError> {
    let mut out = Vec::new();
    encode_jpeg_into(rgb, quality, &mut out)?;
    out.shrink_to_fit();
    Ok(out)
}

/// [`encode_jpeg`] into memory that is kept for the next picture; `out` holds the JPEG alone, and nothing after an
/// error.
///
/// `out` gets room for the largest JPEG that a picture of this size can become, about three bytes a pixel; what is not
/// written to costs addresses only. To keep a JPEG, copy it.
///
/// # Errors
/// As [`encode_jpeg`].
pub fn encode_jpeg_into(rgb: &RgbImage, quality: u8, out: &mut Vec<u8>) -> Result<(), PictureError> {
    jpeg::encode(rgb.bytes(), rgb.size(), quality, out)
}

/// Copies a picture of any format to RGB, chroma interpolated linearly; `out` takes the size of its planes.
///
/// For drawing and showing only: models are fed from the planes. Detections are in pixels of the source picture, so
/// what is drawn on must be decoded at full size.
pub fn to_rgb(image: &Image, out: &mut RgbImage) {
    out.resize(image.size());
    convert::convert(image, &mut out.bytes);
}

#[cfg(test)]
mod tests;
