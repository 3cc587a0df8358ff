//! What a stream's thread does with a frame's detections before they are published: it names them, follows objects from
//! frame to frame, sends crops to the second stages without waiting, and tells of each object that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Condvar, Mutex};
use vigia_core::backend::{InferError, Output, Region, Request};
use vigia_core::cache::ResultCache;
use vigia_core::cascade::settle_landmarks;
use vigia_core::detection::Detection;
use vigia_core::event::{EndedTrack, EventId};
use vigia_core::frame::{Frame, Image};
use vigia_core::geometry::BBox;
use vigia_core::id::StreamRef;
use vigia_core::quality::{Traits, frontality, quality};
use vigia_core::records::{Candidate, NoResult, RESULT_AGE, Record};
use vigia_core::result::FrameResult;
use vigia_core::track::{TrackId, Tracker};

use super::Means;
use crate::batcher::Completed;
use crate::memory::{Budget, Charge};
use crate::metrics::{CropOutcome, StageMetrics};
use crate::pipeline::{Pipeline, Stage};

/// Looks at pixels for whoever knows only what is around them.
pub trait Shots: Send + Sync {
    /// The variance of the Laplacian of the luma in a box of source pixels; see [`vigia_core::quality`].
    fn sharpness(&self, image: &Image, bbox: &BBox) -> f32;

    /// The box and a little around it as a picture of its own, and where that lies in source pixels; `None` where nothing
    /// of it is inside the picture.
    fn cut(&self, image: &Image, bbox: &BBox) -> Option<(Image, BBox)>;
}

/// Takes a track that ended; must not block.
pub type TakeEnded = Box<dyn FnMut(EndedTrack) + Send>;

/// Results of crops that may wait for their tracks, of one stream.
const RESULTS: usize = 1024;
/// Crops that are under way when a stream ends get so long, so that a track that ends with it has its landmarks.
const LAST_CROPS: Duration = Duration::from_secs(1);
/// Objects of one frame that are looked at closely: the most confident ones.
const CLOSE_LOOKS: usize = 64;

/// Where the crops' results wait, shared with the stages' threads.
struct Results {
    state: Mutex<ResultsState>,
    answered: Condvar,
    /// Of the stages, in their order.
    metrics: Vec<StageMetrics>,
}

struct ResultsState {
    cache: ResultCache<(EventId, usize), Result<Output, NoResult>>,
    under_way: usize,
}

/// A stream's tracks and what is known of them. The stream's thread owns it.
pub(super) struct Follower {
    stream: StreamRef,
    pipeline: Arc<Pipeline>,
    tracker: Option<Tracker>,
    records: BTreeMap<TrackId, Record>,
    results: Arc<Results>,
    shots: Arc<dyn Shots>,
    /// For frames whose crops are under way.
    budget: Budget,
    ended: TakeEnded,
    last_event: u64,
    /// Where the time of frames without one counts from.
    began: Instant,
}

impl Follower {
    pub(super) fn new(stream: StreamRef, pipeline: Arc<Pipeline>, means: &Means, ended: TakeEnded) -> Self {
        let metrics = pipeline.stages().iter().map(|stage| stage.metrics.clone()).collect();
        let state = ResultsState { cache: ResultCache::new(RESULTS, RESULT_AGE), under_way: 0 };
        Self {
            tracker: pipeline.tracking().map(Tracker::new),
            records: BTreeMap::new(),
            results: Arc::new(Results { state: Mutex::new(state), answered: Condvar::new(), metrics }),
            stream,
            pipeline,
            shots: means.shots.clone(),
            budget: means.budget.clone(),
            ended,
            last_event: 0,
            began: Instant::now(),
        }
    }

    /// Takes in a frame's detections, in the order of the frames, and completes them. Those below `confidence` are for the
    /// tracker alone. `now` is when the frame came: how long it took is nothing to a tracker.
    pub(super) fn follow(&mut self, result: &mut FrameResult, confidence: f32, now: Instant) {
        let pipeline = self.pipeline.clone();
        let mut assigned = Vec::new();
        let mut gone = Vec::new();
        if let Some(tracker) = &mut self.tracker {
            let pts = result.frame.pts.unwrap_or_else(|| now.saturating_duration_since(self.began));
            let update = tracker.update(pts, &result.detections);
            assigned.extend(
                update.with_tentative.iter().zip(update.ids).map(|(id, told)| id.map(|id| (id, told.is_some()))),
            );
            gone.extend(update.ended.iter().map(|track| track.id));
            // Nobody is told of a track that was never confirmed.
            let alive: BTreeSet<TrackId> = tracker.tracks().map(|track| track.id).chain(gone.iter().copied()).collect();
            self.records.retain(|id, _| alive.contains(id));
        }
        assigned.resize(result.detections.len(), None);
        let at = result.frame.captured_at.unwrap_or_else(SystemTime::now);
        let frame = result.frame.clone();
        for record in self.records.values_mut() {
            self.results.collect(record, now);
        }
        let mut held = Held { frame: &frame, budget: &self.budget, charge: None };
        let (mut looks, mut wanted) = (0, Vec::new());
        for (detection, assigned) in result.detections.iter_mut().zip(&assigned) {
            if detection.confidence < confidence {
                continue;
            }
            self.last_event += 1;
            let event = EventId(self.last_event);
            detection.event = Some(event);
            let Some((id, is_confirmed)) = *assigned else {
                settle(detection, None, &pipeline);
                continue;
            };
            detection.track = is_confirmed.then_some(id);
            let stages = pipeline.stages().len();
            let record = self.records.entry(id);
            let record = record.or_insert_with(|| Record::new(detection.class_id, at, stages));
            record.seen(at, &detection.bbox);
            looks += 1;
            if looks <= CLOSE_LOOKS {
                let crops = look(record, &*self.shots, &pipeline, &mut held, detection, event, now);
                wanted.extend(crops);
            }
            settle(detection, Some(record), &pipeline);
        }
        // Where there is no room for all, those of whom least is known go first.
        wanted.sort_by_key(|crop: &Crop| crop.known);
        for Crop { event, stage, region, charge, .. } in wanted {
            self.results.send(&pipeline.stages()[stage], (event, stage), frame.clone(), region, charge);
        }
        result.detections.retain(|detection| detection.event.is_some());
        for id in gone {
            self.end(id, now);
        }
        self.results.expire(now);
    }

    /// Ends all tracks: the source is over. Crops that are under way get a moment where somebody still wants them.
    pub(super) fn finish(&mut self, waits: bool) {
        let Some(tracker) = &mut self.tracker else { return };
        let gone: Vec<TrackId> = tracker.finish().iter().map(|track| track.id).collect();
        if gone.is_empty() {
            self.records.clear();
            return;
        }
        if waits && gone.iter().any(|id| self.records.get(id).is_some_and(Record::is_waiting)) {
            self.results.wait(LAST_CROPS);
        }
        let now = Instant::now();
        for id in gone {
            self.end(id, now);
        }
        self.records.clear();
    }

    fn end(&mut self, id: TrackId, now: Instant) {
        let Some(mut record) = self.records.remove(&id) else { return };
        self.results.collect(&mut record, now);
        let ended = record.end(self.stream.clone(), id);
        if self.pipeline.events().is_some_and(|events| events.applies_to(ended.class_id)) {
            (self.ended)(ended);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.results.close();
    }
}

/// A crop that goes to a stage.
struct Crop {
    event: EventId,
    /// The detection that its track's newest result is of.
    known: Option<EventId>,
    stage: usize,
    region: Region,
    /// Memory of the frame that it keeps.
    charge: Arc<Charge>,
}

/// A frame that is kept, once for all of its crops, as long as one of them is under way.
struct Held<'a> {
    frame: &'a Frame,
    budget: &'a Budget,
    charge: Option<Arc<Charge>>,
}

impl Held<'_> {
    /// Memory for the frame, where there is some: as for frames in caches, a quarter stays free for others.
    fn charge(&mut self) -> Option<Arc<Charge>> {
        if self.charge.is_none() {
            let image = &self.frame.image;
            let bytes = (0..image.format().planes()).map(|plane| image.plane(plane).0.len() as u64).sum();
            self.charge = self.budget.take_within(3, bytes).map(Arc::new);
        }
        self.charge.clone()
    }
}

/// Looks at an object: a shot that may be its best is kept; the stages that want its crop, and where to cut.
fn look(
    record: &mut Record,
    shots: &dyn Shots,
    pipeline: &Pipeline,
    held: &mut Held<'_>,
    detection: &Detection,
    event: EventId,
    now: Instant,
) -> Vec<Crop> {
    let image = &held.frame.image;
    let picture = image.source_size();
    let wants_event = pipeline.events().is_some_and(|events| events.applies_to(detection.class_id));
    let stages = pipeline.stages().iter().enumerate();
    let crops: Vec<_> =
        stages.filter_map(|(index, stage)| Some((index, stage, stage.policy.crop(detection, picture)?))).collect();
    if !wants_event && crops.is_empty() {
        return Vec::new();
    }
    let sharpness = shots.sharpness(image, &detection.bbox);
    let traits = Traits { confidence: detection.confidence, bbox: detection.bbox, picture, sharpness };
    let keypoints: Vec<_> = detection.keypoints.iter().map(|keypoint| keypoint.point).collect();
    let quality = quality(&traits, frontality(&keypoints));
    if wants_event
        && record.wants_shot(quality)
        && let Some((picture, cut)) = shots.cut(image, &detection.bbox)
    {
        let keypoints = keypoints.clone();
        record.keep_shot(Candidate { event, quality, traits, keypoints, landmarks: None, picture, cut });
    }
    let known = record.landmarks(&detection.bbox);
    let moved = || known.as_ref().map(|(landmarks, _)| landmarks.points.clone()).unwrap_or_default();
    let mut wanted = Vec::with_capacity(crops.len());
    for (index, stage, roi) in crops {
        // Landmarks of the track tell which way the object is turned, where the detector does not.
        let region = stage.upright(&keypoints).or_else(|| stage.upright(&moved()));
        let comes_later = region.is_none() && stage.align.is_some() && pipeline.gives_points(index);
        if comes_later || !record.wants_result(index, &stage.policy, quality, now) {
            stage.metrics.crop(CropOutcome::Known);
        } else if let Some(charge) = held.charge() {
            let known = record.known(index).map(|known| known.event);
            record.sent(index, event, detection.bbox, quality, now);
            wanted.push(Crop { event, known, stage: index, region: region.unwrap_or(Region::Box(roi)), charge });
        } else {
            stage.metrics.crop(CropOutcome::QueueFull);
        }
    }
    wanted
}

/// Gives a detection what is known of its track, or the fallback.
fn settle(detection: &mut Detection, record: Option<&Record>, pipeline: &Pipeline) {
    let landmarks = record.and_then(|record| record.landmarks(&detection.bbox));
    if !pipeline.stages().is_empty() || !detection.keypoints.is_empty() {
        settle_landmarks(detection, landmarks.map(|(landmarks, event)| (landmarks, Some(event))));
    }
    let Some(record) = record else { return };
    for (index, stage) in pipeline.stages().iter().enumerate() {
        if let Some(known) = record.known(index).filter(|known| !matches!(known.output, Output::Landmarks(_))) {
            detection.attributes.push(stage.attribute(Some(known.event), known.output.clone()));
        }
    }
}

impl Results {
    /// Sends a crop, and counts what becomes of it.
    fn send(
        self: &Arc<Self>,
        stage: &Stage,
        key: (EventId, usize),
        frame: Arc<Frame>,
        roi: Region,
        charge: Arc<Charge>,
    ) {
        self.state.lock().under_way += 1;
        let mut pending = Pending { results: self.clone(), key, open: true, _charge: charge };
        let reply = Box::new(move |completed: Completed| pending.settle(completed.answer.output));
        let request = Request { frame, roi: Some(roi), thresholds: stage.batcher.spec().thresholds };
        stage.batcher.submit_shared(request, stage.bound(), reply);
    }

    /// Gives a record what has come for it.
    fn collect(&self, record: &mut Record, now: Instant) {
        if !record.is_waiting() {
            return;
        }
        let mut state = self.state.lock();
        record.collect(now, |stage, event| {
            let result = state.cache.take(&(event, stage))?;
            self.metrics[stage].results(-1);
            Some(result)
        });
    }

    fn expire(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.cache.is_empty() {
            return;
        }
        let gone = state.cache.expire(now);
        drop(state);
        self.unread(&gone);
    }

    /// Results that nobody asked for.
    fn unread(&self, gone: &[(EventId, usize)]) {
        for (_, stage) in gone {
            self.metrics[*stage].results(-1);
            self.metrics[*stage].unread(1);
        }
    }

    /// Waits until nothing is under way any more, at most so long.
    fn wait(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let mut state = self.state.lock();
        while state.under_way > 0 {
            if self.answered.wait_until(&mut state, until).timed_out() {
                return;
            }
        }
    }

    /// Nobody will ask any more.
    fn close(&self) {
        let left = self.state.lock().cache.close();
        self.unread(&left);
    }
}

/// A crop of which nothing is known yet. It is counted exactly once, also when whoever had it panicked.
struct Pending {
    results: Arc<Results>,
    key: (EventId, usize),
    open: bool,
    _charge: Arc<Charge>,
}

impl Pending {
    fn settle(&mut self, answer: Result<Output, InferError>) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let metrics = &self.results.metrics[self.key.1];
        metrics.crop(match &answer {
            Ok(_) => CropOutcome::Answered,
            Err(InferError::QueueFull { .. }) => CropOutcome::QueueFull,
            Err(InferError::Dropped(_) | InferError::Shutdown { .. }) => CropOutcome::Shutdown,
            Err(_) => CropOutcome::Failed,
        });
        let mut state = self.results.state.lock();
        state.under_way -= 1;
        // A failure is stored as one, apart from what is still under way.
        let result = answer.map_err(|error| match error {
            InferError::QueueFull { .. } => NoResult::Refused,
            _ => NoResult::Failed,
        });
        let unread = state.cache.put(self.key, result, Instant::now());
        drop(state);
        self.results.answered.notify_all();
        metrics.results(1);
        self.results.unread(&unread);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let lost = || InferError::Failed { model: String::new(), reason: "the crop was lost".to_owned() };
        if self.open {
            self.settle(Err(lost()));
        }
    }
}
