//! What cannot be a stream is refused with the key that is wrong, and nothing is added or changed.

use serde_json::{Value, json};
use vigia_testkit::finds;

use crate::client::{Answer, Raw};
use crate::support::{Server, Setup, camera, camera_body, one_box, pushed_body, with};

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, words: &[&str]) {
    let detail = answer.problem(status, code);
    for word in words {
        assert!(detail.contains(word), "{word:?} is not in: {detail}");
    }
    assert!(!answer.text().contains("secret"), "{}", answer.text());
}

/// A server with the stream `door`, which is asked to take `body` in both ways.
struct Asked {
    server: Server,
    before: Value,
}

impl Asked {
    fn start() -> Self {
        let mut setup = Setup::new(finds(one_box()));
        setup.stream("door", camera("door"));
        let server = setup.start();
        let before = server.stream("door");
        Self { server, before }
    }

    fn post(&self, body: &Value) -> Answer {
        self.server.client().post_json("/v1/streams", body)
    }

    fn patch(&self, body: &Value) -> Answer {
        self.server.client().patch("door", body)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let list = self.server.client().get("/v1/streams").json();
            assert_eq!(list["streams"].as_array().map(Vec::len), Some(1), "nothing was added: {list}");
            assert_eq!(list["streams"][0]["source"], self.before["source"], "nothing was changed");
            assert_eq!(list["streams"][0]["since"], self.before["since"], "nothing was started anew");
        }
    }
}

#[test]
fn what_is_no_json() {
    let asked = Asked::start();
    let client = asked.server.client();
    for broken in ["", "{", "{\"id\": \"a\"", "id: a", "{} {}", "{\"id\": 'a'}"] {
        let answer = client.post("/v1/streams", "application/json", broken.as_bytes());
        assert_refused(&answer, 400, "invalid-json", &["JSON"]);
        let json = [("content-type", "application/json")];
        let answer = client.send("PATCH", "/v1/streams/door", &json, broken.as_bytes());
        assert_refused(&answer, 400, "invalid-json", &["JSON"]);
    }
    for (other, kind) in [("[]", "a list"), ("\"door\"", "a string"), ("7", "a number"), ("null", "null")] {
        let answer = client.post("/v1/streams", "application/json", other.as_bytes());
        assert_refused(&answer, 422, "invalid-stream", &["object", kind]);
    }
    let twice = br#"{"id": "a", "source": "rtsp://a", "source": "rtsp://user:secret@b"}"#;
    let answer = client.post("/v1/streams", "application/json", twice);
    assert_refused(&answer, 422, "invalid-stream", &["`source`", "twice"]);
}

#[test]
fn keys_that_are_unknown_or_missing() {
    let asked = Asked::start();
    let unknown = with(pushed_body("a"), json!({"sorce": "rtsp://user:secret@b"}));
    assert_refused(&asked.post(&unknown), 422, "invalid-stream", &["sorce", "did you mean `source`"]);
    assert_refused(&asked.patch(&json!({"max_fsp": 5})), 422, "invalid-stream", &["max_fsp", "did you mean `max_fps`"]);
    let nested = with(pushed_body("a"), json!({"cache": {"frame": 2}}));
    assert_refused(&asked.post(&nested), 422, "invalid-stream", &["cache", "frame", "did you mean `frames`"]);
    assert_refused(&asked.post(&json!({"source": "push"})), 422, "invalid-stream", &["`id`"]);
    assert_refused(&asked.post(&json!({"id": "a"})), 422, "invalid-stream", &["`source`"]);
    assert_refused(&asked.patch(&json!({"id": "yard"})), 422, "invalid-stream", &["id", "cannot be changed"]);
    assert_refused(&asked.patch(&json!({"source": null})), 422, "invalid-stream", &["source", "null"]);
}

#[test]
fn values_of_the_wrong_kind_or_out_of_range() {
    let asked = Asked::start();
    let cases: [(Value, &[&str]); 16] = [
        (json!({"source": 7}), &["source", "string"]),
        (json!({"source": ""}), &["source", "empty"]),
        (json!({"source": "rtsp://user:secret@a\nb"}), &["source", "one line"]),
        (json!({"pipeline": ["plain"]}), &["pipeline", "string"]),
        (json!({"latency": 200}), &["latency", "duration"]),
        (json!({"latency": "soon"}), &["latency", "soon"]),
        (json!({"latency": "0s"}), &["latency", "1ms"]),
        (json!({"timeout": "1ms"}), &["timeout", "100ms"]),
        (json!({"linger": "2h"}), &["linger", "1h"]),
        (json!({"every": 0}), &["every", "1"]),
        (json!({"every": -1}), &["every"]),
        (json!({"max_fps": 0}), &["max_fps", "above 0"]),
        (json!({"loop": "yes"}), &["loop", "true or false"]),
        (json!({"cache": {"mode": "all"}}), &["cache.mode", "latest, fifo"]),
        (json!({"cache": 4}), &["cache", "object"]),
        (json!({"retry": {"initial": "2s", "max": "1s"}}), &["retry.max", "2s"]),
    ];
    for (keys, words) in cases {
        assert_refused(&asked.post(&with(camera_body("a"), keys.clone())), 422, "invalid-stream", words);
        assert_refused(&asked.patch(&keys), 422, "invalid-stream", words);
    }
}

#[test]
fn ids_that_could_not_stand_in_an_address() {
    let asked = Asked::start();
    let long = "x".repeat(65);
    for id in ["", "a b", "a/b", "a?", "ä", "..", ".", "a,b", ":posted", &long] {
        assert_refused(&asked.post(&pushed_body(id)), 422, "invalid-stream", &["id: ", "1 to 64 letters"]);
    }
    assert_refused(&asked.post(&with(pushed_body("a"), json!({"id": 7}))), 422, "invalid-stream", &["id: ", "string"]);
}

#[test]
fn pipelines_that_are_not_served() {
    let asked = Asked::start();
    let body = with(pushed_body("a"), json!({"pipeline": "plian"}));
    assert_refused(&asked.post(&body), 422, "invalid-stream", &["plian", "did you mean `plain`"]);
    assert_refused(&asked.patch(&json!({"pipeline": "plian"})), 422, "invalid-stream", &["plian", "plain"]);
}

#[test]
fn a_source_that_cannot_be_used() {
    let asked = Asked::start();
    let missing = json!({"source": "missing://user:secret@a/b.mp4"});
    let words = ["source: ", "missing://user:***@a/b.mp4"];
    assert_refused(&asked.post(&with(camera_body("a"), missing.clone())), 422, "source-unusable", &words);
    assert_refused(&asked.patch(&missing), 422, "source-unusable", &words);
    // The id is free.
    asked.server.client().get("/v1/streams/a").problem(404, "unknown-stream");
}

#[test]
fn another_content_type_or_too_much() {
    let asked = Asked::start();
    let client = asked.server.client();
    let body = pushed_body("a").to_string();
    for kind in ["text/plain", "application/yaml", "multipart/form-data; boundary=x", "image/jpeg"] {
        let answer = client.post("/v1/streams", kind, body.as_bytes());
        let kind = kind.split(';').next().unwrap_or_default();
        assert_refused(&answer, 415, "unsupported-media-type", &[kind, "application/json"]);
    }
    let large = with(pushed_body("a"), json!({"source": "x".repeat(70_000)})).to_string();
    let answer = client.post("/v1/streams", "application/json", large.as_bytes());
    assert_refused(&answer, 413, "body-too-large", &["65536 bytes"]);
    let mut raw = Raw::connect(asked.server.address);
    raw.send(b"POST /v1/streams HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{\"id\"");
    raw.say_no_more();
    assert_refused(&raw.answer(), 400, "incomplete-body", &["5 bytes"]);
}

#[test]
fn a_body_is_json_without_being_called_so() {
    let server = Server::plain();
    let answer = server.client().send("POST", "/v1/streams", &[], pushed_body("a").to_string().as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let kind = "application/json; charset=utf-8";
    let answer = server.client().post("/v1/streams", kind, pushed_body("b").to_string().as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
}

#[test]
fn streams_that_are_not_there() {
    let asked = Asked::start();
    let client = asked.server.client();
    for (method, body) in [("GET", ""), ("PATCH", "{}"), ("DELETE", "")] {
        for id in ["yard", "DOOR", "%64oo", "a%20b", "%ff"] {
            let answer = client.send(method, &format!("/v1/streams/{id}"), &[], body.as_bytes());
            assert_refused(&answer, 404, "unknown-stream", &["no stream", "/v1/streams"]);
        }
    }
}
