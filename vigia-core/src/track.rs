//! Which detections of a stream's frames are one object: tracking by boxes, classes and confidences alone.
//!
//! ByteTrack (Zhang et al. 2022): a filter foretells where each track is now; confident detections are given to the tracks
//! that they overlap with best, all at once; what is left of the tracks may take a detection that is in doubt, for that is
//! what most objects become when something hides them. What is new here is named where it stands: time instead of
//! frames and noise by confidence in `track/kalman.rs`, similarity in `track/association.rs`. `bench/track.py` measures it.
//!
//! A life: a detection that belongs to no track and is confident enough begins one, *tentative*. One frame without a
//! detection ends it; [`TrackerPolicy::confirm`] detections in a row make it *confirmed*, and only then its detections get
//! its id, also if it is the first frame of a stream. A confirmed track without a detection is *lost*, until it is detected
//! again or [`TrackerPolicy::lost`] is over. Classes never mix.
//!
//! Time is the stream's own: presentation times. A gap is a longer step, so frames that were dropped do no harm. A time
//! that repeats or goes back a little counts as no time; a jump by more than [`TrackerPolicy::lost`], either way, is a
//! cut, and ends all tracks. Where all frames are that far apart, each of them is no cut: a track is then kept for two
//! frames.

mod assignment;
mod association;
mod kalman;
mod lifecycle;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::detection::Detection;
use crate::geometry::BBox;

use association::Association;
use lifecycle::{Live, Moment};

/// Detections of one frame that are looked at, the most confident first: as many as a detector gives.
const MOST_DETECTIONS: usize = 300;
/// Tracks at once. Fewer than half of them can have a detection, so there is one to end early for each that begins.
const MOST_TRACKS: usize = 2 * MOST_DETECTIONS + 1;
/// A coordinate beyond it, in pixels, is no place in a picture.
const FARTHEST: f32 = 1e6;
/// IoU above which a confirmed and a lost track are one, as in supervision's ByteTrack.
const SAME: f32 = 0.95;

/// The name of one object within one [`Tracker`]: from 1, growing, never given twice. Tentative tracks take numbers, too,
/// so there are gaps among those that are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How detections become tracks. The defaults were chosen on simulated scenes, apart from those that `bench/track.py`
/// reports on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackerPolicy {
    /// Confidence (0..1) from which a detection takes part in the first association. ByteTrack: 0.6.
    pub high: f32,
    /// Confidence (0..1) from which a detection takes part in the second association; below it, it gets no track.
    /// ByteTrack: 0.1.
    pub low: f32,
    /// Confidence (0..1) from which a detection that belongs to no track begins one; below `high` it has no effect.
    /// ByteTrack: 0.7.
    pub new: f32,
    /// Least similarity (0..1) of track and detection in the first association: IoU times the IoU of the heights.
    /// ByteTrack: an IoU of 0.2.
    pub first_gate: f32,
    /// The same for the second association. ByteTrack: an IoU of 0.5.
    pub second_gate: f32,
    /// Detections, the first included, before a track is confirmed; at least 1. ByteTrack: 2.
    pub confirm: u32,
    /// How long a confirmed track is kept without a detection, in the stream's time. ByteTrack: 30 frames.
    pub lost: Duration,
}

impl Default for TrackerPolicy {
    fn default() -> Self {
        Self {
            high: 0.35,
            low: 0.1,
            new: 0.5,
            first_gate: 0.15,
            second_gate: 0.3,
            confirm: 2,
            lost: Duration::from_secs(2),
        }
    }
}

/// Where in its life a track is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackState {
    /// Seen too seldom yet to be told of.
    Tentative,
    /// Detected in the newest frame.
    Confirmed,
    /// Confirmed once, not detected in the newest frame.
    Lost,
}

/// One object, as it is known now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Track {
    /// Its name.
    pub id: TrackId,
    /// Its class, as [`Detection::class_id`]; it never changes.
    pub class_id: u32,
    /// Where in its life it is; of one that ended, where it was.
    pub state: TrackState,
    /// Where the filter takes it to be in the newest frame, in source pixels; always finite.
    pub bbox: BBox,
    /// Confidence (0..1) of its newest detection.
    pub confidence: f32,
    /// Presentation time of its first detection.
    pub first: Duration,
    /// Presentation time of its newest detection.
    pub last: Duration,
    /// Number of its detections.
    pub hits: u64,
}

/// What one frame changed; lent until the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update<'a> {
    /// The confirmed track of each detection, in the order given.
    pub ids: &'a [Option<TrackId>],
    /// The same, with tentative tracks: for whoever begins to work on what may turn out to be one.
    pub with_tentative: &'a [Option<TrackId>],
    /// Tracks that were confirmed once and ended with this frame, by their id.
    pub ended: &'a [Track],
}

/// The tracks of one stream.
#[derive(Debug)]
pub struct Tracker {
    policy: TrackerPolicy,
    /// By their id.
    live: Vec<Live>,
    /// The id that was given last.
    newest: u64,
    /// The newest frame's presentation time.
    pts: Option<Duration>,
    /// The sum of all steps forward.
    clock: Duration,
    /// The last step forward.
    step: Duration,
    ids: Vec<Option<TrackId>>,
    with_tentative: Vec<Option<TrackId>>,
    ended: Vec<Track>,
    /// Places of the detections that are looked at, the most confident first.
    order: Vec<usize>,
    /// Which of the detections have a track.
    taken: Vec<bool>,
    /// Tracks that are another one's double.
    duplicates: Vec<TrackId>,
    association: Association,
}

impl Tracker {
    /// A tracker without tracks.
    pub fn new(policy: TrackerPolicy) -> Self {
        Self {
            policy,
            live: Vec::new(),
            newest: 0,
            pts: None,
            clock: Duration::ZERO,
            step: Duration::ZERO,
            ids: Vec::new(),
            with_tentative: Vec::new(),
            ended: Vec::new(),
            order: Vec::new(),
            taken: Vec::new(),
            duplicates: Vec::new(),
            association: Association::default(),
        }
    }

    /// Takes in the detections of one frame, shown at `pts` of its stream.
    ///
    /// The order of the detections does not matter. Of more than 300, the most confident count; one whose box is not
    /// proper, or beyond a million pixels, gets no track.
    pub fn update(&mut self, pts: Duration, detections: &[Detection]) -> Update<'_> {
        let policy = self.policy;
        self.ended.clear();
        let dt = self.advance(pts);
        let moment = Moment { pts, clock: self.clock, confirm: policy.confirm };
        for live in &mut self.live {
            live.predict(dt);
        }
        self.choose(detections);
        let is_high = |place: &usize| detections[*place].confidence >= policy.high;
        let high = self.order.partition_point(is_high);
        let (high, low) = self.order.split_at(high);
        self.association.pair(&mut self.live, |_| true, detections, high, policy.first_gate, self.clock);
        let is_known = |live: &Live| live.track.state != TrackState::Tentative;
        self.association.pair(&mut self.live, is_known, detections, low, policy.second_gate, self.clock);
        self.live.retain_mut(|live| live.settle(detections, moment));
        self.begin(detections, moment);
        self.end_duplicates();
        self.tell(detections.len());
        Update { ids: &self.ids, with_tentative: &self.with_tentative, ended: &self.ended }
    }

    /// All tracks that are alive, by their id.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.live.iter().map(|live| &live.track)
    }

    /// Ends all tracks, for the stream has ended; gives those that were confirmed once, by their id.
    pub fn finish(&mut self) -> &[Track] {
        self.ended.clear();
        self.end(|_| true);
        self.pts = None;
        &self.ended
    }

    /// Steps on to a frame's time and ends the tracks whose time is over; gives the step in seconds.
    fn advance(&mut self, pts: Duration) -> f32 {
        let lost = self.policy.lost;
        let before = self.pts.replace(pts).unwrap_or(pts);
        let step = pts.saturating_sub(before);
        self.clock = self.clock.saturating_add(step);
        // Where frames are seldom, a track gets two of them to be found again in, however long that is.
        let two_and_a_half = self.step.saturating_mul(2).saturating_add(self.step / 2);
        let patience = if self.step > lost { two_and_a_half } else { lost };
        if !step.is_zero() {
            self.step = step;
        }
        let (clock, is_cut) = (self.clock, before.saturating_sub(pts) > lost);
        self.end(|live| is_cut || clock.saturating_sub(live.seen) > patience);
        step.as_secs_f32()
    }

    /// Puts the detections that are looked at into order.
    fn choose(&mut self, detections: &[Detection]) {
        let is_place = |b: &BBox| b.is_proper() && [b.x1, b.y1, b.x2, b.y2].iter().all(|edge| edge.abs() <= FARTHEST);
        let is_fit = |d: &Detection| d.confidence >= self.policy.low && is_place(&d.bbox);
        self.order.clear();
        self.order.extend((0..detections.len()).filter(|&place| is_fit(&detections[place])));
        // By what they say alone, so that the order in which they came decides nothing.
        self.order.sort_unstable_by(|&a, &b| {
            let key = |place: usize| {
                let Detection { class_id, confidence, bbox, .. } = &detections[place];
                ([-confidence, bbox.x1, bbox.y1, bbox.x2, bbox.y2], *class_id, place)
            };
            let ((these, class_a, place_a), (those, class_b, place_b)) = (key(a), key(b));
            let numbers = these.iter().zip(&those).map(|(x, y)| x.total_cmp(y)).find(|order| order.is_ne());
            numbers.unwrap_or_else(|| (class_a, place_a).cmp(&(class_b, place_b)))
        });
        self.order.truncate(MOST_DETECTIONS);
    }

    /// Of a lost track and a confirmed one that came to the same place, the one that was tracked for less time ends.
    fn end_duplicates(&mut self) {
        let span = |live: &Live| live.track.last.saturating_sub(live.track.first);
        let is_same =
            |a: &Live, b: &Live| a.track.class_id == b.track.class_id && a.track.bbox.iou(&b.track.bbox) > SAME;
        self.duplicates.clear();
        for confirmed in self.live.iter().filter(|live| live.track.state == TrackState::Confirmed) {
            for lost in self.live.iter().filter(|live| live.track.state == TrackState::Lost) {
                if is_same(confirmed, lost) {
                    let shorter = if span(confirmed) > span(lost) { lost } else { confirmed };
                    self.duplicates.push(shorter.track.id);
                }
            }
        }
        let duplicates = std::mem::take(&mut self.duplicates);
        self.end(|live| duplicates.contains(&live.track.id));
        self.duplicates = duplicates;
    }

    /// Begins a track with each confident detection that has none.
    fn begin(&mut self, detections: &[Detection], moment: Moment) {
        self.taken.clear();
        self.taken.resize(detections.len(), false);
        for place in self.live.iter().filter_map(|live| live.found) {
            self.taken[place] = true;
        }
        for &place in &self.order {
            let detection = &detections[place];
            if detection.confidence < self.policy.high.max(self.policy.new) {
                break;
            }
            if self.taken[place] {
                continue;
            }
            self.newest += 1;
            self.live.push(Live::begin(TrackId(self.newest), detection, place, moment));
        }
        while self.live.len() > MOST_TRACKS {
            let unseen = self.live.iter().filter(|live| live.found.is_none());
            let Some(id) = unseen.min_by_key(|live| live.seen).map(|live| live.track.id) else { break };
            self.end(|live| live.track.id == id);
        }
    }

    /// Notes which detection belongs to which track.
    fn tell(&mut self, detections: usize) {
        self.ids.clear();
        self.ids.resize(detections, None);
        self.with_tentative.clear();
        self.with_tentative.resize(detections, None);
        for Live { track, found, .. } in &self.live {
            let Some(place) = *found else { continue };
            self.with_tentative[place] = Some(track.id);
            if track.state == TrackState::Confirmed {
                self.ids[place] = Some(track.id);
            }
        }
    }

    /// Ends tracks; those that were confirmed once are told.
    fn end(&mut self, is_over: impl Fn(&Live) -> bool) {
        self.live.retain(|live| {
            let ends = is_over(live);
            if ends && live.track.state != TrackState::Tentative {
                self.ended.push(live.track);
            }
            !ends
        });
        self.ended.sort_unstable_by_key(|track| track.id);
    }
}
