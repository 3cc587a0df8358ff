//! What the server says of itself: models, streams, problems.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use vigia_core::admission::DropReason;
use vigia_engine::stream::{StateChange, StreamStatus};

use super::{ms, round};

/// What was wrong (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, as a URN that ends with the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong, where, and what to do.
    pub detail: String,
    /// The kind of problem; stable, for programs.
    pub code: String,
}

/// Models and pipelines that are served.
#[derive(Debug, Serialize, ToSchema)]
pub struct Models {
    /// The models.
    pub models: Vec<Model>,
    /// The pipelines, the default one first.
    pub pipelines: Vec<PipelineWire>,
}

/// A model that is loaded.
#[derive(Debug, Serialize, ToSchema)]
pub struct Model {
    /// Its name, for `?model=`.
    pub name: String,
    /// Whose conventions it follows, as `yolov8` or `tiny-face`.
    pub family: String,
    /// `detect`: it looks at pictures; `landmarks`: it looks at what a detector found.
    pub task: String,
    /// Width of its input, in pixels.
    pub width: u32,
    /// Height of its input, in pixels.
    pub height: u32,
    /// Names of its classes; absent for what is no detector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub classes: Option<Vec<String>>,
    /// Detections below this confidence are left out, unless the request says otherwise; absent for what is no detector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub confidence: Option<f64>,
    /// Of boxes that overlap by more than this IoU the best is kept, unless the request says otherwise; absent for what
    /// is no detector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub iou: Option<f64>,
    /// Where it runs, as `cpu` or `cuda`.
    pub device: String,
    /// Sessions side by side.
    pub instances: usize,
    /// Threads within each session.
    pub threads: usize,
    /// Largest batch.
    pub max_batch: usize,
    /// Requests per batch so far, on average; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mean_batch: Option<f64>,
    /// Requests that wait now.
    pub waiting: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were refused because the queue was full.
    pub refused: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Instances made anew after a panic.
    pub restarts: u64,
    /// Waiting and running, of the last requests; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub latency_ms: Option<LatencyWire>,
}

/// A pipeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PipelineWire {
    /// Its name, for `?pipeline=`.
    pub name: String,
    /// The detector.
    pub detect: String,
    /// Second stages.
    pub stages: Vec<StageWire>,
}

/// A second stage of a pipeline.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StageWire {
    /// The model.
    pub model: String,
}

/// Milliseconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct LatencyWire {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl From<(std::time::Duration, std::time::Duration)> for LatencyWire {
    fn from((p50, p99): (std::time::Duration, std::time::Duration)) -> Self {
        Self { p50: ms(p50), p99: ms(p99) }
    }
}

/// The streams.
#[derive(Debug, Serialize, ToSchema)]
pub struct Streams {
    /// In the order of their ids.
    pub streams: Vec<StreamWire>,
}

/// A stream and how it is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamWire {
    /// Its id.
    pub id: String,
    /// Its source, without credentials.
    pub source: String,
    /// Where to push or connect, for sources that listen; `null` for those that are fetched.
    pub url: Option<String>,
    /// Its pipeline.
    pub pipeline: String,
    /// `connecting`, `online`, `stalled`, `retrying`, `ended` or `failed`.
    pub state: &'static str,
    /// Since when it is in this state (RFC 3339).
    pub since: String,
    /// Why it is in this state, where something went wrong: `not-found`, `undecodable`, `unauthorized`, `unreachable`,
    /// `stalled`, `timeout`, `library` or `panicked`.
    pub reason: Option<&'static str>,
    /// How often its source was tried since it last worked.
    pub attempts: u32,
    /// How often its source was opened again, or tried to be.
    pub reconnects: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Width of the newest frame, in pixels.
    pub width: Option<u32>,
    /// Height of the newest frame, in pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub fps: FpsWire,
    /// Counters since the stream was added: `received = inferred + pending + Σ dropped` at every moment.
    pub frames: CountsWire,
    /// From a frame's arrival to its result, of the last frames; `null` before the first one.
    pub latency_ms: Option<LatencyWire>,
    /// Frames that wait for the model.
    pub cache: CacheWire,
}

/// What waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct CacheWire {
    /// How many frames.
    pub frames: u64,
    /// The memory they take.
    pub bytes: u64,
}

/// A change of a stream's state.
#[derive(Debug, Serialize, ToSchema)]
pub struct StateEvent {
    /// The stream's id.
    pub stream: String,
    /// Its state now.
    pub state: &'static str,
    /// Since when (RFC 3339).
    pub since: String,
    /// Why, where something went wrong.
    pub reason: Option<&'static str>,
    /// What went wrong.
    pub error: Option<String>,
    /// How often its source was tried since it last worked.
    pub attempts: u32,
}

impl StateEvent {
    /// As it is published.
    pub fn json(change: StateChange) -> Bytes {
        let StateChange { stream, state, since, reason, error, attempts } = change;
        let since = humantime::format_rfc3339_millis(since).to_string();
        let event = Self { stream: stream.id.to_string(), state: state.as_str(), since, reason, error, attempts };
        // Nothing in it can fail to be written.
        Bytes::from(serde_json::to_vec(&event).unwrap_or_default())
    }
}

/// What reloading the configuration did.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Reloaded {
    /// Streams that are new.
    pub added: Vec<String>,
    /// Streams that were changed.
    pub changed: Vec<String>,
    /// Streams that are gone.
    pub removed: Vec<String>,
    /// Streams that could not be started.
    pub failed: Vec<FailedStream>,
    /// Sections that differ from what the server runs with: these take effect when it starts anew.
    pub restart_needed: Vec<String>,
}

/// A stream that could not be started.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedStream {
    /// Its id.
    pub id: String,
    /// Why.
    pub error: String,
}

/// Frames per second.
#[derive(Debug, Serialize, ToSchema)]
pub struct FpsWire {
    /// That come.
    #[serde(rename = "in")]
    pub incoming: f64,
    /// That get a result.
    pub inferred: f64,
}

/// Numbers of frames.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsWire {
    /// That came.
    pub received: u64,
    /// That have a result.
    pub inferred: u64,
    /// That are under way.
    pub pending: u64,
    /// That have no result, by reason: `superseded`, `stale`, `overload`, `skipped`, `failed`, `shutdown`. Reasons that did
    /// not occur are absent.
    pub dropped: BTreeMap<&'static str, u64>,
}

impl StreamWire {
    /// A stream's status; `source` must not show credentials.
    pub fn new(id: &str, source: &str, url: Option<&str>, pipeline: String, status: StreamStatus) -> Self {
        let StreamStatus {
            state,
            since,
            reason,
            attempts,
            connects,
            last_error,
            size,
            fps_in,
            fps_inferred,
            received,
            inferred,
            pending,
            dropped,
            latency,
            cached_frames,
            cached_bytes,
        } = status;
        let reasons = DropReason::ALL.into_iter().map(|reason| (reason.as_str(), dropped[reason.index()]));
        Self {
            id: id.to_owned(),
            source: source.to_owned(),
            url: url.map(str::to_owned),
            pipeline,
            state: state.as_str(),
            since: humantime::format_rfc3339_millis(since).to_string(),
            reason,
            attempts,
            reconnects: connects.saturating_sub(1),
            last_error,
            width: size.map(|size| size.width),
            height: size.map(|size| size.height),
            fps: FpsWire { incoming: round(fps_in, 10.0), inferred: round(fps_inferred, 10.0) },
            frames: CountsWire { received, inferred, pending, dropped: reasons.filter(|(_, n)| *n > 0).collect() },
            latency_ms: latency.map(LatencyWire::from),
            cache: CacheWire { frames: cached_frames, bytes: cached_bytes },
        }
    }
}
