//! The threads of one model.
//!
//! Each thread owns one instance. When it is free it asks the queue what to run: the free slot comes first, the batch is
//! formed second. There is no dispatcher, and no lock is held while a batch runs. Pictures wait encoded and are decoded
//! by a pool when their turn has come, a few ahead of the instances.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use vigia_core::admission::DropReason;
use vigia_core::backend::{Answer, Backend, Cost, InferError, Request};
use vigia_core::batching::{BatchDecision, BatchPolicy, BatchQueue, Form, Live, Picked};
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::geometry::BBox;
use vigia_core::id::{ModelId, StreamRef};
use vigia_core::model::ModelSpec;
use vigia_core::result::BatchInfo;

use crate::metrics::{ModelFigures, ModelMetrics};
use crate::worker::{Worker, WorkerPool};

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
    roi: Option<BBox>,
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

/// Has decoded what is to be decoded ahead of the slots.
fn prepare_ahead(shared: &Arc<Shared>, mut state: MutexGuard<'_, State>, now: Instant) {
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
fn prepare(shared: &Arc<Shared>, picked: Picked<Job>) {
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
    roi: Option<BBox>,
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

/// One thread's life: while there is work or more may come.
fn serve(shared: &Arc<Shared>, factory: &BackendFactory, backend: Box<dyn Backend>) {
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
        let queued = started.saturating_duration_since(queued_at);
        match picture {
            Picture::Frame(frame) => {
                if let (None, Some(took)) = (&roi, frame.decode) {
                    metrics.decoded(took);
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
        // Decoding is a time of its own.
        let queued = queued.saturating_sub(frame.decode.unwrap_or_default());
        let batch = BatchInfo { size, position: position + 1 };
        shared.call(reply, Completed { answer, queued, batch, frame: Some(frame) });
    }
    outcome.or_else(|error| if matches!(error, InferError::Panicked { .. }) { Err(error) } else { Ok(()) })
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
