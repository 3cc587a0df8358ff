//! Numbers as people write them: `20MB`, `50M`, `256`.

use serde::Deserialize as _;
use serde::de::{Deserializer, Error as _};

/// `20MB`, `512kB`, `1GB` or plain bytes; units are powers of 1000.
pub(super) fn bytes<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let text = String::deserialize(d)?;
    parse(text.trim().strip_suffix(['B', 'b']).unwrap_or(text.trim()))
        .ok_or_else(|| D::Error::custom(format!("\"{text}\" is not a number of bytes: write for example 20MB")))
}

/// `50M`, `3k` or a plain number.
pub(super) fn count<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let text = String::deserialize(d)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("\"{text}\" is not a number: write for example 50M")))
}

/// As [`count`], for what is counted in memory.
pub(super) fn count_usize<'de, D: Deserializer<'de>>(d: D) -> Result<usize, D::Error> {
    count(d).and_then(|n| usize::try_from(n).map_err(D::Error::custom))
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = match text.chars().next_back()? {
        'k' | 'K' => (&text[..text.len() - 1], 1_000),
        'M' | 'm' => (&text[..text.len() - 1], 1_000_000),
        'G' | 'g' => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_as_people_write_them() {
        assert_eq!(
            ["20M", "3k", "256", "1G", "7 M"].map(parse),
            [20_000_000, 3_000, 256, 1_000_000_000, 7_000_000].map(Some)
        );
        assert_eq!(["", "M", "2.5M", "-1", "20MM", "99999999999G"].map(parse), [None; 6]);
    }
}
