//! SIGTERM under load: every picture and frame that was accepted is answered, exit status 0.

use std::io::{ErrorKind, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::Message;

use crate::serve::{Ended, GUARD, Serve, agent, sample};
use crate::socket::{Said, Socket, frame};
use crate::support::is_set_up;

const CLIENTS: usize = 8;

/// Sends pictures until it is refused; true when by an answer, false when nobody listens any more. Each that is taken has
/// its result.
fn until_refused(method: &str, url: impl Fn(u64) -> String, picture: &[u8], answered: &AtomicUsize) -> bool {
    let agent = agent();
    // Whether the next one goes over a connection that nothing was answered on.
    let mut fresh = true;
    for n in 1.. {
        let request = ureq::http::Request::builder().method(method).uri(url(n)).header("content-type", "image/jpeg");
        let mut response = match agent.run(request.body(picture).expect("a request")) {
            Ok(response) => response,
            Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => return false,
            // It was not taken yet when the door was shut: the system resets what waits there.
            Err(ureq::Error::Io(error)) if fresh && error.kind() == ErrorKind::ConnectionReset => return false,
            Err(error) => unreachable!("no answer: {error}"),
        };
        fresh = response.headers().get("connection").is_some_and(|told| told == "close");
        let text = response.body_mut().read_to_string().expect("no broken answer");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        match response.status().as_u16() {
            200 => assert!(answer["detections"].is_array(), "{answer}"),
            503 => {
                assert_eq!(answer["code"], "shutting-down", "{answer}");
                return true;
            }
            status => unreachable!("{status}: {answer}"),
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    unreachable!("numbers do not end")
}

/// Waits until so many have been answered.
fn wait_until_answered(answered: &AtomicUsize, enough: usize) {
    let until = Instant::now() + GUARD;
    while answered.load(Ordering::Relaxed) < enough {
        assert!(Instant::now() < until, "no answers");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn every_post_is_answered_or_refused() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let (url, picture) = (server.url("/v1/predict"), sample(1));
    let answered = AtomicUsize::new(0);
    let refused = thread::scope(|scope| {
        let client = || until_refused("POST", |_| url.clone(), &picture, &answered);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        wait_until_answered(&answered, 3 * CLIENTS);
        server.terminate();
        clients.into_iter().filter_map(|client| client.join().expect("no broken answer").then_some(())).count()
    });
    let Ended { status, stderr } = server.ended();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(refused > 0, "the door is not shut before anybody was told");
}

/// Pushes frames over a socket, a few of them always under way, until the server says goodbye: each message that it took is
/// answered, in order, and the goodbye comes last.
fn push_until_goodbye(mut socket: Socket, picture: &[u8], answered: &AtomicUsize) {
    const AHEAD: u64 = 8;
    (1..=AHEAD).for_each(|id| socket.push(id, picture));
    for id in 1.. {
        match socket.next() {
            Said::Json(answer) => {
                assert_eq!(answer["frame_id"], id, "{answer}");
                let refused = answer["problem"]["code"] == "shutting-down";
                assert!(answer["detections"].is_array() || refused, "{answer}");
                answered.fetch_add(1, Ordering::Relaxed);
                // One that is closing takes no more.
                let _gone = socket.try_send(Message::Binary(frame(id + AHEAD, picture).into()));
            }
            Said::Closed(code, _) => return assert_eq!(code, 1001),
            Said::Gone => unreachable!("no goodbye after {} answers", id - 1),
        }
    }
}

#[test]
fn with_pushers_and_sockets_everything_taken_is_answered() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    for id in ["put-0", "put-1", "socket-0", "socket-1"] {
        let cache = json!({"mode": "fifo", "frames": 100});
        server.add(&json!({"id": id, "source": "push", "latency": "1h", "timeout": "1h", "cache": cache}));
    }
    let (picture, answered) = (sample(1), AtomicUsize::new(0));
    let reader = server.socket("/v1/results");
    let events = agent().get(server.url("/v1/events/stream")).call().expect("an answer");
    thread::scope(|scope| {
        let (server, picture, answered) = (&server, &picture, &answered);
        let mut clients = Vec::new();
        for n in 0..2 {
            let put = move |id| server.url(&format!("/v1/streams/put-{n}/frames/{id}?wait=result"));
            clients.push(scope.spawn(move || {
                until_refused("PUT", put, picture, answered);
            }));
            let post = server.url("/predict/");
            clients.push(scope.spawn(move || {
                until_refused("POST", |_| post.clone(), picture, answered);
            }));
            let socket = server.socket(&format!("/v1/streams/socket-{n}/frames"));
            clients.push(scope.spawn(move || push_until_goodbye(socket, picture, answered)));
        }
        let mut reader = reader;
        clients.push(scope.spawn(move || assert_eq!(reader.rest().1, 1001)));
        wait_until_answered(answered, 40);
        server.terminate();
        for client in clients {
            client.join().expect("no broken answer");
        }
    });
    events.into_body().into_reader().read_to_end(&mut Vec::new()).expect("an orderly end");
    let Ended { status, stderr } = server.ended();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
}

#[test]
fn with_streams_and_listeners_too() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Serve::configured(folder.path(), "streams: {moving: {source: \"test://?width=320&height=240\"}}");
    let listeners = ["results", "live.mjpeg"].map(|what| {
        let response = agent().get(server.url(&format!("/v1/streams/moving/{what}"))).call().expect("an answer");
        let mut body = response.into_body().into_reader();
        body.read_exact(&mut [0; 100]).expect("something comes");
        body
    });
    server.terminate();
    for mut body in listeners {
        body.read_to_end(&mut Vec::new()).expect("an orderly end, not a connection that breaks");
    }
    let Ended { status, stderr } = server.ended();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
}
