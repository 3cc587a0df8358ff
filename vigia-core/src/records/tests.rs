use std::sync::Arc;

use super::*;
use crate::frame::{Colour, PixelFormat};
use crate::geometry::Size;

const T: Duration = Duration::from_millis(40);

fn bbox(x: f32, side: f32) -> BBox {
    BBox { x1: x, y1: 100.0, x2: x + side, y2: 100.0 + side }
}

fn record(stages: usize) -> Record {
    Record::new(0, SystemTime::UNIX_EPOCH, stages)
}

fn when(when: When) -> StagePolicy {
    StagePolicy { when, ..StagePolicy::default() }
}

fn stream() -> StreamRef {
    StreamRef { id: "door".into(), generation: 1 }
}

fn shot(event: u64, side: f32) -> Candidate {
    let traits = Traits { confidence: 0.9, bbox: bbox(100.0, side), picture: Size::new(1280, 720), sharpness: 200.0 };
    let pixels = Arc::new(vec![0; 16]);
    let picture = Image::new(PixelFormat::Gray, Size::new(4, 4), [4, 0, 0], Colour::default(), pixels).expect("4x4");
    let quality = quality(&traits, None);
    Candidate {
        event: EventId(event),
        quality,
        traits,
        keypoints: Vec::new(),
        landmarks: None,
        picture,
        cut: traits.bbox,
    }
}

/// Eyes at 0 and 20, the nose where it is said.
fn face(nose: f32) -> Landmarks {
    let p = |x: f32, y: f32| Point { x, y };
    Landmarks { points: vec![p(0.0, 0.0), p(20.0, 0.0), p(nose, 10.0), p(2.0, 20.0), p(18.0, 20.0)] }
}

/// Gives these results, each once.
fn results(given: Vec<(u64, Option<Landmarks>)>) -> impl FnMut(usize, EventId) -> Option<Result<Output, NoResult>> {
    let mut given = given;
    move |_, event| {
        let at = given.iter().position(|(of, _)| *of == event.0)?;
        Some(given.remove(at).1.map(Output::Landmarks).ok_or(NoResult::Failed))
    }
}

#[test]
fn landmarks_move_with_the_box() {
    let (start, mut record) = (Instant::now(), record(1));
    record.sent(0, EventId(3), bbox(100.0, 20.0), 0.5, start);
    assert_eq!(record.landmarks(&bbox(0.0, 20.0)), None);
    let landmarks = Landmarks { points: vec![Point { x: 110.0, y: 105.0 }] };
    record.collect(start, results(vec![(3, Some(landmarks))]));
    let moved = record.landmarks(&bbox(200.0, 40.0));
    assert_eq!(moved, Some((Landmarks { points: vec![Point { x: 220.0, y: 110.0 }] }, EventId(3))));
    assert!(!record.is_waiting());
}

#[test]
fn the_newest_result_counts_whichever_comes_last() {
    let (start, mut record) = (Instant::now(), record(1));
    for event in [1, 2] {
        record.sent(0, EventId(event), bbox(0.0, 20.0), 0.5, start);
    }
    record.collect(start, results(vec![(2, Some(face(1.0)))]));
    record.collect(start, results(vec![(1, Some(face(2.0)))]));
    assert_eq!(record.known(0).map(|known| known.event), Some(EventId(2)));
}

#[test]
fn a_crop_is_sent_again_when_it_is_better_or_when_it_failed() {
    let (start, mut record) = (Instant::now(), record(1));
    assert!(
        record.wants_result(0, &when(When::Better), 0.3, start)
            && record.wants_result(0, &when(When::Once), 0.3, start)
    );
    record.sent(0, EventId(1), bbox(0.0, 20.0), 0.3, start);
    assert!(
        !record.wants_result(0, &when(When::Better), 0.32, start)
            && record.wants_result(0, &when(When::Better), 0.34, start)
    );
    assert!(
        record.wants_result(0, &when(When::Always), 0.1, start)
            && !record.wants_result(0, &when(When::Once), 0.9, start)
    );
    record.collect(start, results(vec![(1, Some(face(1.0)))]));
    assert!(
        !record.wants_result(0, &when(When::Better), 0.32, start)
            && !record.wants_result(0, &when(When::Once), 0.9, start)
    );
    record.sent(0, EventId(2), bbox(0.0, 20.0), 0.5, start);
    record.collect(start, results(vec![(2, None)]));
    assert!(!record.wants_result(0, &when(When::Better), 0.9, start), "it rests for a moment");
    let later = start + FIRST_REST;
    assert!(record.wants_result(0, &when(When::Better), 0.4, later), "the better one failed");
    assert!(!record.wants_result(0, &when(When::Better), 0.32, later), "this one is no better than what is known");
    assert_eq!(record.known(0).map(|known| known.event), Some(EventId(1)), "and the older one is still known");
    assert!(!record.wants_result(1, &when(When::Always), 1.0, start), "there is no such stage");
}

#[test]
fn what_is_known_is_refreshed_on_request() {
    let (start, mut record) = (Instant::now(), record(1));
    let policy = StagePolicy { refresh: Some(T * 5), ..StagePolicy::default() };
    record.sent(0, EventId(1), bbox(0.0, 20.0), 0.3, start);
    assert!(!record.wants_result(0, &policy, 0.3, start + T * 4), "one is under way");
    record.collect(start, results(vec![(1, Some(face(1.0)))]));
    assert!(
        !record.wants_result(0, &policy, 0.3, start + T * 4) && record.wants_result(0, &policy, 0.3, start + T * 5)
    );
    assert!(!record.wants_result(0, &StagePolicy::default(), 0.3, start + T * 1000));
}

#[test]
fn what_always_fails_is_tried_less_and_less_often() {
    let (start, mut record) = (Instant::now(), record(1));
    let mut sent = Vec::new();
    for frame in 0..1500 {
        let now = start + T * frame;
        if record.wants_result(0, &when(When::Always), 0.5, now) {
            record.sent(0, EventId(u64::from(frame)), bbox(0.0, 20.0), 0.5, now);
            record.collect(now, results(vec![(u64::from(frame), None)]));
            sent.push(frame);
        }
    }
    assert!((30..50).contains(&sent.len()), "{} in a minute: {sent:?}", sent.len());
    let last = sent.len() - 1;
    assert_eq!(sent[last] - sent[last - 1], 50, "every two seconds in the end");
}

#[test]
fn what_never_comes_is_given_up() {
    let (start, mut record) = (Instant::now(), record(1));
    for event in 0..10 {
        if record.wants_result(0, &when(When::Always), 0.5, start) {
            record.sent(0, EventId(event), bbox(0.0, 20.0), 0.5, start);
        }
    }
    assert_eq!(record.stages[0].under_way.len(), UNDER_WAY);
    assert!(!record.wants_result(0, &when(When::Always), 1.0, start));
    record.collect(start, results(vec![]));
    assert!(record.is_waiting());
    record.collect(start + RESULT_AGE + T, results(vec![]));
    assert!(!record.is_waiting() && record.wants_result(0, &when(When::Better), 0.1, start + RESULT_AGE * 2));
}

#[test]
fn the_best_face_looks_into_the_camera() {
    let (start, mut record) = (Instant::now(), record(1));
    for (event, side) in [(1, 80.0), (2, 90.0), (3, 85.0), (4, 30.0)] {
        record.seen(SystemTime::UNIX_EPOCH, &bbox(100.0, side));
        let shot = shot(event, side);
        record.sent(0, EventId(event), shot.traits.bbox, shot.quality, start);
        if record.wants_shot(shot.quality) {
            record.keep_shot(shot);
        }
    }
    // 2 is the largest, in profile; 3 looks into the camera; of 1 nothing is known; 4 was never worth it.
    record.collect(start, results(vec![(2, Some(face(19.0))), (3, Some(face(10.0))), (4, Some(face(10.0)))]));
    let ended = record.end(stream(), TrackId(7));
    let best = ended.best.expect("a shot");
    let landmarks = best.landmarks.expect("its own");
    assert_eq!((best.event, landmarks.event, landmarks.source), (EventId(3), Some(EventId(3)), LandmarksSource::Model));
    assert_eq!((ended.detections, ended.track), (4, TrackId(7)));
}

#[test]
fn a_best_face_without_landmarks_of_its_own_has_the_tracks() {
    let (start, mut record) = (Instant::now(), record(1));
    record.sent(0, EventId(1), bbox(0.0, 20.0), 0.1, start);
    record.collect(start, results(vec![(1, Some(face(10.0)))]));
    record.keep_shot(shot(9, 80.0));
    let best = record.clone().end(stream(), TrackId(1)).best.expect("a shot");
    assert_eq!(best.landmarks.map(|l| (l.event, l.source)), Some((Some(EventId(1)), LandmarksSource::Model)));
    // Without any: its own keypoints.
    let keypoints = face(10.0).points;
    record.shots[0].keypoints.clone_from(&keypoints);
    record.stages.clear();
    let best = record.end(stream(), TrackId(1)).best.expect("a shot");
    assert_eq!(best.landmarks.map(|l| (l.landmarks.points, l.source)), Some((keypoints, LandmarksSource::Detector)));
}

#[test]
fn few_shots_are_kept_and_those_are_the_best() {
    let mut record = record(0);
    let mut cuts = 0;
    for (event, side) in (20..200).enumerate() {
        let shot = shot(event as u64, side as f32);
        if record.wants_shot(shot.quality) {
            cuts += 1;
            record.keep_shot(shot);
        }
    }
    assert_eq!(record.shots.len(), SHOTS);
    assert!((4..60).contains(&cuts), "{cuts} cuts of a face that grows through 180 frames");
    let best = record.end(stream(), TrackId(1)).best.expect("a shot");
    assert!(best.bbox.width() > 180.0, "{:?}", best.bbox);
}

#[test]
fn a_path_is_thinned_and_keeps_its_ends() {
    for count in [1_u64, 2, 31, 32, 33, 100, 10_000] {
        let mut record = record(0);
        for n in 0..count {
            record.seen(SystemTime::UNIX_EPOCH + T * n as u32, &bbox(n as f32, 20.0));
        }
        let path = record.end(stream(), TrackId(1)).path;
        assert!((count.min(16)..=PATH_POINTS as u64).contains(&(path.len() as u64)), "{count}: {}", path.len());
        let (first, last) = (path[0], path[path.len() - 1]);
        assert_eq!((first.after, last.after), (Duration::ZERO, T * (count as u32 - 1)));
        assert!(path.is_sorted_by_key(|point| point.after));
    }
}

#[test]
fn a_clock_that_is_set_back_takes_nothing_back() {
    let mut record = record(0);
    record.seen(SystemTime::UNIX_EPOCH + Duration::from_secs(9), &bbox(0.0, 20.0));
    record.seen(SystemTime::UNIX_EPOCH - Duration::from_secs(9), &bbox(0.0, 20.0));
    let ended = record.end(stream(), TrackId(1));
    assert_eq!(ended.ended_at, SystemTime::UNIX_EPOCH + Duration::from_secs(9));
}
