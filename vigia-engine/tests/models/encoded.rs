//! Pictures that wait encoded until their turn has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use vigia_core::backend::InferError;
use vigia_core::batching::BatchPolicy;
use vigia_core::frame::Frame;
use vigia_engine::batcher::{BackendFactory, Batcher, Completed};
use vigia_engine::metrics::ModelMetrics;
use vigia_engine::worker::WorkerPool;
use vigia_testkit::{Gate, Script, ScriptedBackend, boxes_by_frame, encoded, frame, spec};

use crate::batcher::{THRESHOLDS, left_edge, reply};

/// Lets a test see which pictures were decoded.
struct Desk {
    batcher: Batcher,
    pool: Arc<WorkerPool>,
    decoded: Arc<AtomicUsize>,
}

impl Desk {
    /// One instance without batches; `queue` pictures may wait, and `ahead` be decoded before their turn.
    fn new(queue: usize, ahead: usize, script: Script) -> Self {
        let made = spec("scripted", 1);
        let factory: BackendFactory = Arc::new(move || Ok(ScriptedBackend::boxed(made.clone(), script.clone())));
        let policy = BatchPolicy { max_batch: 1, queue, linger: Duration::ZERO, ahead };
        let batcher = Batcher::start(&spec("scripted", 1), &factory, 1, policy, ModelMetrics::default());
        Self { batcher: batcher.expect("threads"), pool: pool(64), decoded: Arc::default() }
    }

    /// Submits a picture that becomes this frame.
    fn post(&self, frame_id: u64) -> Receiver<Completed> {
        let decoded = self.decoded.clone();
        self.post_as(move || {
            decoded.fetch_add(1, Ordering::Relaxed);
            Ok(picture(frame_id))
        })
    }

    fn post_as(&self, decode: impl FnOnce() -> Result<Frame, InferError> + Send + 'static) -> Receiver<Completed> {
        let (reply, receiver) = reply();
        self.batcher.submit(encoded("posted", &self.pool, decode), THRESHOLDS, reply);
        receiver
    }

    fn wait_for_decoded(&self, pictures: usize) {
        while self.decoded.load(Ordering::Relaxed) < pictures {
            std::thread::yield_now();
        }
    }
}

fn pool(waiting: usize) -> Arc<WorkerPool> {
    Arc::new(WorkerPool::start("decode", 1, waiting).expect("threads"))
}

fn picture(frame_id: u64) -> Frame {
    Arc::unwrap_or_clone(frame("posted", frame_id))
}

fn error(completed: &Receiver<Completed>) -> InferError {
    completed.recv().expect("answered").answer.output.expect_err("no result")
}

#[test]
fn a_picture_has_its_result_and_its_frame() {
    let desk = Desk::new(4, 2, boxes_by_frame());
    let completed = desk.post(7).recv().expect("answered");
    assert!((left_edge(&completed) - 7.0).abs() < 1e-6);
    assert_eq!(completed.frame.expect("it was decoded").frame_id, 7);
}

#[test]
fn what_cannot_be_decoded_says_so_and_harms_nobody() {
    let desk = Desk::new(4, 2, boxes_by_frame());
    let bad = InferError::Unusable { code: "none", reason: "not a picture".to_owned() };
    let says = bad.clone();
    assert_eq!(error(&desk.post_as(move || Err(says))), bad);
    assert!(desk.post(1).recv().expect("answered").answer.output.is_ok());
    let figures = desk.batcher.figures();
    assert_eq!((figures.answered, figures.failed, figures.batches), (1, 1, 1));
}

#[test]
fn a_decoder_that_panics_is_answered_and_harms_nobody() {
    let desk = Desk::new(4, 2, boxes_by_frame());
    let lost = desk.post_as(|| std::panic::resume_unwind(Box::new("on purpose")));
    assert_eq!(error(&lost), InferError::Panicked { model: "scripted".to_owned() });
    assert!(desk.post(1).recv().expect("answered").answer.output.is_ok());
    assert_eq!(desk.batcher.figures().restarts, 0);
}

#[test]
fn a_pool_without_room_is_answered_and_harms_nobody() {
    let mut desk = Desk::new(8, 8, boxes_by_frame());
    desk.pool = pool(1);
    let (enter, entered) = sync_channel(1);
    let (open, opened) = sync_channel::<()>(1);
    desk.pool.run(move || {
        enter.send(()).expect("the test waits");
        opened.recv().expect("the test opens");
    });
    entered.recv().expect("the only thread is busy");
    let waits = desk.post(0);
    assert_eq!(error(&desk.post(1)), InferError::QueueFull { model: "scripted".to_owned(), waiting: 0 });
    open.send(()).expect("the thread waits");
    assert!(waits.recv().expect("answered").answer.output.is_ok());
    assert!(desk.post(2).recv().expect("answered").answer.output.is_ok());
}

#[test]
fn pictures_wait_encoded_until_their_turn_and_too_many_are_refused() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let desk = Desk::new(2, 2, script);
    // The first one runs, two lie ready, two wait encoded.
    let mut under_way = vec![desk.post(0)];
    gate.wait_for_batch();
    under_way.extend((1..=4).map(|n| desk.post(n)));
    desk.wait_for_decoded(3);
    assert_eq!(desk.batcher.figures().waiting, 4);
    assert_eq!(error(&desk.post(99)), InferError::QueueFull { model: "scripted".to_owned(), waiting: 2 });
    // The next one is decoded only when one that is ready runs.
    for (n, answered) in under_way.drain(..).enumerate() {
        assert_eq!(desk.decoded.load(Ordering::Relaxed), (n + 3).min(5), "before {n} is answered");
        gate.open();
        assert!((left_edge(&answered.recv().expect("answered")) - n as f32).abs() < 1e-6);
        if n < 4 {
            gate.wait_for_batch();
            desk.wait_for_decoded((n + 4).min(5));
        }
    }
}
