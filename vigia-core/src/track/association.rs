//! Which track a detection belongs to.

use std::time::Duration;

use crate::detection::Detection;
use crate::geometry::BBox;

use super::assignment::Assignment;
use super::lifecycle::Live;

/// By how much of its own size a box grows on each side per second that its track was not seen, for as many seconds as
/// [`LONGEST`]: small and fast boxes overlap with where they are expected less than slow ones do (C-BIoU, Yang et al.
/// 2023).
const GROWTH: f32 = 0.5;
const LONGEST: f32 = 1.0;
/// Share of the similarity that is taken off per second unseen, for as long: where two tracks are at one place, the
/// detection is of the one that was in sight.
const FADE: f32 = 0.3;

/// Pairs tracks with detections, and keeps its memory from one frame to the next.
#[derive(Debug, Default)]
pub(super) struct Association {
    solver: Assignment,
    rows: Vec<usize>,
    columns: Vec<usize>,
    weights: Vec<f32>,
}

impl Association {
    /// Gives the tracks for which `takes_part` holds, and which have no detection yet, at most one of the detections at
    /// `places` each; a detection that has a track stays with it. A pair below a similarity of `gate` is none.
    pub(super) fn pair(
        &mut self,
        tracks: &mut [Live],
        takes_part: impl Fn(&Live) -> bool,
        detections: &[Detection],
        places: &[usize],
        gate: f32,
        clock: Duration,
    ) {
        let is_free = |live: &Live| live.found.is_none() && takes_part(live);
        self.rows.clear();
        self.rows.extend((0..tracks.len()).filter(|&row| is_free(&tracks[row])));
        self.columns.clear();
        self.columns.extend_from_slice(places);
        self.weights.clear();
        for live in self.rows.iter().map(|&row| &tracks[row]) {
            let unseen = clock.saturating_sub(live.seen).as_secs_f32().min(LONGEST);
            let expected = live.track.bbox.grown(GROWTH * unseen);
            self.weights.extend(self.columns.iter().map(|&column| {
                let Detection { class_id, bbox, .. } = &detections[column];
                if *class_id != live.track.class_id {
                    return 0.0;
                }
                let similarity = similarity(&expected, &bbox.grown(GROWTH * unseen));
                if similarity >= gate { similarity * (1.0 - FADE * unseen) } else { 0.0 }
            }));
        }
        for &(row, column) in self.solver.solve(self.rows.len(), self.columns.len(), &self.weights) {
            tracks[self.rows[row]].found = Some(self.columns[column]);
        }
    }
}

/// IoU times the IoU of the heights alone (HMIoU of Hybrid-SORT, Yang et al. 2024): of two that cross in front of each
/// other, the nearer one is the taller.
fn similarity(a: &BBox, b: &BBox) -> f32 {
    let iou = a.iou(b);
    if iou > 0.0 { iou * (a.y2.min(b.y2) - a.y1.max(b.y1)) / (a.y2.max(b.y2) - a.y1.min(b.y1)) } else { 0.0 }
}
