//! What somebody sends, by its first bytes.

/// Bytes of a packet of an MPEG transport stream, and what each begins with (ISO/IEC 13818-1, 2.4.3.2).
const PACKET: usize = 188;
const SYNC: u8 = 0x47;

/// So many bytes are enough to tell.
pub(super) const LONGEST: usize = 2 * PACKET + 1;

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An MPEG transport stream.
    MpegTs,
    /// JPEG pictures, nothing between them.
    Jpeg,
    /// A multipart body, hopefully of pictures.
    Multipart,
    /// More bytes are needed to tell.
    Unclear,
    /// None of these.
    Other,
}

/// What begins with these bytes.
pub(super) fn kind(head: &[u8]) -> Kind {
    match head {
        [SYNC, ..] => match (head.get(PACKET), head.get(2 * PACKET)) {
            (Some(&SYNC), Some(&SYNC) | None) => Kind::MpegTs,
            // Browsers begin with the same byte.
            (None, _) if head.starts_with(b"GET ") => Kind::Other,
            (None, _) => Kind::Unclear,
            _ => Kind::Other,
        },
        [0xFF, 0xD8, 0xFF, ..] => Kind::Jpeg,
        [b'-', b'-', ..] => Kind::Multipart,
        [b'\r' | b'\n', rest @ ..] => match kind(rest) {
            Kind::Multipart => Kind::Multipart,
            Kind::Unclear if rest.first() != Some(&SYNC) => Kind::Unclear,
            _ => Kind::Other,
        },
        [] | [0xFF | b'-'] | [0xFF, 0xD8] => Kind::Unclear,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let mut packets = vec![0; LONGEST];
        for at in [0, PACKET, 2 * PACKET] {
            packets[at] = SYNC;
        }
        let mut wrong = packets.clone();
        wrong[2 * PACKET] = 0;
        for (head, expected) in [
            (&packets[..], Kind::MpegTs),
            (&packets[..=PACKET], Kind::MpegTs),
            (&packets[..PACKET], Kind::Unclear),
            (&wrong, Kind::Other),
            (&[0xFF, 0xD8, 0xFF, 0xE0], Kind::Jpeg),
            (&[0xFF, 0xD8], Kind::Unclear),
            (&[0xFF, 0xD9], Kind::Other),
            (b"--ffmpeg", Kind::Multipart),
            (b"\r\n--", Kind::Multipart),
            (b"\r\n-", Kind::Unclear),
            (b"\r\n\xFF\xD8\xFF", Kind::Other),
            (b"\r\nG", Kind::Other),
            (b"GET / HTTP/1.1\r\n", Kind::Other),
            (b"", Kind::Unclear),
        ] {
            assert_eq!(kind(head), expected, "{head:?}");
        }
    }
}
