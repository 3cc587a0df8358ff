//! Many clients that add, change, push into, follow and remove the same few streams at the same time: each is answered with
//! something that makes sense, and in the end nothing is left.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use vigia_testkit::boxes_by_frame;

use crate::client::Events;
use crate::support::{Server, Setup, pushed_body, wait_until, with};

const IDS: [&str; 3] = ["storm1", "storm2", "storm3"];
const ROUNDS: usize = 60;

fn server() -> Server {
    Setup::new(boxes_by_frame()).start()
}

#[test]
fn only_one_of_them_gets_an_id() {
    let server = server();
    for _ in 0..20 {
        let added = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let answer = server.client().post_json("/v1/streams", &pushed_body("door"));
                    match answer.status {
                        201 => drop(added.fetch_add(1, Ordering::Relaxed)),
                        _ => drop(answer.problem(409, "stream-exists")),
                    }
                });
            }
        });
        assert_eq!(added.into_inner(), 1);
        server.remove("door");
    }
}

#[test]
fn whatever_they_do_nothing_is_left() {
    let server = server();
    thread::scope(|scope| {
        let work = |n: usize| {
            let (server, client) = (&server, server.client());
            move || {
                for round in 0..ROUNDS {
                    // Another order for each, the same at every run.
                    let step = round * 7 + n * 5;
                    let id = IDS[(round * n + step / 3) % IDS.len()];
                    let path = format!("/v1/streams/{id}");
                    let (answer, allowed): (_, &[u16]) = match step % 8 {
                        0 | 1 => {
                            let short = json!({"timeout": "100ms", "linger": "0s"});
                            let body =
                                if step.is_multiple_of(3) { with(pushed_body(id), short) } else { pushed_body(id) };
                            (client.post_json("/v1/streams", &body), &[201, 409])
                        }
                        2 => (client.send("DELETE", &path, &[], &[]), &[204, 404]),
                        3 => (client.patch(id, &json!({"every": 1 + step % 2})), &[200, 404]),
                        4 => (client.patch(id, &json!({"cache": {"frames": 1 + step % 5}})), &[200, 404]),
                        5 => (server.put(id, round as u64, ""), &[202, 404, 409]),
                        6 => (server.put(id, round as u64, "?wait=result"), &[200, 404, 409, 503]),
                        _ => (client.get(&path), &[200, 404]),
                    };
                    assert!(allowed.contains(&answer.status), "step {}: {}", step % 8, answer.text());
                }
            }
        };
        let hands: Vec<_> = (1..=6).map(|n| scope.spawn(work(n))).collect();
        // Meanwhile somebody looks at all of it.
        let mut changes = Events::changes(&server.client(), Some(0));
        while !hands.iter().all(thread::ScopedJoinHandle::is_finished) {
            let list = server.client().get("/v1/streams").json();
            list["streams"].as_array().expect("streams").iter().for_each(crate::support::assert_adds_up);
            assert_eq!(changes.next().map(|event| event.name), Some("state".to_owned()));
            server.add(&pushed_body("other"));
            server.remove("other");
        }
    });
    for id in IDS {
        server.client().send("DELETE", &format!("/v1/streams/{id}"), &[], &[]);
    }
    assert_eq!(server.client().get("/v1/streams").json(), json!({"streams": []}));
    let metrics = server.client().get("/metrics").text();
    assert!(!metrics.contains("storm"), "{metrics}");
    let all = server.app.limits.cache;
    wait_until("all memory is given back", || server.app.reserve(all).is_ok());
    server.assert_unharmed();
}
