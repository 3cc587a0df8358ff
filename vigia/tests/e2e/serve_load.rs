//! Many pictures at once: none fails, and memory does not grow.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::serve::{Serve, agent, post, sample};
use crate::support::is_set_up;

const POSTS: usize = 1000;
const CONCURRENCY: usize = 32;

/// The memory that a process has of the machine's, in kB.
fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn a_thousand_posts_at_concurrency_32() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let (url, pictures) = (server.url("/predict/"), [1, 2, 3, 4, 5, 6].map(sample));
    let half = || {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..CONCURRENCY {
                scope.spawn(|| {
                    let agent = agent();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= POSTS / 2 {
                            break;
                        }
                        let answer = post(&agent, &url, &pictures[n % pictures.len()]);
                        let (status, result) = answer.expect("an answer");
                        assert_eq!(status, 200, "{result}");
                    }
                });
            }
        });
        resident(server.pid())
    };
    let (first, second) = (half(), half());
    match first.zip(second) {
        // What pools and allocators keep varies; of what leaks, the second half leaves as much as the first.
        Some((first, second)) => assert!(second * 4 <= first * 5, "{first} kB after a half, {second} kB after both"),
        None => eprintln!("skipped: no /proc that tells of memory"),
    }
    for model in server.get("/v1/models")["models"].as_array().expect("models") {
        assert_eq!((&model["refused"], &model["failed"], &model["waiting"]), (&0.into(), &0.into(), &0.into()));
    }
    server.assert_ends_in_order();
}
