//! A server that ends answers what it has, refuses what is new, and then is finished.

use std::sync::mpsc::sync_channel;
use std::thread;

use vigia::server::{Bound, Ended};
use vigia_testkit::{Gate, finds};

use crate::client::Raw;
use crate::pictures::good_jpeg;
use crate::support::{GUARD, Server, Setup, one_box, wait_until};

const POSTS: usize = 16;

#[test]
fn under_load_everything_accepted_is_answered() {
    let (gated, gate) = Gate::before(finds(one_box()));
    let server = Setup::new(gated).start();
    let (answered, answers) = sync_channel(POSTS);
    thread::scope(|scope| {
        // Dropped before the threads are joined, should the test fail: a gate that is gone is an open one.
        let gate = gate;
        for _ in 0..POSTS {
            let (client, answered) = (server.client(), answered.clone());
            scope.spawn(move || {
                let answer = client.post("/predict/", "image/jpeg", &good_jpeg());
                answered.send(answer).map_err(drop).expect("the test listens");
            });
        }
        wait_until("all are accepted", || server.app.drain.under_way() == POSTS);
        gate.wait_for_batch();
        server.app.end();
        // New connections and what was there before are told.
        for path in ["/predict/", "/predict", "/v1/predict"] {
            let answer = server.client().post(path, "image/jpeg", &good_jpeg());
            let detail = answer.problem(503, "shutting-down");
            assert!(detail.contains("shutting down"), "{detail}");
            assert_eq!(answer.header("connection"), "close");
        }
        server.client().get("/readyz").problem(503, "shutting-down");
        assert_eq!(server.client().get("/healthz").status, 200);
        assert!(answers.try_recv().is_err(), "all stand at the gate");
        (0..POSTS).for_each(|_| gate.open());
        for _ in 0..POSTS {
            let answer = answers.recv_timeout(GUARD).expect("answered");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
    assert_eq!(server.ended(), Ended::Finished);
}

#[test]
fn a_body_that_is_still_coming_is_waited_for() {
    let server = Server::plain();
    let jpeg = good_jpeg();
    let mut raw = Raw::connect(server.address);
    let head = format!(
        "POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        jpeg.len()
    );
    raw.send(head.as_bytes());
    raw.send(&jpeg[..100]);
    wait_until("it is accepted", || server.app.drain.under_way() == 1);
    server.app.end();
    raw.send(&jpeg[100..]);
    let answer = raw.answer();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.ended(), Ended::Finished);
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    let mut setup = Setup::new(finds(one_box()));
    // Well below the time that an idle connection may take.
    setup.grace = GUARD / 2;
    let server = setup.start();
    let mut kept = Raw::connect(server.address);
    kept.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(kept.answer().status, 200);
    let silent = Raw::connect(server.address);
    server.app.end();
    assert_eq!(server.ended(), Ended::Finished);
    kept.assert_closed();
    silent.assert_closed();
}

#[test]
fn the_port_is_free_afterwards() {
    let is_free = || {
        let server = Server::plain();
        let address = server.address;
        server.assert_unharmed();
        server.app.end();
        assert_eq!(server.ended(), Ended::Finished);
        drop(server);
        Bound::listen(&address.to_string()).is_ok()
    };
    // Somebody else on this machine may be quick; three times in a row nobody is.
    assert!((0..3).any(|_| is_free()));
}
