//! PNG, WebP and BMP through the `image` crate, at full size, to RGB or gray.

mod bmp;

use std::io::{Cursor, ErrorKind};

use image::codecs::bmp::BmpDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ColorType, ImageDecoder, ImageError, Limits};
use vigia_core::frame::{Image, PixelFormat};
use vigia_core::geometry::Size;

use super::orient::Orientation;
use super::{PictureDecoder, PictureError, Planes};

/// Decodes a PNG; of an animated one the still picture.
pub(super) fn png(decoder: &PictureDecoder, bytes: &[u8]) -> Result<Image, PictureError> {
    const PNG: &str = "PNG";
    // IHDR is always the first chunk (PNG, 11.2.2): the size is checked before any other chunk is unpacked.
    if let Some(&[w3, w2, w1, w0, h3, h2, h1, h0]) = bytes.get(16..).and_then(<[u8]>::first_chunk) {
        let [width, height] = [[w3, w2, w1, w0], [h3, h2, h1, h0]].map(u32::from_be_bytes);
        decoder.check_size(PNG, Size::new(width, height))?;
    }
    let mut limits = Limits::no_limits();
    // The picture itself at 16 bits RGBA, and room for the decoder's rows and a colour profile.
    limits.max_alloc = Some(decoder.limits.pixels.saturating_mul(8).saturating_add(16 << 20));
    let png = PngDecoder::with_limits(Cursor::new(bytes), limits).map_err(|e| refused(PNG, e))?;
    read(decoder, PNG, png)
}

/// Decodes a WebP; of an animated one the first picture.
pub(super) fn webp(decoder: &PictureDecoder, bytes: &[u8]) -> Result<Image, PictureError> {
    const WEBP: &str = "WebP";
    // The RIFF header tells the file's length, less the 8 bytes before; an odd one may lack its padding byte.
    let declared = bytes.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |&len| u32::from_le_bytes(len));
    if u64::from(declared) + 8 > bytes.len() as u64 + 1 {
        let detail = format!("{} of {} bytes", bytes.len(), u64::from(declared) + 8);
        return Err(PictureError::Truncated { format: WEBP, detail });
    }
    for size in webp_frames(bytes) {
        decoder.check_size(WEBP, size)?;
    }
    let webp = WebPDecoder::new(Cursor::new(bytes)).map_err(|e| refused(WEBP, e))?;
    read(decoder, WEBP, webp)
}

/// The sizes that a WebP's bitstreams declare themselves: the decoder takes memory for them before it compares them with
/// the size in the file's header (RFC 9649, 2.5 to 2.7).
fn webp_frames(bytes: &[u8]) -> impl Iterator<Item = Size> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    let next = move || {
        let (&[n0, n1, n2, n3, l0, l1, l2, l3], content) = rest.split_first_chunk()?;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        // A frame of an animation holds chunks itself, after its place: those come next.
        let skip = if [n0, n1, n2, n3] == *b"ANMF" { 16 } else { len.next_multiple_of(2) };
        rest = content.get(skip..).unwrap_or_default();
        Some(match ([n0, n1, n2, n3], content) {
            (name, &[_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..]) if name == *b"VP8 " => {
                let [width, height] = [[w0, w1], [h0, h1]].map(|side| u16::from_le_bytes(side) & 0x3fff);
                Some(Size::new(width.into(), height.into()))
            }
            (name, &[0x2f, s0, s1, s2, s3, ..]) if name == *b"VP8L" => {
                let sides = u32::from_le_bytes([s0, s1, s2, s3]);
                Some(Size::new((sides & 0x3fff) + 1, (sides >> 14 & 0x3fff) + 1))
            }
            _ => None,
        })
    };
    std::iter::from_fn(next).flatten()
}

/// Decodes a BMP.
pub(super) fn bmp(decoder: &PictureDecoder, bytes: &[u8]) -> Result<Image, PictureError> {
    const BMP: &str = "BMP";
    let from = BmpDecoder::new(Cursor::new(bytes)).map_err(|e| refused(BMP, e))?;
    // What is too large is said to be so, whole or not.
    let (width, height) = from.dimensions();
    decoder.check_size(BMP, Size::new(width, height))?;
    if let Some(detail) = bmp::missing(bytes) {
        return Err(PictureError::Truncated { format: BMP, detail });
    }
    read(decoder, BMP, from)
}

/// Reads the pixels into a pooled buffer, makes them 8-bit RGB or gray in place, and turns them upright.
fn read(decoder: &PictureDecoder, name: &'static str, mut from: impl ImageDecoder) -> Result<Image, PictureError> {
    let (width, height) = from.dimensions();
    let size = Size::new(width, height);
    decoder.check_size(name, size)?;
    // (format, samples stored per pixel, bytes per sample)
    let (format, stored, wide) = match from.color_type() {
        ColorType::L8 => (PixelFormat::Gray, 1, 1),
        ColorType::La8 => (PixelFormat::Gray, 2, 1),
        ColorType::L16 => (PixelFormat::Gray, 1, 2),
        ColorType::La16 => (PixelFormat::Gray, 2, 2),
        ColorType::Rgb8 => (PixelFormat::Rgb, 3, 1),
        ColorType::Rgba8 => (PixelFormat::Rgb, 4, 1),
        ColorType::Rgb16 => (PixelFormat::Rgb, 3, 2),
        ColorType::Rgba16 => (PixelFormat::Rgb, 4, 2),
        other => return Err(PictureError::Unsupported { format: name, what: format!("the colour type {other:?}") }),
    };
    // Orientation is a courtesy: a metadata chunk that cannot be read does not spoil the picture.
    let exif = from.exif_metadata().unwrap_or_default();
    let orientation = exif.map_or_else(Orientation::default, |exif| Orientation::from_exif(&exif));
    let pixels = size.pixels() as usize;
    let mut buffer = decoder.buffers.take(pixels * stored * wide);
    from.read_image(buffer.bytes_mut()).map_err(|e| refused(name, e))?;
    let kept = if format == PixelFormat::Gray { 1 } else { 3 };
    narrow(buffer.bytes_mut(), stored, kept, wide);
    orientation.turned(Planes { format, size, buffer }, &decoder.buffers).into_image(name, 1, orientation.size(size))
}

/// Keeps the first `kept` of `stored` samples of each pixel, of `wide` bytes each their high byte, at the front of the
/// same buffer.
fn narrow(bytes: &mut [u8], stored: usize, kept: usize, wide: usize) {
    if stored == kept && wide == 1 {
        return;
    }
    // 16-bit samples are in the machine's own order.
    let high = usize::from(wide == 2 && cfg!(target_endian = "little"));
    for pixel in 0..bytes.len() / (stored * wide) {
        for sample in 0..kept {
            bytes[pixel * kept + sample] = bytes[(pixel * stored + sample) * wide + high];
        }
    }
}

/// What the `image` crate's refusal means.
fn refused(format: &'static str, error: ImageError) -> PictureError {
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format, detail: "the file ends too early".to_owned() }
        }
        ImageError::Unsupported(e) => PictureError::Unsupported { format, what: e.to_string() },
        e => PictureError::Broken { format, detail: e.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_narrowed_in_place() {
        let mut bytes = [1, 2, 3, 99, 4, 5, 6, 99];
        narrow(&mut bytes, 4, 3, 1);
        assert_eq!(bytes[..6], [1, 2, 3, 4, 5, 6]);
        let mut wide: Vec<u8> = [0x1234u16, 0xffff, 0x5678, 0].iter().flat_map(|v| v.to_ne_bytes()).collect();
        narrow(&mut wide, 2, 1, 2);
        assert_eq!(wide[..2], [0x12, 0x56]);
    }
}
