//! The worked example of batched landmarks, in simulated time: who queues what, which batch runs when, what a frame's
//! result carries, and which landmarks the best face of a track has. Batches of 32; times in milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use vigia_core::backend::Output;
use vigia_core::batching::{BatchDecision, BatchPolicy, BatchQueue};
use vigia_core::cache::ResultCache;
use vigia_core::cascade::{StagePolicy, settle_landmarks};
use vigia_core::detection::{Detection, Keypoint};
use vigia_core::event::{EndedTrack, EventId};
use vigia_core::frame::{Colour, Image, PixelFormat};
use vigia_core::geometry::{BBox, Point, Size};
use vigia_core::id::StreamRef;
use vigia_core::landmarks::{Landmarks, LandmarksSource};
use vigia_core::quality::{Traits, frontality, quality};
use vigia_core::records::{Candidate, NoResult, RESULT_AGE, Record};
use vigia_core::track::{TrackId, Tracker, TrackerPolicy};

const PICTURE: Size = Size::new(1280, 720);

/// The producer: what a stream's thread does with its frames, on a clock that the test turns.
struct Producer {
    start: Instant,
    tracker: Tracker,
    records: BTreeMap<TrackId, Record>,
    queue: BatchQueue<&'static str, EventId>,
    results: ResultCache<EventId, Result<Output, NoResult>>,
    last_event: u64,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn stream() -> StreamRef {
    StreamRef { id: "door".into(), generation: 1 }
}

/// A face at some place, with the detector's five keypoints.
fn face(place: u64, side: f32) -> Detection {
    let x1 = 100.0 + place as f32 * 150.0;
    let mut face = Detection::new(0, 0.9, BBox { x1, y1: 100.0, x2: x1 + side, y2: 100.0 + side });
    // Eyes, nose, corners of the mouth.
    let places = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)];
    let point = |(x, y): (f32, f32)| Point { x: x1 + x * side, y: 100.0 + y * side };
    face.keypoints = places.map(|place| Keypoint { point: point(place), confidence: None }).to_vec();
    face
}

/// What the landmark model says of an event: one that looks into the camera.
fn landmarks(event: EventId) -> Landmarks {
    let mut points = vec![Point { x: event.0 as f32, y: 0.0 }; 68];
    for (eye, x) in [(36..42, 0.0), (42..48, 20.0)] {
        points[eye].fill(Point { x, y: 10.0 });
    }
    points[30] = Point { x: 10.0, y: 20.0 };
    Landmarks { points }
}

impl Producer {
    fn new() -> Self {
        let policy = BatchPolicy { max_batch: 32, queue: 256, linger: ms(10), ahead: 1 };
        Self {
            start: Instant::now(),
            // Told at once, and gone soon: a frame each 30 ms and a second one are all that the example has.
            tracker: Tracker::new(TrackerPolicy { confirm: 1, lost: ms(40), ..TrackerPolicy::default() }),
            records: BTreeMap::new(),
            queue: BatchQueue::new(policy),
            results: ResultCache::new(1024, RESULT_AGE),
            last_event: 0,
        }
    }

    fn at(&self, at: u64) -> Instant {
        self.start + ms(at)
    }

    /// Takes a frame's detections in; what its result says, and the tracks that ended with it.
    fn frame(&mut self, at: u64, mut detections: Vec<Detection>) -> (Vec<Detection>, Vec<EndedTrack>) {
        let (now, wall) = (self.at(at), SystemTime::UNIX_EPOCH + ms(at));
        let update = self.tracker.update(ms(at), &detections);
        let (ids, gone) = (update.ids.to_vec(), update.ended.to_vec());
        for (detection, id) in detections.iter_mut().zip(ids) {
            self.last_event += 1;
            let event = EventId(self.last_event);
            (detection.event, detection.track) = (Some(event), id);
            let record = self.records.entry(id.expect("told at once"));
            let record = record.or_insert_with(|| Record::new(0, wall, 1));
            record.seen(wall, &detection.bbox);
            record.collect(now, |_, event| self.results.take(&event));
            let traits =
                Traits { confidence: detection.confidence, bbox: detection.bbox, picture: PICTURE, sharpness: 200.0 };
            let keypoints: Vec<Point> = detection.keypoints.iter().map(|keypoint| keypoint.point).collect();
            let quality = quality(&traits, frontality(&keypoints));
            let pixels = Arc::new(vec![0; 16]);
            let picture =
                Image::new(PixelFormat::Gray, Size::new(4, 4), [4, 0, 0], Colour::default(), pixels).expect("4x4");
            let cut = detection.bbox;
            record.keep_shot(Candidate { event, quality, traits, keypoints, landmarks: None, picture, cut });
            let policy = StagePolicy::default();
            if policy.crop(detection, PICTURE).is_some() && record.wants_result(0, &policy, quality, now) {
                record.sent(0, event, detection.bbox, quality, now);
                assert_eq!(self.queue.push_shared("door", event, 96, now), None, "there is room, and nothing blocks");
            }
            let known = record.landmarks(&detection.bbox);
            settle_landmarks(detection, known.map(|(landmarks, event)| (landmarks, Some(event))));
        }
        let end = |track: vigia_core::track::Track| {
            let mut record = self.records.remove(&track.id).expect("its record");
            record.collect(now, |_, event| self.results.take(&event));
            record.end(stream(), track.id)
        };
        let ended = gone.into_iter().map(end).collect();
        (detections, ended)
    }

    /// The worker looks at the queue.
    fn poll(&mut self, at: u64) -> BatchDecision<EventId> {
        self.queue.poll(self.start + ms(at), 1)
    }

    /// A batch is done.
    fn done(&mut self, at: u64, events: std::ops::RangeInclusive<u64>) {
        for event in events.map(EventId) {
            let gone = self.results.put(event, Ok(Output::Landmarks(landmarks(event))), self.start + ms(at));
            assert_eq!(gone, []);
        }
    }
}

fn events(decision: BatchDecision<EventId>) -> Vec<u64> {
    let BatchDecision::Run(picks) = decision else { return Vec::new() };
    picks.into_iter().map(|picked| picked.item.0).collect()
}

fn sources(detections: &[Detection]) -> Vec<(u64, LandmarksSource)> {
    let of = |d: &Detection| (d.event.expect("named").0, d.landmarks.as_ref().expect("settled").source);
    detections.iter().map(of).collect()
}

#[test]
fn the_worked_example() {
    let mut producer = Producer::new();
    // 0: five faces; events 1 to 5; five crops queued.
    let (result, _) = producer.frame(0, (0..5).map(|place| face(place, 100.0)).collect());
    assert_eq!(sources(&result), (1..=5).map(|event| (event, LandmarksSource::Detector)).collect::<Vec<_>>());
    assert_eq!(producer.queue.len(), 5);
    let track_of_3 = result[2].track.expect("told at once");
    // 5: the worker wakes and collects.
    assert_eq!(producer.poll(5), BatchDecision::WaitUntil(producer.at(10)));
    // 10: 10 ms after the oldest crop was queued, a batch of five runs.
    assert_eq!(events(producer.poll(10)), [1, 2, 3, 4, 5]);
    // 25: their results are in the cache.
    producer.done(25, 1..=5);
    assert_eq!(producer.results.len(), 5);
    // 30: three more faces; nothing is there for them yet: the detector's own keypoints.
    let (result, ended) = producer.frame(30, (5..8).map(|place| face(place, 100.0)).collect());
    assert_eq!(sources(&result), (6..=8).map(|event| (event, LandmarksSource::Detector)).collect::<Vec<_>>());
    assert!(ended.is_empty());
    assert_eq!(producer.poll(30), BatchDecision::WaitUntil(producer.at(40)));
    // 40: the batch of three runs.
    assert_eq!(events(producer.poll(40)), [6, 7, 8]);
    producer.done(49, 6..=8);
    // 50: the tracks of the first faces end.
    let (_, ended) = producer.frame(50, Vec::new());
    assert_eq!(ended.len(), 5);
    let of_3 = ended.into_iter().find(|ended| ended.track == track_of_3).expect("it ended");
    let best = of_3.best.expect("a face");
    let best_landmarks = best.landmarks.expect("its own");
    assert_eq!((best.event, best_landmarks.event), (EventId(3), Some(EventId(3))));
    assert_eq!((best_landmarks.landmarks, best_landmarks.source), (landmarks(EventId(3)), LandmarksSource::Model));
    // Each result was taken out by its reader; those of the faces that are still there wait for their next frame.
    assert_eq!(producer.results.len(), 3);
    let (result, _) = producer.frame(60, (5..8).map(|place| face(place, 100.0)).collect());
    assert_eq!(sources(&result), (9..=11).map(|event| (event, LandmarksSource::Model)).collect::<Vec<_>>());
    assert!(producer.results.is_empty());
    assert_eq!(producer.poll(100), BatchDecision::Idle, "what is known is not asked again");
}

#[test]
fn a_later_and_better_face_is_asked_about_and_becomes_the_best() {
    let mut producer = Producer::new();
    producer.frame(0, vec![face(0, 60.0)]);
    assert_eq!(events(producer.poll(10)), [1]);
    producer.done(20, 1..=1);
    // Hardly larger: the landmarks of event 1, moved.
    let (result, _) = producer.frame(30, vec![face(0, 62.0)]);
    assert_eq!(sources(&result), [(2, LandmarksSource::Model)]);
    assert_eq!(producer.poll(40), BatchDecision::Idle);
    // Much larger: another look; until it comes, event 1 still stands in.
    let (result, _) = producer.frame(60, vec![face(0, 80.0)]);
    assert_eq!(result[0].landmarks.as_ref().and_then(|settled| settled.event), Some(EventId(1)));
    assert_eq!(events(producer.poll(70)), [3]);
    // It fails; the face is still the best one, with what is known of its track.
    producer.results.put(EventId(3), Err(NoResult::Failed), producer.at(75));
    let (_, ended) = producer.frame(110, Vec::new());
    let best = ended.into_iter().next().and_then(|ended| ended.best).expect("a face");
    assert_eq!(best.event, EventId(3));
    assert_eq!(best.landmarks.and_then(|settled| settled.event), Some(EventId(1)));
}
