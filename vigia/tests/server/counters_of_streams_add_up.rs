//! Every frame of a stream is in exactly one counter, at every moment, and each reason has its metric.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use vigia::config::StreamConfig;
use vigia_core::admission::DropReason;
use vigia_core::backend::InferError;
use vigia_testkit::{Gate, Script, finds};

use crate::support::{Setup, camera, one_box, opened, push, wait_until};

/// `received = inferred + pending + Σ dropped`; the counters.
fn assert_adds_up(stream: &Value) -> Value {
    let frames = &stream["frames"];
    let number = |v: &Value| v.as_u64().expect("a number");
    let dropped: u64 = frames["dropped"].as_object().expect("by reason").values().map(number).sum();
    let sum = number(&frames["inferred"]) + number(&frames["pending"]) + dropped;
    assert_eq!(number(&frames["received"]), sum, "{stream}");
    frames.clone()
}

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
        "since": null, "reason": null, "attempts": 1, "last_error": null, "width": null, "height": null,
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
            assert_adds_up(&client.get("/v1/streams/door").json());
        }
        wait_until("nothing is pending", || client.get("/v1/streams/door").json()["frames"]["pending"] == 0);
        let frames = assert_adds_up(&client.get("/v1/streams").json()["streams"][0]);
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
    let frames = || assert_adds_up(&client.get("/v1/streams/door").json());
    // One at the gate, one skipped, one that waits, one skipped, one that takes the waiting one's place: which is told
    // in the order of the frames.
    push(&mut sink);
    gate.wait_for_batch();
    (0..4).for_each(|_| push(&mut sink));
    assert_eq!(frames(), json!({"received": 5, "inferred": 0, "pending": 3, "dropped": {"skipped": 2}}));
    gate.open();
    gate.wait_for_batch();
    wait_until("one is superseded", || frames()["dropped"]["superseded"] == 1);
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
