//! Numbers and times as people write them: `20MB`, `50M`, `256`, `500ms`.
//!
//! YAML tells `256` from `20MB` by itself and JSON has quotes, so everything here takes numbers and text alike.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};

use super::hints;

/// Whatever one scalar says, as text.
struct Scalar(&'static str);

impl Visitor<'_> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<String, E> {
        Ok(n.to_string())
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<String, E> {
        Ok(n.to_string())
    }

    fn visit_u128<E: Error>(self, n: u128) -> Result<String, E> {
        Ok(n.to_string())
    }

    fn visit_i128<E: Error>(self, n: i128) -> Result<String, E> {
        Ok(n.to_string())
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<String, E> {
        Ok(n.to_string())
    }
}

/// A scalar as text, whatever type it has in YAML or JSON; `expected` ends the message where it is none.
pub(super) fn scalar<'de, D: Deserializer<'de>>(d: D, expected: &'static str) -> Result<String, D::Error> {
    d.deserialize_any(Scalar(expected))
}

fn unsuitable<E: Error>(text: &str, expected: &str) -> E {
    E::custom(format!("\"{}\" is not {expected}", hints::excerpt(text, 40)))
}

/// One of these names, as the value in its place.
pub(super) fn name<'de, D: Deserializer<'de>, T: Copy>(
    d: D,
    expected: &'static str,
    names: &'static [&'static str],
    values: &[T],
) -> Result<T, D::Error> {
    let text = scalar(d, expected)?;
    let found = names.iter().zip(values).find(|(name, _)| **name == text);
    found.map(|(_, value)| *value).ok_or_else(|| Error::unknown_variant(&hints::excerpt(&text, 40), names))
}

/// `20MB`, `512kB`, `1GB` or plain bytes; units are powers of 1000.
pub(super) fn bytes<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    const EXPECTED: &str = "a number of bytes: write for example 20MB";
    let text = scalar(d, EXPECTED)?;
    let digits = text.trim();
    parse(digits.strip_suffix(['B', 'b']).unwrap_or(digits)).ok_or_else(|| unsuitable(&text, EXPECTED))
}

/// `50M`, `3k` or a plain number.
pub(super) fn count<'de, D: Deserializer<'de>, T: TryFrom<u64>>(d: D) -> Result<T, D::Error> {
    const EXPECTED: &str = "a whole number from 0: write for example 256 or 50M";
    let text = scalar(d, EXPECTED)?;
    parse(&text).and_then(|n| T::try_from(n).ok()).ok_or_else(|| unsuitable(&text, EXPECTED))
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

/// `500ms`, `2s`, `1m 30s`.
pub(super) mod duration {
    use super::{Deserializer, Duration, scalar, unsuitable, written};

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        const EXPECTED: &str = "a duration: write for example 500ms or 2s";
        let text = scalar(d, EXPECTED)?;
        humantime::parse_duration(text.trim()).map_err(|_humantime| unsuitable(&text, EXPECTED))
    }

    pub(in super::super) fn serialize<S: serde::Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&written(value))
    }
}

/// The same, or null.
pub(super) mod optional_duration {
    use serde::Deserialize;

    use super::{Deserializer, Duration, duration, written};

    #[derive(Deserialize)]
    struct Given(#[serde(with = "duration")] Duration);

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Given>::deserialize(d)?.map(|Given(given)| given))
    }

    #[expect(clippy::ref_option, reason = "serde hands the field over as it is")]
    pub(in super::super) fn serialize<S: serde::Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => s.collect_str(&written(value)),
            None => s.serialize_none(),
        }
    }
}

/// The schema of [`bytes`].
pub(super) struct Bytes;

/// The schema of [`count`].
pub(super) struct Count;

/// The schema of [`duration`].
pub(super) struct Span;

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes; k, M and G are powers of 1000.",
            "type": ["integer", "string"], "minimum": 0, "pattern": "^ *[0-9]+ *[kKmMgG]?[bB]? *$",
            "examples": ["20MB", "512kB", 1_000_000]
        })
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number; k, M and G are powers of 1000.",
            "type": ["integer", "string"], "minimum": 0, "pattern": "^ *[0-9]+ *[kKmMgG]? *$",
            "examples": ["50M", 256]
        })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration with its unit, or 0.",
            "type": ["string", "integer"], "pattern": "^ *(0|([0-9]+ *(ms|s|m|h|d) *)+) *$", "minimum": 0, "maximum": 0,
            "examples": ["500ms", "2s", "1m 30s"]
        })
    }
}

/// Says so where a number or a duration is outside its range.
pub(super) fn within<T: Copy + PartialOrd>(
    key: &str,
    value: T,
    from: T,
    to: T,
    show: fn(&T) -> String,
) -> Result<(), String> {
    if value >= from && value <= to {
        return Ok(());
    }
    Err(format!("{key} must be from {} to {}, not {}", show(&from), show(&to), show(&value)))
}

/// A duration as it would be written; whole days as such, where the library would say months.
pub(super) fn written(value: &Duration) -> String {
    const DAY: u64 = 86_400;
    match (value.as_secs() / DAY, value.as_secs() % DAY, value.subsec_nanos()) {
        (days @ 1.., 0, 0) => format!("{days}d"),
        _ => humantime::format_duration(*value).to_string(),
    }
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
        assert_eq!(["", "M", "2.5M", "-1", "20MM", "99999999999G", "18446744073709551616"].map(parse), [None; 7]);
    }
}
