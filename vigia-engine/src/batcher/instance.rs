//! A model's threads: each owns an instance, takes a batch when it is free, and answers it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use vigia_core::backend::{Answer, Backend, Cost, InferError, Request};
use vigia_core::batching::{BatchDecision, Picked};
use vigia_core::result::BatchInfo;

use super::decoding::{prepare, prepare_ahead};
use super::{BackendFactory, Completed, Job, Picture, Shared};

/// Pause between attempts to make an instance anew.
const RETRY: Duration = Duration::from_secs(1);

/// One thread's life: while there is work or more may come.
pub(super) fn serve(shared: &Arc<Shared>, factory: &BackendFactory, backend: Box<dyn Backend>) {
    let mut backend = Some(backend);
    let mut answers = Vec::new();
    let mut took = None;
    while let Some(picks) = next_batch(shared, took) {
        let started = Instant::now();
        let outcome = run_batch(shared, backend.as_mut(), picks, &mut answers);
        took = Some(started.elapsed());
        let Err(failure) = outcome else { continue };
        tracing::error!(%failure, "the instance is made anew");
        // The old one goes first: two at once may not fit into the device's memory.
        drop(backend.take());
        backend = make_anew(shared, factory);
    }
}

/// A new instance in place of one that panicked; `None` when there is none to be had and no other thread to do the work:
/// then requests are answered with an error, not kept waiting.
fn make_anew(shared: &Shared, factory: &BackendFactory) -> Option<Box<dyn Backend>> {
    shared.state.lock().healthy -= 1;
    loop {
        let error = match factory() {
            Ok(backend) => {
                shared.metrics.restarted();
                shared.state.lock().healthy += 1;
                return Some(backend);
            }
            Err(error) => error,
        };
        let mut state = shared.state.lock();
        if state.healthy == 0 || state.closing {
            tracing::error!(%error, "no new instance; the next batch tries again");
            state.healthy += 1;
            return None;
        }
        tracing::error!(%error, "no new instance; the others go on meanwhile");
        shared.closed.wait_for(&mut state, RETRY);
    }
}

/// Waits until there is a batch for this thread; `None` when the batcher closes and nothing is left. `took` is how long the
/// one before took.
fn next_batch(shared: &Arc<Shared>, took: Option<Duration>) -> Option<Vec<Picked<Job>>> {
    let mut state = shared.state.lock();
    if let Some(took) = took {
        state.queue.took(took);
    }
    state.idle += 1;
    loop {
        let idle = state.idle;
        // When closing, nothing more can come: waiting for a fuller batch would not help.
        let now = if state.closing { Instant::now() + state.queue.policy().linger } else { Instant::now() };
        let decision = state.queue.poll(now, idle);
        let stale = state.queue.take_stale();
        let unlocked = !stale.is_empty();
        if unlocked {
            MutexGuard::unlocked(&mut state, || shared.refuse_stale(stale));
        }
        match decision {
            BatchDecision::Run(mut picks) => {
                state.idle -= 1;
                shared.metrics.waiting(state.queue.len());
                let more = !state.queue.is_empty() && state.idle > 0;
                // What is decoded while these run is there for the next batch.
                prepare_ahead(shared, state, now);
                if more {
                    shared.changed.notify_one();
                }
                for picked in &mut picks {
                    picked.item.held = None;
                }
                return Some(picks);
            }
            BatchDecision::Prepare(picked) => MutexGuard::unlocked(&mut state, || prepare(shared, picked)),
            // Something may have come in the meantime, and found nobody waiting for it.
            BatchDecision::WaitUntil(_) | BatchDecision::Idle if unlocked => {}
            BatchDecision::WaitUntil(time) => {
                shared.changed.wait_until(&mut state, time);
            }
            // What is being prepared will have to run.
            BatchDecision::Idle if state.closing && state.queue.is_empty() => {
                state.idle -= 1;
                // The others may be waiting for what was prepared, and this one ran.
                shared.changed.notify_all();
                return None;
            }
            BatchDecision::Idle => shared.changed.wait(&mut state),
        }
    }
}

/// Runs a batch and answers each of its requests exactly once. An error means that the instance cannot go on.
fn run_batch(
    shared: &Shared,
    backend: Option<&mut Box<dyn Backend>>,
    picks: Vec<Picked<Job>>,
    answers: &mut Vec<Answer>,
) -> Result<(), InferError> {
    let started = Instant::now();
    let (model, metrics) = (&shared.model, &shared.metrics);
    let size = picks.len();
    let (mut requests, mut replies) = (Vec::with_capacity(size), Vec::with_capacity(size));
    for Picked { queued_at, item: Job { picture, roi, thresholds, held: _, reply }, .. } in picks {
        let mut queued = started.saturating_duration_since(queued_at);
        match picture {
            Picture::Frame(frame) => {
                // Decoding is a time of its own; a crop's frame was decoded long before.
                if let (None, Some(took)) = (&roi, frame.decode) {
                    metrics.decoded(took);
                    queued = queued.saturating_sub(took);
                }
                replies.push((reply, queued, frame.clone()));
                requests.push(Request { frame, roi, thresholds });
            }
            // What has to be prepared never comes here without.
            Picture::Encoded(_) => shared.answer(reply, InferError::Panicked { model: model.to_string() }),
        }
    }
    let size = requests.len();
    let panicked = || InferError::Panicked { model: model.to_string() };
    answers.clear();
    let outcome = match backend {
        Some(backend) => {
            catch_unwind(AssertUnwindSafe(|| backend.run(&requests, answers))).unwrap_or_else(|_panic| Err(panicked()))
        }
        None => Err(panicked()),
    };
    let miscounted = || {
        let reason = format!("{} answers to {size} requests", answers.len());
        InferError::Failed { model: model.to_string(), reason }
    };
    let outcome = outcome.and_then(|()| if answers.len() == size { Ok(()) } else { Err(miscounted()) });
    if let Err(error) = &outcome {
        answers.clear();
        answers.extend((0..size).map(|_| Answer { output: Err(error.clone()), cost: Cost::default() }));
    }
    drop(requests);
    metrics.batch(size);
    for (position, (answer, (reply, queued, frame))) in answers.drain(..).zip(replies).enumerate() {
        metrics.answered(&answer.output);
        if answer.output.is_ok() {
            metrics.ran(queued, &answer.cost);
        }
        let batch = BatchInfo { size, position: position + 1 };
        shared.call(reply, Completed { answer, queued, batch, frame: Some(frame) });
    }
    outcome.or_else(|error| if matches!(error, InferError::Panicked { .. }) { Err(error) } else { Ok(()) })
}
