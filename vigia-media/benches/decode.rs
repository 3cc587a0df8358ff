//! Pictures per second from a file to a sink that does nothing: `cargo bench -p vigia-media [-- FILE [THREADS...]]`.
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use vigia_core::frame::Frame;
use vigia_core::id::StreamRef;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source as _, SourceError};
use vigia_media::{IngestOptions, MediaSource};

struct Count(u64, SyncSender<(u64, Result<(), SourceError>)>);

impl FrameSink for Count {
    fn frame(&mut self, _: Frame) -> Flow {
        self.0 += 1;
        Flow::Continue
    }

    fn picture(&mut self, _: EncodedPicture) -> Flow {
        Flow::Continue
    }

    fn trouble(&mut self, _: &SourceError) {}

    fn end(&mut self, outcome: Result<(), SourceError>) {
        let _ = self.1.send((self.0, outcome));
    }
}

/// Processor time of this process so far, in milliseconds.
fn processor_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    let ticks: f64 = after_name.split(' ').skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks * 10.0
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/people.mp4");
    let file = args.next().unwrap_or_else(|| default.to_string_lossy().into_owned());
    let mut threads: Vec<Option<u32>> = args.map(|arg| arg.parse().ok()).collect();
    if threads.is_empty() {
        threads = vec![None, Some(1), Some(2), Some(3)];
    }
    for decode_threads in threads {
        for _ in 0..5 {
            let options = IngestOptions { decode_threads, ..IngestOptions::default() };
            let source = match MediaSource::open(&file, StreamRef { id: "bench".into(), generation: 0 }, options) {
                Ok(source) => Box::new(source),
                Err(error) => {
                    println!("skipped: {error}");
                    return;
                }
            };
            let (sender, receiver) = sync_channel(1);
            let (start, cpu) = (Instant::now(), processor_ms());
            let handle = source.start(Box::new(Count(0, sender))).map_err(|e| println!("not started: {e}"));
            let Ok((frames, outcome)) = receiver.recv() else { continue };
            let (seconds, cpu) = (start.elapsed().as_secs_f64(), processor_ms() - cpu);
            drop(handle);
            let n = frames as f64;
            println!(
                "threads {decode_threads:?}: {frames} frames, {:.0}/s, {:.3} ms CPU each, {outcome:?}",
                n / seconds,
                cpu / n
            );
        }
    }
}
