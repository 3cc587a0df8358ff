//! A client that asks much and reads nothing holds its connection only for so long.

use std::time::Duration;

use vigia_testkit::finds;

use crate::client::Raw;
use crate::support::{Setup, one_box};

#[test]
fn the_only_connection_is_free_again() {
    let mut setup = Setup::new(finds(one_box()));
    setup.config.limits.connections = 1;
    setup.config.limits.body_timeout = Duration::from_millis(300);
    let server = setup.start();
    let mut greedy = Raw::connect(server.address);
    // Tens of megabytes of answers: more than any socket keeps for one that does not read.
    greedy.send(&b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000));
    assert_eq!(server.client().get("/healthz").status, 200);
    drop(greedy);
}
