//! Pictures and videos through a pipeline: in order, nothing dropped.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::source::{Flow, FrameSink, Source, SourceError, SourceHandle};
use vigia_engine::offline::{self, Event, Input, OfflineOptions};
use vigia_engine::pipeline::Pipeline;
use vigia_engine::worker::{StopFlag, Worker};
use vigia_testkit::{Gate, Script, batcher, boxes_by_frame, frame};

fn pipeline(script: Script, instances: usize) -> Arc<Pipeline> {
    Arc::new(Pipeline::new(Arc::new(batcher("scripted", 4, 8, instances, script)), Vec::new()))
}

fn options(every: u64, window: usize) -> OfflineOptions {
    OfflineOptions { every, thresholds: Thresholds { confidence: 0.5, iou: 0.5 }, decoders: 2, window }
}

/// A video of `frames` frames that then ends as told.
struct Clip {
    frames: u64,
    live: bool,
    outcome: Result<(), SourceError>,
    /// Told when the last frame was handed over.
    handed_over: Option<SyncSender<()>>,
}

struct Playing(#[expect(dead_code, reason = "dropping it waits for the thread")] Worker);
impl SourceHandle for Playing {}

impl Source for Clip {
    fn start(self: Box<Self>, mut sink: Box<dyn FrameSink>) -> Result<Box<dyn SourceHandle>, SourceError> {
        let worker = Worker::start("clip", move |_stop| {
            for n in 0..self.frames {
                let mut frame: Frame = frame("clip", n).as_ref().clone();
                frame.pts = Some(Duration::from_millis(n * 40));
                frame.captured_at = self.live.then_some(SystemTime::UNIX_EPOCH);
                if sink.frame(frame) == Flow::Stop {
                    break;
                }
            }
            if let Some(handed_over) = &self.handed_over {
                handed_over.send(()).expect("the test waits");
            }
            sink.end(self.outcome.clone());
        });
        Ok(Box::new(Playing(worker.expect("a thread"))))
    }
}

fn clip(frames: u64, live: bool, outcome: Result<(), SourceError>) -> Input {
    Input::Video(Box::new(move || Ok(Box::new(Clip { frames, live, outcome, handed_over: None }))))
}

fn picture(n: u64) -> Input {
    Input::Picture(Box::new(move || Ok(frame("picture", n).as_ref().clone())))
}

/// Each event as `name:what`.
fn run(pipeline: &Arc<Pipeline>, inputs: Vec<(&'static str, Input)>, options: OfflineOptions) -> Vec<String> {
    let mut seen = Vec::new();
    let inputs = inputs.into_iter().map(|(name, input)| (Arc::from(name), input));
    offline::run(pipeline, inputs, options, &StopFlag::default(), |name, event| {
        seen.push(match event {
            Event::Result(result) => format!("{name}:{}", result.frame.frame_id),
            Event::Failed(error) => format!("{name}:failed {error}"),
            Event::Skipped(frames) => format!("{name}:skipped {frames}"),
            Event::Done => format!("{name}:done"),
        });
        Flow::Continue
    })
    .expect("threads");
    seen
}

#[test]
fn results_come_in_the_order_of_the_inputs() {
    let inputs = vec![("a", picture(7)), ("v", clip(20, false, Ok(()))), ("b", picture(8))];
    let seen = run(&pipeline(boxes_by_frame(), 3), inputs, options(1, 3));
    let expected = ["a:7", "a:done"].map(str::to_owned).into_iter();
    let expected =
        expected.chain((0..20).map(|n| format!("v:{n}"))).chain(["v:done", "b:8", "b:done"].map(str::to_owned));
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

#[test]
fn every_nth_frame_keeps_its_number() {
    let seen = run(&pipeline(boxes_by_frame(), 1), vec![("v", clip(10, false, Ok(())))], options(4, 3));
    assert_eq!(seen, ["v:0", "v:4", "v:8", "v:done"]);
}

#[test]
fn what_fails_keeps_its_place_and_the_rest_goes_on() {
    let broken = Input::Picture(Box::new(|| Err("no picture".to_owned())));
    let panics = Input::Picture(Box::new(|| std::panic::resume_unwind(Box::new("on purpose"))));
    let missing = Input::Video(Box::new(|| Err(SourceError::NotFound("no such file".to_owned()))));
    let breaks_off = clip(2, false, Err(SourceError::Undecodable("damaged".to_owned())));
    let inputs = vec![
        ("a", broken),
        ("b", panics),
        ("c", missing),
        ("d", breaks_off),
        ("e", Input::Unusable("a reason".to_owned())),
        ("f", picture(1)),
    ];
    let seen = run(&pipeline(boxes_by_frame(), 1), inputs, options(1, 4));
    let panicked = "b:failed the decoder failed on this picture in a way it should not";
    let expected = [
        "a:failed no picture",
        "a:done",
        panicked,
        "b:done",
        "c:failed no such file",
        "c:done",
        "d:0",
        "d:1",
        "d:failed damaged",
        "d:done",
        "e:failed a reason",
        "e:done",
        "f:1",
        "f:done",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_live_source_is_never_held_up_and_what_is_skipped_is_counted() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let pipeline = pipeline(script, 1);
    // The model stands still until the camera has sent everything: a camera that is held up never has.
    let (handed_over, camera_is_done) = sync_channel(1);
    let opener = Worker::start("opener", move |_stop| {
        let waited = camera_is_done.recv_timeout(Duration::from_mins(1));
        drop(gate);
        waited.expect("the camera was held up");
    });
    let camera = Clip { frames: 100, live: true, outcome: Ok(()), handed_over: Some(handed_over) };
    let camera = Input::Video(Box::new(move || Ok(Box::new(camera))));
    let seen = run(&pipeline, vec![("cam", camera)], options(1, 3));
    opener.expect("a thread").join();
    let skipped = seen.iter().find_map(|s| s.strip_prefix("cam:skipped ")).map_or(0, |n| n.parse().expect("a number"));
    let results = seen.iter().filter(|s| !s.contains("skipped") && !s.contains("done")).count();
    assert_eq!(results + skipped, 100, "{seen:?}");
    assert!((3..10).contains(&results), "a window's worth, not {results}");
    assert!(!seen.iter().any(|s| s.contains("failed")), "{seen:?}");
}

#[test]
fn a_window_always_fits_into_the_queue() {
    let pipeline = pipeline(boxes_by_frame(), 4);
    assert_eq!(pipeline.window(2), 6);
    let seen = run(&pipeline, vec![("v", clip(300, false, Ok(())))], options(1, 6));
    assert_eq!(seen.len(), 301);
    assert!(!seen.iter().any(|s| s.contains("failed")), "{seen:?}");
}

#[test]
fn stopping_ends_a_video_that_has_no_end() {
    let mut results = 0;
    let inputs = [(Arc::from("v"), clip(u64::MAX, false, Ok(())))].into_iter();
    offline::run(&pipeline(boxes_by_frame(), 2), inputs, options(1, 4), &StopFlag::default(), |_name, _event| {
        results += 1;
        if results == 10 { Flow::Stop } else { Flow::Continue }
    })
    .expect("threads");
    assert_eq!(results, 10);
}

#[test]
fn stopping_reaches_a_video_whose_frames_are_all_left_out() {
    let stop = StopFlag::default();
    let inputs = [(Arc::from("v"), clip(u64::MAX, false, Ok(())))].into_iter();
    let flag = stop.clone();
    let mut seen = Vec::new();
    // After frame 0 no frame is looked at, so no event would ever tell.
    offline::run(&pipeline(boxes_by_frame(), 1), inputs, options(u64::MAX, 4), &stop, |_name, event| {
        seen.push(matches!(event, Event::Result(_)));
        flag.set();
        Flow::Continue
    })
    .expect("threads");
    assert_eq!(seen, [true]);
}
