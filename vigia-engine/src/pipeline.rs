//! One frame's way through its models: the detector, then the second stages on what it found.
//!
//! No thread waits in between. The detector's thread hands the crops to the second stage's queue and goes on; whoever
//! brings the last answer of a frame sends its result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use vigia_core::backend::{Cost, InferError, Output, Region, Request};
use vigia_core::batching::Live;
use vigia_core::cascade::{EventPolicy, StagePolicy, settle_landmarks};
use vigia_core::detection::{Attribute, Detection, Thresholds};
use vigia_core::event::EventId;
use vigia_core::frame::Frame;
use vigia_core::geometry::{Affine, BBox, Point, Size};
use vigia_core::id::{ModelId, StreamRef};
use vigia_core::landmarks::Landmarks;
use vigia_core::result::{BatchInfo, FrameResult, Timing};
use vigia_core::track::TrackerPolicy;

use crate::batcher::{Batcher, Completed, Picture, Reply};
use crate::metrics::StageMetrics;

/// A second stage: a model for crops, and which crops it gets.
pub struct Stage {
    /// The model's threads.
    pub batcher: Arc<Batcher>,
    /// Which detections, how large, with how much around them, how often.
    pub policy: StagePolicy,
    /// Turns crops upright by the object's points; boxes are cut out as they are where absent.
    pub align: Option<Align>,
    /// Where the crops of live streams are counted.
    pub metrics: StageMetrics,
}

/// From an object's points, in source pixels, to the map from a model's input of this size to source pixels; `None` where
/// the points do not tell.
pub type Align = fn(&[Point], Size) -> Option<Affine>;

impl Stage {
    /// The object turned upright, where its crops are to be and its points tell.
    pub(crate) fn upright(&self, points: &[Point]) -> Option<Region> {
        self.align.and_then(|align| align(points, self.batcher.spec().input.size)).map(Region::Aligned)
    }

    /// What the model said of an object, as its result shows it.
    pub(crate) fn attribute(&self, event: Option<EventId>, output: Output) -> Attribute {
        let spec = self.batcher.spec();
        Attribute { model: spec.id.clone(), labels: spec.labels.clone(), event, output }
    }

    /// Crops of live streams that may wait: enough for the batch that runs next and two more.
    pub fn bound(&self) -> usize {
        (3 * self.batcher.policy().max_batch).max(32)
    }
}

/// `detect → track → stages[] → events`.
pub struct Pipeline {
    detector: Arc<Batcher>,
    stages: Arc<[Stage]>,
    tracking: Option<TrackerPolicy>,
    events: Option<EventPolicy>,
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
        Self { detector, stages: stages.into(), tracking: None, events: None }
    }

    /// The same, that follows the objects of live streams from frame to frame.
    #[must_use]
    pub fn with_tracking(self, policy: TrackerPolicy) -> Self {
        Self { tracking: Some(policy), ..self }
    }

    /// The same, that tells of tracks that ended; for that they have to be followed.
    #[must_use]
    pub fn with_events(self, policy: EventPolicy) -> Self {
        Self { events: Some(policy), ..self }
    }

    /// How objects are followed; absent where they are not.
    pub fn tracking(&self) -> Option<TrackerPolicy> {
        self.tracking
    }

    /// Which tracks are told of when they end.
    pub fn events(&self) -> Option<&EventPolicy> {
        self.events.as_ref().filter(|_| self.tracking.is_some())
    }

    /// The second stages.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The detector.
    pub fn detector(&self) -> &Batcher {
        &self.detector
    }

    /// True when something is cut out of the frame, so that it is worth having in full size.
    pub fn cuts_out(&self) -> bool {
        !self.stages.is_empty() || self.events().is_some()
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
        self.detector.submit(picture, thresholds, self.reply(self.stages.clone(), offered, deliver));
    }

    /// Sends a frame of a live stream on its way; see [`Batcher::submit_live`]. Its result has detections alone: the
    /// stream sends the crops, and does not wait for them.
    pub fn submit_live(
        &self,
        picture: Picture,
        thresholds: Thresholds,
        live: Live,
        held: Box<dyn Send>,
        deliver: Deliver,
    ) {
        self.detector.submit_live(picture, thresholds, live, held, self.reply(Arc::default(), live.offered, deliver));
    }

    /// Whether a stage other than this one may tell how an object is turned.
    pub(crate) fn gives_points(&self, stage: usize) -> bool {
        gives_points(&self.stages, stage)
    }

    /// Answers what waits of a stream that is gone; what is being worked on goes on.
    pub fn forget(&self, owner: &StreamRef) {
        self.detector.forget(owner);
        for stage in self.stages.iter() {
            stage.batcher.forget(owner);
        }
    }

    fn reply(&self, stages: Arc<[Stage]>, offered: Instant, deliver: Deliver) -> Reply {
        let model = self.detector.spec().id.clone();
        Box::new(move |completed| detected(model, &stages, completed, offered, deliver))
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stages: Vec<_> = self.stages.iter().map(|s| &s.batcher).collect();
        f.debug_struct("Pipeline").field("detector", &self.detector).field("stages", &stages).finish_non_exhaustive()
    }
}

/// A frame whose detections are known and whose crops are under way.
struct Assembly {
    frame: Arc<Frame>,
    model: ModelId,
    detections: Vec<Detection>,
    /// What the second stages said, by the detection and the stage.
    outputs: BTreeMap<(usize, usize), Output>,
    /// Where there are any, a detection says so even when it got nothing from them.
    stages: Arc<[Stage]>,
    /// Answers that are still to come.
    open: usize,
    /// Crops that wait for points to be turned upright by: the detection, the stage, the box.
    later: Vec<(usize, usize, BBox)>,
    cost: Cost,
    queued: Duration,
    batch: BatchInfo,
    offered: Instant,
    deliver: Deliver,
}

fn detected(model: ModelId, stages: &Arc<[Stage]>, completed: Completed, offered: Instant, deliver: Deliver) {
    let Completed { answer, queued, batch, frame } = completed;
    let outcome = answer.output.and_then(|output| {
        if let Output::Detections(detections) = output {
            return Ok(detections);
        }
        let reason = "it is a second stage, for crops: it belongs into a pipeline's stages".to_owned();
        Err(InferError::Failed { model: model.to_string(), reason })
    });
    let lost = || InferError::Failed { model: model.to_string(), reason: "the picture was lost".to_owned() };
    let (detections, frame) = match outcome.and_then(|detections| Ok((detections, frame.ok_or_else(lost)?))) {
        Ok(found) => found,
        Err(error) => return deliver(Err(error)),
    };
    let (crops, later) = crops(&frame, &detections, stages);
    let assembly = Assembly {
        outputs: BTreeMap::new(),
        stages: stages.clone(),
        open: crops.len(),
        later,
        frame,
        model,
        detections,
        cost: answer.cost,
        queued,
        batch,
        offered,
        deliver,
    };
    // Without any of the first, nothing waits for points either.
    if crops.is_empty() {
        return assembly.finish();
    }
    let (frame, stages) = (assembly.frame.clone(), stages.clone());
    send(&frame, &stages, crops, &Arc::new(Mutex::new(Some(assembly))));
}

fn send(
    frame: &Arc<Frame>,
    stages: &[Stage],
    crops: Vec<(usize, usize, Region)>,
    assembly: &Arc<Mutex<Option<Assembly>>>,
) {
    for (index, number, roi) in crops {
        let stage = &stages[number];
        let thresholds = stage.batcher.spec().thresholds;
        let request = Request { frame: frame.clone(), roi: Some(roi), thresholds };
        let assembly = assembly.clone();
        let reply = Box::new(move |completed| arrived(&assembly, (index, number), completed));
        // What was admitted as a frame is carried to its end: at most 300 detections each, of a bounded number of frames.
        stage.batcher.submit_admitted(request, reply);
    }
}

fn gives_points(stages: &[Stage], but: usize) -> bool {
    stages.iter().enumerate().any(|(n, stage)| n != but && stage.batcher.spec().family.gives_landmarks())
}

/// Index of the detection, index of the stage, crop: at once, and once points are known.
#[expect(clippy::type_complexity, reason = "two lists of what is named above")]
fn crops(
    frame: &Frame,
    detections: &[Detection],
    stages: &[Stage],
) -> (Vec<(usize, usize, Region)>, Vec<(usize, usize, BBox)>) {
    let picture = frame.image.source_size();
    let (mut crops, mut later) = (Vec::new(), Vec::new());
    for (index, detection) in detections.iter().enumerate() {
        let points: Vec<Point> = detection.keypoints.iter().map(|keypoint| keypoint.point).collect();
        for (s, stage) in stages.iter().enumerate() {
            let Some(roi) = stage.policy.crop(detection, picture) else { continue };
            match stage.upright(&points) {
                Some(upright) => crops.push((index, s, upright)),
                None if stage.align.is_some() && gives_points(stages, s) => later.push((index, s, roi)),
                None => crops.push((index, s, Region::Box(roi))),
            }
        }
    }
    (crops, later)
}

fn arrived(assembly: &Arc<Mutex<Option<Assembly>>>, of: (usize, usize), completed: Completed) {
    let mut guard = assembly.lock();
    let Some(a) = guard.as_mut() else { return };
    match completed.answer.output {
        Ok(Output::Detections(_)) => tracing::warn!("a second stage gave detections; they are left out"),
        Ok(output) => drop(a.outputs.insert(of, output)),
        // The fallback stands in; the rest of the frame is as good as ever.
        Err(error) => tracing::debug!(%error, "a crop has no result"),
    }
    a.open -= 1;
    if a.open == 0 && !a.later.is_empty() {
        let crops = a.with_points();
        a.open = crops.len();
        let (frame, stages) = (a.frame.clone(), a.stages.clone());
        drop(guard);
        return send(&frame, &stages, crops, assembly);
    }
    if a.open == 0
        && let Some(whole) = guard.take()
    {
        drop(guard);
        whole.finish();
    }
}

impl Assembly {
    /// The crops that waited for points, turned upright where there are any now.
    fn with_points(&mut self) -> Vec<(usize, usize, Region)> {
        let (outputs, stages) = (&self.outputs, &self.stages);
        let points = |index: usize| {
            let mut of_detection = outputs.range((index, 0)..=(index, usize::MAX)).map(|(_, output)| output);
            of_detection
                .find_map(|output| if let Output::Landmarks(found) = output { Some(&found.points) } else { None })
        };
        let crop = |(index, stage, roi): (usize, usize, BBox)| {
            let upright = points(index).and_then(|points| stages[stage].upright(points));
            (index, stage, upright.unwrap_or(Region::Box(roi)))
        };
        std::mem::take(&mut self.later).into_iter().map(crop).collect()
    }

    fn finish(mut self) {
        let elapsed = self.offered.elapsed();
        let mut landmarks: Vec<Option<Landmarks>> = vec![None; self.detections.len()];
        for ((index, stage), output) in self.outputs {
            match output {
                Output::Landmarks(found) => landmarks[index] = Some(found),
                output => self.detections[index].attributes.push(self.stages[stage].attribute(None, output)),
            }
        }
        for (detection, landmarks) in self.detections.iter_mut().zip(landmarks) {
            if !self.stages.is_empty() || !detection.keypoints.is_empty() {
                settle_landmarks(detection, landmarks.map(|landmarks| (landmarks, None)));
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
