//! What a detector says about a picture.

use std::sync::Arc;

use crate::backend::Output;
use crate::event::EventId;
use crate::geometry::{BBox, Point};
use crate::id::ModelId;
use crate::landmarks::Settled;
use crate::track::TrackId;

/// A named point of an object, with the model's confidence where it gives one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keypoint {
    /// Where, in source pixels.
    pub point: Point,
    /// 0..1, where the model tells.
    pub confidence: Option<f32>,
}

/// One object in one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Index into the model's labels.
    pub class_id: u32,
    /// 0..1.
    pub confidence: f32,
    /// Where, in source pixels; of an object at the border it may reach beyond the picture, as its authors give it.
    pub bbox: BBox,
    /// The detector's own keypoints, in its order; empty where it has none.
    pub keypoints: Vec<Keypoint>,
    /// A second model's landmarks, or the fallback.
    pub landmarks: Option<Settled>,
    /// What second stages other than those for landmarks say of it.
    pub attributes: Vec<Attribute>,
    /// Its name within its stream; absent for pictures that belong to none.
    pub event: Option<EventId>,
    /// The confirmed track that it belongs to.
    pub track: Option<TrackId>,
}

impl Detection {
    /// A plain box of a class.
    pub fn new(class_id: u32, confidence: f32, bbox: BBox) -> Self {
        Self {
            class_id,
            confidence,
            bbox,
            keypoints: Vec::new(),
            landmarks: None,
            attributes: Vec::new(),
            event: None,
            track: None,
        }
    }
}

/// What a second stage says of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The stage's model.
    pub model: ModelId,
    /// The names of that model's classes.
    pub labels: Arc<[String]>,
    /// The detection whose crop it looked at, where that may be an earlier one of the same track.
    pub event: Option<EventId>,
    /// What it says.
    pub output: Output,
}

/// What counts as found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Detections below this confidence (0..1) are left out.
    pub confidence: f32,
    /// Of two boxes that overlap by more than this IoU (0..1), the less confident one is left out.
    pub iou: f32,
}
