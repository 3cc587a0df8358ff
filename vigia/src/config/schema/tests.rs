use std::path::Path;

use super::*;

/// Every schema under a schema that has `key`.
fn with<'a>(schema: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match schema {
        Value::Object(object) => {
            if object.contains_key(key) {
                found.push(schema);
            }
            object.values().for_each(|value| with(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|value| with(value, key, found)),
        _ => {}
    }
}

#[test]
fn the_committed_schema_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vigia.schema.json");
    let text = serde_json::to_string_pretty(&Config::schema()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "docs/vigia.schema.json is not the schema: run the test with UPDATE_GOLDEN=1, and look at it"
    );
}

#[test]
fn every_key_is_described_and_every_object_closed() {
    let schema = Config::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut objects = Vec::new();
    with(&schema, "properties", &mut objects);
    assert!(objects.len() >= 9, "{}", objects.len());
    for object in objects {
        assert_eq!(object["additionalProperties"], false, "{object}");
        for (key, property) in object["properties"].as_object().expect("an object") {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(description.len() > 10, "{key} is not described: {property}");
            assert!(!description.contains(['\n', '[']), "{key}: {description}");
        }
    }
}

#[test]
fn defaults_are_written_as_they_are_read() {
    let schema = Config::schema();
    let of = |pointer: &str| schema.pointer(&format!("{pointer}/default")).cloned();
    assert_eq!(of("/$defs/ServerConfig/properties/grace"), Some("10s".into()));
    assert_eq!(of("/$defs/ServerConfig/properties/listen"), Some("127.0.0.1:8080".into()));
    assert_eq!(of("/$defs/Limits/properties/body"), Some(20_000_000.into()));
    assert_eq!(of("/$defs/StreamConfig/properties/every"), Some(1.into()));
    assert_eq!(of("/$defs/StreamConfig/properties/max_fps"), Some(Value::Null));
    assert_eq!(of("/$defs/StreamConfig/properties/latency"), Some("200ms".into()));
    assert_eq!(of("/$defs/StreamConfig/properties/linger"), Some("10s".into()));
    assert_eq!(of("/$defs/StreamConfig/properties/transport"), Some("tcp".into()));
    assert_eq!(of("/$defs/CacheConfig/properties/mode"), Some("latest".into()));
    assert_eq!(of("/$defs/CacheConfig/properties/frames"), Some(1.into()));
    assert_eq!(of("/$defs/Limits/properties/streams"), Some(1024.into()));
    assert_eq!(of("/$defs/RetryConfig/properties/initial"), Some("250ms".into()));
    assert_eq!(of("/$defs/ModelConfig/properties/instances"), Some("auto".into()));
    assert_eq!(of("/$defs/ModelConfig/properties/device"), Some("auto".into()));
    assert_eq!(schema.pointer("/$defs/StreamConfig/required"), Some(&serde_json::json!(["source"])));
    // All defaults together are the default.
    let all = serde_json::to_value(Config::default()).expect("JSON");
    assert_eq!(serde_json::from_value::<Config>(all).expect("read again"), Config::default());
}
