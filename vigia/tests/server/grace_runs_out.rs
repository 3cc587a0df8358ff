//! What does not end within the grace is given up, and counted.

use std::thread;
use std::time::Duration;

use vigia::server::Ended;
use vigia_testkit::{Gate, finds};

use crate::client::Raw;
use crate::pictures::good_jpeg;
use crate::support::{Setup, one_box, wait_until};

#[test]
fn what_is_left_is_counted() {
    let (gated, gate) = Gate::before(finds(one_box()));
    let mut setup = Setup::new(gated);
    setup.grace = Duration::from_millis(100);
    let server = setup.start();
    // Dropped before the server: a gate that is gone is an open one.
    let _gate = gate;
    let jpeg = good_jpeg();
    let head = format!(
        "POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        jpeg.len()
    );
    let clients: Vec<Raw> = thread::scope(|scope| {
        let send = || {
            let mut raw = Raw::connect(server.address);
            raw.send(head.as_bytes());
            raw.send(&jpeg);
            raw
        };
        let sending: Vec<_> = (0..3).map(|_| scope.spawn(send)).collect();
        sending.into_iter().map(|sending| sending.join().expect("no panic")).collect()
    });
    wait_until("all are accepted", || server.app.drain.under_way() == 3);
    server.app.end();
    assert_eq!(server.ended(), Ended::Unfinished(3));
    // Half an answer would be worse than none.
    clients.into_iter().for_each(Raw::assert_closed);
}
