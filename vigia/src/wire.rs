//! Results as they are written: one JSON object per picture or frame.
//!
//! Wire types stand apart from the domain's: what is published changes less often than what computes it. Coordinates are
//! pixels of the source picture, times milliseconds. Results are here, what the server says of itself in `status`. The
//! comments on types and fields are what the OpenAPI description says of them.

mod attributes;
mod events;
mod status;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use utoipa::ToSchema;
use vigia_core::detection::Detection;
use vigia_core::geometry::{BBox, Point};
use vigia_core::landmarks::LandmarksSource;
use vigia_core::result::{BatchInfo, FrameResult, Timing};

pub use attributes::AttributeWire;
pub use events::{BestWire, EventWire, EventsPage, PathPointWire};
pub use status::{
    CacheWire, CountsWire, FailedStream, FpsWire, LatencyWire, Model, Models, PipelineWire, Problem, Reloaded,
    StageWire, StateEvent, StreamWire, Streams,
};

/// Whose result it is.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// An input of `detect`, as given.
    Source(&'a str),
    /// A stream.
    Stream(&'a str),
    /// A picture that was posted.
    Posted,
}

/// One picture's or frame's result.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Result)]
pub struct ResultLine<'a> {
    /// The input as given; only in files that `vigia detect` writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub source: Option<&'a str>,
    /// The stream's id; absent for pictures that were posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stream: Option<&'a str>,
    /// Number of the frame in its stream, from 0; absent for pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub frame_id: Option<u64>,
    /// When it was taken, for live sources (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub captured_at: Option<String>,
    /// Seconds from the start of the video; absent for pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pts: Option<f64>,
    /// Of the source picture.
    pub width: u32,
    /// Of the source picture.
    pub height: u32,
    /// The detector.
    pub model: &'a str,
    /// What was found, most confident first.
    pub detections: Vec<DetectionWire>,
    /// How long it took.
    pub timing_ms: TimingWire,
    /// In which company it ran.
    pub batch: BatchWire,
}

/// One object.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Detection)]
pub struct DetectionWire {
    /// The class's name.
    pub class: String,
    /// The class's number.
    pub class_id: u32,
    /// 0 to 1.
    pub confidence: f64,
    /// Where.
    #[serde(rename = "box")]
    pub bbox: BoxWire,
    /// The detector's own keypoints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keypoints: Vec<KeypointWire>,
    /// Points of the second stage, or its fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub landmarks: Option<Vec<[f64; 2]>>,
    /// `model`, `detector` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub landmarks_source: Option<&'static str>,
    /// The detection whose crop the landmarks were found in: an earlier one of the same track, from where they moved with
    /// the box; only in results of streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub landmarks_event_id: Option<u64>,
    /// What other second stages say, by the name of their model.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeWire>,
    /// The track that it belongs to, once that is confirmed; only in results of streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub track_id: Option<u64>,
    /// Its number; only in results of streams, where it grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_id: Option<u64>,
}

/// Left, top, right, bottom.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Box)]
pub struct BoxWire {
    /// Left edge, source pixels.
    x1: f64,
    /// Top edge, source pixels.
    y1: f64,
    /// Right edge, source pixels.
    x2: f64,
    /// Bottom edge, source pixels.
    y2: f64,
}

/// A keypoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Keypoint)]
pub struct KeypointWire {
    /// Source pixels, to the right.
    x: f64,
    /// Source pixels, down.
    y: f64,
    /// 0 to 1, where the model tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    confidence: Option<f64>,
}

/// Milliseconds per step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Timing)]
pub struct TimingWire {
    /// Decoding the picture, where the decoder tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decode: Option<f64>,
    /// Waiting for a decoder and for the model.
    queue: f64,
    /// Pixels to tensor.
    preprocess: f64,
    /// The network, for the whole batch.
    inference: f64,
    /// Tensors to detections.
    postprocess: f64,
    /// From the whole picture's arrival to its result.
    total: f64,
}

/// Size of the batch and place in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchWire {
    /// Requests in the batch.
    size: usize,
    /// This one's place in it, from 1.
    position: usize,
}

impl<'a> ResultLine<'a> {
    /// The line for a result; `label` names classes.
    pub fn new(origin: Origin<'a>, result: &'a FrameResult, label: &dyn Fn(u32) -> String) -> Self {
        let frame = &result.frame;
        let size = frame.image.source_size();
        let (source, stream) = match origin {
            Origin::Source(source) => (Some(source), None),
            Origin::Stream(stream) => (None, Some(stream)),
            Origin::Posted => (None, None),
        };
        Self {
            source,
            stream,
            frame_id: (stream.is_some() || frame.pts.is_some()).then_some(frame.frame_id),
            captured_at: frame.captured_at.map(|at| humantime::format_rfc3339_millis(at).to_string()),
            pts: frame.pts.map(|pts| round(pts.as_secs_f64(), 1000.0)),
            width: size.width,
            height: size.height,
            model: result.model.as_str(),
            detections: result.detections.iter().map(|d| DetectionWire::new(d, label)).collect(),
            timing_ms: TimingWire::from(&result.timing),
            batch: BatchWire::from(result.batch),
        }
    }
}

impl DetectionWire {
    fn new(detection: &Detection, label: &dyn Fn(u32) -> String) -> Self {
        let Detection { class_id, confidence, bbox, keypoints, landmarks, attributes, event, track } = detection;
        let keypoint = |k: &vigia_core::detection::Keypoint| {
            let [x, y] = pair(k.point);
            KeypointWire { x, y, confidence: k.confidence.map(share) }
        };
        let points = landmarks.as_ref().filter(|settled| settled.source != LandmarksSource::None);
        Self {
            class: label(*class_id),
            class_id: *class_id,
            confidence: share(*confidence),
            bbox: BoxWire::from(bbox),
            keypoints: keypoints.iter().map(keypoint).collect(),
            landmarks: points.map(|settled| settled.landmarks.points.iter().copied().map(pair).collect()),
            landmarks_source: landmarks.as_ref().map(|settled| settled.source.as_str()),
            landmarks_event_id: landmarks.as_ref().and_then(|settled| settled.event).map(|event| event.0),
            attributes: attributes.iter().filter_map(AttributeWire::named).collect(),
            track_id: track.map(|track| track.0),
            event_id: event.map(|event| event.0),
        }
    }
}

impl From<&BBox> for BoxWire {
    fn from(&BBox { x1, y1, x2, y2 }: &BBox) -> Self {
        Self { x1: pixel(x1), y1: pixel(y1), x2: pixel(x2), y2: pixel(y2) }
    }
}

impl From<&Timing> for TimingWire {
    fn from(timing: &Timing) -> Self {
        let &Timing { decode, queue, preprocess, inference, postprocess, total } = timing;
        Self {
            decode: decode.map(ms),
            queue: ms(queue),
            preprocess: ms(preprocess),
            inference: ms(inference),
            postprocess: ms(postprocess),
            total: ms(total),
        }
    }
}

impl From<BatchInfo> for BatchWire {
    fn from(BatchInfo { size, position }: BatchInfo) -> Self {
        Self { size, position }
    }
}

pub(crate) fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// Hundredths of a pixel.
fn pixel(value: f32) -> f64 {
    round(f64::from(value), 100.0)
}

/// A confidence, four digits.
pub(crate) fn share(value: f32) -> f64 {
    round(f64::from(value), 10_000.0)
}

/// Milliseconds, three digits.
pub(crate) fn ms(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0, 1000.0)
}

/// RFC 3339 with milliseconds; what lies before 1970 is taken for its beginning.
pub(crate) fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at.max(SystemTime::UNIX_EPOCH)).to_string()
}

fn pair(point: Point) -> [f64; 2] {
    [pixel(point.x), pixel(point.y)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigia_core::detection::Keypoint;
    use vigia_core::event::EventId;
    use vigia_core::id::ModelId;
    use vigia_core::landmarks::{Landmarks, Settled};
    use vigia_core::track::TrackId;

    fn result() -> FrameResult {
        let point = Point { x: 431.004, y: 160.2 };
        let mut face = Detection::new(0, 0.931_23, BBox { x1: 410.2, y1: 120.0, x2: 498.7, y2: 236.4 });
        face.keypoints.push(Keypoint { point, confidence: None });
        let landmarks = Landmarks { points: vec![point] };
        face.landmarks = Some(Settled { landmarks, source: LandmarksSource::Model, event: Some(EventId(3290)) });
        (face.event, face.track) = (Some(EventId(3301)), Some(TrackId(7)));
        let mut plain = Detection::new(7, 0.5, BBox::default());
        let landmarks = Landmarks { points: Vec::new() };
        plain.landmarks = Some(Settled { landmarks, source: LandmarksSource::None, event: None });
        FrameResult {
            frame: vigia_testkit::frame("door", 3),
            model: ModelId::new("tiny-face"),
            detections: vec![face, plain],
            timing: Timing {
                queue: Duration::from_micros(400),
                total: Duration::from_micros(8_800),
                ..Timing::default()
            },
            batch: BatchInfo { size: 3, position: 1 },
        }
    }

    /// The contract of DESIGN.md §5, field by field.
    #[test]
    fn a_line_has_exactly_these_fields() {
        let result = result();
        let line = ResultLine::new(Origin::Source("a.jpg"), &result, &|id| format!("class{id}"));
        let json = serde_json::to_value(&line).expect("serialisable");
        let expected = serde_json::json!({
            "source": "a.jpg", "width": 64, "height": 48, "model": "tiny-face",
            "detections": [
                {"class": "class0", "class_id": 0, "confidence": 0.9312,
                 "box": {"x1": 410.2, "y1": 120.0, "x2": 498.7, "y2": 236.4},
                 "keypoints": [{"x": 431.0, "y": 160.2}],
                 "landmarks": [[431.0, 160.2]], "landmarks_source": "model", "landmarks_event_id": 3290,
                 "track_id": 7, "event_id": 3301},
                {"class": "class7", "class_id": 7, "confidence": 0.5,
                 "box": {"x1": 0.0, "y1": 0.0, "x2": 0.0, "y2": 0.0}, "landmarks_source": "none"}
            ],
            "timing_ms": {"queue": 0.4, "preprocess": 0.0, "inference": 0.0, "postprocess": 0.0, "total": 8.8},
            "batch": {"size": 3, "position": 1}
        });
        assert_eq!(json, expected);
    }
}
