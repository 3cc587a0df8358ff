//! `WS /v1/streams/{id}/frames`: every message is answered, in the order of the messages, and the socket goes on.

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use tungstenite::{Bytes, Message};
use vigia::server::Ended;
use vigia_testkit::{Gate, boxes_by_frame, finds, spec};

use crate::client::{Answer, Events, Raw};
use crate::pictures::good_jpeg;
use crate::socket::{Said, Socket, Steady, frame};
use crate::support::{PIPELINE, Server, Setup, camera_body, one_box, pushed_body, wait_until, with};

const FRAMES: &str = "/v1/streams/door/frames";

fn server() -> Server {
    let server = Setup::new(boxes_by_frame()).start();
    server.add(&pushed_body("door"));
    server
}

/// The code of the problem that a message is answered with, and its detail.
fn problem(answer: &Value) -> (&str, &str) {
    let problem = &answer["problem"];
    assert_eq!(answer["stream"], "door");
    (problem["code"].as_str().expect("a problem"), problem["detail"].as_str().expect("a sentence"))
}

#[test]
fn each_frame_is_answered_with_its_result() {
    let server = server();
    let mut events = Events::follow(&server.client(), "door", None);
    let mut socket = server.socket(FRAMES);
    for id in [5, 6, 1000] {
        socket.push(id, &good_jpeg());
        let result = socket.json();
        assert_eq!((&result["frame_id"], &result["detections"][0]["box"]["x1"]), (&json!(id), &json!(id as f64)));
        let published: Value = serde_json::from_str(&events.next().expect("a result").data).expect("JSON");
        assert_eq!(result, published);
    }
    socket.close();
    // The stream does not end with its socket, and another one goes on.
    let mut socket = server.socket(FRAMES);
    socket.push(1001, &good_jpeg());
    assert_eq!(socket.json()["frame_id"], 1001);
    assert_eq!(server.frames("door")["inferred"], 4);
}

#[test]
fn many_frames_on_their_way_come_back_in_order() {
    const FRAMES_SENT: u64 = 500;
    let server = Setup::new(boxes_by_frame()).start();
    server.add(&with(pushed_body("door"), json!({"cache": {"mode": "fifo", "frames": 100}})));
    let mut socket = server.socket(FRAMES);
    let writer = Steady(socket.0.get_ref().0.try_clone().expect("a socket"));
    thread::scope(|scope| {
        scope.spawn(move || {
            // Another end of the same connection: it writes while the first one reads.
            let role = tungstenite::protocol::Role::Client;
            let mut writer = Socket(tungstenite::WebSocket::from_raw_socket(writer, role, None));
            (1..=FRAMES_SENT).for_each(|id| writer.push(id, &good_jpeg()));
        });
        for id in 1..=FRAMES_SENT {
            let result = socket.json();
            assert_eq!((&result["frame_id"], &result["model"]), (&json!(id), &json!("finder")), "{result}");
        }
    });
    let expected = json!({"received": FRAMES_SENT, "inferred": FRAMES_SENT, "pending": 0, "dropped": {}});
    assert_eq!(server.frames("door"), expected);
}

#[test]
fn bad_messages_are_answered_in_their_turn_and_the_socket_goes_on() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    // Dropped before the server, should the test fail: a gate that is gone is an open one.
    let gate = gate;
    server.add(&pushed_body("door"));
    let mut socket = server.socket(FRAMES);
    let jpeg = good_jpeg();
    let half = &jpeg[..jpeg.len() / 2];
    socket.push(7, &jpeg);
    gate.wait_for_batch();
    let say = |socket: &mut Socket, message: Message| assert!(socket.try_send(message));
    say(&mut socket, Message::text("{\"frame_id\": 8}"));
    say(&mut socket, Message::Binary(Bytes::new()));
    say(&mut socket, Message::Binary(Bytes::from_static(&[0; 7])));
    socket.push(8, b"");
    socket.push(9, b"this is text");
    socket.push(7, &jpeg);
    say(&mut socket, Message::Ping(Bytes::from_static(b"are you there?")));
    socket.push(10, half);
    socket.push(11, &jpeg);
    (0..2).for_each(|_| gate.open());
    assert_eq!(socket.json()["frame_id"], 7);
    let cases = [
        (Value::Null, "not-a-picture", "binary message"),
        (Value::Null, "not-a-picture", "0 bytes"),
        (Value::Null, "not-a-picture", "7 bytes"),
        (json!(8), "empty-picture", "empty"),
        (json!(9), "not-a-picture", "text"),
        (json!(7), "frame-id-not-above", "7 is not above"),
        (json!(10), "truncated-picture", "cut off"),
    ];
    for (frame_id, code, words) in cases {
        let answer = socket.json();
        let (said, detail) = problem(&answer);
        assert_eq!((&answer["frame_id"], said), (&frame_id, code), "{answer}");
        assert!(detail.contains(words), "{answer}");
    }
    assert_eq!(socket.json()["frame_id"], 11);
    let expected = json!({"received": 3, "inferred": 2, "pending": 0, "dropped": {"failed": 1}});
    assert_eq!(server.frames("door"), expected);
}

#[test]
fn frames_without_a_result_say_why() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    let gate = gate;
    server.add(&with(pushed_body("door"), json!({"every": 2})));
    let mut socket = server.socket(FRAMES);
    let jpeg = good_jpeg();
    socket.push(1, &jpeg);
    gate.wait_for_batch();
    // Every other one is looked at. Three are decoded ahead of the model; of the rest the newest one stays.
    (2..=20).for_each(|id| socket.push(id, &jpeg));
    wait_until("all were taken", || server.frames("door")["received"] == 20);
    (0..5).for_each(|_| gate.open());
    let fate = |answer: Value| match answer["dropped"].as_str() {
        Some(reason) => {
            assert_eq!(answer.as_object().map(serde_json::Map::len), Some(3), "{answer}");
            reason.to_owned()
        }
        None => "result".to_owned(),
    };
    for id in 1..=20 {
        let answer = socket.json();
        assert_eq!((&answer["stream"], &answer["frame_id"]), (&json!("door"), &json!(id)), "{answer}");
        let expected = match id {
            id if id % 2 == 0 => "skipped",
            1 | 3 | 5 | 7 | 19 => "result",
            _ => "superseded",
        };
        assert_eq!(fate(answer), expected, "{id}");
    }
}

#[test]
fn a_message_that_is_too_long_closes_it() {
    let mut setup = Setup::new(boxes_by_frame());
    setup.config.limits.body = 10_000;
    let server = setup.start();
    server.add(&pushed_body("door"));
    let mut socket = server.socket(FRAMES);
    // As much as fits is read.
    socket.push(1, &[b'x'; 10_000]);
    assert_eq!(problem(&socket.json()).0, "not-a-picture");
    socket.push(2, &good_jpeg());
    socket.push(3, &[b'x'; 10_001]);
    assert_eq!(socket.json()["frame_id"], 2, "what came before is answered");
    let Said::Closed(code, reason) = socket.next() else { unreachable!("it is closed") };
    assert_eq!(code, 1009);
    assert!(reason.contains("limits.body"), "{reason}");
    // The stream is there for the next socket.
    let mut socket = server.socket(FRAMES);
    socket.push(4, &good_jpeg());
    assert_eq!(socket.json()["frame_id"], 4);
}

#[test]
fn a_client_that_never_reads_holds_nobody_up() {
    // Answers so large that sockets cannot hold them.
    let mut large = spec("finder", 1);
    large.labels = Arc::from(["x".repeat(100_000)]);
    let server = Setup::empty().model(&large, finds(one_box())).pipeline(PIPELINE, "finder", None).start();
    // No frame takes another one's place.
    for id in ["door", "yard"] {
        server.add(&with(pushed_body(id), json!({"cache": {"mode": "fifo", "frames": 500}})));
    }
    let mut greedy = server.socket(FRAMES);
    let jpeg = good_jpeg();
    (1..=200).for_each(|id| greedy.push(id, &jpeg));
    let received = || server.frames("door")["received"].as_u64().expect("a number");
    // No more are read than may be without an answer.
    wait_until("it is being answered", || received() > 10);
    for id in 1..=50 {
        assert_eq!(server.put("yard", id, "?wait=result").status, 200);
        assert_eq!(server.put("door", 1000 + id, "?wait=result").status, 200);
    }
    let mut other = server.socket(FRAMES);
    other.push(2000, &jpeg);
    assert_eq!(other.json()["frame_id"], 2000);
    server.assert_unharmed();
    // Nor does it hold up the server's end; what it does not read it gave up.
    server.app.end();
    assert_eq!(server.ended(), Ended::Finished);
}

#[test]
fn the_servers_end_closes_it_once_all_is_answered() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    let gate = gate;
    server.add(&pushed_body("door"));
    let (mut socket, mut idle) = (server.socket(FRAMES), server.socket(FRAMES));
    socket.push(1, &good_jpeg());
    gate.wait_for_batch();
    socket.push(2, &good_jpeg());
    wait_until("both were taken", || server.frames("door")["received"] == 2);
    server.app.end();
    assert_eq!(idle.rest(), (Vec::new(), 1001));
    (0..2).for_each(|_| gate.open());
    let (answers, code) = socket.rest();
    let ids: Vec<_> = answers.iter().map(|answer| answer["frame_id"].clone()).collect();
    assert_eq!((ids, code), (vec![json!(1), json!(2)], 1001), "{answers:?}");
    assert!(answers[0]["detections"].is_array() && answers[1]["detections"].is_array(), "{answers:?}");
    drop((socket, idle));
    assert_eq!(server.ended(), Ended::Finished);
}

#[test]
fn the_streams_end_closes_it_once_all_is_answered() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    let gate = gate;
    server.add(&pushed_body("door"));
    let mut socket = server.socket(FRAMES);
    socket.push(1, &good_jpeg());
    gate.wait_for_batch();
    server.change("door", &json!({"timeout": "100ms"}));
    gate.open();
    let (answers, code) = socket.rest();
    assert_eq!((answers.len(), &answers[0]["frame_id"], code), (1, &json!(1), 1000));
    // One that is over takes nobody any more.
    let answer = handshake(&server, FRAMES, true);
    answer.problem(409, "stream-ended");
}

/// The answer to a request that asks for a WebSocket, or for nothing in particular.
fn handshake(server: &Server, path: &str, asks: bool) -> Answer {
    let mut raw = Raw::connect(server.address);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = if asks { upgrade } else { "" };
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n").as_bytes());
    raw.answer()
}

#[test]
fn what_cannot_be_is_said_before_it_opens() {
    let server = server();
    server.add(&camera_body("camera"));
    handshake(&server, "/v1/streams/yard/frames", true).problem(404, "unknown-stream");
    handshake(&server, "/v1/streams/%ff/frames", true).problem(404, "unknown-stream");
    handshake(&server, "/v1/streams/camera/frames", true).problem(409, "not-pushed");
    let detail = handshake(&server, FRAMES, false).problem(400, "no-handshake");
    assert!(detail.contains("WebSocket"), "{detail}");
    assert_eq!(handshake(&server, FRAMES, true).status, 101);
    // Something is under way: the server does not end while it is asked.
    let _held = server.app.drain.begin().expect("not ending yet");
    server.app.end();
    handshake(&server, FRAMES, true).problem(503, "shutting-down");
}

#[test]
fn one_that_goes_away_takes_nothing_along() {
    let (gated, gate) = Gate::before(boxes_by_frame());
    let server = Setup::new(gated).start();
    let gate = gate;
    server.add(&with(pushed_body("door"), json!({"cache": {"mode": "fifo", "frames": 100}})));
    let mut socket = server.socket(FRAMES);
    (1..=20).for_each(|id| socket.push(id, &good_jpeg()));
    wait_until("all were taken", || server.frames("door")["received"] == 20);
    // Without a word, in the middle of a message.
    std::io::Write::write_all(socket.0.get_mut(), &[0x82, 0xff]).expect("sent");
    drop(socket);
    (0..20).for_each(|_| gate.open());
    wait_until("all are worked on", || server.frames("door")["inferred"] == 20);
    wait_until("nothing is under way", || server.app.drain.under_way() == 0);
    let all = server.app.limits.cache;
    wait_until("all memory is given back", || server.app.reserve(all).is_ok());
}

#[test]
fn sockets_take_up_connections_until_they_are_closed() {
    let mut setup = Setup::new(boxes_by_frame());
    setup.config.limits.connections = 2;
    let server = setup.start();
    // Over the one connection that this client keeps.
    let body = pushed_body("door").to_string();
    let mut raw = Raw::connect(server.address);
    let head = format!("POST /v1/streams HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    raw.send(&[head.as_bytes(), body.as_bytes()].concat());
    assert_eq!(raw.answer().status, 201);
    let first = server.socket(FRAMES);
    let mut waiting = Raw::connect(server.address);
    waiting.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    first.close();
    assert_eq!(waiting.answer().status, 200);
}

#[test]
fn a_message_may_come_in_pieces() {
    let server = server();
    let mut socket = server.socket(FRAMES);
    let message = frame(1, &good_jpeg());
    let (start, end) = message.split_at(100);
    let piece = |opcode: u8, piece: &[u8]| {
        // Masked, as what a client sends has to be; with a mask that changes nothing.
        let length = u16::try_from(piece.len()).expect("short").to_be_bytes();
        [&[opcode, 0xfe, length[0], length[1], 0, 0, 0, 0], piece].concat()
    };
    std::io::Write::write_all(socket.0.get_mut(), &piece(0x02, start)).expect("sent");
    std::io::Write::write_all(socket.0.get_mut(), &piece(0x80, end)).expect("sent");
    assert_eq!(socket.json()["frame_id"], 1);
}
