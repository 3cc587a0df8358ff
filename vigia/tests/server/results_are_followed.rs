//! Server-sent events: each result once and in order, resumed where a reader was, and a slow reader is told what it missed.

use std::sync::Arc;

use serde_json::Value;
use vigia::server::Ended;
use vigia_testkit::{boxes_by_frame, finds, spec};

use crate::client::Events;
use crate::support::{Setup, camera, one_box, opened, push_through};

/// Results that a stream keeps.
const KEPT: u64 = 256;

#[test]
fn results_come_numbered_and_whole() {
    let mut setup = Setup::new(boxes_by_frame());
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    let client = server.client();
    client.get("/v1/streams/door/results/latest").problem(404, "no-result-yet");
    let mut events = Events::follow(&client, "door", None);
    for number in 1..=5u64 {
        push_through(&server, "door", &mut sink);
        let event = events.next().expect("an event");
        assert_eq!((event.name.as_str(), event.id), ("result", Some(number)));
        let result: Value = serde_json::from_str(&event.data).expect("one line of JSON");
        let frame_id = number - 1;
        assert_eq!((&result["stream"], &result["frame_id"]), (&Value::from("door"), &Value::from(frame_id)));
        assert_eq!(result["detections"][0]["box"]["x1"], frame_id as f64);
        let latest = client.get("/v1/streams/door/results/latest");
        assert_eq!((latest.header("content-type"), latest.text()), ("application/json", event.data));
    }
}

#[test]
fn a_reader_that_comes_back_goes_on_where_it_was() {
    let mut setup = Setup::new(boxes_by_frame());
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    (0..KEPT + 44).for_each(|_| push_through(&server, "door", &mut sink));
    let client = server.client();
    let ids = |last, n| Events::follow(&client, "door", Some(last)).take(n).map(|e| e.id).collect::<Vec<_>>();
    assert_eq!(ids(297, 3), [298, 299, 300].map(Some));
    // The first ones are gone.
    let events: Vec<_> = Events::follow(&client, "door", Some(4)).take(2).collect();
    assert_eq!((events[0].name.as_str(), events[0].data.as_str()), ("missed", "{\"missed\":40}"));
    assert_eq!((events[1].name.as_str(), events[1].id), ("result", Some(45)));
    // A number that was never given out is that of an earlier life of the stream.
    let mut events = Events::follow(&client, "door", Some(9_999));
    push_through(&server, "door", &mut sink);
    assert_eq!(events.next().and_then(|e| e.id), Some(301));
    for wrong in ["x", "-1", "1.5", ""] {
        let answer = client.send("GET", "/v1/streams/door/results", &[("last-event-id", wrong)], &[]);
        let detail = answer.problem(422, "invalid-parameter");
        assert!(detail.contains("Last-Event-ID"), "{detail}");
    }
}

#[test]
fn a_slow_reader_misses_and_is_told_how_many() {
    // Results so large that sockets cannot hold them.
    let label = "x".repeat(100_000);
    let mut large = spec("finder", 1);
    large.labels = Arc::from([label]);
    let mut setup = Setup::empty().model(&large, finds(one_box())).pipeline("plain", "finder", None);
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    let pushed = 3 * KEPT;
    let mut slow = Events::follow(&server.client(), "door", None);
    (0..pushed).for_each(|_| push_through(&server, "door", &mut sink));
    let (mut last, mut missed, mut seen) = (0, 0, 0);
    while last < pushed {
        let event = slow.next().expect("an event");
        if let Some(id) = event.id {
            assert!(id > last, "in order: {id} after {last}");
            (last, seen) = (id, seen + 1);
        } else {
            let said: Value = serde_json::from_str(&event.data).expect("JSON");
            missed += said["missed"].as_u64().expect("a number");
        }
    }
    assert_eq!(seen + missed, pushed, "every result is seen or missed");
    assert!(missed > 0 && seen >= KEPT, "{seen} seen, {missed} missed");
}

#[test]
fn the_end_of_the_server_ends_it() {
    let mut setup = Setup::new(boxes_by_frame());
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    let mut events = Events::follow(&server.client(), "door", None);
    push_through(&server, "door", &mut sink);
    assert_eq!(events.next().and_then(|e| e.id), Some(1));
    server.app.end();
    assert_eq!(events.next(), None);
    assert_eq!(server.ended(), Ended::Finished);
}

#[test]
fn the_end_of_the_stream_ends_it() {
    let mut setup = Setup::new(boxes_by_frame());
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    let client = server.client();
    let events = Events::follow(&client, "door", None);
    push_through(&server, "door", &mut sink);
    sink.end(Ok(()));
    assert_eq!(events.map(|event| event.id).collect::<Vec<_>>(), [Some(1)]);
    // Whoever comes later is told what there was, and the end.
    assert_eq!(Events::follow(&client, "door", Some(0)).map(|event| event.id).collect::<Vec<_>>(), [Some(1)]);
    assert_eq!(client.get("/v1/streams/door").json()["state"], "ended");
    assert_eq!(client.get("/v1/streams/door/snapshot.jpg").status, 200);
}
