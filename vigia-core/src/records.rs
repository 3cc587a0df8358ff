//! What is known of a track while it lives: the newest results of its crops, its way, its best shots so far.
//!
//! A record is the only reader of its crops' results. It never waits for one: a result that is not there yet is looked for
//! again with the next frame, and for the last time when the track ends.

use std::time::{Duration, Instant, SystemTime};

use crate::backend::Output;
use crate::cascade::{StagePolicy, When};
use crate::event::{BestShot, EndedTrack, EventId, PATH_POINTS, PathPoint};
use crate::frame::Image;
use crate::geometry::{BBox, Point};
use crate::id::StreamRef;
use crate::landmarks::{Landmarks, LandmarksSource, Settled};
use crate::quality::{Traits, frontality, quality};
use crate::track::TrackId;

/// Shots that a record keeps: the best one is chosen in the end, when their landmarks are known.
pub const SHOTS: usize = 3;
/// Crops of one track that may be under way to one stage.
const UNDER_WAY: usize = 4;
/// So much better must a crop be for another look, or a shot to take another one's place.
const BETTER: f32 = 1.1;

/// What a second stage said last of a track.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Of which of its detections.
    pub event: EventId,
    /// Where that was, in source pixels.
    pub bbox: BBox,
    /// What it said.
    pub output: Output,
}

/// After a crop that failed, its track sends none for so long; twice as long after each further one, up to a bound. One that
/// had no room is no reason to wait.
const FIRST_REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Why a crop has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoResult {
    /// There was no room for it.
    Refused,
    /// The model, or the crop itself, failed.
    Failed,
}

/// A crop that was sent and of which nothing is known yet.
#[derive(Clone, Copy, Debug)]
struct Sent {
    event: EventId,
    bbox: BBox,
    quality: f32,
    at: Instant,
}

/// What a record knows of one stage.
#[derive(Clone, Debug, Default)]
struct StageRecord {
    under_way: Vec<Sent>,
    /// Quality of the best crop that has a result.
    answered: f32,
    /// When the newest crop was sent.
    newest: Option<Instant>,
    /// Crops that failed since the last one that did not, and until when none is sent for that.
    failures: u32,
    rests_until: Option<Instant>,
    known: Option<Known>,
}

impl StageRecord {
    /// Of the best crop that was sent and did not fail.
    fn quality(&self) -> f32 {
        self.under_way.iter().map(|sent| sent.quality).fold(self.answered, f32::max)
    }

    /// The next crop waits, each time for longer: none of this object may ever succeed.
    fn failed(&mut self, now: Instant) {
        let pause = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(LONGEST_REST);
        self.failures += 1;
        self.rests_until = Some(now + pause);
    }
}

/// A shot that may be the best.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which detection.
    pub event: EventId,
    /// How good it looks without landmarks of its own.
    pub quality: f32,
    /// What that comes from.
    pub traits: Traits,
    /// The detector's own keypoints, in source pixels.
    pub keypoints: Vec<Point>,
    /// Its own landmarks, once they are there.
    pub landmarks: Option<Landmarks>,
    /// The picture, cut out.
    pub picture: Image,
    /// Where the cut lies in the frame.
    pub cut: BBox,
}

/// One track.
#[derive(Clone, Debug)]
pub struct Record {
    class_id: u32,
    started_at: SystemTime,
    ended_at: SystemTime,
    detections: u64,
    path: Path,
    stages: Vec<StageRecord>,
    shots: Vec<Candidate>,
}

impl Record {
    /// Of a track whose first detection was at this time, in a pipeline of so many stages.
    pub fn new(class_id: u32, at: SystemTime, stages: usize) -> Self {
        Self {
            class_id,
            started_at: at,
            ended_at: at,
            detections: 0,
            path: Path::default(),
            stages: vec![StageRecord::default(); stages],
            shots: Vec::new(),
        }
    }

    /// It was detected again.
    pub fn seen(&mut self, at: SystemTime, bbox: &BBox) {
        self.detections += 1;
        // A camera's clock may be set back.
        self.ended_at = self.ended_at.max(at);
        let after = self.ended_at.duration_since(self.started_at).unwrap_or_default();
        let centre = Point { x: f32::midpoint(bbox.x1, bbox.x2), y: f32::midpoint(bbox.y1, bbox.y2) };
        self.path.add(PathPoint { after, centre });
    }

    /// Whether a crop of this quality is to be looked at by this stage.
    pub fn wants_result(&self, stage: usize, policy: &StagePolicy, quality: f32, now: Instant) -> bool {
        let Some(record) = self.stages.get(stage) else { return false };
        let is_new = record.known.is_none() && record.under_way.is_empty();
        let is_old = |refresh| record.newest.is_none_or(|newest| now.saturating_duration_since(newest) >= refresh);
        match policy.when {
            _ if record.under_way.len() >= UNDER_WAY || record.rests_until.is_some_and(|until| now < until) => false,
            _ if policy.refresh.is_some_and(is_old) => true,
            When::Always => true,
            When::Once => is_new,
            When::Better => is_new || quality > record.quality() * BETTER,
        }
    }

    /// A crop is on its way.
    pub fn sent(&mut self, stage: usize, event: EventId, bbox: BBox, quality: f32, now: Instant) {
        if let Some(record) = self.stages.get_mut(stage) {
            record.under_way.push(Sent { event, bbox, quality, at: now });
            record.newest = Some(now);
        }
    }

    /// Looks for results: `take` gives what there is of a stage and a detection. Crops that were sent longer ago than
    /// [`RESULT_AGE`] are given up.
    pub fn collect(&mut self, now: Instant, mut take: impl FnMut(usize, EventId) -> Option<Result<Output, NoResult>>) {
        for (stage, record) in self.stages.iter_mut().enumerate() {
            let under_way = std::mem::take(&mut record.under_way);
            for sent in under_way {
                match take(stage, sent.event) {
                    None if now.saturating_duration_since(sent.at) < RESULT_AGE => record.under_way.push(sent),
                    Some(Err(NoResult::Refused)) => {}
                    None | Some(Err(NoResult::Failed)) => record.failed(now),
                    Some(Ok(output)) => {
                        (record.failures, record.rests_until) = (0, None);
                        record.answered = record.answered.max(sent.quality);
                        if let (Output::Landmarks(landmarks), Some(shot)) =
                            (&output, self.shots.iter_mut().find(|shot| shot.event == sent.event))
                        {
                            shot.landmarks = Some(landmarks.clone());
                        }
                        if record.known.as_ref().is_none_or(|known| known.event < sent.event) {
                            record.known = Some(Known { event: sent.event, bbox: sent.bbox, output });
                        }
                    }
                }
            }
        }
    }

    /// What a stage said last.
    pub fn known(&self, stage: usize) -> Option<&Known> {
        self.stages.get(stage)?.known.as_ref()
    }

    /// The newest landmarks of a model, as they lie in a box where the object is now, and which detection they are of.
    pub fn landmarks(&self, bbox: &BBox) -> Option<(Landmarks, EventId)> {
        let known = self.stages.iter().filter_map(|stage| stage.known.as_ref());
        let with_landmarks = known.filter_map(|known| match &known.output {
            Output::Landmarks(landmarks) => Some((known, landmarks)),
            _ => None,
        });
        let (known, landmarks) = with_landmarks.max_by_key(|(known, _)| known.event)?;
        Some((landmarks.moved(&known.bbox, bbox), known.event))
    }

    /// Whether crops are under way.
    pub fn is_waiting(&self) -> bool {
        self.stages.iter().any(|stage| !stage.under_way.is_empty())
    }

    /// Whether a shot of this quality is worth cutting out.
    pub fn wants_shot(&self, quality: f32) -> bool {
        let worst = self.shots.iter().map(|shot| shot.quality).fold(f32::INFINITY, f32::min);
        self.shots.len() < SHOTS || quality > worst * BETTER
    }

    /// Keeps a shot, in place of the worst where there are enough.
    pub fn keep_shot(&mut self, shot: Candidate) {
        if self.shots.len() >= SHOTS
            && let Some(worst) =
                (0..self.shots.len()).min_by(|&a, &b| self.shots[a].quality.total_cmp(&self.shots[b].quality))
        {
            self.shots.swap_remove(worst);
        }
        self.shots.push(shot);
    }

    /// The end of the track.
    pub fn end(mut self, stream: StreamRef, track: TrackId) -> EndedTrack {
        let shots = std::mem::take(&mut self.shots);
        let best = shots.into_iter().map(|shot| self.judge(shot)).max_by(|a, b| {
            // Of two that are equally good the one with landmarks of its own, else the later one.
            let has_own = |shot: &BestShot| shot.landmarks.as_ref().is_some_and(|l| l.event == Some(shot.event));
            a.quality.total_cmp(&b.quality).then(has_own(a).cmp(&has_own(b))).then(a.event.cmp(&b.event))
        });
        let Self { class_id, started_at, ended_at, detections, path, .. } = self;
        EndedTrack { stream, track, class_id, started_at, ended_at, detections, path: path.points(), best }
    }

    /// A shot with what is known of it in the end: its own landmarks, else the track's moved to where it is, else its own
    /// keypoints.
    fn judge(&self, shot: Candidate) -> BestShot {
        let Candidate { event, traits, keypoints, landmarks, picture, cut, .. } = shot;
        // Which way it looks, only what was seen of itself can tell.
        let turned = frontality(landmarks.as_ref().map_or(&keypoints, |landmarks| &landmarks.points));
        let from_model = landmarks.map(|own| (own, event)).or_else(|| self.landmarks(&traits.bbox));
        let landmarks = match from_model {
            Some((landmarks, event)) => Some(Settled { landmarks, source: LandmarksSource::Model, event: Some(event) }),
            None if keypoints.is_empty() => None,
            None => {
                let landmarks = Landmarks { points: keypoints };
                Some(Settled { landmarks, source: LandmarksSource::Detector, event: None })
            }
        };
        let Traits { confidence, bbox, .. } = traits;
        BestShot { event, quality: quality(&traits, turned), confidence, bbox, landmarks, picture, cut }
    }
}

/// Crops that were sent before this are given up: what holds their results has let go of them by then.
pub const RESULT_AGE: Duration = Duration::from_secs(10);

/// Where an object was, thinned out as it gets longer: every point, then every second, every fourth.
#[derive(Clone, Debug, Default)]
struct Path {
    kept: Vec<PathPoint>,
    /// Of so many points, less one, none is kept.
    between: u64,
    count: u64,
    last: Option<PathPoint>,
}

impl Path {
    fn add(&mut self, point: PathPoint) {
        if self.count.is_multiple_of(self.between + 1) {
            // One place is for the last one.
            if self.kept.len() + 1 >= PATH_POINTS {
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.between = self.between * 2 + 1;
            }
            if self.count.is_multiple_of(self.between + 1) {
                self.kept.push(point);
            }
        }
        self.count += 1;
        self.last = Some(point);
    }

    fn points(mut self) -> Vec<PathPoint> {
        if self.kept.last() != self.last.as_ref() {
            self.kept.extend(self.last);
        }
        self.kept
    }
}

#[cfg(test)]
mod tests;
