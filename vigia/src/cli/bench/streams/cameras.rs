//! `vigia bench cameras`, a process of its own, and its other side: what runs it and asks when it sent which frame.
//!
//! The process plays RTSP cameras, so that what they take is not counted as the server's. Its first line on standard
//! output says as JSON where it listens. Whenever a frame is handed over, its time goes to its place in the file of times:
//! cameras x frames of f64, seconds of `CLOCK_MONOTONIC`, 0 for never; the format of `rtsp_server.py`, which the
//! programs that vigia is compared with read, too. Each line on standard input is answered by one line of figures; when
//! standard input ends, so does the process: it never stays behind.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};
use vigia_engine::worker::Worker;
use vigia_media::cameras::{CameraOptions, Cameras};

use super::meter::SentTimes;
use super::usage;
use crate::cli::output::{self, Failure};

/// Bytes of a time in the file.
const TIME: u64 = 8;
/// How long the process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// The arguments.
#[derive(Debug, Args)]
pub(in crate::cli::bench) struct CamerasArgs {
    /// What they play: H.264 with an access unit delimiter before each picture
    #[arg(long, value_name = "FILE")]
    clip: PathBuf,
    /// How many there are
    #[arg(long, value_name = "N")]
    streams: usize,
    /// Frames per second of each
    #[arg(long, value_name = "FPS", default_value_t = 15)]
    fps: u32,
    /// Where they listen on 127.0.0.1; 0 takes a free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Where it is written when each of them sent each frame
    #[arg(long, value_name = "FILE")]
    times: PathBuf,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Listening {
    port: u16,
    frames: usize,
}

/// What the cameras did so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct CameraFigures {
    /// Frames that were handed over.
    pub(super) sent: u64,
    /// Of these, how many were a frame's interval late or more: the machine gave the cameras no time.
    pub(super) late: u64,
    /// Processor time, in seconds.
    pub(super) processor_s: f64,
}

/// Plays cameras until standard input ends.
pub(in crate::cli::bench) fn play(args: &CamerasArgs) -> Result<ExitCode, Failure> {
    let failed = |what: &Path, e: &dyn std::fmt::Display| Failure::Failed(format!("{}: {e}", what.display()));
    if args.streams == 0 || args.fps == 0 {
        return Err(Failure::Usage("--streams and --fps must be 1 or more".to_owned()));
    }
    let clip = std::fs::read(&args.clip).map_err(|e| failed(&args.clip, &e))?;
    let options = CameraOptions { port: args.port, count: args.streams, fps: args.fps.into() };
    let cameras = Arc::new(Cameras::listen(options, clip).map_err(|e| failed(&args.clip, &e))?);
    let frames = cameras.frames();
    let times = OpenOptions::new().write(true).create(true).truncate(true).open(&args.times);
    let times = times.map_err(|e| failed(&args.times, &e))?;
    times.set_len(args.streams as u64 * frames as u64 * TIME).map_err(|e| failed(&args.times, &e))?;

    let interval = Duration::from_secs(1) / args.fps;
    let (sent, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let no_thread = |e: std::io::Error| Failure::Failed(format!("no thread for the cameras: {e}"));
    let server = cameras.clone();
    let _server = Worker::start("rtsp", move |_| server.serve()).map_err(no_thread)?;
    let (player, sends, lates) = (cameras.clone(), sent.clone(), late.clone());
    let play = move |camera: usize, number: usize, lateness: Duration| {
        let now = usage::monotonic().as_secs_f64().to_ne_bytes();
        if let Err(error) = times.write_all_at(&now, place(frames, camera, number)) {
            tracing::warn!(%error, "the time of a frame cannot be written down");
        }
        sends.fetch_add(1, Ordering::Relaxed);
        lates.fetch_add(u64::from(lateness >= interval), Ordering::Relaxed);
    };
    let _player = Worker::start("cameras", move |_| player.play(play)).map_err(no_thread)?;
    // The workers are joined after this, also when standard output is gone.
    let _stop = StopAtEnd(cameras.clone());
    output::print(&json(&Listening { port: cameras.port(), frames }))?;
    for line in std::io::stdin().lines() {
        if line.is_err() {
            break;
        }
        let processor_s = usage::processor_time().as_secs_f64();
        let (sent, late) = (sent.load(Ordering::Relaxed), late.load(Ordering::Relaxed));
        output::print(&json(&CameraFigures { sent, late, processor_s }))?;
    }
    Ok(ExitCode::SUCCESS)
}

struct StopAtEnd(Arc<Cameras>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers are JSON")
}

/// Where the time of a frame stands.
fn place(frames: usize, camera: usize, number: usize) -> u64 {
    (camera * frames + number) as u64 * TIME
}

/// A running process of cameras. Dropping it ends it.
#[derive(Debug)]
pub(super) struct CameraProcess {
    child: Child,
    answers: BufReader<ChildStdout>,
    listening: Listening,
    times: Arc<Times>,
}

/// When which frame was sent.
#[derive(Debug)]
struct Times {
    file: File,
    frames: usize,
}

impl SentTimes for Times {
    fn sent(&self, camera: usize, number: usize) -> Option<Duration> {
        let mut bytes = [0; TIME as usize];
        if number >= self.frames || self.file.read_exact_at(&mut bytes, place(self.frames, camera, number)).is_err() {
            return None;
        }
        let seconds = f64::from_ne_bytes(bytes);
        (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok())?
    }
}

impl CameraProcess {
    /// Starts `streams` cameras that play `clip`.
    pub(super) fn start(clip: &Path, streams: usize, fps: u32) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("the cameras do not start: {e}");
        let program = std::env::current_exe().map_err(failed)?;
        let place = times_file().map_err(failed)?;
        let child = Command::new(program)
            .args(["bench", "cameras", "--streams", &streams.to_string(), "--fps", &fps.to_string()])
            .arg("--clip")
            .arg(clip)
            .arg("--times")
            .arg(&place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let begun = child.map_err(failed).and_then(|child| Self::begin(child, &place));
        // Both have it open: it goes with them.
        let _gone = std::fs::remove_file(&place);
        begun
    }

    fn begin(mut child: Child, times: &Path) -> Result<Self, String> {
        let answers = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        let nothing = Times { file: File::open(times).map_err(|e| e.to_string())?, frames: 0 };
        let listening = Listening { port: 0, frames: 0 };
        let mut this = Self { child, answers, listening, times: Arc::new(nothing) };
        this.listening = this.answer()?;
        let file = this.times.file.try_clone().map_err(|e| e.to_string())?;
        this.times = Arc::new(Times { file, frames: this.listening.frames });
        Ok(this)
    }

    fn answer<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).map_err(|e| format!("the cameras do not answer: {e}"))?;
        if read == 0 {
            return Err("the cameras have ended (what they say is above)".to_owned());
        }
        serde_json::from_str(&line).map_err(|e| format!("the cameras said {line:?}: {e}"))
    }

    /// Where camera `k` is.
    pub(super) fn url(&self, k: usize) -> String {
        format!("rtsp://127.0.0.1:{}/{k}", self.listening.port)
    }

    /// When which frame was sent.
    pub(super) fn times(&self) -> Arc<dyn SentTimes> {
        self.times.clone()
    }

    /// What they did so far.
    pub(super) fn figures(&mut self) -> Result<CameraFigures, String> {
        let pipe = self.child.stdin.as_mut().expect("a pipe was asked for");
        pipe.write_all(b"?\n").map_err(|e| format!("the cameras have ended: {e}"))?;
        self.answer()
    }
}

impl Drop for CameraProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        tracing::warn!("the cameras did not end by themselves");
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A new file for the times, with a name that nobody else has.
fn times_file() -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir();
    let pid = std::process::id();
    let mut names = (0u32..).map(|n| folder.join(format!("vigia-times-{pid}-{n}")));
    loop {
        let path = names.next().expect("they have no end");
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
