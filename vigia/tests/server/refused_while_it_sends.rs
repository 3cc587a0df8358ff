//! Whoever is refused before the body was read gets to send it, and to read why: a connection that is closed on what is
//! still being sent takes the answer away.

use vigia_testkit::finds;

use crate::client::{Answer, Raw};
use crate::support::{Server, Setup, one_box};

/// More than sockets hold.
const LENGTH: usize = 15_000_000;

fn send_all(server: &Server, path: &str, kind: &str) -> Answer {
    let mut raw = Raw::connect(server.address);
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: {LENGTH}\r\n\r\n");
    raw.send(head.as_bytes());
    raw.send(&vec![b'x'; LENGTH]);
    raw.answer()
}

#[test]
fn for_what_the_head_says() {
    let server = Server::plain();
    send_all(&server, "/predict/?model=nobody", "image/jpeg").problem(404, "unknown-model");
    send_all(&server, "/predict/?conf=2", "image/jpeg").problem(422, "invalid-parameter");
    send_all(&server, "/predict/", "text/plain").problem(415, "unsupported-media-type");
}

#[test]
fn for_what_the_server_has_no_room_for() {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.cache = setup.config.limits.body;
    let server = setup.start();
    let _taken = server.app.reserve(server.app.limits.cache - 1_000_000).expect("nothing else is there");
    send_all(&server, "/predict/", "image/jpeg").problem(503, "overloaded");
}

#[test]
fn by_a_server_that_ends() {
    let server = Server::plain();
    // Something is under way: the server does not end while it is asked.
    let held = server.app.drain.begin().expect("not ending yet");
    server.app.end();
    send_all(&server, "/predict/", "image/jpeg").problem(503, "shutting-down");
    drop(held);
    assert_eq!(server.ended(), vigia::server::Ended::Finished);
}
