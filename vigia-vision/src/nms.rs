//! Non-maximum suppression: of boxes that cover the same thing, the most confident one stays.
//!
//! Greedy, on `xyxy` boxes of any one frame of reference, with areas as `width × height` (no `+ 1` as for whole-numbered
//! pixels), so the result does not change when both axes are scaled. Soft-NMS and rotated boxes are not handled.
//!
//! ```
//! use vigia_core::geometry::BBox;
//! use vigia_vision::nms::{Candidate, Scope, suppress};
//!
//! let at = |x: f32| BBox { x1: x, y1: 0.0, x2: x + 10.0, y2: 10.0 };
//! let mut found = vec![
//!     Candidate { bbox: at(1.0), score: 0.7, class_id: 0, index: 0 },
//!     Candidate { bbox: at(0.0), score: 0.9, class_id: 0, index: 1 },
//! ];
//! suppress(&mut found, 0.45, Scope::PerClass, 300);
//! assert_eq!(found.len(), 1);
//! assert_eq!(found[0].index, 1);
//! ```

use vigia_core::geometry::BBox;

/// A box that may turn out to be one object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Where, in pixels of whichever frame of reference all candidates share.
    pub bbox: BBox,
    /// Confidence; the higher one wins.
    pub score: f32,
    /// Index into the model's labels.
    pub class_id: u32,
    /// Where it came from; of equal scores the lower index wins, so that ties do not depend on the order of arrival.
    pub index: u32,
}

/// Which boxes compete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only boxes of the same class (Ultralytics).
    PerClass,
    /// All of them: two classes in one place are one object (YOLOX, `FastestDet`).
    AllClasses,
}

/// Sorts by confidence, highest first; of equal ones the lower [`Candidate::index`] comes first.
pub fn sort_by_confidence(candidates: &mut [Candidate]) {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
}

/// Keeps, sorted by confidence, at most `limit` candidates of which no two in competition overlap by more than `iou`.
///
/// Works in place and allocates nothing. Takes `O(n × kept)` comparisons with `kept ≤ limit`: the caller bounds `n`.
/// An `iou` of 1 or more (or NaN) suppresses nothing.
pub fn suppress(candidates: &mut Vec<Candidate>, iou: f32, scope: Scope, limit: usize) {
    sort_by_confidence(candidates);
    let mut kept = 0;
    for next in 0..candidates.len() {
        if kept == limit {
            break;
        }
        let candidate = candidates[next];
        let hidden = candidates[..kept].iter().any(|winner| {
            (scope == Scope::AllClasses || winner.class_id == candidate.class_id)
                && winner.bbox.iou(&candidate.bbox) > iou
        });
        if !hidden {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_scope() -> impl Strategy<Value = Scope> {
        prop_oneof![Just(Scope::PerClass), Just(Scope::AllClasses)]
    }

    /// Up to 40 boxes of three classes in a small area, so that many overlap; all scores differ.
    fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0.0f32..60.0, 0.0f32..60.0, 1.0f32..40.0, 1.0f32..40.0, 0u32..3);
        prop::collection::vec(one, 0..40).prop_flat_map(|boxes| {
            let count = boxes.len() as u32;
            let list: Vec<_> = boxes
                .into_iter()
                .zip(0u32..)
                .map(|((x, y, w, h, class_id), index)| Candidate {
                    bbox: BBox { x1: x, y1: y, x2: x + w, y2: y + h },
                    // 37 and 101 have no common factor: a permutation, so the scores are distinct and unordered.
                    score: ((index * 37) % 101) as f32 / 101.0,
                    class_id,
                    index: count - 1 - index,
                })
                .collect();
            Just(list)
        })
    }

    fn compete(scope: Scope, a: &Candidate, b: &Candidate) -> bool {
        scope == Scope::AllClasses || a.class_id == b.class_id
    }

    proptest! {
        #[test]
        fn keeps_a_sorted_subset_without_overlaps(list in any_candidates(), scope in any_scope(), iou in 0.05f32..0.95) {
            let mut kept = list.clone();
            suppress(&mut kept, iou, scope, usize::MAX);
            prop_assert!(kept.iter().all(|k| list.contains(k)));
            prop_assert!(kept.windows(2).all(|w| w[0].score >= w[1].score));
            for (i, a) in kept.iter().enumerate() {
                for b in &kept[i + 1..] {
                    prop_assert!(!compete(scope, a, b) || a.bbox.iou(&b.bbox) <= iou);
                }
            }
        }

        #[test]
        fn what_is_dropped_has_a_better_one_in_its_place(list in any_candidates(), scope in any_scope(), iou in 0.05f32..0.95) {
            let mut kept = list.clone();
            suppress(&mut kept, iou, scope, usize::MAX);
            for lost in list.iter().filter(|c| !kept.contains(c)) {
                prop_assert!(kept.iter().any(|k| compete(scope, k, lost) && k.score > lost.score && k.bbox.iou(&lost.bbox) > iou));
            }
        }

        #[test]
        fn the_best_stays(list in any_candidates(), scope in any_scope(), iou in 0.05f32..0.95) {
            prop_assume!(!list.is_empty());
            let mut kept = list.clone();
            suppress(&mut kept, iou, scope, 1);
            prop_assert_eq!(kept.len(), 1);
            prop_assert!(list.iter().all(|c| c.score <= kept[0].score));
        }

        #[test]
        fn a_second_pass_changes_nothing(list in any_candidates(), scope in any_scope(), iou in 0.05f32..0.95) {
            let mut once = list;
            suppress(&mut once, iou, scope, usize::MAX);
            let mut twice = once.clone();
            suppress(&mut twice, iou, scope, usize::MAX);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn the_order_of_arrival_does_not_matter(list in any_candidates().prop_shuffle(), scope in any_scope(), limit in 0usize..12) {
            let (mut shuffled, mut ordered) = (list.clone(), list);
            ordered.sort_by_key(|c| c.index);
            suppress(&mut shuffled, 0.4, scope, limit);
            suppress(&mut ordered, 0.4, scope, limit);
            prop_assert!(shuffled.len() <= limit);
            prop_assert_eq!(shuffled, ordered);
        }
    }

    #[test]
    fn equal_scores_go_by_index() {
        let bbox = BBox { x1: 0.0, y1: 0.0, x2: 4.0, y2: 4.0 };
        let mut list: Vec<_> =
            [5, 2, 9].into_iter().map(|index| Candidate { bbox, score: 0.5, class_id: 0, index }).collect();
        suppress(&mut list, 0.5, Scope::PerClass, usize::MAX);
        assert_eq!(list.iter().map(|c| c.index).collect::<Vec<_>>(), [2]);
    }
}
