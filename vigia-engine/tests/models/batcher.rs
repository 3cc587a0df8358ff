//! How requests meet in batches.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use vigia_core::backend::{InferError, Output};
use vigia_core::detection::Thresholds;
use vigia_engine::batcher::{Batcher, Completed, Picture, Reply};
use vigia_testkit::{Gate, Script, batcher, boxes_by_frame, frame};

pub(crate) const THRESHOLDS: Thresholds = Thresholds { confidence: 0.5, iou: 0.5 };

pub(crate) fn start(max_batch: usize, queue: usize, instances: usize, script: Script) -> Batcher {
    batcher("scripted", max_batch, queue, instances, script)
}

pub(crate) fn reply() -> (Reply, Receiver<Completed>) {
    let (sender, receiver) = sync_channel(1);
    (Box::new(move |completed| sender.send(completed).expect("the test waits")), receiver)
}

pub(crate) fn submit(batcher: &Batcher, stream: &str, frame_id: u64) -> Receiver<Completed> {
    let (reply, receiver) = reply();
    batcher.submit(Picture::Frame(frame(stream, frame_id)), THRESHOLDS, reply);
    receiver
}

pub(crate) fn left_edge(completed: &Completed) -> f32 {
    match &completed.answer.output {
        Ok(Output::Detections(d)) => d[0].bbox.x1,
        other => panic!("no detections: {other:?}"),
    }
}

#[test]
fn a_batch_spans_streams_and_each_gets_its_own_answer() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(8, 64, 1, script);
    // The first one holds the only instance, so that the others meet in one batch.
    let first = submit(&batcher, "a", 1);
    gate.wait_for_batch();
    let others = [submit(&batcher, "a", 2), submit(&batcher, "b", 10), submit(&batcher, "c", 20)];
    gate.open();
    gate.open();
    assert!((left_edge(&first.recv().expect("answered")) - 1.0).abs() < 1e-6);
    let answers = others.map(|r| r.recv().expect("answered"));
    assert!(answers.iter().all(|a| a.batch.size == 3));
    for (answer, expected) in answers.iter().zip([2.0, 10.0, 20.0]) {
        assert!((left_edge(answer) - expected).abs() < 1e-6);
    }
}

#[test]
fn a_full_queue_refuses_at_once() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(1, 2, 1, script);
    let running = submit(&batcher, "a", 0);
    gate.wait_for_batch();
    let waiting = [submit(&batcher, "a", 1), submit(&batcher, "a", 2)];
    let refused = submit(&batcher, "a", 3).recv().expect("answered").answer.output.expect_err("the queue is full");
    assert_eq!(refused, InferError::QueueFull { model: "scripted".to_owned(), waiting: 2 });
    (0..3).for_each(|_| gate.open());
    assert!(running.recv().is_ok() && waiting.iter().all(|w| w.recv().is_ok()));
}

#[test]
fn a_failed_batch_fails_its_own_requests_only() {
    let good = boxes_by_frame();
    let script: Script = Arc::new(move |batch| {
        if batch[0].frame.frame_id == 13 {
            return Err(InferError::Failed { model: "scripted".to_owned(), reason: "unlucky".to_owned() });
        }
        good(batch)
    });
    let batcher = start(1, 8, 1, script);
    let bad = submit(&batcher, "a", 13).recv().expect("answered");
    assert!(bad.answer.output.expect_err("failed").to_string().contains("unlucky"));
    assert!(submit(&batcher, "a", 14).recv().expect("answered").answer.output.is_ok());
}

#[test]
fn too_few_answers_fail_the_batch_instead_of_shifting_it() {
    let batcher = start(4, 8, 1, Arc::new(|_batch| Ok(Vec::new())));
    let answer = submit(&batcher, "a", 1).recv().expect("answered");
    assert!(answer.answer.output.expect_err("failed").to_string().contains("0 answers to 1 requests"));
}

#[test]
fn instances_work_side_by_side() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(1, 64, 2, script);
    let all: Vec<_> = (0..2).map(|n| submit(&batcher, "a", n)).collect();
    // Both stand at the gate at the same time, which one instance alone cannot do.
    gate.wait_for_batch();
    gate.wait_for_batch();
    gate.open();
    gate.open();
    assert!(all.into_iter().all(|a| a.recv().is_ok()));
}
