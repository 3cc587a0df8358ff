//! Streams as OpenAPI describes them: a stream's JSON Schema, with its id, or with every key to be left out.

use schemars::Schema as JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::config::{NewStream, StreamConfig, StreamPatch};

impl ToSchema for NewStream {}

impl PartialSchema for NewStream {
    fn schema() -> RefOr<Schema> {
        described(new_stream())
    }
}

impl ToSchema for StreamPatch {}

impl PartialSchema for StreamPatch {
    fn schema() -> RefOr<Schema> {
        described(stream_patch())
    }
}

/// OpenAPI 3.1 is made of JSON Schema.
fn described(schema: Map<String, Value>) -> RefOr<Schema> {
    serde_json::from_value(Value::Object(schema)).expect("a test holds that OpenAPI has all of it")
}

/// A stream's keys, each with everything that belongs to it in its place.
fn stream() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(list_names));
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let Value::Object(mut schema) = super::schema::<StreamConfig>(settings) else { return Map::new() };
    schema.remove("title");
    schema
}

fn new_stream() -> Map<String, Value> {
    let mut schema = stream();
    schema["description"] =
        "A stream that is to be added: its id, and the keys that it has in the configuration file.".into();
    schema["required"] = json!(["id", "source"]);
    schema["properties"]["id"] = json!({
        "description": "1 to 64 letters, digits, dots, hyphens and underscores; not in use.",
        "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$", "examples": ["door"]
    });
    schema
}

fn stream_patch() -> Map<String, Value> {
    let mut schema = stream();
    schema["description"] =
        "What changes of a stream (JSON merge patch, RFC 7396): keys that are left out stay, null sets one back to its default."
            .into();
    optional(&mut schema);
    schema
}

/// Takes away what is said of keys that are left out; all but the source may be null.
fn optional(schema: &mut Map<String, Value>) {
    schema.remove("required");
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (key, property) in properties {
        let Value::Object(property) = property else { continue };
        property.remove("default");
        optional(property);
        if key == "source" {
            continue;
        }
        match property.get_mut("type") {
            Some(Value::Array(types)) if !types.contains(&"null".into()) => types.push("null".into()),
            Some(one @ Value::String(_)) => *one = json!([one, "null"]),
            _ => {}
        }
        if let Some(Value::Array(names)) = property.get_mut("enum") {
            names.push(Value::Null);
        }
    }
}

/// Names that schemars gives one by one, as one list: OpenAPI's library knows no `const`.
fn list_names(schema: &mut JsonSchema) {
    let Some(Value::Array(variants)) = schema.get("oneOf") else { return };
    let names: Option<Vec<Value>> = variants.iter().map(|variant| variant.get("const").cloned()).collect();
    if let Some(names) = names {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), names.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::streams::KEYS;

    /// What OpenAPI's library makes of it.
    fn kept<T: PartialSchema>() -> Value {
        serde_json::to_value(T::schema()).expect("JSON")
    }

    /// Without the defaults that are null, which the library leaves out: they say nothing.
    fn plain(mut schema: Map<String, Value>) -> Value {
        for property in schema["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Value::Object(property) = property
                && property.get("default") == Some(&Value::Null)
            {
                property.remove("default");
            }
        }
        schema.into()
    }

    #[test]
    fn nothing_of_the_schema_is_lost() {
        assert_eq!(kept::<NewStream>(), plain(new_stream()));
        assert_eq!(kept::<StreamPatch>(), plain(stream_patch()));
        assert_eq!((NewStream::name(), StreamPatch::name()), ("NewStream".into(), "StreamPatch".into()));
    }

    #[test]
    fn every_key_is_described() {
        for (schema, more) in [(kept::<NewStream>(), 1), (kept::<StreamPatch>(), 0)] {
            let properties = schema["properties"].as_object().expect("an object");
            assert_eq!(properties.len(), KEYS.len() + more);
            for (key, _) in KEYS {
                assert!(properties[key]["description"].as_str().is_some_and(|d| d.len() > 10), "{key}");
                assert!(properties[key].get("$ref").is_none(), "{key}");
            }
            for (key, inner) in [("cache", "mode"), ("cache", "frames"), ("retry", "initial"), ("retry", "max")] {
                assert!(properties[key]["properties"][inner]["description"].is_string(), "{key}.{inner}");
            }
            assert_eq!(schema["additionalProperties"], false);
        }
    }

    #[test]
    fn a_patch_requires_nothing_and_takes_null() {
        let patch = kept::<StreamPatch>();
        let of = |pointer: &str| patch.pointer(pointer).cloned();
        assert_eq!(of("/required"), None);
        assert_eq!(of("/properties/source/type"), Some("string".into()));
        assert_eq!(of("/properties/every/type"), Some(json!(["integer", "string", "null"])));
        assert_eq!(of("/properties/max_fps/type"), Some(json!(["number", "null"])));
        assert_eq!(of("/properties/cache/type"), Some(json!(["object", "null"])));
        assert_eq!(of("/properties/cache/properties/mode/enum"), Some(json!(["latest", "fifo", null])));
        assert_eq!(of("/properties/cache/properties/mode/default"), None);
        let new = kept::<NewStream>();
        assert_eq!(new["required"], json!(["id", "source"]));
        assert_eq!(new["properties"]["transport"]["enum"], json!(["tcp", "udp", "auto"]));
        assert_eq!(new["properties"]["transport"]["default"], "tcp");
    }
}
