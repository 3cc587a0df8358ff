//! `GET /v1/events/stream`: every change of state of every stream, in order, as server-sent events.

use serde_json::{Value, json};
use vigia::config::{RetryConfig, StreamConfig};
use vigia_core::source::SourceError;
use vigia_testkit::boxes_by_frame;

use crate::client::{Client, Events};
use crate::support::{Server, Setup, camera, opened, push_through, pushed_body, with};

/// Changes as they come.
struct Changes(Events);

impl Changes {
    fn follow(client: &Client, last: Option<u64>) -> Self {
        Self(Events::changes(client, last))
    }

    /// The next one.
    fn next(&mut self) -> Value {
        let event = self.0.next().expect("a change");
        assert_eq!(event.name, "state");
        let change: Value = serde_json::from_str(&event.data).expect("JSON");
        let keys: Vec<&str> = change.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["attempts", "error", "reason", "since", "state", "stream"], "{change}");
        assert!(change["since"].as_str().is_some_and(|s| s.ends_with('Z') && s.len() == 24), "{change}");
        change
    }

    /// The stream and state of the next one.
    fn state(&mut self) -> (String, String) {
        let change = self.next();
        let text = |key: &str| change[key].as_str().expect("a string").to_owned();
        (text("stream"), text("state"))
    }

    /// Asserts that the next ones are these, all of one stream.
    #[track_caller]
    fn assert(&mut self, stream: &str, states: &[&str]) {
        for state in states {
            assert_eq!(self.state(), (stream.to_owned(), (*state).to_owned()));
        }
    }
}

fn server() -> Server {
    Setup::new(boxes_by_frame()).start()
}

#[test]
fn a_source_that_breaks_off_and_comes_back() {
    let mut setup = Setup::new(boxes_by_frame());
    let retry = RetryConfig { initial: std::time::Duration::ZERO, max: std::time::Duration::ZERO };
    let sinks = setup.stream("door", StreamConfig { retry, ..camera("door") });
    let server = setup.start();
    let mut changes = Changes::follow(&server.client(), Some(0));
    let mut sink = opened(&sinks);
    changes.assert("door", &["connecting"]);
    push_through(&server, "door", &mut sink);
    changes.assert("door", &["online"]);
    sink.end(Err(SourceError::Stalled("no frame for 5s".to_owned())));
    let stalled = changes.next();
    assert_eq!((&stalled["state"], &stalled["reason"]), (&json!("stalled"), &json!("stalled")));
    assert_eq!(stalled["error"], "no frame for 5s");
    let retrying = changes.next();
    assert_eq!((&retrying["state"], &retrying["error"]), (&json!("retrying"), &json!("no frame for 5s")));
    let mut sink = opened(&sinks);
    let connecting = changes.next();
    assert_eq!((&connecting["state"], &connecting["attempts"]), (&json!("connecting"), &json!(1)));
    assert_eq!((&connecting["reason"], &connecting["error"]), (&Value::Null, &Value::Null));
    sink.end(Err(SourceError::Unreachable("nobody answers".to_owned())));
    let retrying = changes.next();
    assert_eq!((&retrying["state"], &retrying["reason"]), (&json!("retrying"), &json!("unreachable")));
    let mut sink = opened(&sinks);
    assert_eq!(changes.next()["attempts"], 2);
    push_through(&server, "door", &mut sink);
    let online = changes.next();
    assert_eq!((&online["state"], &online["attempts"]), (&json!("online"), &json!(0)));
    sink.end(Ok(()));
    changes.assert("door", &["ended"]);
}

#[test]
fn a_source_that_cannot_be_used_has_failed() {
    let mut setup = Setup::new(boxes_by_frame());
    setup.stream("door", StreamConfig { source: "missing://user:secret@a".to_owned(), ..camera("door") });
    let server = setup.start();
    let mut changes = Changes::follow(&server.client(), Some(0));
    changes.assert("door", &["connecting"]);
    let failed = changes.next();
    assert_eq!((&failed["state"], &failed["reason"]), (&json!("failed"), &json!("not-found")));
    let error = failed["error"].as_str().expect("why");
    assert!(error.contains("missing://user:***@a"), "{error}");
    assert_eq!(server.stream("door")["last_error"], failed["error"]);
}

#[test]
fn a_stream_that_is_pushed_to_stalls_and_ends() {
    let server = server();
    let mut changes = Changes::follow(&server.client(), None);
    server.add(&with(pushed_body("door"), json!({"timeout": "1h"})));
    changes.assert("door", &["connecting"]);
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    changes.assert("door", &["online"]);
    server.change("door", &json!({"timeout": "100ms"}));
    let stalled = changes.next();
    assert_eq!((&stalled["state"], &stalled["reason"]), (&json!("stalled"), &json!("stalled")));
    let ended = changes.next();
    assert_eq!((&ended["state"], &ended["reason"]), (&json!("ended"), &json!("timeout")));
    assert!(ended["error"].as_str().is_some_and(|error| error.contains("100ms")), "{ended}");
    // One to which nothing ever came has nothing to stall.
    server.add(&with(pushed_body("yard"), json!({"timeout": "100ms"})));
    changes.assert("yard", &["connecting", "ended"]);
}

#[test]
fn one_that_is_removed_has_ended_at_once_and_only_once() {
    let server = server();
    let mut changes = Changes::follow(&server.client(), None);
    for _ in 0..20 {
        server.add(&pushed_body("door"));
        assert_eq!(server.put("door", 1, "?wait=result").status, 200);
        server.remove("door");
        changes.assert("door", &["connecting", "online", "ended"]);
    }
    // One that starts anew, too.
    server.add(&pushed_body("door"));
    server.change("door", &json!({"loop": true}));
    changes.assert("door", &["connecting", "ended", "connecting"]);
    // And one that is over already.
    server.change("door", &json!({"timeout": "100ms"}));
    changes.assert("door", &["ended"]);
    server.remove("door");
    server.add(&pushed_body("door"));
    changes.assert("door", &["connecting"]);
}

#[test]
fn a_reader_that_comes_back_goes_on_where_it_was() {
    let server = server();
    let client = server.client();
    for id in ["a", "b", "c", "d"] {
        server.add(&pushed_body(id));
    }
    let follow = |last| Events::changes(&client, last);
    let ids: Vec<_> = follow(Some(0)).take(4).filter_map(|event| event.id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    Changes::follow(&client, Some(2)).assert("c", &["connecting"]);
    let mut now = Changes::follow(&client, None);
    // A number that was never given out is that of an earlier life of the server.
    let mut unknown = Changes::follow(&client, Some(9_999));
    server.remove("b");
    now.assert("b", &["ended"]);
    unknown.assert("b", &["ended"]);
    for wrong in ["x", "-1", "1.5", ""] {
        let answer = client.send("GET", "/v1/events/stream", &[("last-event-id", wrong)], &[]);
        let detail = answer.problem(422, "invalid-parameter");
        assert!(detail.contains("Last-Event-ID"), "{detail}");
    }
}

#[test]
fn the_oldest_are_forgotten_and_counted() {
    /// Changes that are kept.
    const KEPT: usize = 1024;
    let server = server();
    let rounds = KEPT / 2 + 10;
    for _ in 0..rounds {
        server.add(&pushed_body("door"));
        server.remove("door");
    }
    let mut events = Events::changes(&server.client(), Some(0));
    let first = events.next().expect("an event");
    assert_eq!((first.name.as_str(), first.data.as_str()), ("missed", "{\"missed\":20}"));
    assert_eq!(events.next().and_then(|event| event.id), Some(21));
}

#[test]
fn the_servers_end_ends_it() {
    let server = server();
    server.add(&pushed_body("door"));
    let changes = Events::changes(&server.client(), None);
    server.app.end();
    assert!(changes.count() <= 1, "nothing but the stream's end, where that was quicker");
    assert_eq!(server.ended(), vigia::server::Ended::Finished);
}
