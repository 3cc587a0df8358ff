//! One measurement: so many cameras, the streams that look at them, and what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cameras::CameraProcess;
use super::clip::Clip;
use super::meter::{Counts, Meter};
use super::posts::{PostFigures, Poster, Posting};
use super::serving::{Frames, Running, Serving};
use super::stats::Spread;
use super::usage;

/// How long all streams together may take to their first results.
const PATIENCE: Duration = Duration::from_secs(40);
/// How often the progress is told.
const TICK: Duration = Duration::from_millis(100);

/// How each case is measured.
pub(super) struct Plan<'a> {
    pub(super) clip: &'a Clip,
    /// From the first result of the last stream to the measurement.
    pub(super) warm: Duration,
    /// Of the measurement.
    pub(super) time: Duration,
    /// Posts a second, and who posts.
    pub(super) posts: Option<(f64, Arc<Poster>)>,
    /// Memory of the process without any stream, in MiB.
    pub(super) base_mib: f64,
}

/// What was measured with so many streams.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    pub(super) streams: usize,
    /// How long it was measured.
    pub(super) seconds: f64,
    /// Results a second: of all streams, of the slowest, of the fastest.
    pub(super) fps: [f64; 3],
    /// From the camera's sending to the result; none where no result could be held against its frame.
    pub(super) latency: Option<Spread>,
    /// Results of the same frame as the one before.
    pub(super) repeats: u64,
    /// Results of frames whose number is none that was sent.
    pub(super) unreadable: u64,
    /// Frames before and after.
    pub(super) frames: [Frames; 2],
    /// Processors that this process took: the server.
    pub(super) cores: f64,
    /// Processors that the cameras took.
    pub(super) camera_cores: f64,
    /// Processors that the rest of the machine took.
    pub(super) other_cores: f64,
    /// Frames that the cameras sent, and how many of them an interval late or more.
    pub(super) camera_frames: [u64; 2],
    /// Memory of this process at the end.
    pub(super) rss_mib: f64,
    /// Of it, what each stream takes; none after a case with more streams, whose memory may have been kept.
    pub(super) stream_mib: Option<f64>,
    pub(super) posts: Option<PostFigures>,
}

/// What the process and its cameras had done at a moment.
struct Moment {
    at: Instant,
    frames: Frames,
    processor: Duration,
    machine: Duration,
    camera_processor: f64,
    camera_frames: [u64; 2],
}

impl Moment {
    fn now(cameras: &mut CameraProcess, running: &dyn Running) -> Result<Self, String> {
        let figures = cameras.figures()?;
        Ok(Self {
            at: Instant::now(),
            frames: Frames::sum(&running.figures()),
            processor: usage::processor_time(),
            machine: usage::machine_time(),
            camera_processor: figures.processor_s,
            camera_frames: [figures.sent, figures.late],
        })
    }
}

/// Measures `streams` streams. `most_before` is the largest number in a case before this one; `progress` is told what is
/// being done, and how much of it is done.
pub(super) fn measure(
    plan: &Plan<'_>,
    serving: &dyn Serving,
    streams: usize,
    most_before: usize,
    progress: &mut dyn FnMut(&str, f64),
) -> Result<Case, String> {
    progress("connecting", 0.0);
    let mut cameras = CameraProcess::start(&plan.clip.path, streams, plan.clip.fps)?;
    let urls: Vec<String> = (0..streams).map(|k| cameras.url(k)).collect();
    let meter = Arc::new(Meter::new(streams, cameras.times()));
    let running = serving.start(&urls, meter.clone())?;
    let mut posting = plan.posts.as_ref().map(|(rate, poster)| Posting::start(poster.clone(), *rate)).transpose()?;
    all_have_results(&meter, running.as_ref(), progress)?;
    pass(plan.warm, "warming up", progress);

    let before = Moment::now(&mut cameras, running.as_ref())?;
    meter.begin();
    if let Some(posting) = &mut posting {
        posting.begin();
    }
    pass(plan.time, "measuring", progress);
    let counts = meter.end();
    let posts = posting.as_mut().map(Posting::end);
    let after = Moment::now(&mut cameras, running.as_ref())?;
    let rss_mib = usage::resident_mib();
    // The streams end before their cameras do.
    drop((posting, running));
    drop(cameras);

    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let latency = Spread::of(counts.iter().flat_map(|counts| counts.latencies.iter().copied()).collect());
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let results = |pick: fn(u64, u64) -> u64| counts.iter().map(|counts| counts.results).reduce(pick).unwrap_or(0);
    let cores = after.processor.saturating_sub(before.processor).as_secs_f64() / seconds;
    let camera_cores = (after.camera_processor - before.camera_processor) / seconds;
    let all_cores = after.machine.saturating_sub(before.machine).as_secs_f64() / seconds;
    let fps = [results(|a, b| a + b), results(u64::min), results(u64::max)].map(|results| results as f64 / seconds);
    Ok(Case {
        streams,
        seconds,
        fps,
        latency,
        repeats: sum(|counts| counts.repeats),
        unreadable: sum(|counts| counts.unreadable),
        frames: [before.frames, after.frames],
        cores,
        camera_cores,
        other_cores: (all_cores - cores - camera_cores).max(0.0),
        camera_frames: [0, 1].map(|n: usize| after.camera_frames[n] - before.camera_frames[n]),
        rss_mib,
        stream_mib: (streams >= most_before).then(|| (rss_mib - plan.base_mib) / streams as f64),
        posts,
    })
}

/// Waits until each stream has given a result.
fn all_have_results(meter: &Meter, running: &dyn Running, progress: &mut dyn FnMut(&str, f64)) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let silent = meter.silent();
        let Some(first) = silent.first() else { return Ok(()) };
        if begun.elapsed() >= PATIENCE {
            let figures = running.figures();
            let of_first = figures.get(*first).map_or_else(String::new, |figures| {
                let error = figures.error.as_deref().unwrap_or("no error");
                format!(": stream {first} is {}, {error}", figures.state)
            });
            return Err(format!("{} streams gave no result within {PATIENCE:?}{of_first}", silent.len()));
        }
        progress("connecting", begun.elapsed().as_secs_f64() / PATIENCE.as_secs_f64());
        std::thread::sleep(TICK);
    }
}

/// Lets a time pass.
pub(super) fn pass(time: Duration, what: &str, progress: &mut dyn FnMut(&str, f64)) {
    let begun = Instant::now();
    while let Some(left) = time.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        progress(what, begun.elapsed().as_secs_f64() / time.as_secs_f64());
        std::thread::sleep(left.min(TICK));
    }
}
