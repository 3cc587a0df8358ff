//! Live frames in a model's queue.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use vigia_core::admission::{CacheMode, CachePolicy, DropReason};
use vigia_core::backend::InferError;
use vigia_core::batching::Live;
use vigia_engine::batcher::{Batcher, Completed, Picture};
use vigia_testkit::live::NEVER;
use vigia_testkit::{Gate, boxes_by_frame, frame, stream_ref};

use crate::batcher::{THRESHOLDS, left_edge, reply, start, submit};

/// A frame of a stream of which `frames` may wait.
fn submit_live(batcher: &Batcher, stream: &str, frame_id: u64, mode: CacheMode, frames: usize) -> Receiver<Completed> {
    let (reply, receiver) = reply();
    let live = Live { cache: CachePolicy { mode, frames }, offered: Instant::now(), latency: NEVER };
    batcher.submit_live(Picture::Frame(frame(stream, frame_id)), THRESHOLDS, live, Box::new(()), reply);
    receiver
}

/// When a frame came that is too old by now, whatever the clock.
fn long_ago() -> Live {
    let cache = CachePolicy { mode: CacheMode::Latest, frames: 1 };
    let now = Instant::now();
    Live { cache, offered: now.checked_sub(Duration::from_secs(1)).unwrap_or(now), latency: Duration::from_millis(1) }
}

fn dropped(completed: &Receiver<Completed>) -> DropReason {
    match completed.recv().expect("answered").answer.output {
        Err(InferError::Dropped(reason)) => reason,
        other => panic!("not dropped: {other:?}"),
    }
}

#[test]
fn a_newer_frame_takes_the_place_of_its_streams_oldest() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(1, 8, 1, script);
    let newest = |stream, frame_id| submit_live(&batcher, stream, frame_id, CacheMode::Latest, 1);
    let running = newest("a", 1);
    gate.wait_for_batch();
    let [old, new, other] = [newest("a", 2), newest("a", 3), newest("b", 7)];
    assert_eq!(old.recv().expect("answered at once").answer.output, Err(InferError::Dropped(DropReason::Superseded)));
    assert_eq!(batcher.figures().waiting, 2);
    (0..3).for_each(|_| gate.open());
    for (answer, left) in [(running, 1.0), (new, 3.0), (other, 7.0)] {
        assert!((left_edge(&answer.recv().expect("answered")) - left).abs() < 1e-6);
    }
}

#[test]
fn a_full_fifo_refuses_the_newcomer() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(1, 8, 1, script);
    let fifo = |frame_id| submit_live(&batcher, "a", frame_id, CacheMode::Fifo, 2);
    let running = fifo(1);
    gate.wait_for_batch();
    let waiting = [fifo(2), fifo(3)];
    assert_eq!(dropped(&fifo(4)), DropReason::Overload);
    drop(gate);
    assert!((left_edge(&running.recv().expect("answered")) - 1.0).abs() < 1e-6);
    for (answer, left) in waiting.iter().zip([2.0, 3.0]) {
        assert!((left_edge(&answer.recv().expect("answered")) - left).abs() < 1e-6);
    }
}

#[test]
fn a_frame_that_is_too_old_is_not_run() {
    let batcher = start(1, 8, 1, boxes_by_frame());
    let (reply, receiver) = reply();
    batcher.submit_live(Picture::Frame(frame("a", 1)), THRESHOLDS, long_ago(), Box::new(()), reply);
    assert_eq!(dropped(&receiver), DropReason::Stale);
    assert_eq!(batcher.figures().batches, 0);
}

#[test]
fn a_request_that_comes_while_old_frames_are_answered_is_not_forgotten() {
    let batcher = Arc::new(start(1, 8, 1, boxes_by_frame()));
    let (told, tells) = sync_channel(1);
    let again = batcher.clone();
    // On the model's only thread, which will look for work next.
    let reply = Box::new(move |_dropped| told.send(submit(&again, "b", 7)).expect("the test waits"));
    batcher.submit_live(Picture::Frame(frame("a", 1)), THRESHOLDS, long_ago(), Box::new(()), reply);
    let answer = tells.recv().expect("it is dropped").recv().expect("answered");
    assert!((left_edge(&answer) - 7.0).abs() < 1e-6);
}

#[test]
fn a_stream_that_is_gone_takes_along_what_waits_and_nothing_else() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(1, 8, 1, script);
    let live = |stream, frame_id| submit_live(&batcher, stream, frame_id, CacheMode::Fifo, 4);
    let running = live("a", 1);
    gate.wait_for_batch();
    let (gone, other) = ([live("a", 2), live("a", 3)], live("b", 4));
    batcher.forget(&stream_ref("a"));
    assert_eq!((dropped(&gone[0]), dropped(&gone[1])), (DropReason::Shutdown, DropReason::Shutdown));
    assert_eq!(batcher.figures().waiting, 1);
    drop(gate);
    assert!((left_edge(&running.recv().expect("answered")) - 1.0).abs() < 1e-6);
    assert!((left_edge(&other.recv().expect("answered")) - 4.0).abs() < 1e-6);
}

#[test]
fn what_is_held_for_a_frame_is_let_go_when_it_waits_no_more() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(1, 8, 1, script);
    let held = Arc::new(());
    let live = |frame_id| {
        let (reply, receiver) = reply();
        let cache = CachePolicy { mode: CacheMode::Latest, frames: 1 };
        let live = Live { cache, offered: Instant::now(), latency: NEVER };
        batcher.submit_live(Picture::Frame(frame("a", frame_id)), THRESHOLDS, live, Box::new(held.clone()), reply);
        receiver
    };
    let holders = || Arc::strong_count(&held) - 1;
    let running = live(1);
    gate.wait_for_batch();
    assert_eq!(holders(), 0, "it runs");
    let (superseded, waiting) = (live(2), live(3));
    assert_eq!((dropped(&superseded), holders()), (DropReason::Superseded, 1));
    drop(gate);
    assert!(running.recv().is_ok() && waiting.recv().is_ok());
    assert_eq!(holders(), 0);
}
