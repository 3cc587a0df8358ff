//! Tracks that ended, as they are kept, listed and told.

use serde::Serialize;
use utoipa::ToSchema;
use vigia_core::event::{BestShot, EndedTrack, PathPoint};
use vigia_core::landmarks::LandmarksSource;

use super::{BoxWire, pair, pixel, round, share, time};

/// An object that was there.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventWire {
    /// Its id: the stream's, which life of the stream it was, and the track's number.
    pub id: String,
    /// The stream's id.
    pub stream: String,
    /// Its number within this life of the stream, as in the results.
    pub track_id: u64,
    /// The class's name.
    pub class: String,
    /// When it was first detected (RFC 3339).
    pub started_at: String,
    /// When it was last detected (RFC 3339).
    pub ended_at: String,
    /// How often it was detected.
    pub detections: u64,
    /// The best of its detections; absent where none could be cut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub best: Option<BestWire>,
    /// Which way it went, from its first detection to its last: at most 32 points.
    pub path: Vec<PathPointWire>,
    /// Where the picture of its best detection is; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub snapshot: Option<String>,
}

/// The best detection of an object.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Best)]
pub struct BestWire {
    /// The detection's number within this life of the stream.
    pub event_id: u64,
    /// 0 to 1: how well the object can be seen.
    pub quality: f64,
    /// The detector's, 0 to 1.
    pub confidence: f64,
    /// Where it was then.
    #[serde(rename = "box")]
    pub bbox: BoxWire,
    /// Its landmarks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub landmarks: Option<Vec<[f64; 2]>>,
    /// `model`, `detector` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub landmarks_source: Option<&'static str>,
    /// The detection whose crop the landmarks were found in, where that is known: `event_id`, or an earlier one of the same
    /// object, which may have moved or turned since.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub landmarks_event_id: Option<u64>,
}

/// Where an object was.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PathPoint)]
pub struct PathPointWire {
    /// Seconds since its first detection.
    pub t: f64,
    /// The centre of its box, source pixels, to the right.
    pub x: f64,
    /// The same, down.
    pub y: f64,
}

/// Events, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsPage {
    /// They, by the time at which they ended.
    pub events: Vec<EventWire>,
    /// The `cursor` of the next page; `null` at the end.
    pub next: Option<String>,
}

impl EventWire {
    /// An event under this id, without a picture.
    pub(crate) fn new(id: String, ended: &EndedTrack, class: String) -> Self {
        let EndedTrack { stream, track, class_id: _, started_at, ended_at, detections, path, best } = ended;
        Self {
            id,
            stream: stream.id.as_str().to_owned(),
            track_id: track.0,
            class,
            started_at: time(*started_at),
            ended_at: time(*ended_at),
            detections: *detections,
            best: best.as_ref().map(BestWire::from),
            path: path.iter().map(PathPointWire::from).collect(),
            snapshot: None,
        }
    }
}

impl From<&BestShot> for BestWire {
    fn from(best: &BestShot) -> Self {
        let BestShot { event, quality, confidence, bbox, landmarks, picture: _, cut: _ } = best;
        let found = landmarks.as_ref().filter(|settled| settled.source != LandmarksSource::None);
        Self {
            event_id: event.0,
            quality: share(*quality),
            confidence: share(*confidence),
            bbox: BoxWire::from(bbox),
            landmarks: found.map(|settled| settled.landmarks.points.iter().copied().map(pair).collect()),
            landmarks_source: landmarks.as_ref().map(|settled| settled.source.as_str()),
            landmarks_event_id: landmarks.as_ref().and_then(|settled| settled.event).map(|event| event.0),
        }
    }
}

impl From<&PathPoint> for PathPointWire {
    fn from(PathPoint { after, centre }: &PathPoint) -> Self {
        Self { t: round(after.as_secs_f64(), 1000.0), x: pixel(centre.x), y: pixel(centre.y) }
    }
}
