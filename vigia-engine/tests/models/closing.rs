//! The end of a model's threads.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use vigia_core::backend::InferError;
use vigia_engine::worker::{Worker, WorkerPool};
use vigia_testkit::{Gate, boxes_by_frame, encoded, frame};

use crate::batcher::{THRESHOLDS, reply, start, submit};

#[test]
fn closing_answers_what_waits() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(2, 64, 1, script);
    let all: Vec<_> = (0..9).map(|n| submit(&batcher, "a", n)).collect();
    gate.wait_for_batch();
    drop(gate);
    drop(batcher);
    for answer in all {
        assert!(answer.recv().expect("answered").answer.output.is_ok());
    }
}

#[test]
fn closing_waits_for_what_is_being_decoded() {
    for decodes in [true, false] {
        let batcher = start(1, 8, 3, boxes_by_frame());
        let pool = Arc::new(WorkerPool::start("decode", 1, 8).expect("threads"));
        let (enter, entered) = sync_channel(1);
        let (open, opened) = sync_channel::<()>(1);
        let (reply, receiver) = reply();
        let decode = move || {
            enter.send(()).expect("the test waits");
            opened.recv().expect("the test lets it go on");
            let unusable = InferError::Unusable { code: "none", reason: "no picture".to_owned() };
            if decodes { Ok(Arc::unwrap_or_clone(frame("a", 1))) } else { Err(unusable) }
        };
        batcher.submit(encoded("a", &pool, decode), THRESHOLDS, reply);
        entered.recv().expect("it is being decoded");
        // All three threads wait for it; one of them gets it, and the others are to end, too.
        let closer = Worker::start("closer", move |_stop| drop(batcher)).expect("a thread");
        open.send(()).expect("it waits");
        assert_eq!(receiver.recv().expect("answered").answer.output.is_ok(), decodes);
        closer.join();
    }
}

#[test]
fn the_last_owner_may_go_on_a_thread_of_the_model() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = Arc::new(start(1, 8, 1, script));
    let (told, tells) = sync_channel(1);
    let owner = batcher.clone();
    let reply = Box::new(move |_completed| {
        drop(owner);
        told.send(()).expect("the test waits");
    });
    batcher.submit(vigia_engine::batcher::Picture::Frame(frame("a", 1)), THRESHOLDS, reply);
    gate.wait_for_batch();
    drop(batcher);
    gate.open();
    tells.recv().expect("it goes on");
}
