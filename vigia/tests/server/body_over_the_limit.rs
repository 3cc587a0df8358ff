//! A body over the limit is refused before all of it was read, and whoever still sends gets to read that.

use std::io::Write as _;
use std::thread;

use serde_json::json;
use vigia_testkit::finds;

use crate::client::Raw;
use crate::pictures::{MULTIPART, base64, multipart};
use crate::support::{Server, Setup, one_box};

const LIMIT: usize = 100_000;

fn server() -> Server {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.body = LIMIT as u64;
    setup.start()
}

fn head(length: &str) -> Vec<u8> {
    format!("POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n{length}\r\n\r\n").into_bytes()
}

#[test]
fn by_its_declared_length_before_it_came() {
    let server = server();
    for length in [LIMIT as u64 + 1, 1_000_000_000_000_000] {
        let mut raw = Raw::connect(server.address);
        raw.send(&head(&format!("Content-Length: {length}")));
        // Nothing more is sent.
        let detail = raw.answer().problem(413, "body-too-large");
        assert!(detail.contains("100000 bytes") && detail.contains("limits.body"), "{detail}");
    }
    server.assert_unharmed();
}

#[test]
fn by_what_came_while_the_client_goes_on_sending() {
    let server = server();
    let bodies = [
        (head("Transfer-Encoding: chunked"), [b"2000\r\n".as_slice(), &[7; 0x2000], b"\r\n"].concat()),
        (head("Content-Length: 1000000000"), vec![7; 0x2000]),
    ];
    for (head, piece) in bodies {
        let mut raw = Raw::connect(server.address);
        let mut sender = raw.0.try_clone().expect("a socket");
        raw.send(&head);
        let detail = thread::scope(|scope| {
            // Until the server has had enough of it.
            let sending = scope.spawn(move || while sender.write_all(&piece).is_ok() {});
            let detail = raw.answer().problem(413, "body-too-large");
            raw.0.shutdown(std::net::Shutdown::Both).ok();
            sending.join().expect("no panic");
            detail
        });
        assert!(detail.contains("100000 bytes"), "{detail}");
    }
    server.assert_unharmed();
}

#[test]
fn a_client_that_asks_first_sends_nothing() {
    let server = server();
    let mut raw = Raw::connect(server.address);
    raw.send(&head("Content-Length: 100001\r\nExpect: 100-continue"));
    raw.answer().problem(413, "body-too-large");
    let mut raw = Raw::connect(server.address);
    raw.send(&head("Content-Length: 4\r\nExpect: 100-continue"));
    assert_eq!(raw.answer().status, 100);
    raw.send(b"text");
    raw.answer().problem(422, "not-a-picture");
}

#[test]
fn what_fits_exactly_is_read_in_every_form() {
    let server = server();
    let client = server.client();
    let largest = vec![b'x'; LIMIT];
    client.post("/predict/", "image/jpeg", &largest).problem(422, "not-a-picture");
    client.post("/predict/", MULTIPART, &multipart(&[("file", &largest)])).problem(422, "not-a-picture");
    client.post_json("/predict/", &json!({"base64": base64(&largest)})).problem(422, "not-a-picture");
    // One byte more is too much, wherever it is noticed.
    let larger = vec![b'x'; LIMIT + 1];
    client.post("/predict/", "image/jpeg", &larger).problem(413, "body-too-large");
    client.post("/predict/", MULTIPART, &multipart(&[("file", &larger)])).problem(413, "body-too-large");
    client.post_json("/predict/", &json!({"base64": base64(&larger)})).problem(413, "body-too-large");
}

#[test]
fn all_bodies_together_have_a_limit_too() {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.body = LIMIT as u64;
    setup.config.limits.cache = LIMIT as u64;
    let server = setup.start();
    let mut first = Raw::connect(server.address);
    // It may send once it has its memory.
    first.send(&head("Content-Length: 90000\r\nExpect: 100-continue"));
    assert_eq!(first.answer().status, 100);
    let answer = server.client().post("/predict/", "image/jpeg", &vec![b'x'; 50_000]);
    let detail = answer.problem(503, "overloaded");
    assert!(detail.contains("limits.cache"), "{detail}");
    first.send(&vec![b'x'; 90_000]);
    first.answer().problem(422, "not-a-picture");
    server.assert_unharmed();
}
