//! What finds the queue full is refused at once, with when to try again; what waits is answered.

use std::sync::mpsc::sync_channel;
use std::thread;

use vigia_testkit::{Gate, finds};

use crate::pictures::good_jpeg;
use crate::support::{GUARD, Setup, one_box};

/// Pictures that may wait encoded.
const WAITING: usize = 4;
/// Pictures that may be on their way to one instance: 2 for each, and one per decoding thread.
const WINDOW: usize = 4;
const POSTS: usize = 20;

#[test]
fn a_full_queue_is_503_and_what_waits_is_answered() {
    let (gated, gate) = Gate::before(finds(one_box()));
    let mut setup = Setup::new(gated);
    setup.config.limits.queue = WAITING;
    let server = setup.start();
    // Dropped before the server, should the test fail: a gate that is gone is an open one.
    let gate = gate;
    let (answered, answers) = sync_channel(POSTS);
    thread::scope(|scope| {
        for _ in 0..POSTS {
            let (client, answered) = (server.client(), answered.clone());
            scope.spawn(move || {
                let answer = client.post("/predict/", "image/jpeg", &good_jpeg());
                answered.send(answer).map_err(drop).expect("the test listens");
            });
        }
        for _ in 0..POSTS - WAITING - WINDOW {
            let refused = answers.recv_timeout(GUARD).expect("refused while the gate is closed");
            let detail = refused.problem(503, "queue-full");
            assert!(detail.contains("4 pictures wait") && detail.contains("try again"), "{detail}");
            assert_eq!(refused.header("retry-after"), "1");
        }
        // Health, models and metrics are told meanwhile.
        for path in ["/healthz", "/readyz", "/v1/models", "/metrics"] {
            assert_eq!(server.client().get(path).status, 200, "{path}");
        }
        for _ in 0..WAITING + WINDOW {
            gate.open();
            let answer = answers.recv_timeout(GUARD).expect("answered");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
}
