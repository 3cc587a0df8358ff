//! Models, and those who wait for them, that panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use vigia_core::backend::InferError;
use vigia_core::batching::BatchPolicy;
use vigia_engine::batcher::{BackendFactory, Batcher, Picture};
use vigia_engine::metrics::ModelMetrics;
use vigia_testkit::{Gate, Script, ScriptedBackend, boxes_by_frame, frame, spec};

use crate::batcher::{THRESHOLDS, left_edge, start, submit};

#[test]
fn a_panic_is_answered_and_the_next_request_finds_a_new_instance() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let good = boxes_by_frame();
    let script: Script = Arc::new(move |batch| {
        if counted.fetch_add(1, Ordering::Relaxed) == 0 {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        good(batch)
    });
    let batcher = start(4, 8, 1, script);
    let lost = submit(&batcher, "a", 1).recv().expect("answered");
    assert_eq!(lost.answer.output, Err(InferError::Panicked { model: "scripted".to_owned() }));
    let next = submit(&batcher, "a", 2).recv().expect("answered");
    assert!((left_edge(&next) - 2.0).abs() < 1e-6);
    let figures = batcher.figures();
    assert_eq!((figures.answered, figures.failed, figures.restarts, figures.batches), (1, 1, 1, 2));
}

#[test]
fn a_model_without_an_instance_answers_instead_of_letting_wait() {
    let script: Script = Arc::new(|_batch| std::panic::resume_unwind(Box::new("on purpose")));
    let made = Arc::new(AtomicUsize::new(0));
    let factory: BackendFactory = Arc::new(move || match made.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(ScriptedBackend::boxed(spec("scripted", 1), script.clone())),
        1 => Err(InferError::Failed { model: "scripted".to_owned(), reason: "no memory".to_owned() }),
        _ => Ok(ScriptedBackend::boxed(spec("scripted", 1), boxes_by_frame())),
    });
    let policy = BatchPolicy { max_batch: 1, queue: 8, linger: Duration::ZERO, ahead: 1 };
    let batcher = Batcher::start(&spec("scripted", 1), &factory, 1, policy, ModelMetrics::default());
    let batcher = batcher.expect("threads");
    // The first one panics, the second finds no instance, the third a new one.
    for n in 0..2 {
        let lost = submit(&batcher, "a", n).recv().expect("answered");
        assert_eq!(lost.answer.output, Err(InferError::Panicked { model: "scripted".to_owned() }));
    }
    assert!(submit(&batcher, "a", 2).recv().expect("answered").answer.output.is_ok());
}

#[test]
fn whoever_panics_on_an_answer_harms_nobody() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let batcher = start(1, 1, 1, script);
    let panicking = |n| {
        let reply = Box::new(|_completed| std::panic::resume_unwind(Box::new("on purpose")));
        batcher.submit(Picture::Frame(frame("a", n)), THRESHOLDS, reply);
    };
    // One runs, one waits, one is refused.
    panicking(0);
    gate.wait_for_batch();
    (1..3).for_each(panicking);
    drop(gate);
    while batcher.figures().answered < 2 {
        std::thread::yield_now();
    }
    assert!(submit(&batcher, "a", 3).recv().expect("answered").answer.output.is_ok());
    assert_eq!((batcher.figures().refused, batcher.figures().restarts), (1, 0));
}
