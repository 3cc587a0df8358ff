//! Objects that are followed, their crops, and what is told of them in the end: whatever the second stage does, detection
//! goes on, and each crop is counted once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vigia_core::backend::{InferError, Output, Region, Request};
use vigia_core::cascade::{EventPolicy, StagePolicy, When};
use vigia_core::detection::{Detection, Keypoint};
use vigia_core::event::EventId;
use vigia_core::frame::Frame;
use vigia_core::geometry::{Affine, BBox, Point};
use vigia_core::landmarks::LandmarksSource;
use vigia_core::model::{Family, ModelSpec};
use vigia_core::result::FrameResult;
use vigia_core::source::{Flow, FrameSink};
use vigia_core::stream::StreamState;
use vigia_core::track::{TrackId, TrackerPolicy};
use vigia_engine::metrics::{CropOutcome, Metrics, ModelMetrics, StageMetrics, StreamMetrics};
use vigia_engine::pipeline::{Align, Pipeline, Stage};
use vigia_engine::stream::{Feed, Stream, StreamOptions};
use vigia_testkit::live::{Heard, listeners, means};
use vigia_testkit::{Gate, PushedSource, Script, batcher, batcher_with, corner_landmarks, finds, spec};

use crate::support::{door, fifo, picture, start_with, wait_for};

const OUTCOMES: [CropOutcome; 5] =
    [CropOutcome::Answered, CropOutcome::Failed, CropOutcome::QueueFull, CropOutcome::Known, CropOutcome::Shutdown];

/// A stream of 25 frames a second over a detector and, perhaps, a second stage.
struct Followed {
    stream: Stream,
    heard: Heard,
    sink: Box<dyn FrameSink>,
    crops: StageMetrics,
    frames: u32,
}

fn thing() -> Detection {
    let mut thing = Detection::new(0, 0.9, BBox { x1: 8.0, y1: 8.0, x2: 40.0, y2: 40.0 });
    thing.keypoints.push(Keypoint { point: Point { x: 20.0, y: 20.0 }, confidence: None });
    thing
}

fn followed(detector: Script, stage: Option<(Script, When)>) -> Followed {
    let crops = Metrics::default().stage("points");
    let stages = stage.map(|(script, when)| Stage {
        batcher: Arc::new(batcher("points", 4, 256, 1, script)),
        policy: StagePolicy { when, ..StagePolicy::default() },
        align: None,
        metrics: crops.clone(),
    });
    let pipeline = Pipeline::new(Arc::new(batcher("scripted", 1, 8, 1, detector)), stages.into_iter().collect());
    followed_through(pipeline, crops)
}

fn followed_through(pipeline: Pipeline, crops: StageMetrics) -> Followed {
    let pipeline = pipeline.with_tracking(TrackerPolicy::default()).with_events(EventPolicy::default());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start_with(door(), Arc::new(pipeline), fifo(8), Feed::Pulled(open), means());
    let sink = sinks.recv().expect("opened");
    Followed { stream, heard, sink, crops, frames: 0 }
}

impl Followed {
    /// The next frame's result.
    fn next(&mut self) -> Arc<FrameResult> {
        let pts = Some(Duration::from_millis(40) * self.frames);
        self.frames += 1;
        assert_eq!(self.sink.frame(Frame { pts, ..picture() }), Flow::Continue);
        self.heard.results.recv().expect("a result")
    }

    /// Frames until one says so; what is under way on other threads comes some time.
    fn until(&mut self, so: impl Fn(&FrameResult) -> bool) -> Arc<FrameResult> {
        loop {
            let result = self.next();
            if so(&result) {
                return result;
            }
            std::thread::yield_now();
        }
    }

    /// The source is over, and so is the stream.
    fn end(mut self) -> (Heard, StageMetrics, u64) {
        self.sink.end(Ok(()));
        wait_for(&self.stream, |status| status.state == StreamState::Ended);
        let Self { stream, heard, sink, crops, frames } = self;
        drop((stream, sink));
        (heard, crops, u64::from(frames))
    }
}

fn source(result: &FrameResult) -> Option<LandmarksSource> {
    result.detections[0].landmarks.as_ref().map(|settled| settled.source)
}

fn total(crops: &StageMetrics) -> u64 {
    OUTCOMES.iter().map(|&outcome| crops.crops(outcome)).sum()
}

#[test]
fn detections_are_named_and_followed_and_one_event_is_told() {
    let mut followed = followed(finds(vec![thing()]), None);
    let results: Vec<_> = (0..10).map(|_| followed.next()).collect();
    let events: Vec<_> = results.iter().map(|result| result.detections[0].event).collect();
    assert_eq!(events, (1..=10).map(|n| Some(EventId(n))).collect::<Vec<_>>());
    let tracks: Vec<_> = results.iter().map(|result| result.detections[0].track).collect();
    assert_eq!(tracks[0], None, "seen once: it may be nothing");
    assert!(tracks[1..].iter().all(|track| *track == Some(TrackId(1))), "{tracks:?}");
    // There is no stage: the fallback only.
    assert!(results.iter().all(|result| source(result) == Some(LandmarksSource::Detector)));
    let (heard, ..) = followed.end();
    let ended: Vec<_> = heard.ended.iter().collect();
    assert_eq!(ended.len(), 1);
    let track = &ended[0];
    assert_eq!((track.stream.clone(), track.track, track.detections), (door(), TrackId(1), 10));
    let best = track.best.as_ref().expect("a shot");
    assert!(track.path.len() == 10 && best.quality > 0.0 && best.confidence > 0.8);
    assert_eq!(best.landmarks.as_ref().map(|l| l.source), Some(LandmarksSource::Detector));
}

#[test]
fn who_is_gone_is_told_of_and_who_was_never_sure_is_not() {
    // The thing is there in frames 0 to 9; a false one in frame 3 alone.
    let script: Script = Arc::new(|batch: &[Request]| {
        let found = |request: &Request| {
            let mut found = if request.frame.frame_id < 10 { vec![thing()] } else { Vec::new() };
            if request.frame.frame_id == 3 {
                let bbox = BBox { x1: 44.0, y1: 0.0, x2: 64.0, y2: 20.0 };
                found.push(Detection::new(0, 0.9, bbox));
            }
            Ok(Output::Detections(found))
        };
        Ok(batch.iter().map(found).collect())
    });
    let mut followed = followed(script, None);
    let lost_after = (TrackerPolicy::default().lost.as_millis() / 40) as usize;
    (0..10 + lost_after + 2).for_each(|_| drop(followed.next()));
    let track = followed.heard.ended.try_recv().expect("told while the stream goes on");
    assert_eq!(track.detections, 10);
    let (heard, ..) = followed.end();
    assert_eq!(heard.ended.iter().count(), 0);
}

#[test]
fn what_is_hardly_seen_goes_on_with_its_track_and_is_not_published() {
    let script: Script = Arc::new(|batch: &[Request]| {
        let found = |request: &Request| {
            assert!(request.thresholds.confidence < 0.2, "the tracker sees what is in doubt");
            let confidence = if (4..8).contains(&request.frame.frame_id) { 0.3 } else { 0.9 };
            Ok(Output::Detections(vec![Detection { confidence, ..thing() }]))
        };
        Ok(batch.iter().map(found).collect())
    });
    let mut followed = followed(script, None);
    let counts: Vec<_> = (0..12).map(|_| followed.next().detections.len()).collect();
    assert_eq!(counts, [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(followed.next().detections[0].track, Some(TrackId(1)));
}

#[test]
fn landmarks_come_later_and_move_with_the_box() {
    let mut followed = followed(finds(vec![thing()]), Some((corner_landmarks(), When::Better)));
    let first = followed.next();
    assert_eq!(source(&first), Some(LandmarksSource::Detector), "nobody waits for a crop");
    let later = followed.until(|result| source(result) == Some(LandmarksSource::Model));
    let settled = later.detections[0].landmarks.as_ref().expect("settled");
    assert_eq!((settled.event, settled.landmarks.points[0]), (Some(EventId(1)), Point { x: 8.0, y: 8.0 }));
    let (heard, crops, frames) = followed.end();
    let best = heard.ended.iter().next().and_then(|track| track.best).expect("a shot");
    assert_eq!(best.landmarks.map(|settled| settled.source), Some(LandmarksSource::Model));
    // Nothing became better: one crop was sent, all others were known.
    assert_eq!(crops.crops(CropOutcome::Answered), 1);
    assert_eq!((crops.waiting(), crops.crops(CropOutcome::Known)), (0, frames - 1));
}

#[test]
fn a_crop_that_is_to_be_turned_upright_waits_for_points() {
    let by_one: Align = |points, _size| match points {
        [point] => Some(Affine { x: [1.0, 0.0, point.x], y: [0.0, 1.0, point.y] }),
        _ => None,
    };
    let turned: Script = Arc::new(|batch: &[Request]| {
        let is_turned = |request: &Request| match request.roi {
            Some(Region::Aligned(_)) => Ok(Output::Embedding(vec![1.0])),
            _ => Ok(Output::Embedding(vec![0.0])),
        };
        Ok(batch.iter().map(is_turned).collect())
    });
    let points = ModelSpec { family: Family::FaceLandmarks68, ..spec("points", 4) };
    let points = batcher_with(&points, 64, 1, corner_landmarks(), ModelMetrics::default());
    let stage = |batcher, align, when| Stage {
        batcher: Arc::new(batcher),
        policy: StagePolicy { when, ..StagePolicy::default() },
        align,
        metrics: StageMetrics::default(),
    };
    let stages =
        vec![stage(batcher("turned", 4, 64, 1, turned), Some(by_one), When::Once), stage(points, None, When::Better)];
    let bare = Detection { keypoints: Vec::new(), ..thing() };
    let pipeline = Pipeline::new(Arc::new(batcher("scripted", 1, 8, 1, finds(vec![bare]))), stages);
    let mut followed = followed_through(pipeline, Metrics::default().stage("turned"));
    let result = followed.until(|result| !result.detections[0].attributes.is_empty());
    assert_eq!(result.detections[0].attributes[0].output, Output::Embedding(vec![1.0]));
}

#[test]
fn a_stage_that_stands_still_holds_nothing_up_and_falls_back() {
    let (script, gate) = Gate::before(corner_landmarks());
    let mut followed = followed(finds(vec![thing(); 1]), Some((script, When::Always)));
    // Each of these has its result while no crop has any.
    for _ in 0..200 {
        assert_eq!(source(&followed.next()), Some(LandmarksSource::Detector));
    }
    assert_eq!(followed.stream.status().inferred, 200);
    // Four are under way, those of one track; all others are as good as these.
    assert_eq!(followed.crops.crops(CropOutcome::Known), 196);
    drop(gate);
    followed.until(|result| source(result) == Some(LandmarksSource::Model));
    let (_, crops, frames) = followed.end();
    assert_eq!((total(&crops), crops.waiting()), (frames, 0));
}

#[test]
fn a_full_queue_means_going_on_without() {
    // Sixty objects in the first frames and a stage that stands still: the queue has room for 32, a batch of 4 runs.
    let (script, gate) = Gate::before(corner_landmarks());
    let thing = |n: u64| {
        let (x1, y1) = ((n % 10) as f32 * 3.0, (n / 10) as f32 * 3.0);
        Detection::new(0, 0.9, BBox { x1, y1, x2: x1 + 26.0, y2: y1 + 26.0 })
    };
    let mut followed = followed(finds((0..60).map(thing).collect()), Some((script, When::Always)));
    assert_eq!(followed.next().detections.len(), 60);
    gate.wait_for_batch();
    assert_eq!(followed.next().detections.len(), 60);
    let full = followed.crops.crops(CropOutcome::QueueFull);
    assert!(full >= 60 + 60 - 32 - 4, "{full}");
    drop(gate);
    followed.until(|result| result.detections.iter().all(|d| d.landmarks.as_ref().is_some_and(|l| l.event.is_some())));
    let (_, crops, frames) = followed.end();
    assert_eq!((total(&crops), crops.waiting()), (60 * frames, 0));
}

#[test]
fn crops_that_fail_at_random_are_counted_once_and_results_come_when_they_can() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    // Every second batch fails as a whole, every seventh panics; in the others every third crop fails.
    let script: Script = Arc::new(move |batch: &[Request]| {
        let call = counted.fetch_add(1, Ordering::Relaxed);
        if call % 7 == 6 {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        if call.is_multiple_of(2) {
            return Err(InferError::Failed { model: "points".to_owned(), reason: "on purpose".to_owned() });
        }
        let mut answers = corner_landmarks()(batch)?;
        if call % 3 == 1 {
            answers[0] = Err(InferError::EmptyCrop);
        }
        Ok(answers)
    });
    let mut followed = followed(finds(vec![thing()]), Some((script, When::Better)));
    followed.until(|result| source(result) == Some(LandmarksSource::Model));
    (0..300).for_each(|_| drop(followed.next()));
    let (heard, crops, frames) = followed.end();
    assert_eq!((total(&crops), crops.waiting()), (frames, 0));
    assert!(crops.crops(CropOutcome::Failed) > 0 && crops.crops(CropOutcome::Answered) > 0);
    assert_eq!(heard.ended.iter().count(), 1);
}

#[test]
fn crops_that_are_under_way_when_the_source_ends_are_waited_for() {
    let (script, gate) = Gate::before(corner_landmarks());
    let mut followed = followed(finds(vec![thing()]), Some((script, When::Better)));
    (0..2).for_each(|_| drop(followed.next()));
    gate.wait_for_batch();
    followed.sink.end(Ok(()));
    gate.open();
    let track = followed.heard.ended.recv().expect("told");
    let landmarks = track.best.and_then(|best| best.landmarks).expect("they came");
    assert_eq!((landmarks.source, landmarks.landmarks.points.len()), (LandmarksSource::Model, 1));
}

#[test]
fn a_stream_that_is_removed_waits_for_no_crop() {
    let (script, gate) = Gate::before(corner_landmarks());
    let mut followed = followed(finds(vec![thing()]), Some((script, When::Better)));
    (0..2).for_each(|_| drop(followed.next()));
    gate.wait_for_batch();
    followed.stream.discard();
    let track = followed.heard.ended.recv().expect("told all the same");
    let landmarks = track.best.and_then(|best| best.landmarks).expect("the fallback");
    assert_eq!(landmarks.source, LandmarksSource::Detector);
    drop(gate);
}

#[test]
fn each_play_of_a_source_has_tracks_of_its_own() {
    let pipeline = Pipeline::new(Arc::new(batcher("scripted", 1, 64, 1, finds(vec![thing()]))), Vec::new());
    let pipeline = pipeline.with_tracking(TrackerPolicy::default()).with_events(EventPolicy::default());
    let (open, sinks) = PushedSource::opener();
    let options = StreamOptions { repeat: true, ..fifo(32) };
    let (stream, heard) = start_with(door(), Arc::new(pipeline), options, Feed::Pulled(open), means());
    for _ in 0..3 {
        let mut sink = sinks.recv().expect("opened again");
        // The end comes while frames are still under way.
        for n in 0..12 {
            let pts = Some(Duration::from_millis(40) * n);
            assert_eq!(sink.frame(Frame { pts, ..picture() }), Flow::Continue);
        }
        sink.end(Ok(()));
    }
    wait_for(&stream, |status| status.inferred == 36);
    stream.stop();
    let ended: Vec<_> = heard.ended.iter().map(|track| track.detections).collect();
    assert_eq!(ended, [12, 12, 12]);
}

#[test]
fn a_stream_that_panics_tells_of_its_tracks() {
    let pipeline = Pipeline::new(Arc::new(batcher("scripted", 1, 8, 1, finds(vec![thing()]))), Vec::new());
    let pipeline = pipeline.with_tracking(TrackerPolicy::default()).with_events(EventPolicy::default());
    let (open, sinks) = PushedSource::opener();
    let (mut listeners, heard) = listeners();
    let mut frames = 0;
    listeners.publish = Box::new(move |_result| {
        frames += 1;
        if frames == 5 {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    });
    let feed = Feed::Pulled(open);
    let metrics = StreamMetrics::default();
    let stream = Stream::start(door(), Arc::new(pipeline), fifo(8), feed, listeners, means(), metrics);
    let stream = stream.expect("a thread");
    let mut sink = sinks.recv().expect("opened");
    for n in 0..5 {
        let pts = Some(Duration::from_millis(40) * n);
        assert_eq!(sink.frame(Frame { pts, ..picture() }), Flow::Continue);
        wait_for(&stream, |status| status.pending == 0);
    }
    wait_for(&stream, |status| status.state == StreamState::Failed);
    assert_eq!(heard.ended.recv().map(|track| track.detections), Ok(5));
}

#[test]
fn frames_without_times_are_followed_by_when_they_came() {
    // Results come in batches of 8, long after the frames: what moves is followed all the same.
    let (script, gate) = Gate::before(Arc::new(|batch: &[Request]| {
        let found = |request: &Request| {
            let x1 = request.frame.frame_id as f32 * 6.0;
            Ok(Output::Detections(vec![Detection::new(0, 0.9, BBox { x1, y1: 8.0, x2: x1 + 32.0, y2: 40.0 })]))
        };
        Ok(batch.iter().map(found).collect())
    }));
    let pipeline = Pipeline::new(Arc::new(batcher("scripted", 8, 64, 1, script)), Vec::new());
    let pipeline = Arc::new(pipeline.with_tracking(TrackerPolicy::default()));
    let (open, sinks) = PushedSource::opener();
    let (_stream, heard) = start_with(door(), pipeline, fifo(64), Feed::Pulled(open), means());
    let mut sink = sinks.recv().expect("opened");
    for _ in 0..40 {
        assert_eq!(sink.frame(picture()), Flow::Continue);
        vigia_testkit::pause(Duration::from_millis(20));
    }
    drop(gate);
    let tracks: Vec<_> = heard.results.iter().take(40).filter_map(|result| result.detections[0].track).collect();
    assert!(tracks.len() >= 38 && tracks.iter().all(|track| *track == tracks[0]), "{tracks:?}");
}

#[test]
fn a_hundred_thousand_events_leave_nothing_behind() {
    let things: Vec<_> =
        (0..5).map(|n| Detection::new(0, 0.9, BBox { x1: n as f32, y1: 0.0, x2: n as f32 + 30.0, y2: 30.0 })).collect();
    // They are there for three frames and gone for a minute, again and again, as other objects each time.
    let mut followed = followed(finds(things), Some((corner_landmarks(), When::Always)));
    let (mut last, mut times) = (EventId(0), 0);
    while last.0 < 100_000 {
        if last.0.is_multiple_of(15) {
            followed.frames += 1500;
            times += 1;
        }
        let result = followed.next();
        let events: Vec<_> = result.detections.iter().filter_map(|detection| detection.event).collect();
        assert!(events.len() == 5 && events.iter().all(|event| *event > last), "numbers grow");
        last = *events.iter().max().expect("five");
    }
    let mut ended: Vec<_> = followed.heard.ended.try_iter().map(|track| track.track).collect();
    let (heard, crops, _) = followed.end();
    ended.extend(heard.ended.iter().map(|track| track.track));
    assert_eq!(ended.len(), 5 * times, "one event for each object");
    ended.sort_unstable();
    ended.dedup();
    assert_eq!(ended.len(), 5 * times, "and none twice");
    assert_eq!(crops.waiting(), 0, "each result was read, or let go");
    assert!(total(&crops) >= 90_000, "{}", total(&crops));
}
