//! The configuration read again by the real server: by SIGHUP and over HTTP.

use std::path::Path;

use serde_json::{Value, json};

use crate::serve::Serve;
use crate::support::is_set_up;

const MOVING: &str = "test://?width=320&height=240&fps=10";

fn write(folder: &Path, config: &str) {
    std::fs::write(folder.join("vigia.yaml"), config).expect("written");
}

fn ids(list: &Value) -> Vec<String> {
    let streams = list["streams"].as_array().expect("streams");
    streams.iter().map(|stream| stream["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn what_differs_is_applied_and_the_rest_keeps_its_counters() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!("streams:\n  stays: {{source: \"{MOVING}\"}}\n  goes: {{source: \"{MOVING}\"}}\n");
    let server = Serve::configured(folder.path(), &config);
    server.wait_for("/v1/streams/stays", "it has results", |stream| stream["frames"]["inferred"].as_u64() > Some(3));
    server.add(&json!({"id": "added", "source": "push", "timeout": "1h"}));
    let before = server.get("/v1/streams/stays");
    write(
        folder.path(),
        &format!(
            "server: {{grace: 5s}}\nstreams:\n  stays: {{source: \"{MOVING}\"}}\n  comes: {{source: \"{MOVING}\"}}\n"
        ),
    );
    let reloaded = server.json("POST", "/v1/reload", &Value::Null, 200);
    let expected =
        json!({"added": ["comes"], "changed": [], "removed": ["goes"], "failed": [], "restart_needed": ["server"]});
    assert_eq!(reloaded, expected);
    assert_eq!(ids(&server.get("/v1/streams")), ["added", "comes", "stays"]);
    let after = server.get("/v1/streams/stays");
    assert_eq!((&after["since"], &after["state"]), (&before["since"], &json!("online")));
    assert!(after["frames"]["received"].as_u64() >= before["frames"]["received"].as_u64(), "{before} {after}");
    server.assert_ends_in_order();
}

#[test]
fn a_hangup_does_the_same_and_survives_a_mistake() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Serve::configured(folder.path(), "streams: {}\n");
    write(folder.path(), &format!("streams: {{first: {{source: \"{MOVING}\"}}}}\n"));
    server.signal("HUP");
    server.wait_for("/v1/streams", "the stream is there", |list| ids(list) == ["first"]);
    // A mistake changes nothing, and is said with its place.
    let wrong = "streams:\n  second: {source: \"rtsp://user:secret@camera/1\", timout: 3s}\n";
    write(folder.path(), wrong);
    server.signal("HUP");
    let answer = server.json("POST", "/v1/reload", &Value::Null, 422);
    let detail = answer["detail"].as_str().expect("a sentence");
    assert!(detail.contains("line 2") && detail.contains("did you mean `timeout`"), "{detail}");
    assert_eq!(ids(&server.get("/v1/streams")), ["first"]);
    server.hear("did you mean `timeout`");
    write(folder.path(), "streams: {}\n");
    server.signal("HUP");
    server.wait_for("/v1/streams", "the stream is gone", |list| ids(list).is_empty());
    server.terminate();
    let ended = server.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("line 2") && ended.stderr.contains("did you mean `timeout`"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}

#[test]
fn without_a_file_a_hangup_does_not_end_the_server() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    server.signal("HUP");
    let answer = server.json("POST", "/v1/reload", &Value::Null, 409);
    assert_eq!(answer["code"], "no-config", "{answer}");
    server.terminate();
    let ended = server.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
}
