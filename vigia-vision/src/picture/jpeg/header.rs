//! A walk over a JPEG's markers up to its first scan: the declared size, even one that the library would not open,
//! and the EXIF block.

use vigia_core::geometry::Size;

/// What stands before the first scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// The declared size.
    pub(super) size: Size,
    /// The first EXIF block, without its `Exif` prefix.
    pub(super) exif: Option<&'a [u8]>,
    /// True for one of several pictures that belong together, as phones and stereo cameras write them (CIPA DC-007).
    pub(super) is_multi: bool,
    /// Where the first scan starts, in bytes.
    pub(super) scan: usize,
}

/// Why there is no scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The bytes end before it.
    CutOff,
    /// A scan, or the file's end marker, comes before any size.
    NoPicture,
}

/// Reads markers as libjpeg does: what is no marker is skipped (ITU-T T.81, annex B).
pub(super) fn read(jpeg: &[u8]) -> Result<Header<'_>, Flaw> {
    let (mut size, mut exif, mut is_multi, mut at) = (None, None, false, 2);
    loop {
        let rest = jpeg.get(at..).unwrap_or_default();
        at += rest.iter().position(|&b| b == 0xff).ok_or(Flaw::CutOff)?;
        at += jpeg[at..].iter().position(|&b| b != 0xff).ok_or(Flaw::CutOff)?;
        let marker = jpeg[at];
        at += 1;
        match marker {
            // Stuffing, TEM, RSTn, SOI: without a segment.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => return Err(Flaw::NoPicture),
            0xda => return size.map(|size| Header { size, exif, is_multi, scan: at }).ok_or(Flaw::NoPicture),
            _ => {}
        }
        let &[high, low] = jpeg.get(at..at + 2).ok_or(Flaw::CutOff)? else { return Err(Flaw::CutOff) };
        let end = at + usize::from(u16::from_be_bytes([high, low])).max(2);
        let segment = jpeg.get(at + 2..end).ok_or(Flaw::CutOff)?;
        match (marker, segment) {
            // DHT, JPG and DAC lie among the frame headers' codes.
            (0xc4 | 0xc8 | 0xcc, _) => {}
            (0xc0..=0xcf, &[_, h1, h0, w1, w0, ..]) if size.is_none() => {
                let [width, height] = [[w1, w0], [h1, h0]].map(u16::from_be_bytes);
                size = Some(Size::new(width.into(), height.into()));
            }
            (0xe1, _) if exif.is_none() => exif = segment.strip_prefix(b"Exif\0\0"),
            (0xe2, _) => is_multi |= segment.starts_with(b"MPF\0"),
            _ => {}
        }
        at = end;
    }
}

/// Whether the file's end marker stands somewhere after the first scan's start. Within a scan 0xff is escaped, so this
/// is never a coincidence there.
pub(super) fn is_closed(jpeg: &[u8], scan: usize) -> bool {
    end(jpeg, scan).is_some()
}

/// True where three or more pictures of one size stand one right after the other: a video in motion JPEG. Second
/// pictures that belong to the first (previews, depths, brightness, the other eye) are not meant.
pub(super) fn is_motion(jpeg: &[u8], header: &Header<'_>) -> bool {
    let next = |picture: &'_ [u8], scan| {
        let at = end(picture, scan)?;
        Some(at).filter(|at| picture[*at..].starts_with(b"\xff\xd8\xff"))
    };
    let second = next(jpeg, header.scan).filter(|_| !header.is_multi).map(|at| &jpeg[at..]);
    second.is_some_and(|second| {
        read(second).is_ok_and(|two| two.size == header.size && !two.is_multi && next(second, two.scan).is_some())
    })
}

/// What follows the first end marker.
fn end(jpeg: &[u8], scan: usize) -> Option<usize> {
    let mut at = scan;
    loop {
        // One byte in some hundreds is 0xff; the search for it is fast where its result is not asked.
        let skip = jpeg.get(at..)?.chunks(64).take_while(|chunk| !chunk.contains(&0xff)).count() * 64;
        at += skip;
        at += jpeg.get(at..)?.iter().position(|&b| b == 0xff)? + 1;
        if jpeg.get(at) == Some(&0xd9) {
            return Some(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &[u8] = b"\xff\xd8\xff\xe1\0\x0aExif\0\0MM\xff\xff\xc2\0\x09\x08\x01\x02\x03\x04\x03\0";

    #[test]
    fn size_and_exif_are_found() {
        let jpeg = [START, b"\xff\xda\0\x02"].concat();
        let header =
            Header { size: Size::new(0x0304, 0x0102), exif: Some(b"MM"), is_multi: false, scan: START.len() + 2 };
        assert_eq!(read(&jpeg), Ok(header));
    }

    #[test]
    fn bytes_that_are_missing_are_told_from_pictures_that_are() {
        for len in 0..START.len() {
            assert_eq!(read(&START[..len]), Err(Flaw::CutOff), "{len} bytes");
        }
        assert_eq!(read(b"\xff\xd8\xff\xd9"), Err(Flaw::NoPicture));
        assert_eq!(read(b"\xff\xd8\xff\xda"), Err(Flaw::NoPicture));
    }
}
