//! One track's life: tentative, confirmed, lost, ended.

use std::time::Duration;

use crate::detection::Detection;

use super::kalman::BoxFilter;
use super::{Track, TrackId, TrackState};

/// A track that has not ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) track: Track,
    filter: BoxFilter,
    /// When it was detected last, by the tracker's clock.
    pub(super) seen: Duration,
    /// Place of its detection in this frame.
    pub(super) found: Option<usize>,
}

impl Live {
    /// Begins with the detection at `place` of this frame.
    pub(super) fn begin(id: TrackId, detection: &Detection, place: usize, moment: Moment) -> Self {
        let Detection { class_id, confidence, bbox, .. } = *detection;
        let (first, state) = (moment.pts, TrackState::Tentative);
        let track = Track { id, class_id, state, bbox, confidence, first, last: first, hits: 0 };
        let filter = BoxFilter::new(&bbox, confidence);
        let mut live = Self { track, filter, seen: moment.clock, found: Some(place) };
        live.count(confidence, moment);
        live
    }

    /// Moves on to the next frame, in which it has no detection yet.
    pub(super) fn predict(&mut self, dt: f32) {
        self.filter.predict(dt, self.track.state != TrackState::Lost);
        self.track.bbox = self.filter.bbox();
        self.found = None;
    }

    /// Takes in its detection, if it has one in this frame. `false` for a tentative track that has none: it is over.
    pub(super) fn settle(&mut self, detections: &[Detection], moment: Moment) -> bool {
        if let Some(detection) = self.found.and_then(|place| detections.get(place)) {
            self.filter.correct(&detection.bbox, detection.confidence);
            self.track.bbox = self.filter.bbox();
            self.count(detection.confidence, moment);
        } else if self.track.state == TrackState::Confirmed {
            self.track.state = TrackState::Lost;
        }
        self.found.is_some() || self.track.state == TrackState::Lost
    }

    fn count(&mut self, confidence: f32, moment: Moment) {
        let Track { state, hits, .. } = &mut self.track;
        *hits += 1;
        if *state == TrackState::Lost || *hits >= u64::from(moment.confirm) {
            *state = TrackState::Confirmed;
        }
        self.track.confidence = confidence;
        self.track.last = moment.pts;
        self.seen = moment.clock;
    }
}

/// The frame that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Its presentation time.
    pub(super) pts: Duration,
    /// The same by the tracker's clock, which only goes forward.
    pub(super) clock: Duration,
    /// Detections before a track is confirmed.
    pub(super) confirm: u32,
}
