//! The section `streams`: cameras and other sources, by id.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{self, within, written};

/// Longest id of a stream, in characters.
const LONGEST_ID: usize = 64;
const HOUR: Duration = Duration::from_hours(1);

/// One stream: where its pictures come from and what is done with them.
#[derive(Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// Where the pictures come from: rtsp(s), http(s), srt, rtmp(s), file, v4l2 or test address, or a path. A name and
    /// password in it are never shown.
    #[schemars(length(min = 1), example = "rtsp://user:secret@camera/h264", example = "v4l2:///dev/video0")]
    pub source: String,
    /// The pipeline that its pictures go through, by name.
    #[serde(default = "StreamConfig::default_pipeline")]
    pub pipeline: String,
    /// With no picture for so long the source has failed and is opened again; from 100ms to 1 hour.
    #[serde(default = "StreamConfig::default_timeout", with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub timeout: Duration,
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
        let Self { source, pipeline, timeout, every, max_fps, repeat, retry } = self;
        f.debug_struct("StreamConfig")
            .field("source", &super::hidden(source))
            .field("pipeline", pipeline)
            .field("timeout", timeout)
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
            timeout: Self::default_timeout(),
            every: Self::default_every(),
            max_fps: None,
            repeat: false,
            retry: RetryConfig::default(),
        }
    }

    fn default_pipeline() -> String {
        "faces".to_owned()
    }

    fn default_timeout() -> Duration {
        Duration::from_secs(5)
    }

    fn default_every() -> u64 {
        1
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
        if self.pipeline.is_empty() {
            return Err("pipeline is empty: give a pipeline's name".to_owned());
        }
        within("timeout", self.timeout, Duration::from_millis(100), HOUR, written)?;
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
    let shown: String = id.chars().take(LONGEST_ID).collect();
    Err(format!("{shown:?} is not a stream's id: use 1 to {LONGEST_ID} letters, digits, dots, hyphens and underscores"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_in_addresses() {
        for good in ["door", "Cam-1.front_left", "7", "...", &"a".repeat(64)] {
            assert_eq!(check_stream_id(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n", "a?b", "a%2f", &"a".repeat(65)] {
            assert!(check_stream_id(bad).is_err(), "{bad:?}");
        }
        let long = check_stream_id(&"\u{7}".repeat(100_000)).expect_err("far too long");
        assert!(long.len() < 1000 && !long.contains('\u{7}'), "{long}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        type Change = fn(&mut StreamConfig);
        let stream = |change: fn(&mut StreamConfig)| {
            let mut stream = StreamConfig::at("rtsp://user:secret@cam/1");
            change(&mut stream);
            stream.validate()
        };
        assert_eq!(stream(|_| ()), Ok(()));
        let cases: [(Change, &str); 14] = [
            (|s| s.source.clear(), "source is empty"),
            (|s| s.source = " \t".to_owned(), "source is empty"),
            (|s| s.source.push('\n'), "source must"),
            (|s| s.pipeline.clear(), "pipeline is empty"),
            (|s| s.timeout = Duration::ZERO, "timeout must be from 100ms to 1h, not 0s"),
            (|s| s.timeout = Duration::MAX, "timeout must"),
            (|s| s.every = 0, "every must be from 1 to 1000000, not 0"),
            (|s| s.every = u64::MAX, "every must"),
            (|s| s.max_fps = Some(0.0), "max_fps must"),
            (|s| s.max_fps = Some(-1.0), "max_fps must"),
            (|s| s.max_fps = Some(f64::NAN), "max_fps must"),
            (|s| s.max_fps = Some(f64::INFINITY), "max_fps must"),
            (|s| s.retry.initial = Duration::from_secs(11), "retry.max must be from 11s to 1h, not 10s"),
            (|s| s.retry.initial = Duration::ZERO, "retry.initial must"),
        ];
        for (change, expected) in cases {
            let error = stream(change).expect_err(expected);
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let shown = format!("{:?}", StreamConfig::at("rtsp://user:secret@cam/1?x=y"));
        assert!(shown.contains("@cam/1") && !shown.contains("secret"), "{shown}");
    }
}
