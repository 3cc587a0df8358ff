//! Pictures, and how they are packed.

use std::io::Cursor;
use std::sync::LazyLock;

use base64::Engine as _;
use vigia_core::geometry::Size;
use vigia_vision::picture::{RgbImage, encode_jpeg};

/// Width and height of the pictures here, in pixels.
pub(crate) const SIZE: (u32, u32) = (160, 120);

fn picture() -> RgbImage {
    picture_of(Size::new(SIZE.0, SIZE.1))
}

fn picture_of(size: Size) -> RgbImage {
    let mut picture = RgbImage::new(size);
    for (i, byte) in picture.bytes_mut().iter_mut().enumerate() {
        *byte = (i / 7 % 251) as u8;
    }
    picture
}

/// A small good JPEG.
pub(crate) fn good_jpeg() -> Vec<u8> {
    static MADE: LazyLock<Vec<u8>> = LazyLock::new(|| encode_jpeg(&picture(), 90).expect("encoded"));
    MADE.clone()
}

/// A good JPEG of another size.
pub(crate) fn jpeg_of(width: u32, height: u32) -> Vec<u8> {
    encode_jpeg(&picture_of(Size::new(width, height)), 90).expect("encoded")
}

/// The same picture in another format.
pub(crate) fn good(format: image::ImageFormat) -> Vec<u8> {
    let pixels = picture().bytes().to_vec();
    let picture = image::RgbImage::from_raw(SIZE.0, SIZE.1, pixels).expect("as long as it says");
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("encoded");
    bytes.into_inner()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The content type of [`multipart`] bodies.
pub(crate) const MULTIPART: &str = "multipart/form-data; boundary=edge";

/// A multipart body of these fields, each a file.
pub(crate) fn multipart(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in fields {
        let head = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.jpg\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    body
}
