//! One frame's way through its models: the detector, then the second stages on what it found.
//!
//! No thread waits in between. The detector's thread hands the crops to the second stage's queue and goes on; whoever
//! brings the last answer of a frame sends its result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use vigia_core::backend::{Cost, InferError, Output, Request};
use vigia_core::batching::Live;
use vigia_core::cascade::{StagePolicy, settle_landmarks};
use vigia_core::detection::{Detection, Thresholds};
use vigia_core::frame::Frame;
use vigia_core::geometry::BBox;
use vigia_core::id::ModelId;
use vigia_core::landmarks::Landmarks;
use vigia_core::result::{BatchInfo, FrameResult, Timing};

use crate::batcher::{Batcher, Completed, Picture, Reply};

/// A second stage: a model for crops, and which crops it gets.
pub struct Stage {
    /// The model's threads.
    pub batcher: Arc<Batcher>,
    /// Which detections, how large, with how much around them.
    pub policy: StagePolicy,
}

/// `detect → stages[]`.
pub struct Pipeline {
    detector: Arc<Batcher>,
    stages: Arc<[Stage]>,
}

/// Called once with a frame's result, or why there is none, on a model's thread (or, for a frame that is refused, on the
/// caller's): it must not block.
pub type Deliver = Box<dyn FnOnce(Result<FrameResult, InferError>) + Send>;
/// Gets a frame's result: `await` it, or `blocking_recv` on a plain thread.
pub type ResultReceiver = oneshot::Receiver<Result<FrameResult, InferError>>;

/// A way to wait for one frame's result.
pub fn receiver() -> (Deliver, ResultReceiver) {
    let (sender, receiver) = oneshot::channel();
    let deliver = move |result| {
        if sender.send(result).is_err() {
            tracing::debug!("a result that nobody waits for any more");
        }
    };
    (Box::new(deliver), receiver)
}

impl Pipeline {
    /// A pipeline over running models, which pipelines may share.
    pub fn new(detector: Arc<Batcher>, stages: Vec<Stage>) -> Self {
        Self { detector, stages: stages.into() }
    }

    /// The detector.
    pub fn detector(&self) -> &Batcher {
        &self.detector
    }

    /// True when crops are cut out of the frame, so that it is worth having in full size.
    pub fn has_stages(&self) -> bool {
        !self.stages.is_empty()
    }

    /// Frames under way at which each instance of the detector finds its next batch waiting while it runs one, with
    /// `decoders` threads that decode them; more would only hold memory. They always fit into the detector's queue: of a
    /// driver that feeds in order, one frame may be at each end of its window.
    pub fn window(&self, decoders: usize) -> usize {
        let queue = self.detector.policy().queue;
        (self.detector.capacity() * 2 + decoders).min(queue.saturating_sub(2)).max(1)
    }

    /// Sends a one-shot picture on its way; its result waits for all of its crops. When the detector's queue is full,
    /// [`InferError::QueueFull`] comes at once.
    ///
    /// `offered` is when the picture's work began, decoding included: the total time counts from there.
    pub fn submit(&self, picture: Picture, thresholds: Thresholds, offered: Instant, deliver: Deliver) {
        self.detector.submit(picture, thresholds, self.reply(offered, deliver));
    }

    /// Sends a frame of a live stream on its way; see [`Batcher::submit_live`].
    pub fn submit_live(
        &self,
        picture: Picture,
        thresholds: Thresholds,
        live: Live,
        held: Box<dyn Send>,
        deliver: Deliver,
    ) {
        self.detector.submit_live(picture, thresholds, live, held, self.reply(live.offered, deliver));
    }

    fn reply(&self, offered: Instant, deliver: Deliver) -> Reply {
        let (stages, model) = (self.stages.clone(), self.detector.spec().id.clone());
        Box::new(move |completed| detected(model, &stages, completed, offered, deliver))
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stages: Vec<_> = self.stages.iter().map(|s| &s.batcher).collect();
        f.debug_struct("Pipeline").field("detector", &self.detector).field("stages", &stages).finish()
    }
}

/// A frame whose detections are known and whose crops are under way.
struct Assembly {
    frame: Arc<Frame>,
    model: ModelId,
    detections: Vec<Detection>,
    from_model: Vec<Option<Landmarks>>,
    /// Second stages are configured: a detection says so even when it got nothing from them.
    staged: bool,
    /// Answers that are still to come.
    open: usize,
    cost: Cost,
    queued: Duration,
    batch: BatchInfo,
    offered: Instant,
    deliver: Deliver,
}

fn detected(model: ModelId, stages: &[Stage], completed: Completed, offered: Instant, deliver: Deliver) {
    let Completed { answer, queued, batch, frame } = completed;
    let outcome = answer.output.and_then(|output| match output {
        Output::Detections(detections) => Ok(detections),
        Output::Landmarks(_) => {
            let reason = "it gives landmarks of a crop, not detections: it belongs into a pipeline's stages".to_owned();
            Err(InferError::Failed { model: model.to_string(), reason })
        }
    });
    let lost = || InferError::Failed { model: model.to_string(), reason: "the picture was lost".to_owned() };
    let (detections, frame) = match outcome.and_then(|detections| Ok((detections, frame.ok_or_else(lost)?))) {
        Ok(found) => found,
        Err(error) => return deliver(Err(error)),
    };
    let crops = crops(&frame, &detections, stages);
    let assembly = Assembly {
        from_model: vec![None; detections.len()],
        staged: !stages.is_empty(),
        open: crops.len(),
        frame,
        model,
        detections,
        cost: answer.cost,
        queued,
        batch,
        offered,
        deliver,
    };
    if crops.is_empty() {
        return assembly.finish();
    }
    let frame = assembly.frame.clone();
    let assembly = Arc::new(Mutex::new(Some(assembly)));
    for (index, stage, roi) in crops {
        let stage = &stages[stage];
        let thresholds = stage.batcher.spec().thresholds;
        let request = Request { frame: frame.clone(), roi: Some(roi), thresholds };
        let assembly = assembly.clone();
        let reply = Box::new(move |completed| landmarks_arrived(&assembly, index, completed));
        // What was admitted as a frame is carried to its end: at most 300 detections each, of a bounded number of frames.
        stage.batcher.submit_admitted(request, reply);
    }
}

/// Index of the detection, index of the stage, crop.
fn crops(frame: &Frame, detections: &[Detection], stages: &[Stage]) -> Vec<(usize, usize, BBox)> {
    let picture = frame.image.source_size();
    let mut crops = Vec::new();
    for (index, detection) in detections.iter().enumerate() {
        for (s, stage) in stages.iter().enumerate() {
            crops.extend(stage.policy.crop(detection, picture).map(|roi| (index, s, roi)));
        }
    }
    crops
}

fn landmarks_arrived(assembly: &Mutex<Option<Assembly>>, index: usize, completed: Completed) {
    let mut guard = assembly.lock();
    let Some(a) = guard.as_mut() else { return };
    match completed.answer.output {
        Ok(Output::Landmarks(landmarks)) => a.from_model[index] = Some(landmarks),
        Ok(Output::Detections(_)) => tracing::warn!("a second stage gave detections; they are left out"),
        // The fallback stands in; the rest of the frame is as good as ever.
        Err(error) => tracing::debug!(%error, "a crop has no landmarks"),
    }
    a.open -= 1;
    if a.open == 0
        && let Some(whole) = guard.take()
    {
        drop(guard);
        whole.finish();
    }
}

impl Assembly {
    fn finish(mut self) {
        let elapsed = self.offered.elapsed();
        for (detection, landmarks) in self.detections.iter_mut().zip(self.from_model) {
            if self.staged || !detection.keypoints.is_empty() {
                settle_landmarks(detection, landmarks);
            }
        }
        let timing = Timing {
            decode: self.frame.decode,
            queue: self.queued,
            preprocess: self.cost.preprocess,
            inference: self.cost.inference,
            postprocess: self.cost.postprocess,
            total: elapsed,
        };
        let result = FrameResult {
            frame: self.frame,
            model: self.model,
            detections: self.detections,
            timing,
            batch: self.batch,
        };
        (self.deliver)(Ok(result));
    }
}
