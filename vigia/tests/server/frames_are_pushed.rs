//! `PUT /v1/streams/{id}/frames/{frame_id}`: a frame is taken, or its result waited for; what is wrong with it is said.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vigia_testkit::{Gate, boxes_by_frame, finds};

use crate::client::{Events, Raw};
use crate::pictures::{MULTIPART, base64, good_jpeg, multipart};
use crate::support::{Server, Setup, camera_body, one_box, pushed_body, wait_until, with};

fn server() -> Server {
    let server = Setup::new(boxes_by_frame()).start();
    server.add(&pushed_body("door"));
    server
}

#[test]
fn a_frame_is_taken_and_its_result_is_published() {
    let server = server();
    let mut events = Events::follow(&server.client(), "door", None);
    let answer = server.put("door", 7, "");
    assert_eq!((answer.status, answer.json()), (202, json!({"stream": "door", "frame_id": 7})));
    let event = events.next().expect("a result");
    let result: Value = serde_json::from_str(&event.data).expect("JSON");
    assert_eq!((&result["stream"], &result["frame_id"]), (&json!("door"), &json!(7)));
    assert_eq!(result["detections"][0]["box"]["x1"], 7.0, "the model was told its number");
    assert!(result["captured_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{result}");
    assert!(result["timing_ms"]["decode"].is_f64(), "{result}");
    let stream = server.stream("door");
    assert_eq!((&stream["state"], &stream["width"], &stream["height"]), (&json!("online"), &json!(160), &json!(120)));
}

#[test]
fn its_result_can_be_waited_for() {
    let server = server();
    let mut events = Events::follow(&server.client(), "door", None);
    let answer = server.put("door", 3, "?wait=result");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(events.next().map(|event| event.data), Some(answer.text()));
    assert_eq!(server.client().get("/v1/streams/door/results/latest").text(), answer.text());
}

#[test]
fn a_picture_may_come_in_every_form() {
    let server = server();
    let (client, jpeg) = (server.client(), good_jpeg());
    let path = |n: u64| format!("/v1/streams/door/frames/{n}?wait=result");
    let form = [("content-type", MULTIPART)];
    assert_eq!(client.send("PUT", &path(1), &form, &multipart(&[("file", &jpeg)])).status, 200);
    let json = [("content-type", "application/json")];
    let body = json!({"base64": base64(&jpeg)}).to_string();
    assert_eq!(client.send("PUT", &path(2), &json, body.as_bytes()).status, 200);
    assert_eq!(client.send("PUT", &path(3), &[], &jpeg).status, 200);
}

#[test]
fn ids_have_to_grow_and_the_stream_goes_on_when_they_do_not() {
    let server = server();
    assert_eq!(server.put("door", 0, "?wait=result").status, 200);
    assert_eq!(server.put("door", 10, "?wait=result").status, 200);
    for wrong in [10, 9, 0] {
        for query in ["", "?wait=result"] {
            let detail = server.put("door", wrong, query).problem(409, "frame-id-not-above");
            assert!(detail.contains(&format!("frame_id: {wrong} ")) && detail.contains("10"), "{detail}");
        }
    }
    assert_eq!(server.put("door", 11, "?wait=result").status, 200);
    assert_eq!(server.put("door", u64::MAX, "?wait=result").json()["frame_id"], u64::MAX);
    server.put("door", u64::MAX, "").problem(409, "frame-id-not-above");
    assert_eq!(server.frames("door"), json!({"received": 4, "inferred": 4, "pending": 0, "dropped": {}}));
}

#[test]
fn addresses_and_queries_that_are_wrong() {
    let server = server();
    let client = server.client();
    for number in ["x", "-1", "1.5", "18446744073709551616", "%20", "0x1"] {
        let detail = client.put(&format!("/v1/streams/door/frames/{number}"), b"").problem(422, "invalid-parameter");
        assert!(detail.starts_with("frame_id: ") && detail.contains("number"), "{detail}");
    }
    for (query, words) in
        [("?wait=1", ["wait: ", "result"]), ("?wait=", ["wait: ", "result"]), ("?now=1", ["now: ", "wait"])]
    {
        let detail = server.put("door", 1, query).problem(422, "invalid-parameter");
        assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
    }
    server.put("yard", 1, "").problem(404, "unknown-stream");
    client.put("/v1/streams/%ff/frames/1", b"").problem(404, "unknown-stream");
    client.put("/v1/streams/door/frames/", b"").problem(404, "not-found");
    assert_eq!(server.frames("door")["received"], 0);
}

#[test]
fn a_stream_that_is_fetched_takes_none() {
    let server = server();
    server.add(&camera_body("camera"));
    let detail = server.put("camera", 1, "").problem(409, "not-pushed");
    assert!(detail.contains("\"camera\"") && detail.contains("push"), "{detail}");
}

#[test]
fn a_stream_that_has_ended_takes_none() {
    let server = server();
    server.add(&with(pushed_body("over"), json!({"timeout": "100ms"})));
    wait_until("it has ended", || server.stream("over")["state"] == "ended");
    for query in ["", "?wait=result"] {
        let detail = server.put("over", 1, query).problem(409, "stream-ended");
        assert!(detail.contains("\"over\"") && detail.contains("add it again"), "{detail}");
    }
    assert_eq!(server.frames("over")["received"], 0);
}

#[test]
fn what_is_no_picture_is_refused_before_it_is_taken() {
    let server = server();
    let put = |query: &str, bytes: &[u8]| server.client().put(&format!("/v1/streams/door/frames/1{query}"), bytes);
    for query in ["", "?wait=result"] {
        put(query, b"this is text").problem(422, "not-a-picture");
        put(query, b"").problem(422, "empty-picture");
        put(query, b"GIF89a\x01\0\x01\0\x80\0\0").problem(422, "unsupported-picture");
    }
    assert_eq!(server.frames("door")["received"], 0);
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
}

#[test]
fn a_picture_that_cannot_be_decoded_is_counted_as_failed() {
    let server = server();
    let jpeg = good_jpeg();
    let half = &jpeg[..jpeg.len() / 2];
    let path = |n: u64, query: &str| format!("/v1/streams/door/frames/{n}{query}");
    let detail = server.client().put(&path(1, "?wait=result"), half).problem(422, "truncated-picture");
    assert!(detail.contains("cut off"), "{detail}");
    assert_eq!(server.client().put(&path(2, ""), half).status, 202);
    wait_until("it has failed", || server.frames("door")["dropped"]["failed"] == 2);
    let stream = server.stream("door");
    assert!(stream["last_error"].as_str().is_some_and(|error| error.contains("cut off")), "{stream}");
    assert_eq!(server.put("door", 3, "?wait=result").status, 200);
}

#[test]
fn what_is_too_large_is_413() {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.body = 10_000;
    let server = setup.start();
    server.add(&pushed_body("door"));
    let detail = server.client().put("/v1/streams/door/frames/1", &[0; 10_001]).problem(413, "body-too-large");
    assert!(detail.contains("10000 bytes"), "{detail}");
    let mut raw = Raw::connect(server.address);
    raw.send(b"PUT /v1/streams/door/frames/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n");
    raw.answer().problem(413, "body-too-large");
    assert_eq!(server.frames("door")["received"], 0);
}

#[test]
fn a_body_that_breaks_off_is_no_frame() {
    let server = server();
    let mut raw = Raw::connect(server.address);
    raw.send(b"PUT /v1/streams/door/frames/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
    raw.say_no_more();
    raw.answer().problem(400, "incomplete-body");
    assert_eq!(server.frames("door")["received"], 0);
}

#[test]
fn whoever_waits_for_a_frame_that_is_superseded_is_told() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    server.add(&pushed_body("door"));
    let waiting = || server.client().get("/v1/models").json()["models"][0]["waiting"].clone();
    thread::scope(|scope| {
        // Dropped before the threads are joined, should the test fail: a gate that is gone is an open one.
        let gate = gate;
        assert_eq!(server.put("door", 1, "").status, 202);
        gate.wait_for_batch();
        // As many as are decoded ahead of the model.
        for id in 2..=4 {
            assert_eq!(server.put("door", id, "").status, 202);
        }
        let server = &server;
        let superseded = scope.spawn(move || server.put("door", 5, "?wait=result"));
        wait_until("frame 5 waits", || waiting() == 4);
        assert_eq!(server.stream("door")["cache"]["frames"], 1);
        let newest = scope.spawn(move || server.put("door", 6, "?wait=result"));
        wait_until("frame 6 was taken", || server.frames("door")["received"] == 6);
        (0..5).for_each(|_| gate.open());
        let detail = superseded.join().expect("no panic").problem(503, "frame-dropped");
        assert!(detail.contains("a newer frame"), "{detail}");
        assert_eq!(newest.join().expect("no panic").json()["frame_id"], 6);
    });
    let expected = json!({"received": 6, "inferred": 5, "pending": 0, "dropped": {"superseded": 1}});
    assert_eq!(server.frames("door"), expected);
}

#[test]
fn one_that_is_skipped_is_told_at_once() {
    let server = server();
    server.change("door", &json!({"every": 3}));
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    let detail = server.put("door", 2, "?wait=result").problem(503, "frame-dropped");
    assert!(detail.contains("thinned"), "{detail}");
}

#[test]
fn frames_that_are_too_old_when_their_turn_comes_are_stale() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    server.add(&with(pushed_body("door"), json!({"latency": "1ms", "cache": {"frames": 100}})));
    server.add(&pushed_body("patient"));
    // Dropped before the server, should the test fail: a gate that is gone is an open one.
    let gate = gate;
    assert_eq!(server.put("patient", 1, "").status, 202);
    gate.wait_for_batch();
    for id in 1..=8 {
        assert_eq!(server.put("door", id, "").status, 202);
    }
    let since = Instant::now();
    wait_until("all are too old", || since.elapsed() > Duration::from_millis(5));
    (0..9).for_each(|_| gate.open());
    wait_until("nothing is pending", || server.frames("door")["pending"] == 0);
    let frames = server.frames("door");
    // No more than 3 are decoded ahead of the model, and run: it would be in vain otherwise. So does the newest one.
    let stale = frames["dropped"]["stale"].as_u64().expect("some are");
    assert!(stale >= 4 && stale + frames["inferred"].as_u64().expect("a number") == 8, "{frames}");
}

#[test]
fn a_server_that_ends_answers_what_it_took() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    server.add(&pushed_body("door"));
    thread::scope(|scope| {
        let gate = gate;
        let server = &server;
        let waits = scope.spawn(move || server.put("door", 1, "?wait=result"));
        gate.wait_for_batch();
        server.app.end();
        server.put("door", 2, "").problem(503, "shutting-down");
        server.put("door", 2, "?wait=result").problem(503, "shutting-down");
        gate.open();
        assert_eq!(waits.join().expect("no panic").status, 200);
    });
    assert_eq!(server.ended(), vigia::server::Ended::Finished);
}

#[test]
fn a_body_that_is_still_coming_when_the_server_ends_is_answered() {
    let server = server();
    let (mut raw, jpeg) = (Raw::connect(server.address), good_jpeg());
    let head = format!("PUT /v1/streams/door/frames/1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    raw.send(head.as_bytes());
    raw.send(&jpeg[..100]);
    wait_until("it is under way", || server.app.drain.under_way() == 1);
    server.app.end();
    wait_until("the stream has ended", || server.app.streams.get("door").is_ok_and(|stream| stream.is_over()));
    raw.send(&jpeg[100..]);
    raw.answer().problem(503, "shutting-down");
    assert_eq!(server.ended(), vigia::server::Ended::Finished);
}
