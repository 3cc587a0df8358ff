//! What is told of an object once it is gone: when it was there, which way it went, and its best shot.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::frame::Image;
use crate::geometry::{BBox, Point};
use crate::id::StreamRef;
use crate::landmarks::Settled;
use crate::track::TrackId;

/// One detection in one frame; the numbers grow within a stream, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub u64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A track that ended. Of each one that was confirmed there is exactly one.
#[derive(Clone, Debug)]
pub struct EndedTrack {
    /// Whose.
    pub stream: StreamRef,
    /// Its number within this life of the stream.
    pub track: TrackId,
    /// Index into the detector's labels.
    pub class_id: u32,
    /// When the frame of its first detection was taken or, where that is unknown, looked at.
    pub started_at: SystemTime,
    /// The same of its last detection.
    pub ended_at: SystemTime,
    /// Its detections.
    pub detections: u64,
    /// Which way it went, from the first detection to the last: at most [`PATH_POINTS`] points.
    pub path: Vec<PathPoint>,
    /// The best of its detections; absent where none could be cut out.
    pub best: Option<BestShot>,
}

/// Most points of a path.
pub const PATH_POINTS: usize = 32;

/// Where an object was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathPoint {
    /// Since its first detection.
    pub after: Duration,
    /// The centre of its box, source pixels.
    pub centre: Point,
}

/// The best of a track's detections.
#[derive(Clone, Debug)]
pub struct BestShot {
    /// Which one.
    pub event: EventId,
    /// 0..1; see [`crate::quality`].
    pub quality: f32,
    /// The detector's, 0..1.
    pub confidence: f32,
    /// Where it was, in source pixels.
    pub bbox: BBox,
    /// Its landmarks, as far as they are known; source pixels of the same frame as the box.
    pub landmarks: Option<Settled>,
    /// The object and a little around it, cut out of the frame.
    pub picture: Image,
    /// Where the cut lies in the frame, in source pixels.
    pub cut: BBox,
}
