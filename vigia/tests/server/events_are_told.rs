//! `/v1/events/stream`: tracks that ended beside the changes of state, in one order, as server-sent events or WebSocket.

use serde_json::{Value, json};
use tungstenite::Message;
use vigia::server::Ended;

use crate::client::{Events, Raw};
use crate::support::{Server, pushed_body, wait_until};
use crate::tracks::ended;

const STREAM: &str = "/v1/events/stream";

/// A state, an event, a state: three news in this order.
fn three(server: &Server) {
    server.add(&pushed_body("door"));
    record(server, 7);
    server.remove("door");
}

/// Records one and waits until it is told.
fn record(server: &Server, track: u64) {
    let mut events = Events::open(&server.client(), STREAM, None);
    server.app.events().record(ended("door", 1, track, 1), "face".to_owned());
    let id = format!("\"id\":\"door-1-{track}\"");
    while !events.next().expect("it is told").data.contains(&id) {}
}

fn stored(server: &Server, id: &str) -> Value {
    let answer = server.client().get(&format!("/v1/events/{id}"));
    assert_eq!(answer.status, 200, "what is told is there");
    answer.json()
}

#[test]
fn as_server_sent_events() {
    let server = Server::plain();
    let mut events = Events::open(&server.client(), STREAM, None);
    three(&server);
    let told: Vec<_> = events.by_ref().take(3).collect();
    let names: Vec<_> = told.iter().map(|event| (event.name.as_str(), event.id)).collect();
    assert_eq!(names, [("state", Some(1)), ("track_ended", Some(2)), ("state", Some(3))]);
    let data = |at: usize| serde_json::from_str::<Value>(&told[at].data).expect("JSON");
    assert_eq!(data(1), stored(&server, "door-1-7"), "word for word what is kept");
    assert_eq!((&data(0)["state"], &data(2)["state"]), (&json!("connecting"), &json!("ended")));
    // A reader that comes back goes on where it was; by a parameter, too.
    for (path, last) in [(STREAM.to_owned(), Some(1)), (format!("{STREAM}?last_event_id=1"), None)] {
        let again: Vec<_> = Events::open(&server.client(), &path, last).take(2).collect();
        assert_eq!(again, told[1..], "{path}");
    }
}

#[test]
fn over_a_websocket() {
    let server = Server::plain();
    let mut socket = server.socket(STREAM);
    three(&server);
    let told: Vec<Value> = (0..3).map(|_| socket.json()).collect();
    let names: Vec<_> = told.iter().map(|news| (news["event"].as_str().unwrap_or_default(), &news["id"])).collect();
    assert_eq!(names, [("state", &json!(1)), ("track_ended", &json!(2)), ("state", &json!(3))]);
    assert_eq!(told[1]["data"], stored(&server, "door-1-7"));
    assert_eq!(told[0]["data"]["state"], "connecting");
    // What a reader says is not listened to.
    for said in [Message::text("hello"), Message::Binary(vec![0; 100].into()), Message::Ping(Vec::new().into())] {
        assert!(socket.try_send(said));
    }
    record(&server, 8);
    assert_eq!(socket.json()["data"]["id"], "door-1-8");
    let mut late = server.socket(&format!("{STREAM}?last_event_id=1"));
    assert_eq!(late.json(), told[1]);
    socket.close();
    server.app.end();
    assert_eq!(late.rest().1, 1001);
    drop(late);
    assert_eq!(server.ended(), Ended::Finished);
}

#[test]
fn whoever_is_too_slow_is_told_what_was_missed() {
    const KEPT: u64 = 1024;
    let server = Server::plain();
    let is_kept = |track: u64| server.client().get(&format!("/v1/events/door-1-{track}")).status == 200;
    record(&server, 0);
    for n in 1..KEPT + 10 {
        server.app.events().record(ended("door", 1, n, 1), "face".to_owned());
        if n % 500 == 0 {
            // Not more at once than there is room for.
            wait_until("it is kept", || is_kept(n));
        }
    }
    // The last one of all is told after the others.
    record(&server, KEPT + 10);
    let mut events = Events::open(&server.client(), STREAM, Some(0));
    let first = events.next().expect("an event");
    assert_eq!((first.name.as_str(), first.data.as_str(), first.id), ("missed", "{\"missed\":11}", None));
    assert_eq!(events.next().and_then(|event| event.id), Some(12));
    let mut socket = server.socket(&format!("{STREAM}?last_event_id=5"));
    assert_eq!(socket.json(), json!({"event": "missed", "data": {"missed": 6}}));
    assert_eq!(socket.json()["id"], 12);
}

#[test]
fn what_cannot_be_is_said() {
    let server = Server::plain();
    let client = server.client();
    for (query, field) in
        [("?last_event_id=x", "last_event_id"), ("?last_event_id=", "last_event_id"), ("?stream=a", "stream")]
    {
        let detail = client.get(&format!("{STREAM}{query}")).problem(422, "invalid-parameter");
        assert!(detail.starts_with(field), "{detail}");
    }
    let mut raw = Raw::connect(server.address);
    raw.send(
        format!("GET {STREAM} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").as_bytes(),
    );
    raw.answer().problem(400, "no-handshake");
    let _held = server.app.drain.begin().expect("not ending yet");
    server.app.end();
    client.get(STREAM).problem(503, "shutting-down");
}

#[test]
fn the_servers_end_keeps_what_its_streams_still_tell() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || {
        let config = vigia::config::EventsConfig::default();
        vigia::events::Events::open(&config, folder.path(), crate::support::GUARD).expect("opens")
    };
    let first = open().last_generation();
    let mut setup = crate::support::Setup::new(vigia_testkit::finds(crate::support::one_box()));
    setup.events = Some(open());
    let server = setup.start();
    server.app.end();
    // As a stream's thread does at its end.
    server.app.events().record(ended("door", first + 1, 7, 1), "face".to_owned());
    assert_eq!(server.ended(), Ended::Finished);
    drop(server);
    assert_eq!(open().last_generation(), first + 1);
}
