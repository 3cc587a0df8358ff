//! The threads of one model.
//!
//! Each thread owns one instance. When it is free it asks the queue what to run: the free slot comes first, the batch is
//! formed second. There is no dispatcher, and no lock is held while a batch runs. Pictures wait encoded and are decoded
//! by a pool when their turn has nearly come, a few ahead of the instances.
//!
//! `instance` is a thread's life, `decoding` the way of what is encoded.

mod decoding;
mod instance;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use vigia_core::admission::DropReason;
use vigia_core::backend::{Answer, Backend, Cost, InferError, Region, Request};
use vigia_core::batching::{BatchPolicy, BatchQueue, Form, Live};
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::id::{ModelId, StreamRef};
use vigia_core::model::ModelSpec;
use vigia_core::result::BatchInfo;

use crate::metrics::{ModelFigures, ModelMetrics};
use crate::worker::{Worker, WorkerPool};

use decoding::prepare_ahead;
use instance::serve;

/// Makes an instance of the model, for a thread to own; called again when an instance panicked.
pub type BackendFactory = Arc<dyn Fn() -> Result<Box<dyn Backend>, InferError> + Send + Sync>;

/// What became of a request.
#[derive(Debug)]
pub struct Completed {
    /// The answer.
    pub answer: Answer,
    /// How long it waited for the model.
    pub queued: Duration,
    /// In which company it ran.
    pub batch: BatchInfo,
    /// The picture; absent where it was never decoded.
    pub frame: Option<Arc<Frame>>,
}

/// Called exactly once with what became of a request, on the model's thread or, when it is refused, on the caller's: it
/// must not block.
pub type Reply = Box<dyn FnOnce(Completed) + Send>;

/// Decodes a picture.
pub type Decode = Box<dyn FnOnce() -> Result<Frame, InferError> + Send>;

/// A picture that is decoded only when its turn has come.
pub struct Encoded {
    /// Whose picture it is.
    pub owner: StreamRef,
    /// Who decodes it.
    pub pool: Arc<WorkerPool>,
    /// How.
    pub decode: Decode,
}

/// A picture for a model.
pub enum Picture {
    /// Decoded already, as video is.
    Frame(Arc<Frame>),
    /// Still encoded.
    Encoded(Encoded),
}

impl Picture {
    fn owner(&self) -> StreamRef {
        match self {
            Self::Frame(frame) => frame.stream.clone(),
            Self::Encoded(encoded) => encoded.owner.clone(),
        }
    }

    fn form(&self) -> Form {
        match self {
            Self::Frame(_) => Form::Ready,
            Self::Encoded(_) => Form::Encoded,
        }
    }
}

struct Job {
    picture: Picture,
    roi: Option<Region>,
    thresholds: Thresholds,
    /// What is held only while the request waits.
    held: Option<Box<dyn Send>>,
    reply: Reply,
}

struct State {
    queue: BatchQueue<StreamRef, Job>,
    idle: usize,
    /// Threads that have an instance, or answer in place of one.
    healthy: usize,
    /// No more requests; the threads end when the queue is empty.
    closing: bool,
}

struct Shared {
    model: ModelId,
    state: Mutex<State>,
    changed: Condvar,
    /// For threads that wait for something else than work.
    closed: Condvar,
    metrics: ModelMetrics,
}

/// A model's queue and its threads. Dropping it answers what waits and joins the threads.
pub struct Batcher {
    spec: ModelSpec,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
}

impl Batcher {
    /// Starts `instances` threads named `infer-<model>-<n>`, each with an instance of its own.
    ///
    /// # Errors
    /// When an instance cannot be made, or the system gives no thread.
    pub fn start(
        spec: &ModelSpec,
        factory: &BackendFactory,
        instances: usize,
        policy: BatchPolicy,
        metrics: ModelMetrics,
    ) -> Result<Self, InferError> {
        let model = spec.id.clone();
        let failed = |reason: String| InferError::Failed { model: model.to_string(), reason };
        let policy = BatchPolicy { max_batch: policy.max_batch.clamp(1, spec.max_batch.max(1)), ..policy };
        let instances = instances.max(1);
        let state = State { queue: BatchQueue::new(policy), idle: 0, healthy: instances, closing: false };
        let shared = Arc::new(Shared {
            model: model.clone(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            closed: Condvar::new(),
            metrics,
        });
        let mut batcher = Self { spec: spec.clone(), shared: shared.clone(), workers: Vec::new() };
        for n in 0..instances {
            let backend = factory()?;
            let (shared, factory) = (shared.clone(), factory.clone());
            let worker = Worker::start(&format!("infer-{model}-{n}"), move |_stop| serve(&shared, &factory, backend))
                .map_err(|e| failed(format!("no thread: {e}")))?;
            batcher.workers.push(worker);
        }
        Ok(batcher)
    }

    /// The model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Requests that can run at the same time: instances × batch.
    pub fn capacity(&self) -> usize {
        self.workers.len() * self.policy().max_batch
    }

    /// How batches are formed.
    pub fn policy(&self) -> BatchPolicy {
        self.shared.state.lock().queue.policy()
    }

    /// What it counted.
    pub fn figures(&self) -> ModelFigures {
        self.shared.metrics.figures()
    }

    /// Queues a picture that somebody asked about; `reply` is called when it ran, or at once with
    /// [`InferError::QueueFull`].
    pub fn submit(&self, picture: Picture, thresholds: Thresholds, reply: Reply) {
        let (owner, form) = (picture.owner(), picture.form());
        let job = Job { picture, roi: None, thresholds, held: None, reply };
        let refused = self.push(form, |queue, now| match queue.push(owner, job, form, now) {
            Ok(()) => None,
            Err(job) => Some((job, queue.counted())),
        });
        if let Some((job, waiting)) = refused {
            self.shared.refuse(job, InferError::QueueFull { model: self.shared.model.to_string(), waiting });
        }
    }

    /// Queues a request that is part of one that was admitted before, whatever the bound of the queue.
    pub fn submit_admitted(&self, request: Request, reply: Reply) {
        let Request { frame, roi, thresholds } = request;
        let owner = frame.stream.clone();
        let job = Job { picture: Picture::Frame(frame), roi, thresholds, held: None, reply };
        self.push(Form::Ready, |queue, now| queue.push_admitted(owner, job, now));
    }

    /// Queues a crop of a live frame, where fewer than `bound` of these wait or another stream has more of them than its
    /// share; the one that has to go is answered with [`InferError::QueueFull`].
    pub fn submit_shared(&self, request: Request, bound: usize, reply: Reply) {
        let Request { frame, roi, thresholds } = request;
        let owner = frame.stream.clone();
        let job = Job { picture: Picture::Frame(frame), roi, thresholds, held: None, reply };
        let refused = self.push(Form::Ready, |queue, now| queue.push_shared(owner, job, bound, now));
        if let Some(job) = refused {
            self.shared.refuse(job, InferError::QueueFull { model: self.shared.model.to_string(), waiting: bound });
        }
    }

    /// Queues a frame of a live stream; the one that has to make room, if any, is answered with [`InferError::Dropped`].
    /// `held` is dropped when the frame waits no more.
    pub fn submit_live(&self, picture: Picture, thresholds: Thresholds, live: Live, held: Box<dyn Send>, reply: Reply) {
        let (owner, form) = (picture.owner(), picture.form());
        let job = Job { picture, roi: None, thresholds, held: Some(held), reply };
        let dropped = self.push(form, |queue, now| queue.push_live(owner, job, form, live, now));
        if let Some((job, reason)) = dropped {
            self.shared.refuse(job, InferError::Dropped(reason));
        }
    }

    /// Answers what waits of a stream that is gone with [`InferError::Dropped`]; what is being worked on goes on.
    pub fn forget(&self, owner: &StreamRef) {
        let mut state = self.shared.state.lock();
        let left = state.queue.remove(owner);
        self.shared.metrics.waiting(state.queue.len());
        drop(state);
        for job in left {
            self.shared.refuse(job, InferError::Dropped(DropReason::Shutdown));
        }
    }

    fn push<T>(&self, form: Form, put: impl FnOnce(&mut BatchQueue<StreamRef, Job>, Instant) -> T) -> T {
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let put = put(&mut state.queue, now);
        self.shared.metrics.waiting(state.queue.len());
        if form == Form::Encoded {
            // Not for a thread with an instance to do: all of these may be busy.
            prepare_ahead(&self.shared, state, now);
        } else {
            drop(state);
        }
        self.shared.changed.notify_one();
        put
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_all();
        self.shared.closed.notify_all();
        self.workers.clear();
        // Only threads that could not get a new instance leave anything behind.
        let left = self.shared.state.lock().queue.drain();
        for job in left {
            self.shared.refuse(job, InferError::Shutdown { model: self.shared.model.to_string() });
        }
    }
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("model", &self.spec.id)
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Answers a request that does not run. Not to be called under the lock.
    fn refuse(&self, job: Job, error: InferError) {
        let Job { picture, roi: _, thresholds: _, held, reply } = job;
        drop((picture, held));
        self.answer(reply, error);
    }

    fn refuse_stale(&self, stale: Vec<Job>) {
        for job in stale {
            self.refuse(job, InferError::Dropped(DropReason::Stale));
        }
    }

    fn answer(&self, reply: Reply, error: InferError) {
        let answer = Answer { output: Err(error), cost: Cost::default() };
        self.metrics.answered(&answer.output);
        let batch = BatchInfo { size: 1, position: 1 };
        self.call(reply, Completed { answer, queued: Duration::ZERO, batch, frame: None });
    }

    fn call(&self, reply: Reply, completed: Completed) {
        if catch_unwind(AssertUnwindSafe(|| reply(completed))).is_err() {
            tracing::error!(model = %self.model, "whoever waited for an answer panicked on it");
        }
    }
}
