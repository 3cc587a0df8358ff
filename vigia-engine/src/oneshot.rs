//! Single pictures that somebody waits for: posted over HTTP, not part of any stream.
//!
//! A picture waits encoded until there is room for it behind the detector, is then decoded by a pool, and takes the same
//! road as every frame. So what waits costs its encoded size, and a burst of large pictures is no burst of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::Semaphore;
use vigia_core::backend::InferError;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::result::FrameResult;

use crate::pipeline::{self, Pipeline};
use crate::worker::{PoolError, WorkerPool};

/// Why a picture has no result.
#[derive(Debug, thiserror::Error)]
pub enum OneShotError<E> {
    /// As many pictures wait as may. Trying again later helps.
    #[error("{waiting} pictures wait already, the queue is full")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// It could not be decoded.
    #[error("{0}")]
    Decode(E),
    /// The decoder panicked on it, or had no room.
    #[error(transparent)]
    Pool(PoolError),
    /// The model has no answer.
    #[error(transparent)]
    Infer(InferError),
    /// Nobody will answer any more; a mistake of ours.
    #[error("the picture was lost on its way")]
    Lost,
}

/// Pictures for one pipeline.
#[derive(Debug)]
pub struct OneShots {
    pipeline: Arc<Pipeline>,
    decoders: Arc<WorkerPool>,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    limit: usize,
}

/// Counts one that waits, also when whoever waits goes away.
struct Waiting<'a>(&'a OneShots);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.pipeline.detector().metrics().picture_waited();
    }
}

impl OneShots {
    /// Pictures for `pipeline`, decoded by the `threads` threads of `decoders`; `limit` of them may wait.
    pub fn new(pipeline: Arc<Pipeline>, decoders: Arc<WorkerPool>, threads: usize, limit: usize) -> Self {
        let slots = Arc::new(Semaphore::new(pipeline.window(threads)));
        Self { pipeline, decoders, slots, waiting: AtomicUsize::new(0), limit }
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Pictures that wait for room.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes a place among those that wait. One that is refused never counts, so that it cannot be in another's way.
    fn wait<E>(&self) -> Result<Waiting<'_>, OneShotError<E>> {
        let one_more = |waiting| (waiting < self.limit).then_some(waiting + 1);
        match self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => {
                self.pipeline.detector().metrics().picture_waits();
                Ok(Waiting(self))
            }
            Err(waiting) => {
                self.pipeline.detector().metrics().refused();
                Err(OneShotError::Busy { waiting })
            }
        }
    }

    /// Decodes a picture when its turn comes, and runs it; the result waits for all of its crops. Whoever drops the
    /// future does not want the result any more: what has not begun by then is not begun.
    ///
    /// # Errors
    /// When too many wait already, and when the picture cannot be decoded or run.
    pub async fn run<E: Send + 'static>(
        &self,
        thresholds: Thresholds,
        decode: impl FnOnce() -> Result<Frame, E> + Send + 'static,
    ) -> Result<FrameResult, OneShotError<E>> {
        let offered = Instant::now();
        let slot = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_taken) => {
                let _waits = self.wait()?;
                self.slots.clone().acquire_owned().await.map_err(|_closed| OneShotError::Lost)?
            }
        };
        let pipeline = self.pipeline.clone();
        let decoded = self.decoders.call(move || {
            let waited = offered.elapsed();
            let frame = decode()?;
            let (deliver, receiver) = pipeline::receiver();
            // The slot is free again once the answer is there, whether or not anybody waits for it.
            let deliver = Box::new(move |result| {
                drop(slot);
                deliver(result);
            });
            pipeline.submit(Arc::new(frame), thresholds, offered, deliver);
            Ok((receiver, waited))
        });
        let (receiver, waited) = decoded.await.map_err(OneShotError::Pool)?.map_err(OneShotError::Decode)?;
        let mut result = receiver.await.map_err(|_lost| OneShotError::Lost)?.map_err(OneShotError::Infer)?;
        result.timing.queue += waited;
        Ok(result)
    }
}
