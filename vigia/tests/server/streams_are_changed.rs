//! `PATCH /v1/streams/{id}`: in place where that is possible, else as a new life of the stream.

use serde_json::{Value, json};
use vigia_testkit::{boxes_by_frame, finds, spec};

use crate::client::Events;
use crate::support::{Server, Setup, camera, camera_body, one_box, opened, pushed_body, wait_until, with};

/// Which life of the stream it is.
fn generation(server: &Server, id: &str) -> u64 {
    server.app.streams.get(id).expect("there").outputs().generation()
}

#[test]
fn what_can_change_while_it_runs_does() {
    let server = Setup::new(boxes_by_frame()).start();
    server.add(&pushed_body("door"));
    let life = generation(&server, "door");
    let mut events = Events::follow(&server.client(), "door", None);
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    let changed = server.change(
        "door",
        &json!({
            "every": 2, "latency": "2s", "timeout": "30m", "linger": "5s", "max_fps": 1000, "retry": {"initial": "1s"},
        }),
    );
    assert_eq!(changed["frames"]["inferred"], 1, "{changed}");
    assert_eq!(generation(&server, "door"), life);
    let config = server.app.streams.get("door").map(|stream| stream.config()).expect("there");
    assert_eq!((config.every, config.max_fps, config.timeout.as_secs()), (2, Some(1000.0), 1800));
    // Only every second one from now on; whoever follows goes on.
    assert_eq!(server.change("door", &json!({"max_fps": null, "latency": "1h"}))["state"], "online");
    assert_eq!(server.put("door", 2, "?wait=result").status, 200);
    server.put("door", 3, "?wait=result").problem(503, "frame-dropped");
    assert_eq!(server.put("door", 4, "?wait=result").status, 200);
    assert_eq!(server.frames("door"), json!({"received": 4, "inferred": 3, "pending": 0, "dropped": {"skipped": 1}}));
    let ids: Vec<_> = events.by_ref().take(3).filter_map(|event| event.id).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn what_cannot_starts_a_new_life() {
    let setup =
        Setup::new(finds(one_box())).model(&spec("other", 1), finds(Vec::new())).pipeline("blind", "other", None);
    let server = setup.start();
    let sinks = server.sources.of("door");
    server.add(&pushed_body("door"));
    let mut lives = vec![generation(&server, "door")];
    for patch in [
        json!({"cache": {"frames": 4}}),
        json!({"loop": true}),
        json!({"transport": "auto"}),
        json!({"pipeline": "blind"}),
    ] {
        // A new life counts from its beginning, and any id is above none.
        assert_eq!(server.put("door", 7, "?wait=result").status, 200, "{patch}");
        let events = Events::follow(&server.client(), "door", None);
        let changed = server.change("door", &patch);
        assert_eq!((&changed["state"], &changed["frames"]["received"]), (&json!("connecting"), &json!(0)), "{patch}");
        server.client().get("/v1/streams/door/results/latest").problem(404, "no-result-yet");
        assert_eq!(events.count(), 0, "whoever follows the old life is told its end");
        lives.push(generation(&server, "door"));
    }
    let blind = server.put("door", 7, "?wait=result").json();
    assert_eq!((&blind["model"], &blind["detections"]), (&json!("other"), &json!([])));
    let changed = server.change("door", &json!({"source": "rtsp://user:secret@door"}));
    assert_eq!((&changed["source"], &changed["url"]), (&json!("rtsp://user:***@door"), &Value::Null));
    opened(&sinks);
    lives.push(generation(&server, "door"));
    assert!(lives.is_sorted_by(|before, after| before < after), "{lives:?}");
}

#[test]
fn what_is_as_it_was_starts_nothing_anew() {
    let server = Server::plain();
    server.add(&camera_body("door"));
    let life = generation(&server, "door");
    let same =
        json!({"source": "rtsp://user:secret@door", "cache": {"mode": "latest"}, "loop": null, "pipeline": "plain"});
    server.change("door", &same);
    server.change("door", &json!({}));
    assert_eq!(generation(&server, "door"), life);
}

#[test]
fn a_source_that_is_sent_back_as_it_was_shown_keeps_its_password() {
    let server = Server::plain();
    let shown = server.add(&camera_body("door"));
    let life = generation(&server, "door");
    server.change("door", &json!({"source": shown["source"], "every": 2}));
    let config = server.app.streams.get("door").map(|stream| stream.config()).expect("there");
    assert_eq!((config.source.as_str(), config.every), ("rtsp://user:secret@door", 2));
    assert_eq!(generation(&server, "door"), life);
}

#[test]
fn one_that_is_over_starts_anew() {
    let server = Setup::new(boxes_by_frame()).start();
    server.add(&with(pushed_body("door"), json!({"timeout": "100ms"})));
    wait_until("it has ended", || server.stream("door")["state"] == "ended");
    assert_eq!(server.change("door", &json!({"timeout": "1h"}))["state"], "connecting");
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
}

#[test]
fn keys_below_others_are_changed_one_by_one() {
    let server = Server::plain();
    server.add(&with(pushed_body("door"), json!({"cache": {"mode": "fifo", "frames": 9}})));
    server.change("door", &json!({"cache": {"frames": 5}, "retry": {"max": "20s"}}));
    let config = server.app.streams.get("door").map(|stream| stream.config()).expect("there");
    let cache = serde_json::to_value(config.cache).expect("JSON");
    assert_eq!(cache, json!({"mode": "fifo", "frames": 5}));
    assert_eq!((config.retry.initial.as_millis(), config.retry.max.as_secs()), (250, 20));
}

#[test]
fn a_stream_of_the_configuration_can_be_changed_too() {
    let mut setup = Setup::new(finds(one_box()));
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let _first = opened(&sinks);
    assert_eq!(server.change("door", &json!({"max_fps": 5}))["source"], "rtsp://user:***@door");
    assert_eq!(server.change("door", &json!({"source": "rtsp://elsewhere"}))["source"], "rtsp://elsewhere");
    opened(&sinks);
}

#[test]
fn as_many_streams_as_may_be_can_still_be_changed() {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.streams = 1;
    let server = setup.start();
    server.add(&pushed_body("door"));
    for frames in 2..20 {
        let changed = server.change("door", &json!({"cache": {"frames": frames}}));
        assert_eq!(changed["state"], "connecting");
    }
}
