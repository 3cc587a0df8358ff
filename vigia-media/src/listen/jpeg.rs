//! Where a JPEG ends in a row of bytes, without decoding it.

use std::fmt;

/// Markers that stand alone, ISO/IEC 10918-1 table B.1: for private use, and the restarts.
const ALONE: [u8; 9] = [0x01, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7];

/// Looks for the end of one JPEG while its bytes come in.
///
/// Segments are stepped over by their lengths, so a small picture inside one does not end the whole.
#[derive(Debug, Default)]
pub(super) struct JpegEnd {
    /// Bytes looked at.
    at: usize,
    /// These are coded samples, up to the next marker.
    in_scan: bool,
}

/// Bytes that are no JPEG.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoJpeg {
    at: usize,
}

impl fmt::Display for NoJpeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            0 => f.write_str("something that does not begin like a JPEG"),
            at => write!(f, "a JPEG that is damaged at byte {at}"),
        }
    }
}

impl JpegEnd {
    /// Length of the picture that begins at the first byte of `data`; `None` until its last byte is there. Each call is
    /// given what the one before was given, and what has come since.
    pub(super) fn find(&mut self, data: &[u8]) -> Result<Option<usize>, NoJpeg> {
        loop {
            let Some(rest) = data.get(self.at..) else { return Ok(None) };
            if self.in_scan {
                let Some(marker) = rest.iter().position(|&byte| byte == 0xFF) else {
                    self.at = data.len();
                    return Ok(None);
                };
                self.at += marker;
                match rest.get(marker + 1) {
                    None => return Ok(None),
                    // A sample that looks like a marker is followed by a zero; restarts are part of a scan.
                    Some(0x00 | 0xD0..=0xD7) => self.at += 2,
                    Some(_) => self.in_scan = false,
                }
                continue;
            }
            match (self.at, rest) {
                (_, [] | [0xFF]) => return Ok(None),
                (0, [0xFF, 0xD8, ..]) => self.at = 2,
                (0, _) | (_, [0xFF, 0x00 | 0xD8, ..]) => return Err(NoJpeg { at: self.at }),
                (_, [0xFF, 0xFF, ..]) => self.at += 1,
                (_, [0xFF, 0xD9, ..]) => return Ok(Some(self.at + 2)),
                (_, [0xFF, marker, ..]) if ALONE.contains(marker) => self.at += 2,
                (_, [0xFF, marker, high, low, ..]) => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    if length < 2 {
                        return Err(NoJpeg { at: self.at });
                    }
                    self.in_scan = *marker == 0xDA;
                    self.at += 2 + length;
                }
                (_, [0xFF, ..]) => return Ok(None),
                _ => return Err(NoJpeg { at: self.at }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with a whole one inside a segment, stuffed zeros, restarts, fill bytes and two scans.
    fn picture() -> Vec<u8> {
        let inner = [0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 1, 2, 0xFF, 0xD9];
        let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 2 + inner.len() as u8];
        bytes.extend(inner);
        bytes.extend([0xFF, 0xFF, 0xDA, 0, 4, 9, 9, 7, 0xFF, 0x00, 0xD9, 0xFF, 0xD3, 5]);
        bytes.extend([0xFF, 0xC4, 0, 3, 0xD9, 0xFF, 0xDA, 0, 2, 1, 0xFF, 0xFF, 0xD9]);
        bytes
    }

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let (picture, mut data) = (picture(), picture());
        data.extend([0xFF, 0xD8, 0xFF]);
        assert_eq!(JpegEnd::default().find(&data), Ok(Some(picture.len())));
        let mut end = JpegEnd::default();
        for come in 0..picture.len() {
            assert_eq!(end.find(&data[..come]), Ok(None), "{come}");
        }
        assert_eq!(end.find(&data), Ok(Some(picture.len())));
    }

    #[test]
    fn what_is_none() {
        for (bytes, at) in [
            (&b"GET / HTTP"[..], 0),
            (&[0xFF, 0xD9], 0),
            (&[0xFF, 0xD8, 7, 7], 2),
            (&[0xFF, 0xD8, 0xFF, 0xE0, 0, 1], 2),
            (&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 1, 0xFF, 0xD8], 7),
        ] {
            assert_eq!(JpegEnd::default().find(bytes), Err(NoJpeg { at }), "{bytes:?}");
        }
    }
}
