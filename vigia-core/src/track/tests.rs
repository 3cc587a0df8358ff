//! The tracker's rules, one by one; whole scenes are in `tests/tracking`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const POLICY: TrackerPolicy = TrackerPolicy {
    high: 0.35,
    low: 0.1,
    new: 0.5,
    first_gate: 0.15,
    second_gate: 0.3,
    confirm: 2,
    lost: Duration::from_secs(2),
};

fn at(x: f32) -> BBox {
    BBox::from_centre(x, 200.0, 40.0, 100.0)
}

fn seen(x: f32, confidence: f32) -> Detection {
    Detection::new(0, confidence, at(x))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The ids of the detections, 0 for none.
fn ids(tracker: &mut Tracker, pts: Duration, detections: &[Detection]) -> Vec<u64> {
    tracker.update(pts, detections).ids.iter().map(|id| id.map_or(0, |id| id.0)).collect()
}

#[test]
fn the_defaults_are_these() {
    assert_eq!(TrackerPolicy::default(), POLICY);
}

#[test]
fn a_track_is_told_once_it_is_confirmed() {
    for confirm in 0..4 {
        let mut tracker = Tracker::new(TrackerPolicy { confirm, ..POLICY });
        for frame in 1..6 {
            let expected = u64::from(frame >= confirm);
            assert_eq!(
                ids(&mut tracker, ms(40 * u64::from(frame)), &[seen(100.0, 0.9)]),
                [expected],
                "{confirm} {frame}"
            );
        }
    }
}

#[test]
fn tentative_tracks_are_told_apart() {
    let mut tracker = Tracker::new(POLICY);
    tracker.update(ms(0), &[seen(100.0, 0.9)]);
    let update = tracker.update(ms(40), &[seen(500.0, 0.9), seen(100.0, 0.9), seen(800.0, 0.4)]);
    assert_eq!(update.ids, [None, Some(TrackId(1)), None]);
    assert_eq!(update.with_tentative, [Some(TrackId(2)), Some(TrackId(1)), None]);
}

#[test]
fn a_tentative_track_ends_with_its_first_miss() {
    let mut tracker = Tracker::new(POLICY);
    assert_eq!(ids(&mut tracker, ms(0), &[seen(100.0, 0.9)]), [0]);
    let update = tracker.update(ms(40), &[]);
    assert_eq!(update.ended, [], "nobody heard of it");
    assert_eq!(tracker.tracks().count(), 0);
    assert_eq!(ids(&mut tracker, ms(80), &[seen(100.0, 0.9)]), [0]);
    assert_eq!(ids(&mut tracker, ms(120), &[seen(100.0, 0.9)]), [2]);
}

#[test]
fn confidence_decides_what_a_detection_may_do() {
    // Confidence, whether it begins a track, whether it continues one.
    for (confidence, begins, continues) in [
        (0.9, true, true),
        (0.5, true, true),
        (0.49, false, true),
        (0.35, false, true),
        (0.2, false, true),
        (0.1, false, true),
        (0.09, false, false),
        (0.0, false, false),
        (-1.0, false, false),
        (f32::NAN, false, false),
    ] {
        let mut tracker = Tracker::new(POLICY);
        tracker.update(ms(0), &[seen(500.0, confidence)]);
        assert_eq!(tracker.tracks().count(), usize::from(begins), "{confidence} begins");
        let mut tracker = Tracker::new(POLICY);
        tracker.update(ms(0), &[seen(100.0, 0.9)]);
        tracker.update(ms(40), &[seen(100.0, 0.9)]);
        assert_eq!(
            ids(&mut tracker, ms(80), &[seen(100.0, confidence)]),
            [u64::from(continues)],
            "{confidence} continues"
        );
    }
}

#[test]
fn a_confident_detection_goes_before_a_doubtful_one() {
    let mut tracker = Tracker::new(POLICY);
    tracker.update(ms(0), &[seen(100.0, 0.9)]);
    tracker.update(ms(40), &[seen(100.0, 0.9)]);
    assert_eq!(ids(&mut tracker, ms(80), &[seen(100.0, 0.3), seen(110.0, 0.4)]), [0, 1]);
}

#[test]
fn classes_do_not_mix() {
    let of_class = |class| Detection::new(class, 0.9, at(100.0));
    let mut tracker = Tracker::new(POLICY);
    tracker.update(ms(0), &[of_class(1), of_class(2)]);
    assert_eq!(ids(&mut tracker, ms(40), &[of_class(1), of_class(2)]), [1, 2]);
    assert_eq!(ids(&mut tracker, ms(80), &[of_class(2), of_class(3)]), [2, 0]);
    let classes: Vec<u32> = tracker.tracks().map(|track| track.class_id).collect();
    assert_eq!(classes, [1, 2, 3]);
}

#[test]
fn a_lost_track_is_kept_in_time_not_frames() {
    for (step, pause, is_found) in [(10, 1990, true), (10, 2010, false), (500, 2000, true), (2000, 2000, true)] {
        let mut tracker = Tracker::new(POLICY);
        tracker.update(ms(0), &[seen(100.0, 0.9)]);
        tracker.update(ms(40), &[seen(100.0, 0.9)]);
        let mut ended = Vec::new();
        for silent in (step..pause).step_by(step as usize) {
            ended.extend_from_slice(tracker.update(ms(40 + silent), &[]).ended);
            assert!(tracker.tracks().all(|track| track.state == TrackState::Lost));
        }
        let update = tracker.update(ms(40 + pause), &[seen(100.0, 0.9)]);
        ended.extend_from_slice(update.ended);
        assert_eq!(update.ids[0].is_some(), is_found, "after {pause} ms in steps of {step}");
        assert_eq!(ended.len(), usize::from(!is_found));
        if let [track] = ended.as_slice() {
            assert_eq!((track.id, track.state, track.hits), (TrackId(1), TrackState::Lost, 2));
            assert_eq!((track.first, track.last), (ms(0), ms(40)));
        }
    }
}

#[test]
fn times_that_repeat_or_jump_break_nothing() {
    // The time of the third frame, and whether it goes on with the track of the first two.
    let hours = Duration::from_hours(2);
    for (third, goes_on) in [
        (hours + ms(80), true),
        (hours + ms(40), true),
        (hours, true),
        (ms(7_198_100), true),
        (ms(7_197_900), false),
        (Duration::ZERO, false),
        (hours * 2, false),
        (Duration::MAX, false),
    ] {
        let mut tracker = Tracker::new(POLICY);
        tracker.update(hours, &[seen(100.0, 0.9)]);
        tracker.update(hours + ms(40), &[seen(100.0, 0.9)]);
        let update = tracker.update(third, &[seen(100.0, 0.9)]);
        assert_eq!((update.ids[0].is_some(), update.ended.len()), (goes_on, usize::from(!goes_on)), "{third:?}");
        let fourth = third.saturating_add(ms(40));
        assert!(ids(&mut tracker, fourth, &[seen(100.0, 0.9)])[0] > 0, "{third:?}");
    }
}

#[test]
fn the_end_of_a_stream_ends_its_tracks() {
    let mut tracker = Tracker::new(POLICY);
    tracker.update(ms(0), &[seen(100.0, 0.9), seen(300.0, 0.8)]);
    tracker.update(ms(40), &[seen(100.0, 0.9), seen(600.0, 0.8), seen(300.0, 0.7)]);
    let ended: Vec<u64> = tracker.finish().iter().map(|track| track.id.0).collect();
    assert_eq!(ended, [1, 2], "the third was never confirmed");
    assert_eq!(tracker.tracks().count(), 0);
    assert_eq!(tracker.finish(), []);
    tracker.update(ms(0), &[seen(100.0, 0.9)]);
    assert_eq!(ids(&mut tracker, ms(40), &[seen(100.0, 0.9)]), [4]);
}

#[test]
fn boxes_that_are_none_do_not_harm_others() {
    let nan = f32::NAN;
    let bad = [
        [nan, nan, nan, nan],
        [0.0, 0.0, f32::INFINITY, 10.0],
        [f32::NEG_INFINITY, 0.0, f32::INFINITY, 10.0],
        [50.0, 50.0, 50.0, 50.0],
        [60.0, 60.0, 50.0, 50.0],
        [-1e30, -1e30, 1e30, 1e30],
        [0.0, 0.0, 1e-30, 1e-30],
        [-1e6, -1e6, 1e6, 1e6],
    ];
    let mut tracker = Tracker::new(POLICY);
    for frame in 0..50u64 {
        let mut detections: Vec<_> =
            bad.iter().map(|&[x1, y1, x2, y2]| Detection::new(0, 0.95, BBox { x1, y1, x2, y2 })).collect();
        detections.push(seen(100.0 + frame as f32, 0.9));
        let ids = ids(&mut tracker, ms(40 * frame), &detections);
        assert!(ids[..6].iter().all(|id| *id == 0), "{ids:?}");
        assert_eq!(frame > 0, ids[8] > 0, "frame {frame}: {ids:?}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let mut tracker = Tracker::new(TrackerPolicy { lost: Duration::from_hours(1), ..POLICY });
    let mut ended = 0;
    for frame in 0..40u64 {
        // Every other frame shows others than before.
        let place = |n: u64| Detection::new((frame / 2) as u32, 0.9, at(50.0 * n as f32));
        let detections: Vec<_> = (0..400).map(place).collect();
        let update = tracker.update(ms(40 * frame), &detections);
        assert_eq!(update.ids.iter().flatten().count(), if frame % 2 == 1 { MOST_DETECTIONS } else { 0 });
        ended += update.ended.len();
        assert!(tracker.tracks().count() <= MOST_TRACKS);
    }
    ended += tracker.finish().len();
    assert_eq!(ended, 20 * MOST_DETECTIONS, "each was told of once");
}

fn any_detection() -> impl Strategy<Value = Detection> {
    let wild = || prop_oneof![8 => -100.0f32..900.0, 1 => any::<f32>(), 1 => Just(0.0f32)];
    let plain = (0.0f32..500.0, 0.0f32..300.0, 20.0f32..200.0, 20.0f32..200.0).prop_map(|(x, y, w, h)| BBox {
        x1: x,
        y1: y,
        x2: x + w,
        y2: y + h,
    });
    let boxes = prop_oneof![4 => plain, 1 => [wild(), wild(), wild(), wild()].prop_map(|[x1, y1, x2, y2]| BBox { x1, y1, x2, y2 })];
    (0u32..3, prop_oneof![9 => 0.0f32..1.0, 1 => any::<f32>()], boxes).prop_map(|(c, p, b)| Detection::new(c, p, b))
}

fn any_frames() -> impl Strategy<Value = Vec<(Duration, Vec<Detection>)>> {
    let pts = prop_oneof![6 => (0u64..4000).prop_map(ms), 1 => any::<u64>().prop_map(Duration::from_nanos), 1 => Just(Duration::MAX)];
    prop::collection::vec((pts, prop::collection::vec(any_detection(), 0..12)), 1..20)
}

proptest! {
    #[test]
    fn ids_are_unique_and_never_come_back(frames in any_frames(), is_sorted in any::<bool>()) {
        let mut frames = frames;
        if is_sorted {
            frames.sort_by_key(|frame| frame.0);
        }
        let mut tracker = Tracker::new(POLICY);
        let (mut over, mut told) = (BTreeSet::new(), BTreeSet::new());
        for (pts, detections) in &frames {
            let update = tracker.update(*pts, detections);
            prop_assert_eq!(update.ids.len(), detections.len());
            let ended: Vec<_> = update.ended.to_vec();
            let mut now = BTreeSet::new();
            for (id, detection) in update.ids.iter().zip(detections).filter_map(|(id, one)| Some(((*id)?, one))) {
                prop_assert!(now.insert(id), "{} has two detections", id);
                prop_assert!(!over.contains(&id), "{} came back", id);
                prop_assert!(detection.bbox.is_proper() && detection.confidence >= POLICY.low);
            }
            told.extend(&now);
            for track in ended {
                prop_assert!(over.insert(track.id) && told.contains(&track.id), "{} ended twice or untold", track.id);
            }
            let alive: Vec<_> = tracker.tracks().copied().collect();
            prop_assert!(alive.windows(2).all(|two| two[0].id < two[1].id));
            for track in alive {
                prop_assert!(track.bbox.is_proper(), "{:?}", track);
                prop_assert!(!over.contains(&track.id));
            }
        }
        over.extend(tracker.finish().iter().map(|track| track.id));
        prop_assert_eq!(over, told);
    }

    #[test]
    fn the_order_of_detections_decides_nothing(frames in any_frames(), turn in 0usize..12) {
        let (mut one, mut other) = (Tracker::new(POLICY), Tracker::new(POLICY));
        for (pts, detections) in &frames {
            let mut turned = detections.clone();
            turned.reverse();
            let by = turn % turned.len().max(1);
            turned.rotate_left(by);
            let straight = ids(&mut one, *pts, detections);
            let mut other = ids(&mut other, *pts, &turned);
            other.rotate_right(by);
            other.reverse();
            prop_assert_eq!(straight, other);
        }
    }
}

#[test]
fn frames_that_are_seldom_have_tracks_all_the_same() {
    // One each 2.5 s, which is longer than a track is kept without a detection.
    let mut tracker = Tracker::new(TrackerPolicy::default());
    let bbox = BBox { x1: 100.0, y1: 100.0, x2: 200.0, y2: 200.0 };
    let at = |n: u32| Duration::from_millis(2500) * n;
    let ids: Vec<_> = (0..10).map(|n| tracker.update(at(n), &[Detection::new(0, 0.9, bbox)]).ids[0]).collect();
    assert!(ids[3..].iter().all(|id| id.is_some() && *id == ids[9]), "{ids:?}");
    // It may be missed in one frame, and is gone after more.
    assert!(tracker.update(at(10), &[]).ended.is_empty());
    assert_eq!(tracker.update(at(11), &[Detection::new(0, 0.9, bbox)]).ids[0], ids[9]);
    let ended: usize = (12..16).map(|n| tracker.update(at(n), &[]).ended.len()).sum();
    assert_eq!(ended, 1);
}
