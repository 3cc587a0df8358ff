//! What is published about one frame.

use std::sync::Arc;
use std::time::Duration;

use crate::detection::Detection;
use crate::frame::Frame;
use crate::id::ModelId;

/// How long each step of one frame took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Decoding the picture, where the decoder tells.
    pub decode: Option<Duration>,
    /// Waiting for the model.
    pub queue: Duration,
    /// Pixels to tensor, for this frame.
    pub preprocess: Duration,
    /// The network, for the whole batch.
    pub inference: Duration,
    /// Tensors to detections, for this frame.
    pub postprocess: Duration,
    /// From the offer of the frame to its result, decoding included.
    pub total: Duration,
}

/// In which company a frame ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// Requests in the batch.
    pub size: usize,
    /// This one's place in it, from 1.
    pub position: usize,
}

/// One frame's result.
#[derive(Clone, Debug)]
pub struct FrameResult {
    /// The frame, pixels included: whoever draws needs them.
    pub frame: Arc<Frame>,
    /// The model of the first stage.
    pub model: ModelId,
    /// What was found, most confident first.
    pub detections: Vec<Detection>,
    /// How long it took.
    pub timing: Timing,
    /// The batch of the first stage.
    pub batch: BatchInfo,
}
