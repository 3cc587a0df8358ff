//! What is counted and measured, under which name. The only file that names metrics.
//!
//! Labels are bounded: models are those of the configuration, streams those that there are, everything else is a fixed list. Times are
//! seconds, as Prometheus wants them. [`ModelMetrics`] and [`StreamMetrics`] are handles whose labels are resolved once, so
//! that nothing is looked up per frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use vigia_core::admission::DropReason;
use vigia_core::backend::InferError;

/// What became of a request to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// The queue was full.
    Refused,
    /// A live frame that was not worth running, or had no room.
    Dropped,
    /// The model, the picture, or this crop, failed.
    Failed,
    /// The instance panicked.
    Panicked,
    /// The model was shut down.
    Shutdown,
}

impl Outcome {
    const ALL: [Self; 6] = [Self::Ok, Self::Refused, Self::Dropped, Self::Failed, Self::Panicked, Self::Shutdown];

    fn of<T>(answer: &Result<T, InferError>) -> Self {
        match answer {
            Ok(_) => Self::Ok,
            Err(InferError::QueueFull { .. }) => Self::Refused,
            Err(InferError::Dropped(_)) => Self::Dropped,
            Err(InferError::EmptyCrop | InferError::Unusable { .. } | InferError::Failed { .. }) => Self::Failed,
            Err(InferError::Panicked { .. }) => Self::Panicked,
            Err(InferError::Shutdown { .. }) => Self::Shutdown,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What became of a crop of a live stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CropOutcome {
    /// It has a result.
    Answered,
    /// The model, or the crop itself, failed.
    Failed,
    /// There was no room for it in the queue.
    QueueFull,
    /// It was not sent: it is no better than one that was.
    Known,
    /// It was under way when its stream or the server ended.
    Shutdown,
}

impl CropOutcome {
    const ALL: [Self; 5] = [Self::Answered, Self::Failed, Self::QueueFull, Self::Known, Self::Shutdown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::QueueFull => "queue_full",
            Self::Known => "known",
            Self::Shutdown => "shutdown",
        }
    }
}

/// A step of a frame's way, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Decode,
    Queue,
    Preprocess,
    Inference,
    Postprocess,
}

/// The steps that are measured for each stream; decoding is not known of video.
const STREAM_STEPS: [Step; 4] = [Step::Queue, Step::Preprocess, Step::Inference, Step::Postprocess];

impl EncodeLabelValue for Step {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        let name = match self {
            Self::Decode => "decode",
            Self::Queue => "queue",
            Self::Preprocess => "preprocess",
            Self::Inference => "inference",
            Self::Postprocess => "postprocess",
        };
        EncodeLabelValue::encode(&name, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStep {
    model: String,
    stage: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    model: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStream {
    stream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStreamStep {
    stream: String,
    stage: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    stream: String,
    reason: &'static str,
}

/// Buckets of a duration: 0.1 ms to about 13 s, each half as long again as the one before the last.
#[derive(Clone, Copy, Debug)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.000_1, 2.0, 18))
    }
}

/// Buckets of a batch's size.
#[derive(Clone, Copy, Debug)]
struct BatchSizes;

impl MetricConstructor<Histogram> for BatchSizes {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(1.0, 2.0, 8))
    }
}

/// All metrics of the engine. Clones count into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<OfOutcome, Counter>,
    stages: Family<OfStep, Histogram, Seconds>,
    batches: Family<OfModel, Histogram, BatchSizes>,
    waiting: Family<OfModel, Gauge>,
    restarts: Family<OfModel, Counter>,
    crops: Family<OfOutcome, Counter>,
    results: Family<OfModel, Gauge>,
    unread: Family<OfModel, Counter>,
    received: Family<OfStream, Counter>,
    inferred: Family<OfStream, Counter>,
    dropped: Family<OfReason, Counter>,
    latency: Family<OfStream, Histogram, Seconds>,
    steps: Family<OfStreamStep, Histogram, Seconds>,
    connects: Family<OfStream, Counter>,
    panics: Family<OfStream, Counter>,
    cached_frames: Family<OfStream, Gauge>,
    cached_bytes: Family<OfStream, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            stages: Family::new_with_constructor(Seconds),
            batches: Family::new_with_constructor(BatchSizes),
            waiting: Family::default(),
            restarts: Family::default(),
            crops: Family::default(),
            results: Family::default(),
            unread: Family::default(),
            received: Family::default(),
            inferred: Family::default(),
            dropped: Family::default(),
            latency: Family::new_with_constructor(Seconds),
            steps: Family::new_with_constructor(Seconds),
            connects: Family::default(),
            panics: Family::default(),
            cached_frames: Family::default(),
            cached_bytes: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to a registry; their names begin with its prefix.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry;
        r.register("model_requests", "Requests to a model by what became of them", self.requests.clone());
        let help = "Time per request and stage; of a batch each request counts with the whole inference";
        r.register_with_unit("stage_duration", help, Unit::Seconds, self.stages.clone());
        r.register("model_batch_size", "Requests in each batch that ran", self.batches.clone());
        r.register("model_waiting", "Requests that wait for the model now", self.waiting.clone());
        r.register("model_restarts", "Instances made anew after a panic", self.restarts.clone());
        let help = "Crops of live streams for a second stage by what became of them";
        r.register("stage_crops", help, self.crops.clone());
        r.register("stage_results", "Results of crops that wait for their tracks now", self.results.clone());
        r.register("stage_results_unread", "Results of crops that nobody asked for in time", self.unread.clone());
        r.register("stream_frames_received", "Frames that were offered", self.received.clone());
        r.register("stream_frames_inferred", "Frames that have a result", self.inferred.clone());
        r.register("stream_frames_dropped", "Frames without a result by reason", self.dropped.clone());
        let help = "From the arrival of a frame to its result";
        r.register_with_unit("stream_latency", help, Unit::Seconds, self.latency.clone());
        let help = "Time of the frames of a stream that have a result, by stage";
        r.register_with_unit("stream_stage_duration", help, Unit::Seconds, self.steps.clone());
        r.register("stream_connects", "Attempts to open the stream's source", self.connects.clone());
        r.register("stream_panics", "Streams whose worker panicked", self.panics.clone());
        r.register("stream_cache_frames", "Frames that wait for the model now", self.cached_frames.clone());
        let help = "Memory of the frames that wait for the model now";
        r.register_with_unit("stream_cache", help, Unit::Bytes, self.cached_bytes.clone());
    }

    /// The handles of one model.
    pub fn model(&self, model: &str) -> ModelMetrics {
        let of = || OfModel { model: model.to_owned() };
        let stage = |stage| self.stages.get_or_create_owned(&OfStep { model: model.to_owned(), stage });
        let outcome =
            |o: Outcome| self.requests.get_or_create_owned(&OfOutcome { model: model.to_owned(), outcome: o.as_str() });
        ModelMetrics {
            requests: Outcome::ALL.map(outcome),
            decode: stage(Step::Decode),
            queue: stage(Step::Queue),
            preprocess: stage(Step::Preprocess),
            inference: stage(Step::Inference),
            postprocess: stage(Step::Postprocess),
            batches: self.batches.get_or_create_owned(&of()),
            waiting: self.waiting.get_or_create_owned(&of()),
            restarts: self.restarts.get_or_create_owned(&of()),
            lately: Arc::default(),
        }
    }

    /// The handles of one second stage's model.
    pub fn stage(&self, model: &str) -> StageMetrics {
        let of = || OfModel { model: model.to_owned() };
        let crops = |o: CropOutcome| {
            self.crops.get_or_create_owned(&OfOutcome { model: model.to_owned(), outcome: o.as_str() })
        };
        StageMetrics {
            crops: CropOutcome::ALL.map(crops),
            results: self.results.get_or_create_owned(&of()),
            unread: self.unread.get_or_create_owned(&of()),
        }
    }

    /// The handles of one stream.
    pub fn stream(&self, stream: &str) -> StreamMetrics {
        let of = || OfStream { stream: stream.to_owned() };
        let dropped = |r: DropReason| {
            self.dropped.get_or_create_owned(&OfReason { stream: stream.to_owned(), reason: r.as_str() })
        };
        StreamMetrics {
            received: self.received.get_or_create_owned(&of()),
            inferred: self.inferred.get_or_create_owned(&of()),
            dropped: DropReason::ALL.map(dropped),
            latency: self.latency.get_or_create_owned(&of()),
            steps: STREAM_STEPS
                .map(|stage| self.steps.get_or_create_owned(&OfStreamStep { stream: stream.to_owned(), stage })),
            connects: self.connects.get_or_create_owned(&of()),
            panics: self.panics.get_or_create_owned(&of()),
            cached_frames: self.cached_frames.get_or_create_owned(&of()),
            cached_bytes: self.cached_bytes.get_or_create_owned(&of()),
        }
    }

    /// Takes the metrics of a stream out that is gone: streams come and go, and their names are bounded by those there are.
    pub fn forget_stream(&self, stream: &str) {
        let of = OfStream { stream: stream.to_owned() };
        for family in [&self.received, &self.inferred, &self.connects, &self.panics] {
            family.remove(&of);
        }
        self.cached_frames.remove(&of);
        self.cached_bytes.remove(&of);
        self.latency.remove(&of);
        for stage in STREAM_STEPS {
            self.steps.remove(&OfStreamStep { stream: stream.to_owned(), stage });
        }
        for reason in DropReason::ALL {
            self.dropped.remove(&OfReason { stream: stream.to_owned(), reason: reason.as_str() });
        }
    }
}

/// What one model counts.
#[derive(Clone, Debug)]
pub struct ModelMetrics {
    requests: [Counter<u64, AtomicU64>; 6],
    decode: Histogram,
    queue: Histogram,
    preprocess: Histogram,
    inference: Histogram,
    postprocess: Histogram,
    batches: Histogram,
    waiting: Gauge,
    restarts: Counter<u64, AtomicU64>,
    lately: Arc<Mutex<Lately>>,
}

/// What a registry does not tell.
#[derive(Debug, Default)]
struct Lately {
    latency: Window,
    batches: u64,
    batched: u64,
}

impl Default for ModelMetrics {
    /// Handles that no registry shows.
    fn default() -> Self {
        Metrics::default().model("")
    }
}

/// One model's figures, as `GET /v1/models` shows them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFigures {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were refused because the queue was full.
    pub refused: u64,
    /// Requests that failed, panics included.
    pub failed: u64,
    /// Batches that ran.
    pub batches: u64,
    /// Requests per batch on average; absent before the first one.
    pub mean_batch: Option<f64>,
    /// Requests that wait now.
    pub waiting: u64,
    /// Instances made anew after a panic.
    pub restarts: u64,
    /// Waiting and running, median and 99th percentile of the last requests.
    pub latency: Option<(Duration, Duration)>,
}

impl ModelMetrics {
    /// A request was answered, or not.
    pub(crate) fn answered<T>(&self, answer: &Result<T, InferError>) {
        self.requests[Outcome::of(answer) as usize].inc();
    }

    /// A request ran: how long it waited, and what it cost.
    pub(crate) fn ran(&self, queued: Duration, cost: &vigia_core::backend::Cost) {
        let vigia_core::backend::Cost { preprocess, inference, postprocess } = cost;
        self.queue.observe(queued.as_secs_f64());
        self.preprocess.observe(preprocess.as_secs_f64());
        self.inference.observe(inference.as_secs_f64());
        self.postprocess.observe(postprocess.as_secs_f64());
        self.lately.lock().latency.add(queued + *preprocess + *inference + *postprocess);
    }

    /// A picture for this model was decoded.
    pub(crate) fn decoded(&self, took: Duration) {
        self.decode.observe(took.as_secs_f64());
    }

    /// A batch ran.
    pub(crate) fn batch(&self, size: usize) {
        self.batches.observe(size as f64);
        let mut lately = self.lately.lock();
        lately.batches += 1;
        lately.batched += size as u64;
    }

    /// So many requests wait now.
    pub(crate) fn waiting(&self, requests: usize) {
        self.waiting.set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    /// An instance was made anew.
    pub(crate) fn restarted(&self) {
        self.restarts.inc();
    }

    /// The figures now.
    pub fn figures(&self) -> ModelFigures {
        let of = |outcome: Outcome| self.requests[outcome as usize].get();
        let lately = self.lately.lock();
        ModelFigures {
            answered: of(Outcome::Ok),
            refused: of(Outcome::Refused),
            failed: of(Outcome::Failed) + of(Outcome::Panicked),
            batches: lately.batches,
            mean_batch: (lately.batches > 0).then(|| lately.batched as f64 / lately.batches as f64),
            waiting: u64::try_from(self.waiting.get()).unwrap_or(0),
            restarts: self.restarts.get(),
            latency: lately.latency.percentiles(),
        }
    }
}

/// What is counted of the crops that live streams send to one model.
#[derive(Clone, Debug)]
pub struct StageMetrics {
    crops: [Counter<u64, AtomicU64>; 5],
    results: Gauge,
    unread: Counter<u64, AtomicU64>,
}

impl StageMetrics {
    /// A crop was settled.
    pub(crate) fn crop(&self, outcome: CropOutcome) {
        self.crops[outcome as usize].inc();
    }

    /// So many more results wait for their tracks, or fewer.
    pub(crate) fn results(&self, more: i64) {
        self.results.inc_by(more);
    }

    /// Nobody asked for so many results.
    pub(crate) fn unread(&self, results: u64) {
        self.unread.inc_by(results);
    }

    /// How many crops came to this end.
    pub fn crops(&self, outcome: CropOutcome) -> u64 {
        self.crops[outcome as usize].get()
    }

    /// Results that wait for their tracks now.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.results.get()).unwrap_or(0)
    }
}

impl Default for StageMetrics {
    /// Handles that no registry shows.
    fn default() -> Self {
        Metrics::default().stage("")
    }
}

/// What one stream counts.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    pub(crate) received: Counter<u64, AtomicU64>,
    pub(crate) inferred: Counter<u64, AtomicU64>,
    pub(crate) dropped: [Counter<u64, AtomicU64>; 6],
    pub(crate) latency: Histogram,
    /// In the order of [`STREAM_STEPS`].
    steps: [Histogram; 4],
    pub(crate) connects: Counter<u64, AtomicU64>,
    pub(crate) panics: Counter<u64, AtomicU64>,
    pub(crate) cached_frames: Gauge,
    pub(crate) cached_bytes: Gauge,
}

impl StreamMetrics {
    /// A frame has its result.
    pub(crate) fn took(&self, timing: &vigia_core::result::Timing) {
        self.latency.observe(timing.total.as_secs_f64());
        let times = [timing.queue, timing.preprocess, timing.inference, timing.postprocess];
        for (step, time) in self.steps.iter().zip(times) {
            step.observe(time.as_secs_f64());
        }
    }
}

impl Default for StreamMetrics {
    /// Handles that no registry shows.
    fn default() -> Self {
        Metrics::default().stream("")
    }
}

/// The last durations, for percentiles of how it is now.
#[derive(Debug, Default)]
pub(crate) struct Window(VecDeque<Duration>);

impl Window {
    /// How many are kept: a percentile of less says little, of more is old.
    const KEPT: usize = 512;

    pub(crate) fn add(&mut self, duration: Duration) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(duration);
    }

    /// Median and 99th percentile (nearest rank); absent while there is nothing.
    pub(crate) fn percentiles(&self) -> Option<(Duration, Duration)> {
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank = |share: f64| sorted.get(((sorted.len() as f64 * share).ceil() as usize).max(1) - 1).copied();
        Some((rank(0.5)?, rank(0.99)?))
    }
}

/// How many of something there were per second lately.
#[derive(Debug, Default)]
pub(crate) struct Rate(VecDeque<Instant>);

impl Rate {
    /// Over which time, at most.
    const SPAN: Duration = Duration::from_secs(5);
    /// How many are kept at most: above 100 per second the span gets shorter.
    const KEPT: usize = 512;

    pub(crate) fn add(&mut self, now: Instant) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// Per second, over the last five; from two on.
    pub(crate) fn per_second(&mut self, now: Instant) -> f64 {
        while self.0.front().is_some_and(|&at| now.saturating_duration_since(at) > Self::SPAN) {
            self.0.pop_front();
        }
        match (self.0.front(), self.0.back()) {
            (Some(&first), Some(&last)) if self.0.len() > 1 => {
                // One that is overdue lowers the rate; one that is not does not raise it.
                let pace = last.saturating_duration_since(first).as_secs_f64() / (self.0.len() - 1) as f64;
                let since = now.saturating_duration_since(first).as_secs_f64() / self.0.len() as f64;
                1.0 / pace.max(since).max(1e-6)
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_know_their_place() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }

    #[test]
    fn percentiles_are_of_the_last_ones() {
        let mut window = Window::default();
        assert_eq!(window.percentiles(), None);
        window.add(Duration::from_secs(1000));
        assert_eq!(window.percentiles(), Some((Duration::from_secs(1000), Duration::from_secs(1000))));
        for n in 1..=512 {
            window.add(Duration::from_millis(n));
        }
        assert_eq!(window.percentiles(), Some((Duration::from_millis(256), Duration::from_millis(507))));
    }

    #[test]
    fn a_rate_follows_what_comes_and_falls_when_nothing_does() {
        let start = Instant::now();
        let mut rate = Rate::default();
        for n in 0..100 {
            rate.add(start + Duration::from_millis(40) * n);
        }
        let last = start + Duration::from_millis(40) * 99;
        assert!((rate.per_second(last) - 25.0).abs() < 0.5);
        assert!((rate.per_second(last + Duration::from_millis(20)) - 25.0).abs() < 0.5);
        let slowed = rate.per_second(last + Duration::from_secs(3));
        assert!(slowed < 16.0, "{slowed}");
        assert!(rate.per_second(last + Duration::from_secs(6)) < 1e-9);
    }
}
