//! `DELETE /v1/streams/{id}`: whoever follows the stream is told its end, and nobody else; a stream that is added again under
//! the id gets nothing of the old one.

use std::io::Read as _;

use serde_json::json;
use vigia_core::geometry::Size;
use vigia_testkit::{Gate, boxes_by_frame, finds};
use vigia_vision::picture::{PictureDecoder, PictureLimits};

use crate::client::Events;
use crate::pictures::jpeg_of;
use crate::support::{Server, Setup, camera, one_box, pushed_body, wait_until};

#[test]
fn nothing_of_it_is_left() {
    let mut setup = Setup::new(finds(one_box()));
    setup.stream("m", camera("m"));
    let server = setup.start();
    server.add(&pushed_body("door"));
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    let client = server.client();
    for id in ["door", "m"] {
        server.remove(id);
        for path in ["", "/results", "/results/latest", "/snapshot.jpg", "/live.mjpeg", "/frames"] {
            client.get(&format!("/v1/streams/{id}{path}")).problem(404, "unknown-stream");
        }
        client.send("DELETE", &format!("/v1/streams/{id}"), &[], &[]).problem(404, "unknown-stream");
        client.patch(id, &json!({})).problem(404, "unknown-stream");
        server.put(id, 2, "").problem(404, "unknown-stream");
        let metrics = client.get("/metrics").text();
        assert!(!metrics.contains(&format!("stream=\"{id}\"")), "{metrics}");
    }
    assert_eq!(client.get("/v1/streams").json(), json!({"streams": []}));
}

#[test]
fn it_ends_those_who_follow_it_and_nobody_else() {
    let server = Setup::new(boxes_by_frame()).start();
    let client = server.client();
    let follow = |id: &str| {
        server.add(&pushed_body(id));
        assert_eq!(server.put(id, 1, "?wait=result").status, 200);
        let results = Events::follow(&client, id, None);
        let live = client.open("GET", &format!("/v1/streams/{id}/live.mjpeg"), &[], &[]).into_body().into_reader();
        (results, live, server.socket(&format!("/v1/streams/{id}/frames")))
    };
    let (gone, stays) = (follow("door"), follow("yard"));
    let mut both = server.socket("/v1/results?stream=door,yard");
    server.remove("door");
    let (results, mut live, mut socket) = gone;
    assert_eq!(results.count(), 0);
    live.read_to_end(&mut Vec::new()).expect("an orderly end");
    assert_eq!(socket.rest(), (Vec::new(), 1000));
    let (mut results, mut live, mut socket) = stays;
    socket.push(2, &jpeg_of(64, 64));
    assert_eq!(socket.json()["frame_id"], 2);
    assert_eq!(results.next().and_then(|event| event.id), Some(2));
    let result = both.json();
    assert_eq!((&result["stream"], &result["frame_id"]), (&json!("yard"), &json!(2)));
    // The first picture, and the second, which has another size.
    let mut pictures = [0; 200];
    live.read_exact(&mut pictures).expect("it goes on");
}

fn size(jpeg: &[u8]) -> Size {
    PictureDecoder::new(PictureLimits::default()).decode(jpeg, None).expect("a picture").source_size()
}

#[test]
fn the_next_one_of_the_id_sees_nothing_of_it() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    // Dropped before the server, should the test fail: a gate that is gone is an open one.
    let gate = gate;
    let client = server.client();
    server.add(&pushed_body("door"));
    // One of the old life is being worked on, others wait in every place there is.
    assert_eq!(server.put("door", 100, "").status, 202);
    gate.wait_for_batch();
    for id in 101..110 {
        assert_eq!(server.put("door", id, "").status, 202);
    }
    let old = Events::follow(&client, "door", None);
    server.remove("door");
    server.add(&pushed_body("door"));
    let new = Events::follow(&client, "door", None);
    assert_eq!(server.frames("door"), json!({"received": 0, "inferred": 0, "pending": 0, "dropped": {}}));
    assert_eq!(client.put("/v1/streams/door/frames/1", &jpeg_of(96, 64)).status, 202);
    assert_eq!(server.frames("door")["received"], 1);
    // More than there are batches.
    (0..20).for_each(|_| gate.open());
    let result: serde_json::Value =
        new.map(|event| serde_json::from_str(&event.data).expect("JSON")).next().expect("a result");
    assert_eq!((&result["frame_id"], &result["width"]), (&json!(1), &json!(96)));
    assert_eq!(client.get("/v1/streams/door/results/latest").json(), result);
    assert_eq!(size(&client.get("/v1/streams/door/snapshot.jpg").body), Size::new(96, 64));
    // The old life has come to its end, and none of it came over.
    assert!(old.count() <= 10);
    assert_eq!(Events::follow(&client, "door", Some(0)).next().and_then(|event| event.id), Some(1));
    assert_eq!(server.frames("door"), json!({"received": 1, "inferred": 1, "pending": 0, "dropped": {}}));
    let metrics = client.get("/metrics").text();
    assert!(metrics.contains("vigia_stream_frames_received_total{stream=\"door\"} 1\n"), "{metrics}");
}

#[test]
fn whoever_waits_for_a_result_of_it_is_told() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    server.add(&pushed_body("door"));
    std::thread::scope(|scope| {
        // Dropped before the threads are joined, should the test fail.
        let gate = gate;
        assert_eq!(server.put("door", 1, "").status, 202);
        gate.wait_for_batch();
        let server = &server;
        let wait = |id| {
            let waits = scope.spawn(move || server.put("door", id, "?wait=result"));
            wait_until("it was taken", || server.frames("door")["received"] == id);
            waits
        };
        let waiting: Vec<_> = (2..8).map(wait).collect();
        server.remove("door");
        (0..20).for_each(|_| gate.open());
        for waits in waiting {
            let answer = waits.join().expect("no panic");
            assert!(answer.status == 200 || answer.json()["code"] == "frame-dropped", "{}", answer.text());
        }
    });
    server.assert_unharmed();
}

#[test]
fn streams_come_and_go_under_one_id() {
    let server = Server::plain();
    for frame in 1..=20 {
        server.add(&pushed_body("door"));
        assert_eq!(server.put("door", 1, "?wait=result").status, 200, "{frame}");
        server.remove("door");
    }
    server.assert_unharmed();
}
