//! Live streams with scripted sources and models: no engine, no GStreamer, no waiting for a clock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use vigia_core::admission::DropReason;
use vigia_core::backend::InferError;
use vigia_core::backoff::Backoff;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::result::FrameResult;
use vigia_core::source::{Flow, FrameSink, SourceError};
use vigia_core::stream::StreamState;
use vigia_engine::metrics::StreamMetrics;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::stream::{OpenSource, Stream, StreamOptions, StreamStatus};
use vigia_testkit::{Gate, PushedSource, Script, batcher, boxes_by_frame, frame};

const OPTIONS: StreamOptions = StreamOptions {
    thresholds: Thresholds { confidence: 0.5, iou: 0.5 },
    every: 1,
    max_fps: None,
    keep: 1,
    repeat: false,
    backoff: Backoff { initial: Duration::ZERO, max: Duration::ZERO },
    unauthorized_pause: Duration::ZERO,
};

fn start(script: Script, options: StreamOptions, open: OpenSource) -> (Stream, Receiver<FrameResult>) {
    let pipeline = Arc::new(Pipeline::new(Arc::new(batcher("scripted", 1, 8, 1, script)), Vec::new()));
    let (publish, results) = sync_channel(64);
    let publish = Box::new(move |result| publish.send(result).expect("the test takes them"));
    let id = StreamRef { id: StreamId::new("door"), generation: 3 };
    let stream = Stream::start(id, pipeline, options, open, publish, StreamMetrics::default()).expect("a thread");
    (stream, results)
}

/// A frame that says it is of another stream and has another number: the stream knows better.
fn picture() -> Frame {
    Arc::try_unwrap(frame("elsewhere", 99)).expect("nobody else has it")
}

fn push(sink: &mut Box<dyn FrameSink>) {
    assert_eq!(sink.frame(picture()), Flow::Continue);
}

/// Every frame that came is somewhere.
fn assert_whole(status: &StreamStatus) {
    assert_eq!(status.received, status.inferred + status.pending + status.dropped.iter().sum::<u64>(), "{status:?}");
}

fn wait_for(stream: &Stream, what: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
    loop {
        let status = stream.status();
        assert_whole(&status);
        if what(&status) {
            return status;
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_newest_frame_wins_and_every_frame_is_counted() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, results) = start(script, OPTIONS, open);
    assert_eq!(stream.status().state, StreamState::Connecting);
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    // The model is busy with frame 0: of 1 to 4 only the last is still there when it is free.
    (0..4).for_each(|_| push(&mut sink));
    gate.open();
    gate.open();
    let ids = [(); 2].map(|()| results.recv().expect("a result").frame.frame_id);
    assert_eq!(ids, [0, 4]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.state, status.received, status.inferred), (StreamState::Online, 5, 2));
    assert_eq!(status.dropped[DropReason::Superseded.index()], 3);
    assert!(status.latency.is_some() && status.size.is_some());
}

#[test]
fn results_carry_the_streams_own_name_and_numbers() {
    let (open, sinks) = PushedSource::opener();
    let (_stream, results) = start(boxes_by_frame(), OPTIONS, open);
    let mut sink = sinks.recv().expect("opened");
    for n in 0..3 {
        push(&mut sink);
        let result = results.recv().expect("a result");
        assert_eq!((result.frame.frame_id, result.frame.stream.generation), (n, 3));
        assert_eq!(result.frame.stream.id.as_str(), "door");
    }
}

#[test]
fn a_thinned_stream_says_what_it_skipped() {
    let (open, sinks) = PushedSource::opener();
    let (stream, results) = start(boxes_by_frame(), StreamOptions { every: 3, ..OPTIONS }, open);
    let mut sink = sinks.recv().expect("opened");
    let mut ids = Vec::new();
    for n in 0..7 {
        push(&mut sink);
        if n % 3 == 0 {
            ids.push(results.recv().expect("a result").frame.frame_id);
        }
    }
    assert_eq!(ids, [0, 3, 6]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.received, status.inferred), (7, 3));
    assert_eq!(status.dropped[DropReason::Skipped.index()], 4);
}

#[test]
fn a_source_that_breaks_off_is_opened_again_and_numbers_go_on() {
    let (open, sinks) = PushedSource::opener();
    let (stream, results) = start(boxes_by_frame(), OPTIONS, open);
    let mut first = sinks.recv().expect("opened");
    push(&mut first);
    assert_eq!(results.recv().expect("a result").frame.frame_id, 0);
    first.end(Err(SourceError::Unreachable("the camera was switched off".to_owned())));
    let mut second = sinks.recv().expect("opened again");
    push(&mut second);
    assert_eq!(results.recv().expect("a result").frame.frame_id, 1);
    let status = wait_for(&stream, |s| s.inferred == 2);
    assert_eq!((status.state, status.attempts, status.last_error), (StreamState::Online, 0, None));
}

#[test]
fn what_cannot_work_is_not_tried_again() {
    for (error, tries) in [
        (SourceError::NotFound("there is no such file".to_owned()), 1),
        (SourceError::Undecodable("this is text".to_owned()), 1),
        (SourceError::Unreachable("nobody answers".to_owned()), 3),
        (SourceError::Unauthorized("wrong password".to_owned()), 3),
    ] {
        let mut opened = 0;
        let (count, counted) = sync_channel(8);
        let outcome = error.clone();
        let open = move || {
            opened += 1;
            let _enough = count.try_send(opened);
            Err(outcome.clone())
        };
        let (stream, _results) = start(boxes_by_frame(), OPTIONS, Box::new(open));
        for n in 1..=tries {
            assert_eq!(counted.recv().expect("tried"), n);
        }
        if tries == 1 {
            let status = wait_for(&stream, |s| s.state == StreamState::Failed);
            assert_eq!(status.last_error, Some(error.to_string()));
            assert!(counted.try_recv().is_err());
        } else {
            wait_for(&stream, |s| s.last_error == Some(error.to_string()));
        }
    }
}

#[test]
fn the_end_of_a_file_is_the_end_unless_it_repeats() {
    for repeat in [false, true] {
        let (open, sinks) = PushedSource::opener();
        let (stream, results) = start(boxes_by_frame(), StreamOptions { repeat, ..OPTIONS }, open);
        let mut sink = sinks.recv().expect("opened");
        push(&mut sink);
        sink.end(Ok(()));
        assert_eq!(results.recv().expect("a result").frame.frame_id, 0);
        if repeat {
            push(&mut sinks.recv().expect("opened again"));
            assert_eq!(results.recv().expect("a result").frame.frame_id, 1);
        } else {
            let status = wait_for(&stream, |s| s.state == StreamState::Ended);
            assert_eq!((status.received, status.inferred, status.last_error), (1, 1, None));
        }
    }
}

#[test]
fn a_frame_that_fails_is_counted_and_the_stream_goes_on() {
    let good = boxes_by_frame();
    let script: Script = Arc::new(move |batch| match batch[0].frame.frame_id {
        0 => Err(InferError::Failed { model: "scripted".to_owned(), reason: "unlucky".to_owned() }),
        1 => std::panic::resume_unwind(Box::new("on purpose")),
        _ => good(batch),
    });
    let (open, sinks) = PushedSource::opener();
    let (stream, results) = start(script, OPTIONS, open);
    let mut sink = sinks.recv().expect("opened");
    for settled in 1..=2 {
        push(&mut sink);
        wait_for(&stream, |s| s.dropped[DropReason::Failed.index()] == settled);
    }
    push(&mut sink);
    assert_eq!(results.recv().expect("a result").frame.frame_id, 2);
    assert!(stream.status().last_error.is_some_and(|e| e.contains("restarted")));
}

#[test]
fn stopping_waits_for_what_is_under_way() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, results) = start(script, OPTIONS, open);
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    push(&mut sink);
    stream.stop();
    gate.open();
    gate.open();
    drop(stream);
    let ids: Vec<u64> = results.try_iter().map(|r| r.frame.frame_id).collect();
    assert_eq!(ids, [0, 1]);
}

#[test]
fn a_publisher_that_panics_fails_its_stream_and_no_frame_stays_under_way() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let pipeline = Arc::new(Pipeline::new(Arc::new(batcher("scripted", 1, 8, 1, script)), Vec::new()));
    let (open, sinks) = PushedSource::opener();
    let id = StreamRef { id: StreamId::new("door"), generation: 0 };
    let publish = Box::new(|_result| std::panic::resume_unwind(Box::new("on purpose")));
    let stream = Stream::start(id, pipeline, OPTIONS, open, publish, StreamMetrics::default()).expect("a thread");
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    push(&mut sink);
    assert_eq!(stream.status().pending, 2);
    gate.open();
    let status = wait_for(&stream, |s| s.state == StreamState::Failed);
    assert_eq!((status.received, status.inferred, status.pending), (2, 1, 0));
    assert_eq!(status.dropped[DropReason::Failed.index()], 1);
    gate.open();
}

#[test]
fn stopping_often_is_stopping_once() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, results) = start(script, OPTIONS, open);
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    push(&mut sink);
    // More than the stream has room for events.
    (0..100).for_each(|_| stream.stop());
    gate.open();
    gate.open();
    let status = wait_for(&stream, |s| s.state == StreamState::Ended);
    assert_eq!((status.inferred, status.pending), (2, 0));
    drop(stream);
    assert_eq!(results.try_iter().count(), 2);
}

#[test]
fn a_camera_that_worked_is_tried_again_whatever_it_says() {
    let (open, sinks) = PushedSource::opener();
    let (stream, results) = start(boxes_by_frame(), OPTIONS, open);
    for (life, error) in [
        SourceError::NotFound("404".to_owned()),
        SourceError::Undecodable("noise".to_owned()),
        SourceError::Library("a plug-in broke".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut sink = sinks.recv().expect("opened again");
        push(&mut sink);
        assert_eq!(results.recv().expect("a result").frame.frame_id, life as u64);
        sink.end(Err(error));
    }
    sinks.recv().expect("opened again");
    wait_for(&stream, |s| s.inferred == 3 && s.pending == 0);
}
