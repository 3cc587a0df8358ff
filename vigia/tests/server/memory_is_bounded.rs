//! What waits takes memory of one account (`limits.cache`): when that is used up, frames of sources are dropped as overload
//! and everything that is sent is refused with 503; afterwards all of it is given back.

use serde_json::json;
use vigia_testkit::{Gate, boxes_by_frame};

use crate::pictures::good_jpeg;
use crate::support::{Server, Setup, camera, opened, push, push_through, pushed_body, wait_until, with};

/// Bytes of a frame that a test hands over: 64 × 48 grey pixels.
const FRAME: u64 = 64 * 48;

fn all_is_free(server: &Server) {
    let all = server.app.limits.cache;
    wait_until("all memory is given back", || server.app.reserve(all).is_ok());
}

#[test]
fn frames_are_dropped_and_what_is_sent_is_refused_until_there_is_room() {
    let mut setup = Setup::new(boxes_by_frame());
    let sinks = setup.stream("camera", camera("camera"));
    let server = setup.start();
    server.add(&pushed_body("door"));
    let mut sink = opened(&sinks);
    push_through(&server, "camera", &mut sink);
    let mut socket = server.socket("/v1/streams/door/frames");
    let taken = server.app.reserve(server.app.limits.cache - FRAME + 1).expect("nothing else waits");
    (0..3).for_each(|_| push(&mut sink));
    let expected = json!({"received": 4, "inferred": 1, "pending": 0, "dropped": {"overload": 3}});
    assert_eq!(server.frames("camera"), expected);
    let client = server.client();
    for answer in [
        client.post("/predict/", "image/jpeg", &good_jpeg()),
        server.put("door", 1, ""),
        server.put("door", 1, "?wait=result"),
    ] {
        let detail = answer.problem(503, "overloaded");
        assert!(detail.contains("limits.cache"), "{detail}");
    }
    socket.push(1, &good_jpeg());
    let answer = socket.json();
    assert_eq!((&answer["frame_id"], &answer["problem"]["code"]), (&json!(1), &json!("overloaded")));
    assert_eq!(server.frames("door")["received"], 0, "what is refused is not taken");
    drop(taken);
    push_through(&server, "camera", &mut sink);
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    socket.push(2, &good_jpeg());
    assert_eq!(socket.json()["frame_id"], 2);
    server.assert_unharmed();
    all_is_free(&server);
}

#[test]
fn live_frames_leave_some_for_posts() {
    let mut setup = Setup::new(boxes_by_frame());
    let sinks = setup.stream("camera", camera("camera"));
    let server = setup.start();
    server.add(&pushed_body("door"));
    let mut sink = opened(&sinks);
    let all = server.app.limits.cache;
    let taken = server.app.reserve(all / 10 * 8).expect("nothing else waits");
    push(&mut sink);
    assert_eq!(server.frames("camera")["dropped"], json!({"overload": 1}));
    let detail = server.put("door", 1, "?wait=result").problem(503, "frame-dropped");
    assert!(detail.contains("no room"), "{detail}");
    server.assert_unharmed();
    drop(taken);
    push_through(&server, "camera", &mut sink);
    assert_eq!(server.put("door", 2, "?wait=result").status, 200);
    all_is_free(&server);
}

#[test]
fn a_cache_shows_what_it_holds_and_gives_it_back() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let mut setup = Setup::new(gated);
    let sinks = setup.stream("camera", camera("camera"));
    let server = setup.start();
    // Dropped before the server, should the test fail: a gate that is gone is an open one.
    let gate = gate;
    server.add(&with(pushed_body("door"), json!({"cache": {"mode": "fifo", "frames": 20}})));
    let mut sink = opened(&sinks);
    push(&mut sink);
    gate.wait_for_batch();
    (0..4).for_each(|_| push(&mut sink));
    assert_eq!(server.stream("camera")["cache"], json!({"frames": 1, "bytes": FRAME}));
    let jpeg = good_jpeg();
    (1..=10).for_each(|id| assert_eq!(server.put("door", id, "").status, 202));
    // A few are decoded ahead of the model; those that wait do so encoded.
    let cache = server.stream("door")["cache"].clone();
    let waiting = cache["frames"].as_u64().expect("a number");
    assert!((7..10).contains(&waiting), "{cache}");
    let bytes = waiting * jpeg.len() as u64;
    assert_eq!(cache["bytes"], bytes);
    let metrics = server.client().get("/metrics").text();
    for line in [
        format!("vigia_stream_cache_bytes{{stream=\"camera\"}} {FRAME}\n"),
        format!("vigia_stream_cache_bytes{{stream=\"door\"}} {bytes}\n"),
        format!("vigia_stream_cache_frames{{stream=\"door\"}} {waiting}\n"),
    ] {
        assert!(metrics.contains(&line), "{line} is not in:\n{metrics}");
    }
    (0..12).for_each(|_| gate.open());
    for id in ["camera", "door"] {
        wait_until("nothing is pending", || server.frames(id)["pending"] == 0);
        assert_eq!(server.stream(id)["cache"], json!({"frames": 0, "bytes": 0}));
    }
    all_is_free(&server);
}

#[test]
fn what_finds_a_fifo_full_is_overload() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let mut setup = Setup::new(gated);
    let mut fifo = camera("camera");
    fifo.cache.mode = vigia::config::CacheModeName::Fifo;
    fifo.cache.frames = 3;
    let sinks = setup.stream("camera", fifo);
    let server = setup.start();
    let gate = gate;
    let mut sink = opened(&sinks);
    push(&mut sink);
    gate.wait_for_batch();
    (0..5).for_each(|_| push(&mut sink));
    wait_until("two found no room", || server.frames("camera")["dropped"]["overload"] == 2);
    (0..4).for_each(|_| gate.open());
    wait_until("nothing is pending", || server.frames("camera")["pending"] == 0);
    let expected = json!({"received": 6, "inferred": 4, "pending": 0, "dropped": {"overload": 2}});
    assert_eq!(server.frames("camera"), expected);
}

#[test]
fn streams_that_are_removed_leave_nothing_behind() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    let gate = gate;
    for round in 0..5 {
        for id in ["a", "b", "c"] {
            server.add(&with(pushed_body(id), json!({"cache": {"mode": "fifo", "frames": 50}})));
            (1..=20).for_each(|frame| assert_eq!(server.put(id, frame, "").status, 202, "{round}"));
        }
        for id in ["a", "b", "c"] {
            server.remove(id);
        }
    }
    // Only what was decoded already is still worked on.
    drop(gate);
    all_is_free(&server);
    server.assert_unharmed();
}
