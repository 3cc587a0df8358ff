//! Pictures are decoded by a pool when their turn has nearly come.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::MutexGuard;
use vigia_core::backend::{InferError, Region};
use vigia_core::batching::{BatchDecision, Picked};
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;

use super::{Encoded, Job, Picture, Reply, Shared, State};

/// Has decoded what is to be decoded ahead of the slots.
pub(super) fn prepare_ahead(shared: &Arc<Shared>, mut state: MutexGuard<'_, State>, now: Instant) {
    let mut jobs = Vec::new();
    while let BatchDecision::Prepare(picked) = state.queue.poll(now, 0) {
        jobs.push(picked);
    }
    let stale = state.queue.take_stale();
    drop(state);
    shared.refuse_stale(stale);
    for picked in jobs {
        prepare(shared, picked);
    }
}

/// Has a picture decoded.
pub(super) fn prepare(shared: &Arc<Shared>, picked: Picked<Job>) {
    let (Job { picture, roi, thresholds, held, reply }, turn) = picked.take();
    drop(held);
    let open = Some((turn, reply));
    let mut preparation = Preparation { shared: shared.clone(), roi, thresholds, began: false, open };
    match picture {
        Picture::Frame(frame) => preparation.done(Ok(frame)),
        Picture::Encoded(Encoded { owner: _, pool, decode }) => {
            // A pool that is full drops the preparation, and that answers.
            let _full = pool.offer(move || {
                preparation.began = true;
                preparation.done(decode().map(Arc::new));
            });
        }
    }
}

/// A picture that is being decoded. Dropping it answers whoever waits: the decoder panicked, or had no room.
struct Preparation {
    shared: Arc<Shared>,
    roi: Option<Region>,
    thresholds: Thresholds,
    /// A decoder has it.
    began: bool,
    /// Its turn, and who waits; absent once it is done.
    open: Option<(Picked<()>, Reply)>,
}

impl Preparation {
    fn done(&mut self, decoded: Result<Arc<Frame>, InferError>) {
        let Some((turn, reply)) = self.open.take() else { return };
        let shared = self.shared.clone();
        match decoded {
            Ok(frame) => {
                let picture = Picture::Frame(frame);
                let item = Job { picture, roi: self.roi, thresholds: self.thresholds, held: None, reply };
                shared.state.lock().queue.prepared(turn.with(item));
                shared.changed.notify_one();
            }
            Err(error) => {
                let mut state = shared.state.lock();
                state.queue.spoilt(turn.is_live);
                // There is room for the next one; but not in a pool that is full.
                if self.began {
                    prepare_ahead(&shared, state, Instant::now());
                } else {
                    drop(state);
                }
                shared.changed.notify_one();
                shared.answer(reply, error);
            }
        }
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        if self.open.is_some() {
            let model = self.shared.model.to_string();
            self.done(Err(if self.began {
                InferError::Panicked { model }
            } else {
                let waiting = self.shared.state.lock().queue.counted();
                InferError::QueueFull { model, waiting }
            }));
        }
    }
}
