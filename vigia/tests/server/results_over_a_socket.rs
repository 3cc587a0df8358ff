//! `WS /v1/results`: the results of several streams, also of those that are added later; a slow reader is told what it missed.

use std::sync::Arc;

use serde_json::{Value, json};
use tungstenite::Message;
use vigia::server::Ended;
use vigia_testkit::{boxes_by_frame, finds, spec};

use crate::client::Raw;
use crate::support::{PIPELINE, Server, Setup, camera, one_box, opened, push_through, pushed_body};

fn server(streams: &[&str]) -> Server {
    let server = Setup::new(boxes_by_frame()).start();
    for id in streams {
        server.add(&pushed_body(id));
    }
    server
}

/// Whose result it is, and of which frame.
fn whose(result: &Value) -> (String, u64) {
    let id = result["stream"].as_str().expect("a stream").to_owned();
    (id, result["frame_id"].as_u64().unwrap_or_else(|| unreachable!("{result}")))
}

fn put(server: &Server, id: &str, frame_id: u64) -> Value {
    let answer = server.put(id, frame_id, "?wait=result");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn all_streams_without_a_filter() {
    let server = server(&["a", "b"]);
    put(&server, "a", 1);
    let mut socket = server.socket("/v1/results");
    // From now on, and word for word what everybody gets.
    for (id, frame_id) in [("a", 2), ("b", 1), ("b", 2), ("a", 3)] {
        let published = put(&server, id, frame_id);
        assert_eq!(socket.json(), published);
    }
    socket.close();
}

#[test]
fn only_the_wanted_ones() {
    let server = server(&["a", "b", "c"]);
    let mut two = server.socket("/v1/results?stream=c,a");
    let mut twice = server.socket("/v1/results?stream=c&stream=%20a%20");
    for (id, frame_id) in [("b", 1), ("a", 1), ("b", 2), ("c", 1)] {
        put(&server, id, frame_id);
    }
    for socket in [&mut two, &mut twice] {
        assert_eq!(whose(&socket.json()), ("a".to_owned(), 1));
        assert_eq!(whose(&socket.json()), ("c".to_owned(), 1));
    }
}

#[test]
fn those_that_are_added_later_are_followed_from_their_first_result() {
    let server = server(&["a"]);
    let mut all = server.socket("/v1/results");
    let mut one = server.socket("/v1/results?stream=a");
    for id in ["b", "c", "d"] {
        server.add(&pushed_body(id));
        put(&server, id, 7);
        put(&server, id, 8);
        assert_eq!(whose(&all.json()), (id.to_owned(), 7));
        assert_eq!(whose(&all.json()), (id.to_owned(), 8));
    }
    put(&server, "a", 1);
    assert_eq!(whose(&one.json()), ("a".to_owned(), 1), "and nothing else before");
    assert_eq!(whose(&all.json()), ("a".to_owned(), 1));
}

#[test]
fn one_that_is_added_again_is_followed_again() {
    let server = server(&["a"]);
    let mut socket = server.socket("/v1/results?stream=a");
    for life in 1..=5 {
        put(&server, "a", 100 - life);
        assert_eq!(whose(&socket.json()), ("a".to_owned(), 100 - life));
        server.remove("a");
        server.add(&pushed_body("a"));
    }
    // One that is changed so that it starts anew, too.
    server.change("a", &json!({"cache": {"frames": 2}}));
    put(&server, "a", 1);
    assert_eq!(whose(&socket.json()), ("a".to_owned(), 1));
}

#[test]
fn a_slow_reader_is_told_how_many_it_missed() {
    // Results so large that sockets cannot hold them.
    const PUSHED: u64 = 3 * 256;
    let mut large = spec("finder", 1);
    large.labels = Arc::from(["x".repeat(100_000)]);
    let mut setup = Setup::empty().model(&large, finds(one_box())).pipeline(PIPELINE, "finder", None);
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    let mut socket = server.socket("/v1/results?stream=door");
    (0..PUSHED).for_each(|_| push_through(&server, "door", &mut sink));
    let (mut next, mut seen, mut missed) = (0, 0, 0);
    while next < PUSHED {
        let said = socket.json();
        if let Some(count) = said["missed"].as_u64() {
            assert_eq!(said, json!({"stream": "door", "missed": count}));
            (next, missed) = (next + count, missed + count);
        } else {
            assert_eq!(whose(&said), ("door".to_owned(), next), "in order");
            (next, seen) = (next + 1, seen + 1);
        }
    }
    assert_eq!(seen + missed, PUSHED);
    assert!(missed > 0 && seen >= 256, "{seen} seen, {missed} missed");
}

#[test]
fn the_end_of_a_stream_does_not_end_it_and_that_of_the_server_does() {
    let server = server(&["a", "b"]);
    let mut socket = server.socket("/v1/results?stream=a,b");
    server.remove("a");
    put(&server, "b", 1);
    assert_eq!(whose(&socket.json()), ("b".to_owned(), 1));
    server.app.end();
    assert_eq!(socket.rest(), (Vec::new(), 1001));
    drop(socket);
    assert_eq!(server.ended(), Ended::Finished);
}

#[test]
fn what_a_reader_says_is_not_listened_to() {
    let server = server(&["a"]);
    let mut socket = server.socket("/v1/results");
    for said in [Message::text("hello"), Message::Binary(vec![0; 100].into()), Message::Ping(Vec::new().into())] {
        assert!(socket.try_send(said));
    }
    put(&server, "a", 1);
    assert_eq!(whose(&socket.json()), ("a".to_owned(), 1));
}

#[test]
fn what_cannot_be_is_said_before_it_opens() {
    let server = server(&["a"]);
    let ask = |path: &str, upgrade: &str| {
        let mut raw = Raw::connect(server.address);
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n").as_bytes());
        raw.answer()
    };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (path, unknown) in
        [("?stream=b", "\"b\""), ("?stream=a,b", "\"b\""), ("?stream=", "\"\""), ("?stream=a,", "\"\"")]
    {
        let detail = ask(&format!("/v1/results{path}"), upgrade).problem(404, "unknown-stream");
        assert!(detail.contains(unknown), "{detail}");
    }
    let detail = ask("/v1/results?streams=a", upgrade).problem(422, "invalid-parameter");
    assert!(detail.contains("streams: ") && detail.contains("stream"), "{detail}");
    ask("/v1/results", "").problem(400, "no-handshake");
    ask("/v1/results", &upgrade.replace("13", "8")).problem(400, "no-handshake");
    assert_eq!(ask("/v1/results", upgrade).status, 101);
    let _held = server.app.drain.begin().expect("not ending yet");
    server.app.end();
    ask("/v1/results", upgrade).problem(503, "shutting-down");
}

#[test]
fn a_reader_that_reads_nothing_holds_nobody_up() {
    let mut large = spec("finder", 1);
    large.labels = Arc::from(["x".repeat(100_000)]);
    let server = Setup::empty().model(&large, finds(one_box())).pipeline(PIPELINE, "finder", None).start();
    server.add(&pushed_body("a"));
    let silent = server.socket("/v1/results");
    (1..=300).for_each(|id| drop(put(&server, "a", id)));
    let mut other = server.socket("/v1/results");
    put(&server, "a", 301);
    assert_eq!(whose(&other.json()), ("a".to_owned(), 301));
    server.app.end();
    assert_eq!(server.ended(), Ended::Finished);
    drop(silent);
}
