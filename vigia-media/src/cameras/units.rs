//! A byte stream cut into pictures.

use std::ops::Range;

/// What begins each unit of an Annex B stream (H.264, annex B.1.1); one more zero byte may stand before it.
const START: [u8; 3] = [0, 0, 1];
/// `nal_unit_type` of an access unit delimiter (H.264, table 7-1).
const DELIMITER: u8 = 9;

/// Where the access units of an H.264 byte stream lie, each from its delimiter to the next. What stands before the first
/// delimiter belongs to none; a stream without delimiters has none.
pub fn access_units(stream: &[u8]) -> Vec<Range<usize>> {
    let mut cuts = Vec::new();
    let mut at = 0;
    while let Some(found) = stream[at..].windows(4).position(|four| four[..3] == START) {
        let start = at + found;
        if stream[start + 3] & 0x1f == DELIMITER {
            let long = start > 0 && stream[start - 1] == 0;
            cuts.push(start - usize::from(long));
        }
        at = start + 3;
    }
    let ends = cuts.iter().skip(1).copied().chain([stream.len()]);
    cuts.iter().zip(ends).map(|(&start, end)| start..end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_go_from_delimiter_to_delimiter() {
        let stream = [
            &[0, 0, 0, 1, 0x09, 0x10][..],   // delimiter, long start
            &[0, 0, 0, 1, 0x67, 1, 2],       // parameters
            &[0, 0, 1, 0x65, 9, 9, 9],       // a slice that holds nines
            &[0, 0, 0, 1, 0x29, 0x30],       // delimiter with a reference count
            &[0, 0, 1, 0x41, 0, 0, 3, 1, 9], // a slice with an escaped start
            &[0, 0, 1, 0x09, 0x30],          // delimiter, short start
        ]
        .concat();
        assert_eq!(access_units(&stream), [0..20, 20..35, 35..40]);
    }

    #[test]
    fn a_stream_without_delimiters_has_none() {
        assert_eq!(access_units(&[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x65, 3]), []);
        assert_eq!(access_units(&[]), []);
        assert_eq!(access_units(&[0, 0, 1]), []);
        assert_eq!(access_units(&[0, 0, 1, 9, 0, 0, 1, 9]), [0..4, 4..8]);
    }

    #[test]
    fn what_stands_before_the_first_one_is_left_out() {
        assert_eq!(access_units(&[0, 0, 1, 0x67, 5, 0, 0, 0, 1, 9, 0xf0]).first(), Some(&(5..11)));
    }
}
