//! SIGTERM under load: every accepted picture is answered, exit status 0.

use std::io::{ErrorKind, Read as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::serve::{Ended, GUARD, Serve, agent, sample};
use crate::support::is_set_up;

const CLIENTS: usize = 8;

#[test]
fn every_post_is_answered_or_refused() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let (url, picture) = (server.url("/v1/predict"), sample(1));
    let answered = AtomicUsize::new(0);
    let refused = thread::scope(|scope| {
        // Posts until it is refused; true when by an answer, false when nobody listens any more.
        let client = || {
            let agent = agent();
            // Whether the next post goes over a connection that nothing was answered on.
            let mut fresh = true;
            loop {
                let mut response = match agent.post(&url).header("content-type", "image/jpeg").send(&picture) {
                    Ok(response) => response,
                    Err(ureq::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => return false,
                    // It was not taken yet when the door was shut: the system resets what waits there.
                    Err(ureq::Error::Io(error)) if fresh && error.kind() == ErrorKind::ConnectionReset => return false,
                    Err(error) => panic!("no answer: {error}"),
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
                    status => panic!("{status}: {answer}"),
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let until = Instant::now() + GUARD;
        while answered.load(Ordering::Relaxed) < 3 * CLIENTS {
            assert!(Instant::now() < until, "no answers");
            thread::sleep(Duration::from_millis(1));
        }
        server.terminate();
        clients.into_iter().filter_map(|client| client.join().expect("no broken answer").then_some(())).count()
    });
    let Ended { status, stderr } = server.ended();
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(refused > 0, "the door is not shut before anybody was told");
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
