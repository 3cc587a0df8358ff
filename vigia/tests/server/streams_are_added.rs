//! `POST /v1/streams`: what is added is there, under its address, as long as there is room.

use std::time::Duration;

use serde_json::{Value, json};
use vigia::config::{CacheConfig, CacheModeName, RetryConfig, StreamConfig, TransportName};
use vigia_testkit::finds;

use crate::support::{PIPELINE, Server, Setup, camera, camera_body, one_box, pushed_body, wait_until, with};

#[test]
fn the_answer_is_the_stream_and_its_address() {
    let server = Server::plain();
    let answer = server.client().post_json("/v1/streams", &pushed_body("door"));
    assert_eq!((answer.status, answer.header("location")), (201, "/v1/streams/door"));
    assert_eq!(answer.header("content-type"), "application/json");
    let mut stream = answer.json();
    assert_eq!(server.stream("door"), stream);
    let since = stream["since"].take();
    assert!(since.as_str().is_some_and(|s| s.ends_with('Z') && s.len() == 24), "{since}");
    let expected = json!({
        "id": "door", "source": "push", "url": "/v1/streams/door/frames", "pipeline": "plain", "state": "connecting",
        "since": null, "reason": null, "attempts": 0, "reconnects": 0, "last_error": null, "width": null, "height": null,
        "fps": {"in": 0.0, "inferred": 0.0},
        "frames": {"received": 0, "inferred": 0, "pending": 0, "dropped": {}}, "latency_ms": null,
        "cache": {"frames": 0, "bytes": 0},
    });
    assert_eq!(stream, expected);
}

#[test]
fn the_list_is_in_the_order_of_ids_wherever_streams_are_from() {
    let mut setup = Setup::new(finds(one_box()));
    setup.stream("m", camera("m"));
    let server = setup.start();
    for id in ["z", "a", "M.1-x_"] {
        server.add(&pushed_body(id));
    }
    let list = server.client().get("/v1/streams").json();
    let ids: Vec<_> = list["streams"].as_array().expect("a list").iter().map(|stream| stream["id"].clone()).collect();
    assert_eq!(ids, ["M.1-x_", "a", "m", "z"]);
}

#[test]
fn every_key_is_taken() {
    let server = Server::plain();
    server.add(&json!({
        "id": "door", "source": "rtsp://user:secret@door", "pipeline": PIPELINE, "latency": "150ms",
        "cache": {"mode": "fifo", "frames": 8}, "timeout": "7s", "linger": "3s", "transport": "udp", "every": 2,
        "max_fps": 12.5, "loop": true, "retry": {"initial": "1s", "max": "1m"},
    }));
    let seconds = Duration::from_secs;
    let expected = StreamConfig {
        pipeline: PIPELINE.to_owned(),
        latency: Duration::from_millis(150),
        cache: CacheConfig { mode: CacheModeName::Fifo, frames: 8 },
        timeout: seconds(7),
        linger: seconds(3),
        transport: TransportName::Udp,
        every: 2,
        max_fps: Some(12.5),
        repeat: true,
        retry: RetryConfig { initial: seconds(1), max: seconds(60) },
        ..StreamConfig::at("rtsp://user:secret@door")
    };
    assert_eq!(server.app.streams.get("door").map(|stream| stream.config()), Ok(expected));
}

#[test]
fn what_is_not_said_is_as_by_default() {
    let server = Setup::new(finds(one_box())).pipeline("faces", "finder", None).start();
    server.add(&json!({"id": "door", "source": "rtsp://door"}));
    let config = server.app.streams.get("door").map(|stream| stream.config());
    assert_eq!(config, Ok(StreamConfig::at("rtsp://door")));
}

#[test]
fn a_source_that_listens_tells_where() {
    let server = Server::plain();
    let stream = server.add(&with(camera_body("door"), json!({"source": "listen"})));
    assert_eq!(stream["url"], "tcp://127.0.0.1:5000");
    assert_eq!(server.add(&camera_body("yard"))["url"], Value::Null);
}

#[test]
fn an_id_in_use_is_409_and_its_stream_goes_on() {
    let mut setup = Setup::new(finds(one_box()));
    setup.stream("m", camera("m"));
    let server = setup.start();
    server.add(&pushed_body("door"));
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    for id in ["door", "m"] {
        let answer = server.client().post_json("/v1/streams", &pushed_body(id));
        let detail = answer.problem(409, "stream-exists");
        assert!(detail.starts_with("id: ") && detail.contains(&format!("\"{id}\"")), "{detail}");
    }
    assert_eq!(server.frames("door")["inferred"], 1);
    assert_eq!(server.stream("m")["source"], "rtsp://user:***@m");
}

#[test]
fn as_many_as_may_be_and_no_more() {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.streams = 2;
    setup.stream("m", camera("m"));
    let server = setup.start();
    server.add(&pushed_body("door"));
    let one_more = || server.client().post_json("/v1/streams", &pushed_body("yard"));
    let detail = one_more().problem(503, "too-many-streams");
    assert!(detail.contains("2 streams") && detail.contains("limits.streams"), "{detail}");
    server.remove("m");
    // It has to end first.
    wait_until("there is room again", || one_more().status == 201);
}

#[test]
fn a_server_that_ends_takes_none() {
    let server = Server::plain();
    server.add(&pushed_body("door"));
    // Something is under way: the server does not end while it is asked.
    let _held = server.app.drain.begin().expect("not ending yet");
    server.app.end();
    let client = server.client();
    client.post_json("/v1/streams", &pushed_body("yard")).problem(503, "shutting-down");
    client.patch("door", &json!({"every": 2})).problem(503, "shutting-down");
    assert_eq!(client.get("/v1/streams/door").status, 200);
}
