//! A walk over a BMP's headers, and over its runs where it is run-length encoded: is all of the picture there?
//!
//! The `image` crate finds a file's end only where it reads on; runs may stop at any point, and the header may lead
//! anywhere (bitmap headers: learn.microsoft.com, "Bitmap Storage" and "Bitmap Compression").

/// Bytes of the file header, before the bitmap's own.
const FILE_HEADER: usize = 14;

/// What is missing of a BMP; `None` also for one whose header cannot be read here, which the decoder judges.
pub(super) fn missing(bytes: &[u8]) -> Option<String> {
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|&raw| u32::from_le_bytes(raw));
    let (pixels_at, header) = (number(10)? as usize, number(FILE_HEADER)? as usize);
    if pixels_at > bytes.len() {
        return Some(format!("its pixels start at byte {pixels_at} of {}", bytes.len()));
    }
    // OS/2's short header has no compression.
    let compression = if header < 40 { 0 } else { number(30)? };
    let is_nibbles = match compression {
        1 => false,
        2 => true,
        _ => return None,
    };
    if pixels_at < FILE_HEADER + header {
        return Some(format!("its pixels start at byte {pixels_at}, within its header"));
    }
    let runs = &bytes[pixels_at..];
    // Zero is allowed by none but written by some.
    let declared = number(34)? as usize;
    if declared > runs.len() {
        return Some(format!("{} of {declared} bytes of pixels", runs.len()));
    }
    let height = number(22)?.cast_signed().unsigned_abs();
    let reached = rows(runs, is_nibbles);
    (reached < height).then(|| format!("its pixels end in row {reached} of {height}"))
}

/// Rows that run-length encoded pixels reach.
fn rows(mut runs: &[u8], is_nibbles: bool) -> u32 {
    let (mut done, mut begun) = (0_u32, false);
    while let [first, second, rest @ ..] = runs {
        runs = rest;
        match (first, second) {
            (0, 0) => (done, begun) = (done.saturating_add(1), false),
            (0, 1) => break,
            (0, 2) => {
                let [right, up, rest @ ..] = runs else { break };
                done = done.saturating_add(u32::from(*up));
                begun |= *right > 0 || *up > 0;
                runs = rest;
            }
            (0, count) => {
                let bytes = if is_nibbles { usize::from(*count).div_ceil(2) } else { usize::from(*count) };
                runs = runs.get(bytes.next_multiple_of(2)..).unwrap_or_default();
                begun = true;
            }
            _ => begun = true,
        }
    }
    done.saturating_add(u32::from(begun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_over_runs_jumps_and_plain_pixels() {
        assert_eq!(rows(&[], false), 0);
        assert_eq!(rows(&[0, 1], false), 0);
        assert_eq!(rows(&[5, 9, 0, 0, 0, 3, 1, 2, 3, 0], false), 2);
        assert_eq!(rows(&[5, 9, 0, 0, 0, 5, 0x12, 0x34, 0x50, 0, 0, 0, 0, 1, 0, 0], true), 2);
        assert_eq!(rows(&[0, 2, 1, 3, 4, 4, 0, 1], false), 4);
    }
}
