//! The sections `models` and `pipelines`.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vigia_core::cascade::When;
use vigia_core::track::TrackerPolicy;

use super::{hints, units};

/// A number, or `auto`: measured on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auto {
    /// What measures best.
    #[default]
    Auto,
    /// This many.
    Exactly(usize),
}

impl Auto {
    /// The number, if there is one.
    pub fn exactly(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Exactly(n) => Some(n),
        }
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = units::scalar(d, "auto, or a number from 1 to 1024")?;
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(n @ 1..=1024) => Ok(Self::Exactly(n)),
            _ => Err(serde::de::Error::custom(format!(
                "\"{}\": expected auto, or a number from 1 to 1024",
                hints::excerpt(&text, 40)
            ))),
        }
    }
}

impl Serialize for Auto {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => s.serialize_str("auto"),
            Self::Exactly(n) => s.serialize_u64(*n as u64),
        }
    }
}

impl JsonSchema for Auto {
    fn schema_name() -> Cow<'static, str> {
        "Auto".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number, or `auto`: what measures best on this machine.",
            "anyOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1024 }]
        })
    }
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DeviceName {
    /// CUDA where it is there, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU through CUDA.
    Cuda,
    /// An NVIDIA GPU through TensorRT.
    #[value(name = "tensorrt")]
    TensorRt,
    /// Intel's kernels through OpenVINO.
    #[value(name = "openvino")]
    OpenVino,
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The ONNX file; relative to the model folder.
    pub path: PathBuf,
    /// Confidence threshold, 0 to 1; absent: the manifest's, else the authors'.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub confidence: Option<f32>,
    /// IoU threshold, 0 to 1; absent: the manifest's, else the authors'.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub iou: Option<f32>,
    /// Sessions side by side.
    #[serde(default)]
    pub instances: Auto,
    /// Threads within each session.
    #[serde(default)]
    pub threads: Auto,
    /// Largest batch.
    #[serde(default)]
    pub batch: Auto,
    /// Where it runs.
    #[serde(default)]
    pub device: DeviceName,
}

impl ModelConfig {
    /// A model in this file, everything else left to itself.
    pub fn at(path: PathBuf) -> Self {
        Self { path, ..Self::default() }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if self.path.as_os_str().is_empty() {
            return Err("path is empty: give the ONNX file".to_owned());
        }
        for (key, value) in [("confidence", self.confidence), ("iou", self.iou)] {
            if let Some(v) = value.filter(|v| !(0.0..=1.0).contains(v)) {
                return Err(format!("{key} must be from 0 to 1, not {v}"));
            }
        }
        Ok(())
    }
}

/// One pipeline: a detector, then second stages on crops of what it found.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    /// The first stage: the detector.
    pub detect: DetectConfig,
    /// Follows objects through the frames of a stream. Absent: each frame is looked at by itself.
    #[serde(default)]
    pub track: Option<TrackConfig>,
    /// Second stages, on crops of what was detected.
    #[serde(default)]
    pub stages: Vec<StageConfig>,
    /// Tells of each track that ended, with its best shot; needs `track`. Absent: of none.
    #[serde(default)]
    pub events: Option<EventsOfConfig>,
}

/// How objects are followed from frame to frame.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrackConfig {
    /// Confidence from which a detection is given to a track before all others, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub high: f32,
    /// Confidence from which a detection may still go on with a track that has none better, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub low: f32,
    /// Confidence from which a detection that belongs to no track begins one, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub new: f32,
    /// Detections in a row before a track is told of; from 1 to 1000.
    #[serde(deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub confirm: u32,
    /// How long a track is kept without a detection; from 100ms to 1 hour.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub lost: Duration,
}

impl Default for TrackConfig {
    fn default() -> Self {
        let TrackerPolicy { high, low, new, confirm, lost, .. } = TrackerPolicy::default();
        Self { high, low, new, confirm, lost }
    }
}

impl From<&TrackConfig> for TrackerPolicy {
    fn from(&TrackConfig { high, low, new, confirm, lost }: &TrackConfig) -> Self {
        Self { high, low, new, confirm, lost, ..Self::default() }
    }
}

impl TrackConfig {
    fn validate(&self) -> Result<(), String> {
        for (key, value) in [("high", self.high), ("low", self.low), ("new", self.new)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("track.{key} must be from 0 to 1, not {value}"));
            }
        }
        if self.low > self.high {
            return Err(format!("track.low ({}) must not be above track.high ({})", self.low, self.high));
        }
        if !(1..=1000).contains(&self.confirm) {
            return Err(format!("track.confirm must be from 1 to 1000, not {}", self.confirm));
        }
        if self.new < self.high {
            return Err(format!("track.new ({}) must not be below track.high ({})", self.new, self.high));
        }
        if !(Duration::from_millis(100)..=Duration::from_hours(1)).contains(&self.lost) {
            return Err("track.lost must be from 100ms to 1 hour".to_owned());
        }
        Ok(())
    }
}

/// Which tracks are told of when they end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventsOfConfig {
    /// Names of the classes; all where empty.
    pub classes: Vec<String>,
}

/// When a tracked object is looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenName {
    /// When its crop is clearly better than the best one before: sharper, larger, more confident.
    #[default]
    Better,
    /// In every frame.
    Always,
    /// Until there is a result.
    Once,
}

impl WhenName {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Always => "always",
            Self::Once => "once",
        }
    }
}

impl From<WhenName> for When {
    fn from(name: WhenName) -> Self {
        match name {
            WhenName::Better => Self::Better,
            WhenName::Always => Self::Always,
            WhenName::Once => Self::Once,
        }
    }
}

/// The first stage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetectConfig {
    /// A model's name.
    pub model: String,
}

/// A second stage.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// A model's name.
    pub model: String,
    /// Names of the classes that it applies to; all where empty.
    #[serde(default)]
    pub classes: Vec<String>,
    /// Shortest side of a box that is worth a look, in pixels of the picture.
    #[serde(default = "StageConfig::default_min_size")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_size: f32,
    /// Added around the box on each side, as a share of its width and height.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5))]
    pub margin: f32,
    /// When an object that is followed through a stream is looked at again: `better`, when its crop is clearly better than
    /// the best one before; `always`, in every frame; `once`, until there is a result.
    #[serde(default)]
    pub when: WhenName,
    /// Looks at an object that is followed again, too, when what is known of it is older than this, from 1ms to 1 hour;
    /// null: not for that reason.
    #[serde(default, with = "units::optional_duration")]
    #[schemars(with = "Option<units::Span>")]
    pub refresh: Option<Duration>,
    /// Turns faces upright by eyes, nose and mouth, where the detector's keypoints or the landmarks of the track tell, and
    /// cuts them as ArcFace networks expect it; `margin` has no effect then.
    #[serde(default)]
    pub align: bool,
}

impl StageConfig {
    fn default_min_size() -> f32 {
        24.0
    }
}

impl PipelineConfig {
    /// The built-in pipeline: the face detector and its landmarks.
    pub fn faces() -> Self {
        let landmarks = StageConfig {
            model: "face-landmarks-68".to_owned(),
            classes: vec!["face".to_owned()],
            min_size: StageConfig::default_min_size(),
            margin: 0.0,
            when: WhenName::default(),
            // A face turns and speaks: points that only move with its box would soon be beside it.
            refresh: Some(Duration::from_secs(1)),
            align: false,
        };
        Self {
            detect: DetectConfig { model: "tiny-face".to_owned() },
            track: Some(TrackConfig::default()),
            stages: vec![landmarks],
            events: Some(EventsOfConfig { classes: vec!["face".to_owned()] }),
        }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if let Some(track) = &self.track {
            track.validate()?;
        } else if self.events.is_some() {
            return Err("events needs track: write \"track: {}\" to follow objects with the defaults".to_owned());
        }
        for (index, stage) in self.stages.iter().enumerate() {
            if self.stages[..index].iter().any(|other| other.model == stage.model) {
                return Err(format!("stages: model {} is there twice; name its classes in one stage", stage.model));
            }
            if !(0.0..=10_000.0).contains(&stage.min_size) {
                return Err(format!("stages: min_size must be from 0 to 10000 pixels, not {}", stage.min_size));
            }
            let fits = |refresh: Duration| (Duration::from_millis(1)..=Duration::from_hours(1)).contains(&refresh);
            if !stage.refresh.is_none_or(fits) {
                return Err("stages: refresh must be from 1ms to 1 hour, or null".to_owned());
            }
            if !(0.0..=5.0).contains(&stage.margin) {
                return Err(format!("stages: margin must be from 0 to 5 (a share of the box), not {}", stage.margin));
            }
        }
        Ok(())
    }
}
