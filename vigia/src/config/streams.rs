//! The section `streams`: cameras and other sources, by id.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use vigia_core::admission::{CacheMode, CachePolicy};

use super::units::{self, within, written};
use super::{hints, server};

/// Longest id of a stream, in characters.
const LONGEST_ID: usize = 64;
const HOUR: Duration = Duration::from_hours(1);

/// The keys of a stream, each with the keys below it.
pub(super) const KEYS: [(&str, &[&str]); 11] = [
    ("source", &[]),
    ("pipeline", &[]),
    ("latency", &[]),
    ("cache", &["mode", "frames"]),
    ("timeout", &[]),
    ("linger", &[]),
    ("transport", &[]),
    ("every", &[]),
    ("max_fps", &[]),
    ("loop", &[]),
    ("retry", &["initial", "max"]),
];

/// One stream: where its pictures come from and what is done with them.
#[derive(Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// Where the pictures come from: rtsp(s), http(s), srt, rtmp(s), file, v4l2 or test address, or a path; `push` where
    /// they are sent by PUT or WebSocket; `tcp-listen://HOST:PORT` for a socket of the stream's own, port 0 for a free one.
    /// A name and password in it are never shown.
    #[schemars(
        length(min = 1),
        example = "rtsp://user:secret@camera/h264",
        example = "v4l2:///dev/video0",
        example = &"push",
        example = "tcp-listen://0.0.0.0:5000"
    )]
    pub source: String,
    /// The pipeline that its pictures go through, by name.
    #[serde(default = "StreamConfig::default_pipeline")]
    pub pipeline: String,
    /// A frame's result is wanted this long after the frame came; a frame that would be later is dropped as stale. A model
    /// that is slower than that gets fresh frames all the same. From 1ms to 1 hour.
    #[serde(default = "StreamConfig::default_latency", with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub latency: Duration,
    /// Which of its frames wait for the model.
    #[serde(default)]
    pub cache: CacheConfig,
    /// With no frame for so long a source has stalled: it is opened again; a stream that is pushed to or listens ends. From
    /// 100ms to 1 hour.
    #[serde(default = "StreamConfig::default_timeout", with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub timeout: Duration,
    /// How long a stream that is pushed to or listens stays in the list after its end; up to 1 hour.
    #[serde(default = "StreamConfig::default_linger", with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub linger: Duration,
    /// What carries an RTSP source's packets: `tcp`, its own connection, which passes firewalls and loses nothing; `udp`,
    /// which waits for no lost packet; `auto`, whatever works first.
    #[serde(default)]
    pub transport: TransportName,
    /// Takes every n-th picture: 1 takes all; up to 1000000.
    #[serde(default = "StreamConfig::default_every", deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub every: u64,
    /// Most pictures per second that go to the model, above 0 up to 1000; null: all.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1000))]
    pub max_fps: Option<f64>,
    /// Begins a file again at its end.
    #[serde(default, rename = "loop")]
    pub repeat: bool,
    /// When a source that failed is opened again.
    #[serde(default)]
    pub retry: RetryConfig,
}

/// Which frames of a stream wait for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Which frames stay where there is no room for one more: `latest`, the newest, an older one is dropped as superseded;
    /// `fifo`, the oldest, in their order, the one that comes is dropped as overload.
    pub mode: CacheModeName,
    /// Most frames that wait; from 1 to 10000.
    #[serde(deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub frames: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { mode: CacheModeName::default(), frames: 1 }
    }
}

impl From<CacheConfig> for CachePolicy {
    fn from(CacheConfig { mode, frames }: CacheConfig) -> Self {
        Self { mode: mode.into(), frames }
    }
}

/// Which frames stay where there is no room for one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheModeName {
    /// The newest: an older one is dropped, as superseded.
    #[default]
    Latest,
    /// The oldest, in their order: the one that comes is dropped, as overload.
    Fifo,
}

impl<'de> Deserialize<'de> for CacheModeName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        units::name(d, "latest or fifo", &["latest", "fifo"], &[Self::Latest, Self::Fifo])
    }
}

impl From<CacheModeName> for CacheMode {
    fn from(name: CacheModeName) -> Self {
        match name {
            CacheModeName::Latest => Self::Latest,
            CacheModeName::Fifo => Self::Fifo,
        }
    }
}

/// What carries an RTSP source's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportName {
    /// The RTSP connection itself: passes firewalls, loses nothing.
    #[default]
    Tcp,
    /// UDP: does not wait for lost packets.
    Udp,
    /// Whatever works first.
    Auto,
}

impl<'de> Deserialize<'de> for TransportName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        units::name(d, "tcp, udp or auto", &["tcp", "udp", "auto"], &[Self::Tcp, Self::Udp, Self::Auto])
    }
}

/// When a source that failed is opened again: the pauses double from the first to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// The first pause; from 10ms.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub initial: Duration,
    /// The longest pause; at least `initial`, up to 1 hour.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub max: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { initial: Duration::from_millis(250), max: Duration::from_secs(10) }
    }
}

/// Shows no credentials.
impl fmt::Debug for StreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, pipeline, latency, cache, timeout, linger, transport, every, max_fps, repeat, retry } = self;
        f.debug_struct("StreamConfig")
            .field("source", &super::hidden(source))
            .field("pipeline", pipeline)
            .field("latency", latency)
            .field("cache", cache)
            .field("timeout", timeout)
            .field("linger", linger)
            .field("transport", transport)
            .field("every", every)
            .field("max_fps", max_fps)
            .field("repeat", repeat)
            .field("retry", retry)
            .finish()
    }
}

impl StreamConfig {
    /// A stream from this source, everything else as by default.
    pub fn at(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            pipeline: Self::default_pipeline(),
            latency: Self::default_latency(),
            cache: CacheConfig::default(),
            timeout: Self::default_timeout(),
            linger: Self::default_linger(),
            transport: TransportName::default(),
            every: Self::default_every(),
            max_fps: None,
            repeat: false,
            retry: RetryConfig::default(),
        }
    }

    fn default_pipeline() -> String {
        "faces".to_owned()
    }

    fn default_latency() -> Duration {
        Duration::from_millis(200)
    }

    fn default_timeout() -> Duration {
        Duration::from_secs(5)
    }

    fn default_linger() -> Duration {
        Duration::from_secs(10)
    }

    fn default_every() -> u64 {
        1
    }

    /// Whether a stream has to start anew to become `other`. What else differs can change while it runs.
    pub fn restarts(&self, other: &Self) -> bool {
        let Self { source, pipeline, cache, transport, repeat, timeout, .. } = self;
        // A source that is fetched is opened with it; where frames are pushed, the stream itself watches the time.
        let is_opened_with = source != crate::streams::PUSH;
        (is_opened_with && *timeout != other.timeout)
            || *source != other.source
            || *pipeline != other.pipeline
            || *cache != other.cache
            || *transport != other.transport
            || *repeat != other.repeat
    }

    /// Whether every value is within its range. Whether the pipeline is there, the configuration knows.
    ///
    /// # Errors
    /// The key and what it must be; never the source itself.
    pub fn validate(&self) -> Result<(), String> {
        if self.source.trim().is_empty() {
            return Err("source is empty: give an address or a path".to_owned());
        }
        if self.source.contains(char::is_control) {
            return Err("source must be one line without control characters".to_owned());
        }
        if let Some((scheme, address)) = self.source.split_once("://")
            && scheme.eq_ignore_ascii_case("tcp-listen")
        {
            let wrong = |why| format!("source: {:?} {why}", hints::excerpt(&self.source, 100));
            server::check_listen(address).map_err(wrong)?;
        }
        if self.pipeline.is_empty() {
            return Err("pipeline is empty: give a pipeline's name".to_owned());
        }
        within("latency", self.latency, Duration::from_millis(1), HOUR, written)?;
        within("cache.frames", self.cache.frames, 1, 10_000, usize::to_string)?;
        within("timeout", self.timeout, Duration::from_millis(100), HOUR, written)?;
        within("linger", self.linger, Duration::ZERO, HOUR, written)?;
        within("every", self.every, 1, 1_000_000, u64::to_string)?;
        if let Some(fps) = self.max_fps.filter(|fps| !(*fps > 0.0 && *fps <= 1000.0)) {
            return Err(format!("max_fps must be above 0 and up to 1000, or null for all, not {fps}"));
        }
        within("retry.initial", self.retry.initial, Duration::from_millis(10), HOUR, written)?;
        within("retry.max", self.retry.max, self.retry.initial, HOUR, written)
    }
}

/// Whether this can be the id of a stream: it stands in addresses and in metrics as it is.
///
/// # Errors
/// What an id looks like.
pub fn check_stream_id(id: &str) -> Result<(), String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    // Browsers and proxies take "." and ".." in an address for folders.
    if (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(known) && !matches!(id, "." | "..") {
        return Ok(());
    }
    let shown = hints::excerpt(id, LONGEST_ID);
    Err(format!("{shown:?} is not a stream's id: use 1 to {LONGEST_ID} letters, digits, dots, hyphens and underscores"))
}

#[cfg(test)]
mod tests;
