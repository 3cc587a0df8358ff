//! The second stage: how much of the raw engine's speed crops of live streams get, by the size of a batch; and what becomes
//! of detection while the second stage is well, slow, failing, or stands still.
//!
//! `cargo bench -p vigia --bench second_stage -- [SECONDS] [FILE.json]`. Needs what `scripts/setup.sh` makes.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vigia::config::Config;
use vigia::paths;
use vigia::shots::Scissors;
use vigia_core::backend::{Answer, Backend, InferError, Region, Request};
use vigia_core::batching::BatchPolicy;
use vigia_core::cascade::{EventPolicy, StagePolicy, When};
use vigia_core::frame::{Frame, Image};
use vigia_core::geometry::BBox;
use vigia_core::id::{ModelId, StreamId, StreamRef};
use vigia_core::landmarks::LandmarksSource;
use vigia_core::model::ModelSpec;
use vigia_core::result::FrameResult;
use vigia_core::source::FrameSink;
use vigia_core::track::TrackerPolicy;
use vigia_engine::batcher::{BackendFactory, Batcher};
use vigia_engine::metrics::{CropOutcome, Metrics, ModelMetrics, StreamMetrics};
use vigia_engine::pipeline::{Pipeline, Stage};
use vigia_engine::stream::{Feed, Listeners, Means, Stream, StreamOptions};
use vigia_infer::load::{LoadOptions, Model};
use vigia_infer::runtime::Runtime;
use vigia_infer::tuning::{Settings, TuningFile};
use vigia_testkit::PushedSource;
use vigia_testkit::live::{means, stream_options};
use vigia_vision::picture::{PictureDecoder, PictureLimits};

const STREAMS: usize = 4;
const FPS: u32 = 15;
/// As in the server.
const LINGER: Duration = Duration::from_millis(10);

fn main() {
    // Cargo says `--bench`, too.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let json = arguments.next();
    let config = Config::default();
    let runtime = Runtime::load(&paths::runtime_candidates(&config)).expect("scripts/setup.sh was run");
    let load = |name: &str, batch: Option<usize>| {
        let path = paths::model_folder(&config).join(format!("{name}.onnx"));
        let tuning = batch.is_none().then(|| TuningFile::new(paths::tuning_file(&config)));
        let options = LoadOptions { batch, tuning, ..LoadOptions::default() };
        Arc::new(Model::load(&runtime, ModelId::new(name), &path, options).expect("a default model"))
    };
    let samples = paths::samples().expect("scripts/setup.sh was run");
    let decoder = PictureDecoder::new(PictureLimits { bytes: 20_000_000, pixels: 50_000_000 });
    let images: Vec<Image> = (1..=6)
        .map(|n| std::fs::read(samples.join(format!("sample{n}.jpg"))).expect("a sample"))
        .map(|bytes| decoder.decode(&bytes, None).expect("a picture"))
        .collect();
    println!("crops per second of face-landmarks-68, 2 sessions of 1 thread where nothing else is said");
    println!("{:>22} {:>12} {:>12} {:>8} {:>12}", "batch", "raw engine", "stage", "share", "mean batch");
    let mut throughput = Vec::new();
    for batch in [None, Some(1), Some(4), Some(8), Some(32)] {
        throughput.push(crops_per_second(&load("face-landmarks-68", batch), batch, seconds, &images));
    }
    println!("\n{STREAMS} streams of {FPS} frames a second, tiny-face, crops in every frame");
    println!(
        "{:>22} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "second stage", "results/s", "p50 ms", "p99 ms", "model %", "answered", "failed", "queue full"
    );
    let detector = load("tiny-face", None);
    let landmarks = load("face-landmarks-68", None);
    let mut beside = Vec::new();
    for how in [How::Absent, How::Well, How::Slow, How::Failing, How::Standing] {
        beside.push(detection(&detector, &landmarks, how, seconds, &images));
    }
    if let Some(path) = json {
        let all = json!({"crops_per_second": throughput, "detection": beside});
        std::fs::write(path, serde_json::to_string_pretty(&all).expect("numbers") + "\n").expect("written");
    }
}

/// How well a second stage is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// There is none.
    Absent,
    Well,
    /// 500 ms a batch.
    Slow,
    /// Every other batch fails, or panics.
    Failing,
    /// The first batch never ends.
    Standing,
}

/// A model that is not always well.
struct Patient {
    inner: Box<dyn Backend>,
    how: How,
    runs: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Backend for Patient {
    fn spec(&self) -> &ModelSpec {
        self.inner.spec()
    }

    fn run(&mut self, batch: &[Request], out: &mut Vec<Answer>) -> Result<(), InferError> {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        match self.how {
            How::Slow => std::thread::sleep(Duration::from_millis(500)),
            How::Failing if run % 4 == 1 => {
                return Err(InferError::Failed { model: "patient".to_owned(), reason: "on purpose".to_owned() });
            }
            How::Failing if run % 4 == 3 => std::panic::resume_unwind(Box::new("on purpose")),
            How::Standing => {
                while !self.over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            _ => {}
        }
        self.inner.run(batch, out)
    }
}

fn policy(settings: Settings, linger: Duration) -> BatchPolicy {
    BatchPolicy { max_batch: settings.batch, queue: 256, linger, ahead: settings.instances * settings.batch + 2 }
}

fn start(model: &Arc<Model>, how: How, linger: Duration, metrics: ModelMetrics, over: &Arc<AtomicBool>) -> Batcher {
    let (made, runs, over) = (model.clone(), Arc::new(AtomicU64::new(0)), over.clone());
    let factory: BackendFactory = Arc::new(move || {
        let inner = made.instance().expect("an instance");
        Ok(Box::new(Patient { inner, how, runs: runs.clone(), over: over.clone() }) as Box<dyn Backend>)
    });
    let settings = model.settings();
    Batcher::start(model.spec(), &factory, settings.instances, policy(settings, linger), metrics).expect("threads")
}

/// What the engine can do alone, and what crops that are offered as fast as there is room get of it.
fn crops_per_second(model: &Arc<Model>, batch: Option<usize>, seconds: u64, images: &[Image]) -> Value {
    let settings = model.settings();
    let raw = model.measure_engine(settings, Duration::from_secs(seconds)).expect("it runs");
    let metrics = ModelMetrics::default();
    let over = Arc::new(AtomicBool::new(false));
    let batcher = start(model, How::Well, LINGER, metrics.clone(), &over);
    let bound = (3 * settings.batch).max(32);
    let (freed, room) = sync_channel(2 * bound);
    (0..bound).for_each(|_| freed.send(true).expect("room"));
    let frames: Vec<Arc<Frame>> = images.iter().map(|image| Arc::new(frame(image.clone(), 0, 0))).collect();
    let started = Instant::now();
    let (mut offered, mut answered) = (0, 0);
    while started.elapsed() < Duration::from_secs(seconds) {
        answered += usize::from(!room.recv().expect("it answers"));
        let frame = frames[offered % frames.len()].clone();
        let roi = Some(Region::Box(BBox { x1: 200.0, y1: 100.0, x2: 380.0, y2: 300.0 }));
        let request = Request { frame, roi, thresholds: batcher.spec().thresholds };
        let freed = freed.clone();
        let reply = Box::new(move |_completed| {
            // The end is not waited for.
            let _over = freed.send(false);
        });
        batcher.submit_shared(request, bound, reply);
        offered += 1;
    }
    let stage = answered as f64 / started.elapsed().as_secs_f64();
    let mean = metrics.figures().mean_batch.unwrap_or(0.0);
    drop((room, batcher));
    let name = batch.map_or(format!("auto: {settings}"), |batch| batch.to_string());
    println!("{name:>22} {raw:>12.0} {stage:>12.0} {:>8.2} {mean:>12.1}", stage / raw);
    json!({"batch": name, "raw": raw.round(), "stage": stage.round(), "share": (stage / raw * 100.0).round() / 100.0})
}

fn frame(image: Image, stream: usize, number: u32) -> Frame {
    let stream = StreamRef { id: StreamId::new(format!("cam-{stream}")), generation: 1 };
    let pts = Some(Duration::from_secs(1) * number / FPS);
    Frame { stream, frame_id: u64::from(number), captured_at: None, pts, image, decode: None }
}

/// What detection does beside a second stage that is as said.
fn detection(detector: &Arc<Model>, landmarks: &Arc<Model>, how: How, seconds: u64, images: &[Image]) -> Value {
    let over = Arc::new(AtomicBool::new(false));
    let crops = Metrics::default().stage("landmarks");
    let detector = start(detector, How::Well, Duration::ZERO, ModelMetrics::default(), &over);
    let stages = if how == How::Absent {
        Vec::new()
    } else {
        let batcher = Arc::new(start(landmarks, how, LINGER, ModelMetrics::default(), &over));
        let policy = StagePolicy { when: When::Always, ..StagePolicy::default() };
        vec![Stage { batcher, policy, align: None, metrics: crops.clone() }]
    };
    let pipeline = Pipeline::new(Arc::new(detector), stages).with_tracking(TrackerPolicy::default());
    let pipeline = Arc::new(pipeline.with_events(EventPolicy::default()));
    let (results, received) = sync_channel::<Arc<FrameResult>>(1 << 16);
    let means = Means { shots: Arc::new(Scissors), ..means() };
    let mut streams = Vec::new();
    let mut sinks: Vec<Box<dyn FrameSink>> = Vec::new();
    for n in 0..STREAMS {
        let (open, opened) = PushedSource::opener();
        let results = results.clone();
        let listeners = Listeners {
            publish: Box::new(move |result| results.send(result).expect("there is room")),
            ended: Box::new(|_ended| {}),
            changed: Box::new(|_changed| {}),
            gone: Box::new(|| {}),
        };
        let options = StreamOptions { thresholds: pipeline.detector().spec().thresholds, ..stream_options() };
        let stream = StreamRef { id: StreamId::new(format!("cam-{n}")), generation: 1 };
        let feed = Feed::Pulled(open);
        let metrics = StreamMetrics::default();
        let stream = Stream::start(stream, pipeline.clone(), options, feed, listeners, means.clone(), metrics);
        streams.push(stream.expect("a thread"));
        sinks.push(opened.recv().expect("opened"));
    }
    let (started, frames) = (Instant::now(), seconds as u32 * FPS);
    for number in 0..frames {
        for (n, sink) in sinks.iter_mut().enumerate() {
            let due = Duration::from_secs(1) * (number * STREAMS as u32 + n as u32) / (FPS * STREAMS as u32);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
            // Two seconds for each picture, so that faces come and go.
            let image = images[(number / (2 * FPS)) as usize % images.len()].clone();
            let _goes_on = sink.frame(frame(image, n, number));
        }
    }
    let took = started.elapsed().as_secs_f64();
    let results: Vec<_> = received.try_iter().collect();
    let sources: Vec<_> = results.iter().flat_map(|r| &r.detections).filter_map(|d| d.landmarks.as_ref()).collect();
    let from_model = sources.iter().filter(|settled| settled.source == LandmarksSource::Model).count();
    let share = 100.0 * from_model as f64 / sources.len().max(1) as f64;
    let mut latency: Vec<Duration> = results.iter().map(|result| result.timing.total).collect();
    latency.sort_unstable();
    let ms = |share: usize| latency.get(latency.len() * share / 100).map_or(0.0, Duration::as_secs_f64) * 1e3;
    let rate = results.len() as f64 / took;
    let of = |outcome| crops.crops(outcome);
    let (answered, failed, full) = (of(CropOutcome::Answered), of(CropOutcome::Failed), of(CropOutcome::QueueFull));
    let name = format!("{how:?}").to_lowercase();
    println!(
        "{name:>22} {rate:>10.1} {:>9.1} {:>9.1} {share:>9.0} {answered:>9} {failed:>9} {full:>10}",
        ms(50),
        ms(99)
    );
    over.store(true, Ordering::Relaxed);
    streams.iter().for_each(Stream::discard);
    drop((streams, sinks));
    json!({"second_stage": name, "results_per_second": (rate * 10.0).round() / 10.0, "p50_ms": (ms(50) * 10.0).round() / 10.0,
        "p99_ms": (ms(99) * 10.0).round() / 10.0, "from_model_percent": share.round(), "answered": answered,
        "failed": failed, "queue_full": full})
}
