//! Streams as JSON: the body that adds one, and the body that changes one.
//!
//! The keys are those of the file and are held to the same checks. A message names the key and what it must be; what a
//! source says stands in none.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use super::hints;
use super::streams::{KEYS, StreamConfig, check_stream_id};

/// Most characters of a message.
const LONGEST: usize = 400;

/// A stream that is to be added: its id and its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStream {
    /// Its id, which [`check_stream_id`] has passed.
    pub id: String,
    /// Everything else, every value within its range.
    pub config: StreamConfig,
}

/// What changes a stream (RFC 7396), as it is described; [`StreamConfig::patched`] reads it.
#[derive(Clone, Copy, Debug)]
pub enum StreamPatch {}

/// Why a body is no stream, or no change of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamBodyError {
    /// It is not JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, but a key or a value is wrong; the message names it.
    #[error("{0}")]
    Invalid(String),
}

impl NewStream {
    /// Reads the body that adds a stream: an object with `id` and the stream's keys.
    ///
    /// # Errors
    /// What is wrong, by key. Whether the pipeline is there, the configuration knows.
    pub fn from_json(body: &[u8]) -> Result<Self, StreamBodyError> {
        let mut stream = object(body)?;
        check_keys(&stream, Form::New).map_err(StreamBodyError::Invalid)?;
        Self::from_keys(stream.remove("id"), stream).map_err(StreamBodyError::Invalid)
    }

    fn from_keys(id: Option<Value>, stream: Map<String, Value>) -> Result<Self, String> {
        let id = match id {
            Some(Value::String(id)) => id,
            Some(other) => return Err(format!("id: expected a string, not {}", kind(&other))),
            None => return Err("missing key `id`: the stream's id".to_owned()),
        };
        check_stream_id(&id).map_err(|why| format!("id: {why}"))?;
        Ok(Self { id, config: whole(stream)? })
    }
}

impl StreamConfig {
    /// This stream with the keys of a JSON merge patch (RFC 7396) in place of its own: `null` sets one back to its default,
    /// keys below `cache` and `retry` are changed one by one.
    ///
    /// # Errors
    /// What is wrong, by key. Whether the pipeline is there, the configuration knows.
    pub fn patched(&self, body: &[u8]) -> Result<Self, StreamBodyError> {
        let patch = object(body)?;
        self.merged(patch).map_err(StreamBodyError::Invalid)
    }

    fn merged(&self, patch: Map<String, Value>) -> Result<Self, String> {
        if patch.contains_key("id") {
            return Err("id cannot be changed: add a stream under the new id and remove this one".to_owned());
        }
        check_keys(&patch, Form::Patch)?;
        let mut stream = match serde_json::to_value(self) {
            Ok(Value::Object(stream)) => stream,
            other => return Err(format!("the stream cannot be written as JSON: {:?}", other.err())),
        };
        merge(&mut stream, patch);
        whole(stream)
    }
}

/// All keys together, each of them known to be right by itself.
fn whole(stream: Map<String, Value>) -> Result<StreamConfig, String> {
    let value = Value::Object(stream);
    let config: StreamConfig = serde_json::from_value(value).map_err(|error| worded(&error, &Value::Null))?;
    config.validate()?;
    Ok(config)
}

/// RFC 7396, section 2.
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match (value, target.get_mut(&key)) {
            (Value::Null, _) => drop(target.remove(&key)),
            (Value::Object(inner), Some(Value::Object(existing))) => merge(existing, inner),
            (value, _) => drop(target.insert(key, value)),
        }
    }
}

/// Which body it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    New,
    Patch,
}

/// Whether every key is known and its value, by itself, one that can be read.
fn check_keys(stream: &Map<String, Value>, form: Form) -> Result<(), String> {
    for (key, value) in stream {
        if form == Form::New && key == "id" {
            continue;
        }
        let Some((key, below)) = KEYS.iter().find(|(known, _)| known == key) else {
            let id = (form == Form::New).then_some("id");
            return Err(unknown(key, &id.into_iter().chain(KEYS.map(|(key, _)| key)).collect::<Vec<_>>()));
        };
        match value {
            Value::Null if form == Form::Patch && *key == "source" => {
                return Err("source cannot be null: it has no default".to_owned());
            }
            Value::Null if form == Form::Patch => {}
            Value::Object(inner) if !below.is_empty() => {
                for (name, value) in inner {
                    let Some(name) = below.iter().find(|known| *known == name) else {
                        return Err(format!("{key}: {}", unknown(name, below)));
                    };
                    if form == Form::New || !value.is_null() {
                        check_value(&[key, name], value)?;
                    }
                }
            }
            other if !below.is_empty() => {
                return Err(format!("{key}: expected an object with {}, not {}", below.join(" and "), kind(other)));
            }
            other => check_value(&[key], other)?,
        }
    }
    Ok(())
}

fn unknown(key: &str, known: &[&str]) -> String {
    hints::unknown("key", &hints::excerpt(key, 64), known)
}

/// Reads one value as the file would be read that had nothing else in it.
fn check_value(path: &[&str], value: &Value) -> Result<(), String> {
    let mut stream = Map::from_iter([("source".to_owned(), "-".into())]);
    let mut tree = value.clone();
    for key in path.iter().skip(1).rev() {
        tree = Value::Object(Map::from_iter([((*key).to_owned(), tree)]));
    }
    stream.extend(path.first().map(|key| ((*key).to_owned(), tree)));
    serde_json::from_value::<StreamConfig>(Value::Object(stream))
        .map(drop)
        .map_err(|error| format!("{}: {}", path.join("."), worded(&error, value)))
}

/// What serde says of a value, without the value where that may be secret.
fn worded(error: &serde_json::Error, value: &Value) -> String {
    let message = hints::reworded(&error.to_string());
    match hints::expected(&message) {
        Some(expected) => format!("expected {expected}, not {}", kind(value)),
        None => hints::short(&hints::without_secrets(&message), LONGEST),
    }
}

/// What a value is, in JSON's terms.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Reads an object, in which no key is there twice at any depth.
fn object(body: &[u8]) -> Result<Map<String, Value>, StreamBodyError> {
    match serde_json::from_slice(body) {
        Ok(Unique(Value::Object(object))) => Ok(object),
        Ok(Unique(other)) => {
            let reason = format!("the body must be a JSON object with a stream's keys, not {}", kind(&other));
            Err(StreamBodyError::Invalid(reason))
        }
        Err(error) if error.classify() == Category::Data => Err(StreamBodyError::Invalid(error.to_string())),
        Err(error) => Err(StreamBodyError::Syntax(format!("the body is not JSON: {error}"))),
    }
}

/// Any JSON without repeated keys: of two sources, which one is meant, nobody can tell.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Tree).map(Self)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_i64<E: Error>(self, n: i64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_f64<E: Error>(self, n: f64) -> Result<Value, E> {
        Ok(Number::from_f64(n).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unique(value))) = entries.next_entry::<String, _>()? {
            if object.contains_key(&key) {
                let key = hints::excerpt(&key, 64);
                return Err(A::Error::custom(format!("the key `{key}` is there twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
