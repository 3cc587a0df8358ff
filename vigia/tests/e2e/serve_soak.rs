//! Streams that come and go leave no thread, no open file, no metric and no memory behind in the real server.
//!
//! `VIGIA_SOAK` says how often; without it, as often as takes a few seconds.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use crate::serve::{GUARD, Serve, agent};
use crate::support::is_set_up;

fn cycles(few: u64) -> u64 {
    std::env::var("VIGIA_SOAK").map_or(few, |text| text.parse().expect("VIGIA_SOAK is a number"))
}

/// What a process holds of the system.
#[derive(Clone, Copy, Debug)]
struct Held {
    threads: usize,
    files: usize,
    /// Resident memory in kB.
    memory: u64,
}

impl Held {
    fn by(server: &Serve) -> Option<Self> {
        let process = PathBuf::from(format!("/proc/{}", server.pid()));
        let count = |folder: &str| std::fs::read_dir(process.join(folder)).ok().map(Iterator::count);
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let memory = memory.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(Self { threads: count("task")?, files: count("fd")?, memory })
    }
}

/// Runs the cycle a few times, so that everything is there that stays, and then as often as is wanted: afterwards there is
/// no more than before.
fn assert_flat(server: &Serve, cycles: u64, cycle: impl Fn(u64)) {
    const WARM: u64 = 20;
    (0..WARM).for_each(&cycle);
    // A connection more or less is ours, not the server's.
    server.hang_up();
    let Some(before) = Held::by(server) else {
        eprintln!("skipped: no /proc that tells of threads, files and memory");
        return;
    };
    (WARM..WARM + cycles).for_each(&cycle);
    server.hang_up();
    let until = Instant::now() + GUARD;
    let after = loop {
        let now = Held::by(server).expect("it was there before");
        if now.threads <= before.threads && now.files <= before.files {
            break now;
        }
        assert!(Instant::now() < until, "{before:?} before {cycles} cycles, {now:?} after");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    eprintln!("{before:?} before {cycles} cycles, {after:?} after");
    // What pools and allocators keep comes and goes; what leaks grows with each cycle.
    let most = 2 * before.memory + cycles * 4;
    assert!(after.memory < most, "{before:?} before {cycles} cycles, {after:?} after");
    assert!(!server.metrics().contains("soak"), "metrics of streams that are gone");
}

/// What takes a model no longer than it must.
fn small_picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(64, 48).write_to(&mut bytes, image::ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

#[test]
fn with_frames_that_are_pushed() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let picture = small_picture();
    assert_flat(&server, cycles(100), |cycle| {
        let id = format!("soak{}", cycle % 3);
        server.add(&json!({"id": id, "source": "push", "latency": "1h"}));
        let (status, result) = server.put(&id, 1, &picture);
        assert_eq!(status, 200, "{result}");
        let mut socket = server.socket(&format!("/v1/streams/{id}/frames"));
        socket.push(2, &picture);
        // Whether it comes to that or not.
        socket.push(3, &picture);
        assert_eq!(socket.json()["frame_id"], 2);
        server.remove(&id);
        assert_eq!(socket.rest().1, 1000);
    });
    server.assert_ends_in_order();
}

#[test]
fn with_sources_that_are_opened() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    assert_flat(&server, cycles(50), |cycle| {
        let id = format!("soak{}", cycle % 3);
        server.add(&json!({"id": id, "source": "test://?width=320&height=240&fps=30"}));
        let path = format!("/v1/streams/{id}/results");
        let response = agent().get(server.url(&path)).call().expect("an answer");
        let mut results = response.into_body().into_reader();
        std::io::Read::read_exact(&mut results, &mut [0; 100]).expect("a result");
        server.remove(&id);
        std::io::Read::read_to_end(&mut results, &mut Vec::new()).expect("an orderly end");
    });
    server.assert_ends_in_order();
}

#[test]
fn with_sources_that_fail() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    assert_flat(&server, cycles(50), |cycle| {
        let id = format!("soak{}", cycle % 3);
        server.add(&json!({"id": id, "source": "rtsp://127.0.0.1:1/a", "retry": {"initial": "10ms", "max": "10ms"}}));
        let path = format!("/v1/streams/{id}");
        server.wait_for(&path, "it could not be reached", |stream| stream["state"] == "retrying");
        server.remove(&id);
    });
    server.assert_ends_in_order();
}

#[test]
fn with_sockets_of_their_own() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    assert_flat(&server, cycles(50), |cycle| {
        let id = format!("soak{}", cycle % 3);
        let stream = server.add(&json!({"id": id, "source": "tcp-listen://127.0.0.1:0", "timeout": "1h"}));
        let url = stream["url"].as_str().expect("where to connect");
        let connected = std::net::TcpStream::connect(url.rsplit('/').next().unwrap_or_default());
        server.remove(&id);
        drop(connected.expect("it listens"));
    });
    server.assert_ends_in_order();
}
