//! What bytes are, by their first few: the name a sender gave a file is not asked.

use std::fmt::Write as _;

use super::error::PictureError;

/// File formats that are decoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Bmp,
}

/// The format of a file, or what it is instead.
pub(super) fn format(bytes: &[u8]) -> Result<Format, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    if bytes.starts_with(b"\xff\xd8\xff") || bytes == b"\xff\xd8" {
        return Ok(Format::Jpeg);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Format::Png);
    }
    if bytes.starts_with(b"RIFF") && at(bytes, 8) == b"WEBP" {
        return Ok(Format::WebP);
    }
    // Two letters are no proof: the length of the header that follows tells a bitmap from a text.
    if bytes.starts_with(b"BM") && matches!(at(bytes, 14), [12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]) {
        return Ok(Format::Bmp);
    }
    if let Some(format) = other_picture(bytes) {
        return Err(PictureError::Unsupported { format, what: "the format".to_owned() });
    }
    let mut start = String::new();
    for byte in bytes.iter().take(8) {
        let gap = if start.is_empty() { "" } else { " " };
        let _ = write!(start, "{gap}{byte:02x}");
    }
    Err(PictureError::NotAPicture { seen: seen(bytes), start })
}

/// Four bytes from `offset`, or nothing.
fn at(bytes: &[u8], offset: usize) -> &[u8] {
    bytes.get(offset..offset + 4).unwrap_or_default()
}

/// Pictures that are known by name only.
fn other_picture(bytes: &[u8]) -> Option<&'static str> {
    let brand = if at(bytes, 4) == b"ftyp" { at(bytes, 8) } else { &[] };
    Some(match bytes {
        _ if bytes.starts_with(b"GIF8") => "GIF",
        _ if bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*") => "TIFF",
        _ if bytes.starts_with(b"\xff\x0a") || bytes.starts_with(b"\0\0\0\x0cJXL ") => "JPEG XL",
        _ if bytes.starts_with(b"\0\0\0\x0cjP  ") || bytes.starts_with(b"\xff\x4f\xff\x51") => "JPEG 2000",
        _ if bytes.starts_with(b"8BPS") => "Photoshop",
        _ if matches!(brand, b"avif" | b"avis") => "AVIF",
        _ if matches!(brand, b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1") => "HEIC",
        _ => return None,
    })
}

/// What something that is no picture looks like.
fn seen(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(64)];
    let text = head.trim_ascii_start();
    match text {
        _ if at(bytes, 4) == b"ftyp" || bytes.starts_with(b"\x1aE\xdf\xa3") => "a video file",
        _ if bytes.starts_with(b"RIFF") && at(bytes, 8) == b"AVI " => "a video file",
        _ if bytes.starts_with(b"%PDF") => "a PDF document",
        _ if bytes.starts_with(b"PK\x03\x04") => "a ZIP archive",
        _ if bytes.starts_with(b"\x1f\x8b") => "gzip data",
        _ if text.starts_with(b"data:image/") => "a data: URL, to be decoded from base64 first",
        _ if text.starts_with(b"/9j/") || text.starts_with(b"iVBORw0") || text.starts_with(b"UklGR") => {
            "the base64 text of a picture, to be decoded first"
        }
        _ if head.iter().any(|&b| b < 0x20 && !b.is_ascii_whitespace() || b == 0x7f) => "unknown binary data",
        [b'<', ..] => "HTML or XML",
        [b'{' | b'[', ..] => "JSON",
        _ if head.is_ascii() || std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true) => "text",
        _ => "unknown binary data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(bytes: &[u8]) -> &'static str {
        match format(bytes) {
            Err(PictureError::NotAPicture { seen, .. }) => seen,
            Err(PictureError::Unsupported { format, .. }) => format,
            _ => "",
        }
    }

    #[test]
    fn what_is_no_picture_is_named() {
        assert_eq!(named(b"hello"), "text");
        assert_eq!(named("Fl\u{e4}che".as_bytes()), "text");
        assert_eq!(named(b"  {\"a\":1}"), "JSON");
        assert_eq!(named(b"<!doctype html>"), "HTML or XML");
        assert_eq!(named(b"\0\0\0\x18ftypmp42"), "a video file");
        assert_eq!(named(b"\0\0\0\x18ftypheic"), "HEIC");
        assert_eq!(named(b"/9j/4AAQSkZJRg"), "the base64 text of a picture, to be decoded first");
        assert_eq!(named(b"BMW, a car"), "text");
        assert_eq!(named(b"GIF89a"), "GIF");
        assert_eq!(named(&[0, 1, 2]), "unknown binary data");
    }

    #[test]
    fn the_first_bytes_are_told() {
        let e = format(b"hello").err();
        assert_eq!(e, Some(PictureError::NotAPicture { seen: "text", start: "68 65 6c 6c 6f".to_owned() }));
    }
}
