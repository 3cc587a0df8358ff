//! The OpenAPI description: `docs/openapi.json` is what the server answers, and every operation in it is there.

use serde_json::Value;

use crate::support::{Server, assert_golden};

fn described() -> Value {
    serde_json::to_value(vigia::http::openapi()).expect("JSON")
}

fn operations(api: &Value) -> Vec<(String, String, Value)> {
    let paths = api["paths"].as_object().expect("paths");
    let of = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").clone();
        let path = path.clone();
        methods.into_iter().map(move |(method, operation)| (path.clone(), method.to_uppercase(), operation))
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn the_file_is_what_the_server_answers() {
    let server = Server::plain();
    let served = server.client().get("/openapi.json").json();
    assert_eq!(served, described());
    assert_golden("../docs/openapi.json", &format!("{served:#}\n"));
}

/// Every `$ref` below.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(map) => {
            let here = map.get("$ref").and_then(Value::as_str);
            here.into_iter().chain(map.values().flat_map(references)).collect()
        }
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let api = described();
    for reference in references(&api) {
        let pointer = reference.strip_prefix('#').expect("within the file");
        assert!(api.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_is_there_and_shows_what_it_answers() {
    let server = Server::plain();
    let api = described();
    let operations = operations(&api);
    assert!(operations.len() >= 20);
    for (path, method, operation) in operations {
        let name = format!("{method} {path}");
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{name}");
        let responses = operation["responses"].as_object().expect("responses");
        for (status, response) in responses {
            if ["101", "204"].contains(&status.as_str()) {
                continue;
            }
            let content = response["content"].as_object().unwrap_or_else(|| panic!("{name} {status}: no content"));
            for (kind, media) in content {
                let shows = media.get("schema").is_some() || media.get("example").is_some();
                assert!(shows, "{name} {status} {kind}: neither schema nor example");
                let problem = kind == "application/problem+json";
                assert_eq!(problem, !status.starts_with('2'), "{name} {status} {kind}");
            }
        }
        // There is something: a stream that nobody knows, or a body that is missing, but no "nothing is here".
        let path = path.replace("{id}", "x").replace("{frame_id}", "7");
        let mut answer = server.client().open(&method, &path, &[], &[]);
        let status = answer.status().as_u16();
        assert_ne!(status, 405, "{name}");
        // What is found may have no end.
        if status >= 400 {
            let text = answer.body_mut().read_to_string().expect("a whole answer");
            let problem: Value = serde_json::from_str(&text).expect("JSON");
            assert_ne!(problem["code"], "not-found", "{name}");
            assert!(responses.contains_key(&status.to_string()), "{name}: {status} is not described");
        }
    }
}
