//! What finds the queue full is refused at once, with when to try again; what waits is answered.

use std::sync::mpsc::sync_channel;
use std::thread;

use vigia_testkit::{Gate, finds, spec};

use crate::pictures::good_jpeg;
use crate::support::{GUARD, PIPELINE, Setup, one_box};

/// Pictures that may wait (`limits.queue`).
const WAITING: usize = 4;
/// Pictures that are decoded, or are being decoded, ahead of the one instance: its batch, and 2.
const AHEAD: usize = 3;
const POSTS: usize = 20;

#[test]
fn a_full_queue_is_503_and_what_waits_is_answered() {
    let (gated, gate) = Gate::before(finds(one_box()));
    let mut setup = Setup::empty();
    setup.queue = WAITING;
    let server = setup.model(&spec("finder", 1), gated).pipeline(PIPELINE, "finder", None).start();
    let (answered, answers) = sync_channel(1 + POSTS);
    thread::scope(|scope| {
        // Dropped before the threads are joined, should the test fail: a gate that is gone is an open one.
        let gate = gate;
        let post = || {
            let (client, answered) = (server.client(), answered.clone());
            scope.spawn(move || {
                let answer = client.post("/predict/", "image/jpeg", &good_jpeg());
                answered.send(answer).map_err(drop).expect("the test listens");
            });
        };
        // One runs; from here on nothing changes but what is posted.
        post();
        gate.wait_for_batch();
        (0..POSTS).for_each(|_| post());
        for _ in 0..POSTS - AHEAD - WAITING {
            let refused = answers.recv_timeout(GUARD).expect("refused while the gate is closed");
            let detail = refused.problem(503, "queue-full");
            assert!(detail.contains("4 requests wait") && detail.contains("try again"), "{detail}");
            assert_eq!(refused.header("retry-after"), "1");
        }
        // Health, models and metrics are told meanwhile.
        for path in ["/healthz", "/readyz", "/v1/models", "/metrics"] {
            assert_eq!(server.client().get(path).status, 200, "{path}");
        }
        for _ in 0..1 + AHEAD + WAITING {
            gate.open();
            let answer = answers.recv_timeout(GUARD).expect("answered");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
}
