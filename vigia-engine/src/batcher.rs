//! The threads of one model.
//!
//! Each thread owns one instance. When it is free it asks the queue what to run: the free slot comes first, the batch is
//! formed second. There is no dispatcher, and no lock is held while a batch runs.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use vigia_core::backend::{Answer, Backend, Cost, InferError, Request};
use vigia_core::batching::{BatchDecision, BatchPolicy, BatchQueue, Picked};
use vigia_core::id::{ModelId, StreamRef};
use vigia_core::model::ModelSpec;
use vigia_core::result::BatchInfo;

use crate::metrics::{ModelFigures, ModelMetrics};
use crate::worker::Worker;

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
}

/// Called exactly once with what became of a request, on the model's thread or, when it is refused, on the caller's: it
/// must not block.
pub type Reply = Box<dyn FnOnce(Completed) + Send>;

struct Job {
    request: Request,
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

/// Pause between attempts to make an instance anew.
const RETRY: Duration = Duration::from_secs(1);

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

    /// Where it counts.
    pub(crate) fn metrics(&self) -> &ModelMetrics {
        &self.shared.metrics
    }

    /// Queues a request; `reply` is called when it ran, or at once with [`InferError::QueueFull`].
    pub fn submit(&self, request: Request, reply: Reply) {
        let refused = self.push(request, reply, |queue, owner, job, now| match queue.push(owner, job, now) {
            Ok(()) => None,
            Err(job) => Some((job, queue.counted())),
        });
        if let Some((job, waiting)) = refused {
            self.shared.refuse(job, InferError::QueueFull { model: self.shared.model.to_string(), waiting });
        }
    }

    /// Queues a request that is part of one that was admitted before, whatever the bound of the queue.
    pub fn submit_admitted(&self, request: Request, reply: Reply) {
        self.push(request, reply, BatchQueue::push_admitted);
    }

    /// Queues the newest frame of a live stream, of which `keep` may wait; the one that has to make room is answered with
    /// [`InferError::Superseded`].
    pub fn submit_newest(&self, request: Request, keep: usize, reply: Reply) {
        let oldest = self.push(request, reply, |queue, owner, job, now| queue.push_newest(owner, job, keep, now));
        if let Some(job) = oldest {
            self.shared.refuse(job, InferError::Superseded);
        }
    }

    fn push<T>(
        &self,
        request: Request,
        reply: Reply,
        put: impl FnOnce(&mut BatchQueue<StreamRef, Job>, StreamRef, Job, Instant) -> T,
    ) -> T {
        let owner = request.frame.stream.clone();
        let mut state = self.shared.state.lock();
        let put = put(&mut state.queue, owner, Job { request, reply }, Instant::now());
        self.shared.metrics.waiting(state.queue.len());
        drop(state);
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

/// One thread's life: while there is work or more may come.
fn serve(shared: &Shared, factory: &BackendFactory, backend: Box<dyn Backend>) {
    let mut backend = Some(backend);
    let mut answers = Vec::new();
    while let Some(picks) = next_batch(shared) {
        let Err(failure) = run_batch(shared, backend.as_mut(), picks, &mut answers) else { continue };
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

/// Waits until there is a batch for this thread; `None` when the batcher closes and nothing is left.
fn next_batch(shared: &Shared) -> Option<Vec<Picked<Job>>> {
    let mut state = shared.state.lock();
    state.idle += 1;
    loop {
        let idle = state.idle;
        // When closing, nothing more can come: waiting for a fuller batch would not help.
        let now = if state.closing { Instant::now() + state.queue.policy().linger } else { Instant::now() };
        match state.queue.poll(now, idle) {
            BatchDecision::Run(picks) => {
                state.idle -= 1;
                shared.metrics.waiting(state.queue.len());
                let more = !state.queue.is_empty() && state.idle > 0;
                drop(state);
                if more {
                    shared.changed.notify_one();
                }
                return Some(picks);
            }
            BatchDecision::WaitUntil(time) => {
                shared.changed.wait_until(&mut state, time);
            }
            BatchDecision::Idle if state.closing => {
                state.idle -= 1;
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
    let (requests, replies): (Vec<_>, Vec<_>) = picks
        .into_iter()
        .map(|Picked { queued_at, item }| (item.request, (item.reply, started.saturating_duration_since(queued_at))))
        .unzip();
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
    // The pixels are not needed any more: they go back to their pool before anybody works on the answers.
    drop(requests);
    metrics.batch(size);
    for (position, (answer, (reply, queued))) in answers.drain(..).zip(replies).enumerate() {
        metrics.answered(&answer.output);
        if answer.output.is_ok() {
            metrics.ran(queued, &answer.cost);
        }
        let completed = Completed { answer, queued, batch: BatchInfo { size, position: position + 1 } };
        if catch_unwind(AssertUnwindSafe(|| reply(completed))).is_err() {
            tracing::error!(%model, "whoever waited for an answer panicked on it");
        }
    }
    outcome.or_else(|error| if matches!(error, InferError::Panicked { .. }) { Err(error) } else { Ok(()) })
}

impl Shared {
    /// Answers a request that does not run. Not to be called under the lock.
    fn refuse(&self, job: Job, error: InferError) {
        let answer = Answer { output: Err(error), cost: Cost::default() };
        self.metrics.answered(&answer.output);
        (job.reply)(Completed { answer, queued: Duration::ZERO, batch: BatchInfo { size: 1, position: 1 } });
    }
}
