//! Single pictures, with a scripted model: no engine, no clock.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use vigia_core::backend::InferError;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::result::FrameResult;
use vigia_engine::oneshot::{OneShotError, OneShots};
use vigia_engine::pipeline::Pipeline;
use vigia_engine::worker::{PoolError, WorkerPool};
use vigia_testkit::{Gate, Script, batcher, boxes_by_frame, frame};

const THRESHOLDS: Thresholds = Thresholds { confidence: 0.5, iou: 0.5 };

type Outcome = Result<FrameResult, OneShotError<&'static str>>;

fn one_shots(script: Script, limit: usize) -> OneShots {
    let pipeline = Arc::new(Pipeline::new(Arc::new(batcher("scripted", 1, 8, 1, script)), Vec::new()));
    let decoders = Arc::new(WorkerPool::start("decode", 1, 64).expect("threads"));
    OneShots::new(pipeline, decoders, 1, limit)
}

fn picture(frame_id: u64) -> Frame {
    Arc::try_unwrap(frame("picture", frame_id)).expect("nobody else has it")
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = poll(future.as_mut()) {
            return value;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_picture_has_its_result() {
    let result: Outcome = wait(one_shots(boxes_by_frame(), 4).run(THRESHOLDS, || Ok(picture(7))));
    assert!((result.expect("a result").detections[0].bbox.x1 - 7.0).abs() < 1e-6);
}

#[test]
fn what_cannot_be_decoded_says_so_and_harms_nobody() {
    let shots = one_shots(boxes_by_frame(), 4);
    let bad: Outcome = wait(shots.run(THRESHOLDS, || Err("not a picture")));
    assert!(matches!(bad, Err(OneShotError::Decode("not a picture"))));
    let worse: Outcome = wait(shots.run(THRESHOLDS, || std::panic::resume_unwind(Box::new("on purpose"))));
    assert!(matches!(worse, Err(OneShotError::Pool(PoolError::Panicked))));
    let good: Outcome = wait(shots.run(THRESHOLDS, || Ok(picture(1))));
    assert!(good.is_ok());
}

#[test]
fn a_model_that_panics_is_answered() {
    let script: Script = Arc::new(|_| std::panic::resume_unwind(Box::new("on purpose")));
    let lost: Outcome = wait(one_shots(script, 4).run(THRESHOLDS, || Ok(picture(1))));
    assert!(matches!(lost, Err(OneShotError::Infer(InferError::Panicked { .. }))));
}

#[test]
fn pictures_wait_encoded_until_there_is_room_and_too_many_are_refused() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let shots = one_shots(script, 2);
    let decoded = Arc::new(AtomicUsize::new(0));
    let run = |n| {
        let decoded = decoded.clone();
        let future = shots.run(THRESHOLDS, move || {
            decoded.fetch_add(1, Ordering::Relaxed);
            Ok::<_, &'static str>(picture(n))
        });
        let mut future = Box::pin(future);
        assert!(poll(future.as_mut()).is_pending());
        future
    };
    // One instance, one decoder: room for three.
    let room = shots.pipeline().window(1);
    let mut under_way: Vec<_> = (0..room as u64 + 2).map(run).collect();
    gate.wait_for_batch();
    while decoded.load(Ordering::Relaxed) < room {
        std::thread::yield_now();
    }
    assert_eq!((shots.waiting(), decoded.load(Ordering::Relaxed)), (2, room));
    let refused: Outcome = wait(shots.run(THRESHOLDS, || Ok(picture(99))));
    assert!(matches!(refused, Err(OneShotError::Busy { waiting: 2 })));
    assert_eq!(shots.pipeline().detector().figures().refused, 1);
    // Whoever goes away leaves room.
    drop(under_way.pop());
    assert_eq!(shots.waiting(), 1);
    drop(gate);
    assert!(under_way.into_iter().all(|future| wait(future).is_ok()));
    assert_eq!(decoded.load(Ordering::Relaxed), room + 1);
}
