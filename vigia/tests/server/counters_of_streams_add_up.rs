//! Every frame of a stream is in exactly one counter, at every moment, and each reason has its metric.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;
use vigia::config::StreamConfig;
use vigia_core::admission::DropReason;
use vigia_core::backend::InferError;
use vigia_testkit::{Gate, Script, finds};

use crate::pictures::good_jpeg;
use crate::support::{Setup, assert_adds_up, camera, one_box, opened, push, pushed_body, wait_until};

#[test]
fn a_stream_tells_how_it_is_doing() {
    let mut setup = Setup::new(finds(one_box()));
    let sinks = setup.stream("door", camera("door"));
    let _other = setup.stream("yard", camera("yard"));
    let server = setup.start();
    let client = server.client();
    let mut sink = opened(&sinks);
    let expected = json!({
        "id": "door", "source": "rtsp://user:***@door", "url": null, "pipeline": "plain", "state": "connecting",
        "since": null, "reason": null, "attempts": 1, "reconnects": 0, "last_error": null, "width": null, "height": null,
        "fps": {"in": 0.0, "inferred": 0.0},
        "frames": {"received": 0, "inferred": 0, "pending": 0, "dropped": {}}, "latency_ms": null,
        "cache": {"frames": 0, "bytes": 0},
    });
    let mut stream = client.get("/v1/streams/door").json();
    let since = stream["since"].take();
    assert!(since.as_str().is_some_and(|s| s.ends_with('Z') && s.len() == 24), "{since}");
    assert_eq!(stream, expected);
    push(&mut sink);
    wait_until("it has a result", || client.get("/v1/streams/door").json()["frames"]["inferred"] == 1);
    let stream = client.get("/v1/streams/door").json();
    assert_eq!((&stream["state"], &stream["width"], &stream["height"]), (&json!("online"), &json!(64), &json!(48)));
    assert!(stream["latency_ms"]["p50"].as_f64().is_some_and(|ms| ms >= 0.0), "{stream}");
    assert_adds_up(&stream);
    let list = client.get("/v1/streams").json();
    let ids: Vec<_> = list["streams"].as_array().expect("streams").iter().map(|s| s["id"].clone()).collect();
    assert_eq!(ids, ["door", "yard"]);
}

#[test]
fn under_load_at_every_moment() {
    let mut setup = Setup::new(finds(one_box()));
    let sinks = setup.stream("door", camera("door"));
    let server = setup.start();
    let mut sink = opened(&sinks);
    let pushing = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..2000).for_each(|_| push(&mut sink));
            pushing.store(false, Ordering::Relaxed);
        });
        let client = server.client();
        while pushing.load(Ordering::Relaxed) {
            server.frames("door");
        }
        wait_until("nothing is pending", || client.get("/v1/streams/door").json()["frames"]["pending"] == 0);
        let stream = client.get("/v1/streams").json()["streams"][0].clone();
        assert_adds_up(&stream);
        let frames = &stream["frames"];
        assert_eq!(frames["received"], 2000, "{frames}");
    });
}

#[test]
fn each_reason_has_its_name() {
    let fails = Arc::new(AtomicBool::new(false));
    let (find, failing) = (finds(one_box()), fails.clone());
    let script: Script = Arc::new(move |batch| {
        if failing.load(Ordering::Relaxed) {
            return Err(InferError::Failed { model: "finder".to_owned(), reason: "scripted".to_owned() });
        }
        find(batch)
    });
    let (gated, gate) = Gate::before(script);
    let mut setup = Setup::new(gated);
    let sinks = setup.stream("door", StreamConfig { every: 2, ..camera("door") });
    let server = setup.start();
    // Dropped before the server, should the test fail: a gate that is gone is an open one.
    let gate = gate;
    let mut sink = opened(&sinks);
    let client = server.client();
    let frames = || server.frames("door");
    // One at the gate, one skipped, one that waits, one skipped, one that takes the waiting one's place.
    push(&mut sink);
    gate.wait_for_batch();
    (0..4).for_each(|_| push(&mut sink));
    wait_until("one is superseded", || frames()["dropped"]["superseded"] == 1);
    let expected = json!({"received": 5, "inferred": 0, "pending": 2, "dropped": {"skipped": 2, "superseded": 1}});
    assert_eq!(frames(), expected);
    gate.open();
    gate.wait_for_batch();
    wait_until("the first one has its result", || frames()["inferred"] == 1);
    let expected = json!({"received": 5, "inferred": 1, "pending": 1, "dropped": {"skipped": 2, "superseded": 1}});
    assert_eq!(frames(), expected);
    fails.store(true, Ordering::Relaxed);
    gate.open();
    wait_until("one has failed", || frames()["dropped"]["failed"] == 1);
    assert_eq!((&frames()["inferred"], &frames()["pending"]), (&json!(1), &json!(0)));
    let stream = client.get("/v1/streams/door").json();
    assert!(stream["last_error"].as_str().is_some_and(|error| error.contains("scripted")), "{stream}");

    let metrics = client.get("/metrics").text();
    let has = |line: &str| assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    for reason in DropReason::ALL {
        let count = frames()["dropped"][reason.as_str()].as_u64().unwrap_or(0);
        has(&format!("vigia_stream_frames_dropped_total{{stream=\"door\",reason=\"{}\"}} {count}\n", reason.as_str()));
    }
    has("vigia_stream_frames_received_total{stream=\"door\"} 5\n");
    has("vigia_stream_frames_inferred_total{stream=\"door\"} 1\n");
    has("# UNIT vigia_stream_latency_seconds seconds\n");
    has("vigia_stream_latency_seconds_count{stream=\"door\"} 1\n");
}

/// A source, a client that waits, one that does not, a socket, and posts, all at once.
#[test]
fn under_everything_at_once() {
    const EACH: u64 = 150;
    let mut setup = Setup::new(finds(one_box()));
    let sinks = setup.stream("camera", camera("camera"));
    let server = setup.start();
    let ids = ["put", "socket", "thinned", "waited"];
    for id in ids {
        server.add(&pushed_body(id));
    }
    server.change("thinned", &json!({"every": 3}));
    let mut sink = opened(&sinks);
    thread::scope(|scope| {
        let server = &server;
        let mut working = Vec::new();
        let mut work = |work: Box<dyn FnOnce() + Send>| working.push(scope.spawn(work));
        let put = |id: &'static str, query: &'static str, allowed: &'static [u16]| {
            Box::new(move || {
                for frame in 1..=EACH {
                    let answer = server.put(id, frame, query);
                    assert!(allowed.contains(&answer.status), "{}", answer.text());
                }
            })
        };
        work(Box::new(move || (0..10 * EACH).for_each(|_| push(&mut sink))));
        work(put("put", "", &[202]));
        work(put("waited", "?wait=result", &[200, 503]));
        work(put("thinned", "", &[202]));
        work(Box::new(|| {
            let mut socket = server.socket("/v1/streams/socket/frames");
            // A few more are always on their way than are answered.
            (1..=10).for_each(|frame| socket.push(frame, &good_jpeg()));
            for frame in 1..=EACH {
                assert_eq!(socket.json()["frame_id"], frame);
                if frame + 10 <= EACH {
                    socket.push(frame + 10, &good_jpeg());
                }
            }
        }));
        work(Box::new(|| (0..EACH).for_each(|_| server.assert_unharmed())));
        while !working.iter().all(thread::ScopedJoinHandle::is_finished) {
            let list = server.client().get("/v1/streams").json();
            list["streams"].as_array().expect("streams").iter().for_each(assert_adds_up);
        }
    });
    let pending = |id: &str| server.frames(id)["pending"] != 0;
    wait_until("nothing is pending", || !ids.iter().any(|id| pending(id)) && !pending("camera"));
    assert_eq!(server.frames("camera")["received"], 10 * EACH);
    assert_eq!(server.frames("thinned")["dropped"]["skipped"], 2 * EACH / 3);
    let metrics = server.client().get("/metrics").text();
    for id in ids {
        let frames = server.frames(id);
        assert_eq!(frames["received"], EACH, "{id}");
        let inferred = format!("vigia_stream_frames_inferred_total{{stream=\"{id}\"}} {}\n", frames["inferred"]);
        assert!(metrics.contains(&inferred), "{inferred} is not in:\n{metrics}");
    }
}
