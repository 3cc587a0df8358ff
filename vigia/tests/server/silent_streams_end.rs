//! A stream that is pushed to, or listens, and gets no frames ends, and only that one; it is shown for a while, and then it
//! is gone. Its id can be taken again at any time.

use serde_json::{Value, json};
use vigia_testkit::boxes_by_frame;

use crate::support::{Server, Setup, camera_body, opened, push_through, pushed_body, wait_until, with};

fn server() -> Server {
    Setup::new(boxes_by_frame()).start()
}

/// It ends as soon as may be, and is shown long after.
fn short(id: &str) -> Value {
    with(pushed_body(id), json!({"timeout": "100ms"}))
}

fn wait_for_end(server: &Server, id: &str) -> Value {
    wait_until("it has ended", || server.stream(id)["state"] == "ended");
    server.stream(id)
}

#[test]
fn it_is_shown_with_the_reason_and_others_go_on() {
    let server = server();
    server.add(&pushed_body("yard"));
    server.add(&short("door"));
    let door = wait_for_end(&server, "door");
    assert_eq!((&door["reason"], &door["frames"]["received"]), (&json!("timeout"), &json!(0)));
    assert!(door["last_error"].as_str().is_some_and(|error| error.contains("no frame for 100ms")), "{door}");
    assert_eq!(server.put("yard", 1, "?wait=result").status, 200);
    assert_eq!(server.stream("yard")["state"], "online");
}

#[test]
fn what_it_had_can_still_be_looked_at() {
    let server = server();
    server.add(&pushed_body("door"));
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    server.change("door", &json!({"timeout": "100ms"}));
    let door = wait_for_end(&server, "door");
    assert_eq!(door["frames"], json!({"received": 1, "inferred": 1, "pending": 0, "dropped": {}}));
    let client = server.client();
    assert_eq!(client.get("/v1/streams/door/results/latest").json()["frame_id"], 1);
    assert_eq!(client.get("/v1/streams/door/snapshot.jpg").status, 200);
}

#[test]
fn after_its_linger_nothing_of_it_is_left() {
    let server = server();
    server.add(&with(pushed_body("door"), json!({"timeout": "100ms", "linger": "0s"})));
    let client = server.client();
    wait_until("it is gone", || client.get("/v1/streams/door").status == 404);
    assert_eq!(client.get("/v1/streams").json(), json!({"streams": []}));
    let metrics = || client.get("/metrics").text();
    wait_until("its metrics are gone", || !metrics().contains("stream=\"door\""));
    server.add(&pushed_body("door"));
    assert!(metrics().contains("stream=\"door\""));
}

#[test]
fn whoever_takes_its_id_the_moment_it_is_free_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("streams.json");
    let mut setup = Setup::new(boxes_by_frame());
    setup.store = Some(file.clone());
    let server = setup.start();
    let client = server.client();
    for _ in 0..10 {
        let body = with(pushed_body("door"), json!({"linger": "0s"}));
        // Refused while it is there, and taken at once when it is not.
        wait_until("it is added", || client.post_json("/v1/streams", &body).status == 201);
        assert!(client.get("/metrics").text().contains("stream=\"door\""), "what goes takes its own metrics along");
        let kept = std::fs::read_to_string(&file).expect("a file");
        assert!(kept.contains("\"door\""), "{kept}");
        assert_eq!(server.put("door", 1, "?wait=result").status, 200);
        server.change("door", &json!({"timeout": "100ms"}));
    }
}

#[test]
fn a_shorter_linger_counts_for_one_that_runs() {
    let server = server();
    server.add(&pushed_body("door"));
    server.change("door", &json!({"linger": "0s", "timeout": "100ms"}));
    wait_until("it is gone", || server.client().get("/v1/streams/door").status == 404);
}

#[test]
fn its_id_can_be_taken_again_while_it_is_shown() {
    let mut setup = Setup::new(boxes_by_frame());
    // Also where there is no room for one more.
    setup.config.limits.streams = 1;
    let server = setup.start();
    for life in 1..=3u64 {
        server.add(&short("door"));
        wait_for_end(&server, "door");
        let again = server.add(&pushed_body("door"));
        assert_eq!((&again["state"], &again["frames"]["received"]), (&json!("connecting"), &json!(0)), "{life}");
        assert_eq!(server.put("door", 1, "?wait=result").status, 200);
        server.change("door", &json!({"timeout": "100ms"}));
        wait_for_end(&server, "door");
    }
}

#[test]
fn an_id_is_free_whatever_came_of_taking_it_again() {
    let server = server();
    server.add(&short("door"));
    wait_for_end(&server, "door");
    let missing = with(camera_body("door"), json!({"source": "missing"}));
    server.client().post_json("/v1/streams", &missing).problem(422, "source-unusable");
    server.add(&pushed_body("door"));
}

#[test]
fn frames_keep_it_alive() {
    let server = server();
    // More than a slow machine takes for a frame, less than for all of them.
    server.add(&with(pushed_body("door"), json!({"timeout": "30s"})));
    for id in 1..=100 {
        assert_eq!(server.put("door", id, "?wait=result").status, 200);
    }
    assert_eq!(server.stream("door")["state"], "online");
}

#[test]
fn one_that_listens_ends_the_same_way() {
    let server = server();
    let sinks = server.sources.of("door");
    server.add(&with(camera_body("door"), json!({"source": "listen"})));
    let mut sink = opened(&sinks);
    push_through(&server, "door", &mut sink);
    assert_eq!(server.stream("door")["state"], "online");
    server.change("door", &json!({"timeout": "100ms", "linger": "0s"}));
    wait_until("it is gone", || server.client().get("/v1/streams/door").status == 404);
    let flow = sink.frame(std::sync::Arc::unwrap_or_clone(vigia_testkit::frame("", 0)));
    assert_eq!(flow, vigia_core::source::Flow::Stop, "its source is told to stop");
}

#[test]
fn one_that_is_fetched_does_not() {
    let server = server();
    let sinks = server.sources.of("door");
    server.add(&with(camera_body("door"), json!({"timeout": "100ms"})));
    let mut sink = opened(&sinks);
    push_through(&server, "door", &mut sink);
    // Another one has come and gone meanwhile.
    server.add(&short("yard"));
    wait_for_end(&server, "yard");
    assert_eq!(server.stream("door")["state"], "online");
}
