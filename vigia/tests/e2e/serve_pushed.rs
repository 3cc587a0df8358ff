//! Frames that are pushed to the real server: by themselves, over a WebSocket, into a socket of the stream's own.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};

use crate::serve::{GUARD, Serve, sample};
use crate::support::is_set_up;

/// What depends on the picture alone. Landmarks of a stream come with a later frame.
fn found(result: &Value) -> Vec<[&Value; 4]> {
    let faces = result["detections"].as_array().expect("a list");
    assert!(!faces.is_empty(), "{result}");
    faces.iter().map(|face| ["class", "class_id", "confidence", "box"].map(|key| &face[key])).collect()
}

#[test]
fn they_get_what_posts_get() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let (status, posted) = server.post("/predict/", &sample(1));
    assert_eq!(status, 200, "{posted}");
    server.add(&json!({"id": "door", "source": "push", "latency": "1h"}));
    let mut results = server.socket("/v1/results?stream=door");
    let (status, result) = server.put("door", 7, &sample(1));
    assert_eq!((status, &result["stream"], &result["frame_id"]), (200, &json!("door"), &json!(7)));
    assert_eq!(found(&result), found(&posted));
    assert_eq!(results.json(), result);
    let mut frames = server.socket("/v1/streams/door/frames");
    frames.push(8, &sample(1));
    let result = frames.json();
    assert_eq!((&result["frame_id"], found(&result)), (&json!(8), found(&posted)));
    assert_eq!(results.json(), result);
    frames.close();
    results.close();
    server.assert_ends_in_order();
}

/// Sends a picture as a part of a motion JPEG, as cameras do, with its number.
fn send_part(socket: &mut TcpStream, frame_id: u64, jpeg: &[u8]) {
    let length = jpeg.len();
    let head =
        format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\nX-Frame-Id: {frame_id}\r\n\r\n");
    socket.write_all(&[head.as_bytes(), jpeg, b"\r\n"].concat()).expect("sent");
}

fn connect(stream: &Value) -> TcpStream {
    let url = stream["url"].as_str().expect("where to connect");
    TcpStream::connect(url.rsplit('/').next().unwrap_or_default()).expect("it listens")
}

#[test]
fn a_socket_of_its_own_takes_them_and_numbers_are_kept() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let source = "tcp-listen://127.0.0.1:0";
    let stream = server.add(&json!({"id": "door", "source": source, "latency": "1h", "timeout": "1h"}));
    assert_eq!(stream["state"], "connecting");
    let mut results = server.socket("/v1/results?stream=door");
    let mut socket = connect(&stream);
    for frame_id in [40, 41, 50] {
        send_part(&mut socket, frame_id, &sample(1));
        let result = results.json();
        assert_eq!(result["frame_id"], frame_id, "{result}");
        found(&result);
    }
    assert_eq!(server.get("/v1/streams/door")["state"], "online");
    server.assert_ends_in_order();
}

#[test]
fn one_that_starts_anew_listens_on_the_same_port() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    // A port that is known before, so that both lives want it.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let source = format!("tcp-listen://{free}");
    server.add(&json!({"id": "door", "source": source, "latency": "1h", "timeout": "1h"}));
    for frames in 2..6 {
        let change = json!({"cache": {"frames": frames}});
        let stream = server.json("PATCH", "/v1/streams/door", &change, 200);
        let mut results = server.socket("/v1/results?stream=door");
        send_part(&mut connect(&stream), 1, &sample(1));
        assert_eq!(results.json()["frame_id"], 1);
    }
    // Another stream cannot have it.
    let answer = server.json("POST", "/v1/streams", &json!({"id": "yard", "source": source}), 422);
    assert_eq!(answer["code"], "source-unusable", "{answer}");
    server.assert_ends_in_order();
}

#[test]
fn a_port_that_is_in_use_is_taken_once_it_is_free() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let source = format!("tcp-listen://{}", taken.local_addr().expect("bound"));
    let options = "latency: 1h, timeout: 1h, retry: {initial: 10ms, max: 10ms}";
    let config = format!("streams: {{door: {{source: \"{source}\", {options}}}}}\n");
    let server = Serve::configured(folder.path(), &config);
    let waits = server.wait_for("/v1/streams/door", "it tries again", |stream| stream["state"] == "retrying");
    assert!(waits["last_error"].as_str().is_some_and(|error| error.contains("something else listens")), "{waits}");
    drop(taken);
    let mut results = server.socket("/v1/results?stream=door");
    let address = source.rsplit('/').next().unwrap_or_default();
    let until = Instant::now() + GUARD;
    let mut socket = loop {
        match TcpStream::connect(address) {
            Ok(socket) => break socket,
            Err(error) => assert!(Instant::now() < until, "nobody listens: {error}"),
        }
    };
    send_part(&mut socket, 3, &sample(1));
    assert_eq!(results.json()["frame_id"], 3);
    server.terminate();
    let ended = server.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
}

#[test]
fn one_that_hears_nothing_ends_and_leaves() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let short = |id: &str, source: &str| json!({"id": id, "source": source, "timeout": "100ms", "linger": "100ms"});
    server.add(&json!({"id": "stays", "source": "push", "latency": "1h", "timeout": "1h"}));
    server.add(&short("pushed", "push"));
    server.add(&short("listens", "tcp-listen://127.0.0.1:0"));
    server.wait_for("/v1/streams", "they have left", |list| list["streams"].as_array().map(Vec::len) == Some(1));
    assert_eq!(server.put("stays", 1, &sample(1)).0, 200);
    server.assert_ends_in_order();
}
