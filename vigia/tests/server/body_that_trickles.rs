//! Clients that are too slow, or go away: each gets an answer where it can, and holds nothing.

use std::time::Duration;

use vigia_testkit::finds;

use crate::client::Raw;
use crate::support::{Server, Setup, one_box, wait_until};

/// How long a body may take.
const TIMEOUT: Duration = Duration::from_millis(500);

/// One that waits for bodies that long only. A good body would have to be as quick: none is sent to it.
fn server() -> Server {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.body_timeout = TIMEOUT;
    setup.start()
}

#[test]
fn a_body_that_does_not_come_in_time_is_408() {
    let server = server();
    for length in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut raw = Raw::connect(server.address);
        let head = format!("POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n{length}\r\n\r\n");
        let start: &[u8] = if length.starts_with('C') { b"abc" } else { b"3\r\nabc\r\n" };
        // Together: they come together.
        raw.send(&[head.as_bytes(), start].concat());
        let detail = raw.answer().problem(408, "body-timeout");
        assert!(detail.contains("500ms") && detail.contains("3 bytes"), "{detail}");
    }
    wait_until("nothing is under way", || server.app.drain.under_way() == 0);
    assert_eq!(server.client().get("/healthz").status, 200);
}

#[test]
fn one_that_keeps_coming_byte_by_byte_is_408_too() {
    let server = server();
    let mut raw = Raw::connect(server.address);
    raw.send(b"POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n");
    let mut sender = raw.0.try_clone().expect("a socket");
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            use std::io::Write as _;
            while sender.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        raw.answer().problem(408, "body-timeout");
        raw.0.shutdown(std::net::Shutdown::Both).ok();
        sending.join().expect("no panic");
    });
}

#[test]
fn a_head_that_does_not_come_in_time_ends_the_connection() {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.idle_timeout = TIMEOUT;
    let server = setup.start();
    let mut raw = Raw::connect(server.address);
    raw.send(b"POST /predict/ HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    raw.assert_closed();
    assert!(!server.app.drain.is_ending());
}

#[test]
fn a_body_that_breaks_off_is_said_to_whoever_still_listens() {
    let server = Server::plain();
    let mut raw = Raw::connect(server.address);
    raw.send(b"POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\nabc");
    raw.say_no_more();
    let detail = raw.answer().problem(400, "incomplete-body");
    assert!(detail.contains("3 bytes"), "{detail}");
}

#[test]
fn one_that_goes_away_holds_nothing() {
    let server = Server::plain();
    for _ in 0..50 {
        let mut raw = Raw::connect(server.address);
        raw.send(b"POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\nabc");
    }
    wait_until("nothing is under way", || server.app.drain.under_way() == 0);
    let all = server.app.limits.cache;
    wait_until("all memory is given back", || server.app.reserve(all).is_ok());
    server.assert_unharmed();
}
