//! Encoded pictures made on the spot.

#![expect(unsafe_code, reason = "every sampling and colour space needs libjpeg-turbo's own encoder")]

use std::ffi::{c_int, c_ulong};
use std::io::Cursor;
use std::{ptr, slice};

use image::{DynamicImage, ImageFormat, RgbImage};
use turbojpeg_sys as tj;

/// A soft picture without symmetry: red to the right, green down, blue along a diagonal.
pub(crate) fn soft(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let part = |at: u32, of: u32| (30 + at * 190 / of.max(1)) as u8;
        image::Rgb([part(x, width), part(y, height), part(x + height - y, width + height)])
    })
}

/// A file in one of the formats of the `image` crate.
pub(crate) fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).expect("an encoder of known pixels");
    bytes.into_inner()
}

/// A JPEG of these pixels; codes are TurboJPEG's.
pub(crate) fn jpeg(
    pixels: &[u8],
    (width, height): (u32, u32),
    format: tj::TJPF,
    sampling: tj::TJSAMP,
    flags: u32,
) -> Vec<u8> {
    let (mut out, mut len) = (ptr::null_mut(), 0 as c_ulong);
    // SAFETY: takes nothing.
    let handle = unsafe { tj::tjInitCompress() };
    // SAFETY: the handle is live, the pixels are tight rows of the given format, the library allocates the output.
    let status = unsafe {
        tj::tjCompress2(
            handle,
            pixels.as_ptr(),
            width as c_int,
            0,
            height as c_int,
            format,
            &raw mut out,
            &raw mut len,
            sampling as c_int,
            95,
            flags as c_int,
        )
    };
    assert_eq!(status, 0);
    // SAFETY: the call succeeded and filled `len` bytes.
    let bytes = unsafe { slice::from_raw_parts(out, len as usize) }.to_vec();
    // SAFETY: allocated by the library, freed once.
    unsafe { tj::tjFree(out) };
    // SAFETY: live, destroyed once.
    unsafe { tj::tjDestroy(handle) };
    bytes
}

/// A JPEG of an RGB picture in this sampling.
pub(crate) fn sampled(picture: &RgbImage, sampling: tj::TJSAMP) -> Vec<u8> {
    jpeg(picture, picture.dimensions(), tj::TJPF_TJPF_RGB, sampling, 0)
}

/// An EXIF block that holds nothing but an orientation.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
    tiff
}

/// A JPEG with one more segment behind its start.
pub(crate) fn with_segment(jpeg: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len() + 2).expect("a short segment").to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &len, content, &jpeg[2..]].concat()
}

/// A PNG with one more chunk behind its header.
pub(crate) fn with_chunk(png: &[u8], name: &[u8], content: &[u8]) -> Vec<u8> {
    let named = [name, content].concat();
    let mut crc = u32::MAX;
    for &byte in &named {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let len = (content.len() as u32).to_be_bytes();
    [&png[..33], &len, &named, &(!crc).to_be_bytes(), &png[33..]].concat()
}

/// A RIFF chunk.
pub(crate) fn chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
    let padding = &[0][..content.len() % 2];
    [name, &(content.len() as u32).to_le_bytes(), content, padding].concat()
}

/// An extended WebP; `flags` say which chunks there are.
pub(crate) fn webp(flags: u8, (width, height): (u32, u32), chunks: &[Vec<u8>]) -> Vec<u8> {
    let (w, h) = ((width - 1).to_le_bytes(), (height - 1).to_le_bytes());
    let header = [&[flags, 0, 0, 0], &w[..3], &h[..3]].concat();
    let body = [b"WEBP".to_vec(), chunk(b"VP8X", &header), chunks.concat()].concat();
    chunk(b"RIFF", &body)
}

/// The pixel chunk of a lossless WebP of this picture.
pub(crate) fn webp_pixels(picture: RgbImage) -> Vec<u8> {
    file(picture, ImageFormat::WebP)[12..].to_vec()
}
