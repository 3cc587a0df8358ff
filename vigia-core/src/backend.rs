//! Who runs a batch.

use std::sync::Arc;
use std::time::Duration;

use crate::admission::DropReason;
use crate::detection::{Detection, Thresholds};
use crate::frame::Frame;
use crate::geometry::{Affine, BBox};
use crate::landmarks::Landmarks;
use crate::model::ModelSpec;

/// One picture, or one part of one, for one model.
#[derive(Clone, Debug)]
pub struct Request {
    /// The picture.
    pub frame: Arc<Frame>,
    /// The part to look at; the whole picture where absent. What of it lies outside the picture is padding.
    pub roi: Option<Region>,
    /// What counts as found.
    pub thresholds: Thresholds,
}

/// A part of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Region {
    /// A box, in source pixels; it is brought into the model's input as the model's [`Fit`](crate::model::Fit) says.
    Box(BBox),
    /// The map from pixels of the model's input to source pixels, whatever the model's fit.
    Aligned(Affine),
}

impl From<BBox> for Region {
    fn from(bbox: BBox) -> Self {
        Self::Box(bbox)
    }
}

/// What a model says about one request, in source pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A detector's boxes, most confident first.
    Detections(Vec<Detection>),
    /// A second stage's points.
    Landmarks(Landmarks),
    /// What a second stage takes the object for: every class of the model, the most likely first. The confidences add up
    /// to 1.
    Classes(Vec<ClassScore>),
    /// How old a face looks, and of which gender.
    AgeGender(AgeGender),
    /// Numbers that are near those of another picture of the same object and far from those of others; of the model's own
    /// length and scale, as it gives them.
    Embedding(Vec<f32>),
}

/// One class that an object may be of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScore {
    /// Index into the model's labels.
    pub class_id: u32,
    /// 0..1.
    pub confidence: f32,
}

/// What a model for age and gender says of a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgeGender {
    /// Years, as the model gives them.
    pub age: f32,
    /// The likelier of the model's two labels, confidence 0.5..1.
    pub gender: ClassScore,
}

/// Time spent on one request of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Pixels to tensor.
    pub preprocess: Duration,
    /// The network: the same for all of a batch.
    pub inference: Duration,
    /// Tensors to output.
    pub postprocess: Duration,
}

/// What became of one request of a batch.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The output, or why there is none for this request alone.
    pub output: Result<Output, InferError>,
    /// What it cost.
    pub cost: Cost,
}

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// The part of the picture to look at is empty.
    #[error("the crop has no pixels inside the picture")]
    EmptyCrop,
    /// Too many requests wait already; this one was not taken. Trying again later helps.
    #[error("model {model}: {waiting} requests wait already, the queue is full; try again later")]
    QueueFull {
        /// Which model.
        model: String,
        /// How many wait.
        waiting: usize,
    },
    /// A live frame was not worth running, or there was no room for it.
    #[error("the frame was dropped: {}", .0.sentence())]
    Dropped(DropReason),
    /// The picture itself cannot be used: it is none, cut off, damaged, or too large.
    #[error("{reason}")]
    Unusable {
        /// The kind of fault, as a stable name.
        code: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The engine failed on this batch.
    #[error("model {model}: {reason}")]
    Failed {
        /// Which model.
        model: String,
        /// What the engine said.
        reason: String,
    },
    /// The worker that had the request panicked; it was started again.
    #[error("model {model}: the worker failed and was restarted; the request was not answered")]
    Panicked {
        /// Which model.
        model: String,
    },
    /// The engine is shutting down.
    #[error("model {model} is shutting down")]
    Shutdown {
        /// Which model.
        model: String,
    },
}

/// One instance of a model. One thread owns it: `run` takes `&mut self`.
pub trait Backend: Send {
    /// What it is and wants.
    fn spec(&self) -> &ModelSpec;

    /// Runs 1 to `max_batch` requests and appends one answer per request to `out`, in order. `out` comes in empty.
    ///
    /// # Errors
    /// When the batch as a whole failed; `out` is then ignored.
    fn run(&mut self, batch: &[Request], out: &mut Vec<Answer>) -> Result<(), InferError>;
}
