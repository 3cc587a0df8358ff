//! What waits is bounded, counted, and given back.

use std::time::Duration;

use vigia_core::admission::DropReason;
use vigia_engine::stream::{Feed, StreamOptions};
use vigia_testkit::live::{BROKEN, POISON, means, means_of, stream_options};
use vigia_testkit::{Gate, PushedSource, boxes_by_frame};

use crate::support::{Told as _, door, dropped, fifo, pipeline, push, push_picture, start, start_with, wait_for};

/// Bytes of a decoded frame here.
const FRAME: u64 = 64 * 48;

#[test]
fn a_full_budget_drops_as_overload_and_gets_everything_back() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    // Half of it is for frames of a stream that has some already.
    let means = means_of(4 * FRAME);
    let (stream, heard) = start_with(door(), pipeline(script), fifo(8), Feed::Pulled(open), means.clone());
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    assert_eq!(means.budget.used(), 0, "what runs does not wait");
    (0..4).for_each(|_| push(&mut sink));
    let status = stream.status();
    assert_eq!((status.cached_frames, status.cached_bytes, means.budget.used()), (2, 2 * FRAME, 2 * FRAME));
    assert_eq!(dropped(&status, DropReason::Overload), 2);
    drop(gate);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.cached_frames, status.cached_bytes, means.budget.used()), (0, 0, 0));
    // And there is room again.
    push(&mut sink);
    assert_eq!([(); 4].map(|()| heard.result()), [0, 1, 2, 5]);
}

#[test]
fn encoded_pictures_count_with_their_own_size_until_they_are_decoded() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let means = means();
    let (stream, _heard) = start_with(door(), pipeline(script), fifo(8), Feed::Pushed, means.clone());
    let first = push_picture(&stream, b"0123456789");
    gate.wait_for_batch();
    // Three are decoded ahead; two wait.
    let others: Vec<_> = (0..5).map(|_| push_picture(&stream, b"0123456789")).collect();
    let status = stream.status();
    assert_eq!((status.cached_frames, status.cached_bytes, means.budget.used()), (2, 20, 20));
    drop(gate);
    assert!(first.outcome().is_ok() && others.into_iter().all(|awaited| awaited.outcome().is_ok()));
    assert_eq!((stream.status().cached_frames, means.budget.used()), (0, 0));
}

#[test]
fn whatever_becomes_of_a_picture_its_memory_comes_back() {
    let means = means();
    let options = StreamOptions { every: 2, ..stream_options() };
    let (stream, _heard) = start_with(door(), pipeline(boxes_by_frame()), options, Feed::Pushed, means.clone());
    for bytes in [BROKEN, b"skipped", POISON, b"skipped", b"picture", b"skipped"] {
        let _any = push_picture(&stream, bytes).outcome();
    }
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.cached_frames, status.cached_bytes, means.budget.used()), (0, 0, 0));
    let reasons = [DropReason::Failed, DropReason::Skipped].map(|r| dropped(&status, r));
    assert_eq!((status.inferred, reasons), (1, [2, 3]));
    let options = StreamOptions { latency: Duration::ZERO, ..stream_options() };
    let (stream, _heard) = start_with(door(), pipeline(boxes_by_frame()), options, Feed::Pushed, means.clone());
    assert!(push_picture(&stream, b"stale").outcome().is_err());
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((dropped(&status, DropReason::Stale), means.budget.used()), (1, 0));
}

#[test]
fn a_fifo_drops_the_newcomer_as_overload_and_keeps_the_order() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, fifo(3), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    (0..5).for_each(|_| push(&mut sink));
    drop(gate);
    assert_eq!([(); 4].map(|()| heard.result()), [0, 1, 2, 3]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.inferred, dropped(&status, DropReason::Overload)), (4, 2));
    push(&mut sink);
    assert_eq!(heard.result(), 6);
}

#[test]
fn frames_that_are_too_old_are_counted_stale() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, fifo(8), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    stream.set_options(StreamOptions { latency: Duration::ZERO, ..fifo(8) });
    (0..3).for_each(|_| push(&mut sink));
    drop(gate);
    // The newest one is the freshest there is, and no model could be in time for it.
    assert_eq!([heard.result(), heard.result()], [0, 3]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.inferred, dropped(&status, DropReason::Stale)), (2, 2));
}
