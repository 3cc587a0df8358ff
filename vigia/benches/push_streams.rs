//! What a pushed frame costs the server around the model: 10, 100 and 1,000 streams at one picture of 320×180 a second each,
//! over a model that answers at once. The cost is decoding, queueing, settling and publishing; it should not grow with the
//! number of streams.
//!
//! `cargo bench -p vigia --bench push_streams -- [SECONDS] [FILE.json]`. Reads /proc: Linux only.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use vigia::app::{App, Served, ServedModel, ServedPipeline, StreamSetup};
use vigia::config::{Config, StreamConfig};
use vigia::events::Events;
use vigia::streams::PushedOnly;
use vigia::wire::PipelineWire;
use vigia_core::detection::Detection;
use vigia_core::geometry::{BBox, Size};
use vigia_core::source::EncodedPicture;
use vigia_engine::metrics::Metrics;
use vigia_engine::pipeline::Pipeline;
use vigia_testkit::{batcher_with, finds, spec};
use vigia_vision::picture::{RgbImage, encode_jpeg};

const STREAMS: [u32; 3] = [10, 100, 1000];

fn main() {
    // Cargo says `--bench`, too.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let json = arguments.next().map(PathBuf::from);
    let picture = picture();
    println!("{} bytes of JPEG, 320x180, 1 a second from each stream, for {seconds} s", picture.len());
    println!(
        "{:>8} {:>8} {:>9} {:>12} {:>9} {:>9} {:>9} {:>8}",
        "streams", "frames", "inferred", "us of CPU", "p50 ms", "p99 ms", "MiB", "threads"
    );
    let mut rows = Vec::new();
    for streams in STREAMS {
        rows.push(measure(streams, seconds, &picture));
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&rows).expect("numbers");
        std::fs::write(path, text + "\n").expect("written");
    }
}

fn measure(streams: u32, seconds: u32, picture: &[u8]) -> serde_json::Value {
    let app = app();
    let config = StreamConfig {
        pipeline: "plain".to_owned(),
        timeout: Duration::from_mins(1),
        latency: Duration::from_secs(1),
        ..StreamConfig::at("push")
    };
    let all: Vec<_> = (0..streams).map(|n| app.streams.add(&format!("stream-{n}"), &config).expect("added")).collect();
    // One second before it counts: pools fill, threads start.
    push(&all, 0, 1, picture);
    let before = processor_time();
    push(&all, 1, seconds, picture);
    let cost = processor_time().saturating_sub(before);
    let frames = streams * seconds;
    let status: Vec<_> = all.iter().map(|stream| stream.status()).collect();
    let inferred: u64 = status.iter().map(|status| status.frames.inferred).sum::<u64>() - u64::from(streams);
    let mut latency: Vec<_> = status.iter().filter_map(|s| s.latency_ms.as_ref()).map(|l| (l.p50, l.p99)).collect();
    latency.sort_by(|a, b| a.0.total_cmp(&b.0));
    let p50 = latency.get(latency.len() / 2).map_or(0.0, |l| l.0);
    let p99 = latency.iter().map(|l| l.1).fold(0.0, f64::max);
    let each = cost.as_secs_f64() * 1e6 / f64::from(frames);
    let (memory, threads) = usage();
    println!("{streams:>8} {frames:>8} {inferred:>9} {each:>12.0} {p50:>9.2} {p99:>9.2} {memory:>9.0} {threads:>8}");
    serde_json::json!({"streams": streams, "frames": frames, "inferred": inferred, "cpu_us_per_frame": each.round(),
        "p50_ms": p50, "p99_ms_worst_stream": p99, "rss_mib": memory.round(), "threads": threads})
}

/// Pushes a frame a second into each stream, evenly, and waits until all have their results.
fn push(streams: &[Arc<vigia::live::LiveStream>], first: u32, seconds: u32, picture: &[u8]) {
    let (started, count) = (Instant::now(), streams.len() as u32);
    for second in 0..seconds {
        for (n, stream) in streams.iter().enumerate() {
            let due = Duration::from_secs(u64::from(second)) + Duration::from_secs(1) * n as u32 / count;
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            let frame_id = Some(u64::from(first + second));
            let frame = EncodedPicture { frame_id, captured_at: SystemTime::now(), bytes: picture.to_vec() };
            stream.push(frame, None).expect("taken");
        }
    }
    while streams.iter().any(|stream| stream.status().frames.pending > 0) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A server without HTTP over a model that finds one box in every picture, at once.
fn app() -> App {
    let metrics = Metrics::default();
    let found = vec![Detection::new(0, 0.9, BBox { x1: 10.0, y1: 5.0, x2: 40.0, y2: 35.0 })];
    let batcher = Arc::new(batcher_with(&spec("finder", 1), 64, 2, finds(found), metrics.model("finder")));
    let served = ServedModel { batcher: batcher.clone(), device: "cpu".to_owned(), instances: 2, threads: 1 };
    let wire = PipelineWire { name: "plain".to_owned(), detect: "finder".to_owned(), stages: Vec::new() };
    let pipeline = ServedPipeline { wire, pipeline: Arc::new(Pipeline::new(batcher, Vec::new())) };
    let served = Served { models: BTreeMap::from([("finder".to_owned(), served)]), pipelines: vec![pipeline] };
    let events = Events::in_memory(&Config::default().events).expect("threads");
    let setup = StreamSetup { feeds: Box::new(PushedOnly), store: None, config_file: None, events };
    App::new(served, &Config::default(), 2, metrics, setup).expect("threads")
}

/// Something of a picture: a gradient with a pattern in it.
fn picture() -> Vec<u8> {
    let mut picture = RgbImage::new(Size::new(320, 180));
    for (i, byte) in picture.bytes_mut().iter_mut().enumerate() {
        *byte = (i / 960 + i % 97 / 8 * 16) as u8;
    }
    encode_jpeg(&picture, 80).expect("encoded")
}

/// Of all threads together.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

/// MiB, and threads.
fn usage() -> (f64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let rss =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse::<f64>().ok());
    (rss.unwrap_or(0.0) / 1024.0, std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count))
}
