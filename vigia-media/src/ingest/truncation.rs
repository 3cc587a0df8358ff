//! Files that were cut off. GStreamer's demuxers take such a file's end for the video's; the container knows better.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Boxes at the top level of MP4 and QuickTime files that may be long.
const BOXES: [&[u8; 4]; 8] = [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"];

/// True where the container says that it is longer than the file. MP4, QuickTime, AVI, Matroska and `WebM` say so;
/// others are never found cut.
pub(super) fn is_cut(path: &Path) -> bool {
    File::open(path).and_then(|mut file| container_is_cut(&mut file)).unwrap_or(false)
}

fn container_is_cut(file: &mut File) -> std::io::Result<bool> {
    let length = file.metadata()?.len();
    let mut head = [0; 64];
    let got = file.read(&mut head)?;
    Ok(match &head[..got] {
        [_, _, _, _, kind @ ..] if BOXES.iter().any(|known| kind.starts_with(*known)) => boxes_are_cut(file, length)?,
        [b'R', b'I', b'F', b'F', a, b, c, d, ..] => {
            let size = u32::from_le_bytes([*a, *b, *c, *d]);
            // Both ends of the range mean "was never filled in".
            size != 0 && size != u32::MAX && u64::from(size) + 8 > length
        }
        [0x1A, 0x45, 0xDF, 0xA3, rest @ ..] => segment_end(rest).is_some_and(|end| end > length),
        _ => false,
    })
}

/// Walks the boxes at the top level: 32-bit size and name; size 1 is followed by a 64-bit size, size 0 reaches to the
/// file's end (ISO/IEC 14496-12, 4.2).
fn boxes_are_cut(file: &mut File, length: u64) -> std::io::Result<bool> {
    let mut at = 0_u64;
    let mut head = [0; 16];
    while at + 8 <= length {
        file.seek(SeekFrom::Start(at))?;
        let wanted = (length - at).min(16) as usize;
        file.read_exact(&mut head[..wanted])?;
        let [a, b, c, d, name @ .., _, _, _, _, _, _, _, _] = head;
        let size = match u32::from_be_bytes([a, b, c, d]) {
            1 if wanted == 16 => {
                let [_, _, _, _, _, _, _, _, long @ ..] = head;
                u64::from_be_bytes(long)
            }
            size => u64::from(size),
        };
        if size < 8 {
            return Ok(false);
        }
        let Some(end) = at.checked_add(size) else { return Ok(false) };
        if end > length {
            // What follows the last box may be rubbish.
            return Ok(BOXES.contains(&&name));
        }
        at = end;
    }
    Ok(false)
}

/// Where a Matroska file's segment ends: EBML header, then the segment's identifier and size (RFC 8794, RFC 9559).
fn segment_end(after_magic: &[u8]) -> Option<u64> {
    let (header, length) = vint(after_magic)?;
    let segment = length + usize::try_from(header).ok()?;
    let rest = after_magic.get(segment..)?.strip_prefix(&[0x18, 0x53, 0x80, 0x67])?;
    let (size, length) = vint(rest)?;
    let unknown = size == (1 << (7 * length)) - 1;
    (!unknown).then(|| (4 + segment + 4 + length) as u64 + size)
}

/// A number of EBML, and the bytes that it takes.
fn vint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let start = u64::from(first) & ((1_u64 << (8 - length)) - 1);
    let rest = bytes.get(1..length)?;
    Some((rest.iter().fold(start, |value, &byte| value << 8 | u64::from(byte)), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8]) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("clip");
        std::fs::write(&path, bytes).expect("a file");
        is_cut(&path)
    }

    fn mp4(payload: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 12];
        bytes.extend_from_slice(b"ftypisom");
        bytes.extend_from_slice(&[0, 0, 0, 1]);
        bytes.extend_from_slice(b"mdat");
        bytes.extend_from_slice(&(16 + payload as u64).to_be_bytes());
        bytes.resize(bytes.len() + payload, 7);
        bytes
    }

    #[test]
    fn boxes() {
        let whole = mp4(100);
        assert!(!cut(&whole));
        assert!(cut(&whole[..80]));
        let with_rubbish = [whole, b"\xff\xff\xff\xffrubbish".to_vec()].concat();
        assert!(!cut(&with_rubbish));
    }

    #[test]
    fn riff_and_matroska() {
        assert!(!cut(b"RIFF\x04\x00\x00\x00AVI "));
        assert!(cut(b"RIFF\x05\x00\x00\x00AVI "));
        assert!(!cut(b"RIFF\x00\x00\x00\x00AVI "));
        assert!(!cut(b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\x83xyz"));
        assert!(cut(b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\x84xyz"));
        assert!(!cut(b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xffxyz"));
        assert!(!cut(b"text"));
    }
}
