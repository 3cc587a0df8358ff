//! What a live stream costs: memory and processor time of RTSP streams whose frames are dropped at once.
//!
//! `cargo bench -p vigia-media --bench streams [-- THREADS [CLIP.h264]]`. The cameras are a process of their own. Linux
//! alone; needs ffmpeg where no clip is given (H.264 as an Annex B byte stream, with access unit delimiters).
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vigia_core::frame::Frame;
use vigia_core::id::StreamRef;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source as _, SourceError, SourceHandle};
use vigia_media::cameras::{CameraOptions, Cameras};
use vigia_media::{IngestOptions, MediaSource};

type Outcome<T> = Result<T, Box<dyn Error>>;

const FPS: u32 = 15;
/// Streams of the two measurements.
const COUNTS: [usize; 2] = [1, 16];
/// Each lasts this long, so long after the last stream's first frames.
const MEASURED: Duration = Duration::from_secs(20);
const SETTLED: Duration = Duration::from_secs(4);

/// Frames that came, and whether there will be no more.
#[derive(Default)]
struct Seen {
    frames: AtomicU64,
    over: AtomicBool,
}

struct Count(Arc<Seen>);

impl FrameSink for Count {
    fn frame(&mut self, _: Frame) -> Flow {
        self.0.frames.fetch_add(1, Ordering::Relaxed);
        Flow::Continue
    }

    fn picture(&mut self, _: EncodedPicture) -> Flow {
        Flow::Continue
    }

    fn trouble(&mut self, _: &SourceError) {}

    fn end(&mut self, outcome: Result<(), SourceError>) {
        self.0.over.store(true, Ordering::Relaxed);
        if let Err(error) = outcome {
            println!("{error}");
        }
    }
}

/// Serves the clip until standard input ends.
fn serve(clip: &Path) -> Outcome<()> {
    let options = CameraOptions { port: 0, count: COUNTS[1], fps: f64::from(FPS) };
    let cameras = Cameras::listen(options, std::fs::read(clip)?)?;
    println!("{}", cameras.port());
    std::thread::scope(|scope| {
        scope.spawn(|| cameras.serve());
        scope.spawn(|| cameras.play(|_, _, _| {}));
        let _ = std::io::stdin().read(&mut [0]);
        cameras.stop();
    });
    Ok(())
}

/// A clip of people if there is one, else a test picture.
fn make_clip(folder: &Path) -> Outcome<PathBuf> {
    let path = folder.join("clip.h264");
    let people = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/people.mp4");
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-nostdin", "-y"]);
    if people.exists() {
        command.args(["-stream_loop", "-1", "-i"]).arg(people);
    } else {
        command.args(["-f", "lavfi", "-i", "testsrc2=size=1280x720"]);
    }
    command.args(["-an", "-t", "20", "-r", "15", "-vf", "scale=1280:720", "-c:v", "libx264", "-preset", "veryfast"]);
    command.args(["-bf", "0", "-g", "30", "-b:v", "2M", "-x264-params", "aud=1", "-f", "h264"]);
    if !command.arg(&path).status()?.success() {
        return Err("ffmpeg made no clip".into());
    }
    Ok(path)
}

/// Kibibytes, or a count, that the kernel states of this process.
fn stated(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Processor time of this process so far, in milliseconds.
fn processor_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    let ticks: f64 = after_name.split(' ').skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks * 10.0
}

/// A stream that runs, and what it has seen.
type Running = (Box<dyn SourceHandle>, Arc<Seen>);

/// Starts a stream and waits for its first frames. GStreamer's server now and then sends nothing to its first viewer on a
/// busy machine: then once more.
fn start(port: u16, number: usize, threads: Option<u32>) -> Outcome<Running> {
    loop {
        let options = IngestOptions { decode_threads: threads, ..IngestOptions::default() };
        let stream = StreamRef { id: format!("camera{number}").as_str().into(), generation: 0 };
        let source = MediaSource::open(&format!("rtsp://127.0.0.1:{port}/{number}"), stream, options)?;
        let seen = Arc::new(Seen::default());
        let handle = Box::new(source).start(Box::new(Count(Arc::clone(&seen))))?;
        while !seen.over.load(Ordering::Relaxed) {
            if seen.frames.load(Ordering::Relaxed) > 1 {
                return Ok((handle, seen));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn measure(clip: &Path, threads: Option<u32>, child: &mut Child) -> Outcome<()> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let port: u16 = line.trim().parse()?;
    vigia_media::init()?;
    println!("{} at {FPS} fps, decoder threads {threads:?}", clip.display());
    println!("streams  frames/s  CPU ms/frame  RSS MiB  anonymous  file  threads");
    let mut running: Vec<Running> = Vec::new();
    let mut first = 0.0;
    for count in COUNTS {
        for number in running.len()..count {
            running.push(start(port, number, threads)?);
        }
        std::thread::sleep(SETTLED);
        let frames = || running.iter().map(|(_, seen)| seen.frames.load(Ordering::Relaxed)).sum::<u64>();
        let (began, cpu, before) = (Instant::now(), processor_ms(), frames());
        std::thread::sleep(MEASURED);
        let (seconds, cpu, frames) = (began.elapsed().as_secs_f64(), processor_ms() - cpu, frames() - before);
        let [rss, anonymous, file] = ["VmRSS", "RssAnon", "RssFile"].map(|name| stated(name) / 1024.0);
        println!(
            "{count:7} {:9.1} {:13.3} {rss:8.1} {anonymous:10.1} {file:5.1} {:8}",
            frames as f64 / seconds,
            cpu / frames as f64,
            stated("Threads"),
        );
        match count {
            1 => first = rss,
            _ => println!("each more stream: {:.2} MiB", (rss - first) / (count - 1) as f64),
        }
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [mode, clip] = args.as_slice()
        && mode == "cameras"
    {
        return serve(Path::new(clip));
    }
    let folder = tempfile::tempdir()?;
    let threads = args.first().and_then(|arg| arg.parse().ok());
    let clip = match args.get(1) {
        Some(clip) => PathBuf::from(clip),
        None => make_clip(folder.path())?,
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("cameras").arg(&clip).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let outcome = measure(&clip, threads, &mut child);
    // Its standard input ends.
    drop(child.stdin.take());
    child.wait()?;
    outcome
}
