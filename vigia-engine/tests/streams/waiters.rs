//! Whoever waits for a pushed picture is told what became of it, exactly once, whatever that is.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use vigia_core::admission::DropReason;
use vigia_core::backend::InferError;
use vigia_engine::metrics::StreamMetrics;
use vigia_engine::stream::{Feed, Refused, Stream, StreamOptions};
use vigia_testkit::live::{BROKEN, POISON, listeners, means, means_of, pushed, stream_options};
use vigia_testkit::{Gate, Script, boxes_by_frame};

use crate::support::{Awaited, Told as _, door, dropped, fifo, pipeline, push_picture, start, start_with, wait_for};

fn reason(awaited: Awaited) -> DropReason {
    match awaited.outcome() {
        Err(InferError::Dropped(reason)) => reason,
        other => unreachable!("not dropped: {other:?}"),
    }
}

#[test]
fn of_a_frame_that_is_skipped() {
    let (stream, _heard) = start(boxes_by_frame(), StreamOptions { every: 2, ..stream_options() }, Feed::Pushed);
    assert_eq!(push_picture(&stream, b"picture").number(), 0);
    assert_eq!(reason(push_picture(&stream, b"picture")), DropReason::Skipped);
}

#[test]
fn of_a_frame_whose_place_a_newer_one_took() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (stream, _heard) = start(script, stream_options(), Feed::Pushed);
    let runs = push_picture(&stream, b"picture");
    gate.wait_for_batch();
    // Three lie decoded for the next runs, one waits.
    let mut others: Vec<Awaited> = (1..=5).map(|_| push_picture(&stream, b"picture")).collect();
    drop(gate);
    assert_eq!(runs.number(), 0);
    let newest = others.pop().expect("five");
    assert_eq!(newest.number(), 5);
    assert_eq!(reason(others.pop().expect("four")), DropReason::Superseded);
    assert!(others.into_iter().all(|awaited| awaited.outcome().is_ok()));
}

#[test]
fn of_a_frame_that_is_too_old() {
    let (stream, _heard) =
        start(boxes_by_frame(), StreamOptions { latency: Duration::ZERO, ..stream_options() }, Feed::Pushed);
    assert_eq!(reason(push_picture(&stream, b"picture")), DropReason::Stale);
}

#[test]
fn of_a_frame_that_finds_a_full_cache() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (stream, _heard) = start(script, fifo(1), Feed::Pushed);
    let runs = push_picture(&stream, b"picture");
    gate.wait_for_batch();
    let wait: Vec<Awaited> = (1..=4).map(|_| push_picture(&stream, b"picture")).collect();
    let refused = push_picture(&stream, b"picture");
    drop(gate);
    assert_eq!(runs.number(), 0);
    assert!(wait.into_iter().all(|awaited| awaited.outcome().is_ok()));
    assert_eq!(reason(refused), DropReason::Overload);
}

#[test]
fn of_a_frame_for_which_there_is_no_memory() {
    let (stream, _heard) = start_with(door(), pipeline(boxes_by_frame()), stream_options(), Feed::Pushed, means_of(8));
    assert_eq!(reason(push_picture(&stream, b"picture")), DropReason::Overload);
    assert_eq!(push_picture(&stream, b"small").number(), 1);
}

#[test]
fn of_a_picture_that_cannot_be_decoded() {
    let (stream, _heard) = start(boxes_by_frame(), stream_options(), Feed::Pushed);
    let broken = push_picture(&stream, BROKEN).outcome().expect_err("no picture");
    assert!(matches!(&broken, InferError::Unusable { code: "broken", .. }), "{broken}");
    assert_eq!(stream.status().last_error, Some(broken.to_string()));
    let poison = push_picture(&stream, POISON).outcome().expect_err("the decoder panics");
    assert!(matches!(poison, InferError::Panicked { .. }), "{poison}");
    assert_eq!(push_picture(&stream, b"picture").number(), 2);
    assert_eq!(dropped(&stream.status(), DropReason::Failed), 2);
}

#[test]
fn of_a_frame_on_which_the_model_fails() {
    let good = boxes_by_frame();
    let script: Script = Arc::new(move |batch| match batch[0].frame.frame_id {
        0 => Err(InferError::Failed { model: "scripted".to_owned(), reason: "unlucky".to_owned() }),
        1 => std::panic::resume_unwind(Box::new("on purpose")),
        _ => good(batch),
    });
    let (stream, _heard) = start(script, stream_options(), Feed::Pushed);
    let failed = push_picture(&stream, b"picture").outcome().expect_err("the model fails");
    assert!(matches!(failed, InferError::Failed { .. }), "{failed}");
    let panicked = push_picture(&stream, b"picture").outcome().expect_err("the model panics");
    assert!(matches!(panicked, InferError::Panicked { .. }), "{panicked}");
    assert_eq!(push_picture(&stream, b"picture").number(), 2);
}

#[test]
fn of_a_frame_that_still_waits_when_its_stream_is_taken_out() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (stream, _heard) = start(script, stream_options(), Feed::Pushed);
    let runs = push_picture(&stream, b"picture");
    gate.wait_for_batch();
    let mut others: Vec<Awaited> = (1..=4).map(|_| push_picture(&stream, b"picture")).collect();
    stream.discard();
    drop(gate);
    assert_eq!(runs.number(), 0);
    assert_eq!(reason(others.pop().expect("four")), DropReason::Shutdown);
    // What was decoded already runs.
    assert!(others.into_iter().all(|awaited| awaited.outcome().is_ok()));
}

#[test]
fn of_no_frame_of_a_stream_that_is_over() {
    let options = StreamOptions { timeout: Duration::ZERO, ..stream_options() };
    let (stream, heard) = start(boxes_by_frame(), options, Feed::Pushed);
    heard.until(vigia_core::stream::StreamState::Ended);
    let (awaited, waiter) = Awaited::new();
    assert_eq!(stream.push(pushed(None, b"picture"), Some(waiter)), Err(Refused::Ended));
    assert!(awaited.was_never_told());
}

#[test]
fn of_no_frame_whose_id_is_refused() {
    let (stream, _heard) = start(boxes_by_frame(), stream_options(), Feed::Pushed);
    stream.push(pushed(Some(7), b"picture"), None).expect("the stream takes it");
    let (awaited, waiter) = Awaited::new();
    assert_eq!(stream.push(pushed(Some(7), b"picture"), Some(waiter)), Err(Refused::NotAbove { last: 7 }));
    assert!(awaited.was_never_told());
}

#[test]
fn of_the_frames_of_a_stream_whose_worker_panics() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (mut listeners, _heard) = listeners();
    listeners.publish = Box::new(|_result| std::panic::resume_unwind(Box::new("on purpose")));
    let (pipeline, metrics) = (pipeline(script), StreamMetrics::default());
    let stream = Stream::start(door(), pipeline, stream_options(), Feed::Pushed, listeners, means(), metrics);
    let stream = stream.expect("a thread");
    let first = push_picture(&stream, b"picture");
    gate.wait_for_batch();
    let others: Vec<Awaited> = (1..=4).map(|_| push_picture(&stream, b"picture")).collect();
    gate.open();
    // It has its result, whatever became of publishing it.
    assert_eq!(first.number(), 0);
    wait_for(&stream, |s| s.pending == 0);
    drop(gate);
    for awaited in others {
        assert_eq!(reason(awaited), DropReason::Failed);
    }
}

#[test]
fn a_waiter_that_panics_harms_nobody() {
    let (stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pushed);
    let (called, calls) = sync_channel(1);
    let waiter = Box::new(move |_outcome| {
        called.send(()).expect("the test waits");
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    stream.push(pushed(None, b"picture"), Some(waiter)).expect("the stream takes it");
    calls.recv().expect("it is called");
    assert_eq!(push_picture(&stream, b"picture").number(), 1);
    assert_eq!([heard.result(), heard.result()], [0, 1]);
}
