//! One live stream: its source, its cache, its state, its counters.
//!
//! Frames come from a source, on a thread of its own, or are pushed; either way they go straight into the detector's
//! queue, where each stream has a small cache, and nothing here holds a decoder up. The stream's thread, `stream-<id>`, owns
//! the source, opens it again when it breaks off, watches the time, puts results back into the order of their frames,
//! counts them and publishes them. Every frame that was received is counted once: as inferred, or under the reason why
//! not.
//!
//! `intake` takes frames in, `run` is the thread.

mod follow;
mod intake;
mod run;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use vigia_core::admission::{CachePolicy, DropReason, Thinning};
use vigia_core::backend::InferError;
use vigia_core::backoff::Backoff;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Image;
use vigia_core::geometry::Size;
use vigia_core::id::StreamRef;
use vigia_core::result::FrameResult;
use vigia_core::source::{EncodedPicture, Source, SourceError};
use vigia_core::stream::StreamState;

use crate::memory::Budget;
use crate::metrics::{Rate, StreamMetrics, Window};
use crate::pipeline::Pipeline;
use crate::worker::{StopFlag, Worker, WorkerPool};

use follow::Follower;
pub use follow::{Shots, TakeEnded};
pub use intake::Refused;
use run::{Event, Loop};

/// Opens the source, again after each time that it broke off.
pub type OpenSource = Box<dyn FnMut() -> Result<Box<dyn Source>, SourceError> + Send>;
/// What became of a frame.
pub type Outcome = Result<Arc<FrameResult>, InferError>;
/// Called once with what became of a pushed frame, after it was published; must not block.
pub type Waiter = Box<dyn FnOnce(Outcome) + Send>;
/// Decodes a picture that was pushed.
pub type DecodePicture = Arc<dyn Fn(&[u8]) -> Result<Image, InferError> + Send + Sync>;

/// Where a stream's frames come from.
pub enum Feed {
    /// A source that is opened, and opened again when it breaks off.
    Pulled(OpenSource),
    /// A source that waits for somebody to connect. When no frame comes for the stream's `timeout`, the stream ends.
    Listening(OpenSource),
    /// Frames come by [`Stream::push`]. When none comes for the stream's `timeout`, the stream ends.
    Pushed,
}

/// How a stream is worked on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamOptions {
    /// What counts as found.
    pub thresholds: Thresholds,
    /// Each how-many-th frame is looked at, from 1.
    pub every: u64,
    /// Frames per second that are looked at, at most.
    pub max_fps: Option<f64>,
    /// Frames that may wait for the detector. Fixed when the stream starts.
    pub cache: CachePolicy,
    /// A frame's result is wanted this long after it came; one that would come later is not worked on.
    pub latency: Duration,
    /// Without a frame for so long, a stream that is pushed to or listens ends.
    pub timeout: Duration,
    /// How long a stream that is pushed to or listens is still shown after its end.
    pub linger: Duration,
    /// Whether a source that came to its end is opened again.
    pub repeat: bool,
    /// When a source that broke off is opened again.
    pub backoff: Backoff,
    /// Pause before a source is asked again that does not know our name and password.
    pub unauthorized_pause: Duration,
}

/// Whom a stream tells what happens to it. None of these may block.
pub struct Listeners {
    /// Takes a frame's result, in the order of the frames, on the stream's thread.
    pub publish: Box<dyn FnMut(Arc<FrameResult>) + Send>,
    /// Takes a track that ended, on the stream's thread.
    pub ended: TakeEnded,
    /// Learns of each change of state.
    pub changed: Box<dyn Fn(StateChange) + Send + Sync>,
    /// Learns, once, that a stream that was pushed to or listened has been over for its `linger`.
    pub gone: Box<dyn FnOnce() + Send>,
}

/// What the streams of a server share.
#[derive(Clone)]
pub struct Means {
    /// Threads that decode pushed pictures.
    pub pool: Arc<WorkerPool>,
    /// How they do it.
    pub decode: DecodePicture,
    /// Memory for the frames that wait.
    pub budget: Budget,
    /// Who looks at the pixels of what is followed.
    pub shots: Arc<dyn Shots>,
}

/// A change of a stream's state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// Whose.
    pub stream: StreamRef,
    /// Where it stands now.
    pub state: StreamState,
    /// Since when.
    pub since: SystemTime,
    /// Why, as a stable name, where something went wrong.
    pub reason: Option<&'static str>,
    /// What went wrong.
    pub error: Option<String>,
    /// How often the source was tried since it last worked.
    pub attempts: u32,
}

/// How a stream is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamStatus {
    /// Where it stands.
    pub state: StreamState,
    /// Since when.
    pub since: SystemTime,
    /// Why, as a stable name, where something went wrong.
    pub reason: Option<&'static str>,
    /// How often the source was tried since it last worked.
    pub attempts: u32,
    /// How often the source was opened, or tried to be.
    pub connects: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Width and height of the newest frame, in pixels.
    pub size: Option<Size>,
    /// Frames per second that come.
    pub fps_in: f64,
    /// Frames per second that get a result.
    pub fps_inferred: f64,
    /// Frames that came.
    pub received: u64,
    /// Frames that have a result.
    pub inferred: u64,
    /// Frames that are under way.
    pub pending: u64,
    /// Frames without a result, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// From a frame's arrival to its result: median and 99th percentile of the last ones.
    pub latency: Option<(Duration, Duration)>,
    /// Frames that wait in the cache.
    pub cached_frames: u64,
    /// Memory that they take, in bytes.
    pub cached_bytes: u64,
}

/// A running stream. Dropping it ends its source, waits for the frames under way, and joins its thread.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    stop: StopFlag,
    worker: Mutex<Option<Worker>>,
}

/// What the stream's thread, its source and whoever pushes share.
struct Shared {
    stream: StreamRef,
    status: Mutex<Status>,
    metrics: StreamMetrics,
    pipeline: Arc<Pipeline>,
    means: Means,
    events: SyncSender<Event>,
    /// There is an [`Event::Wake`] in the inbox: room is counted for one.
    woken: AtomicBool,
    /// Frames under way at most.
    room: usize,
    changed: Box<dyn Fn(StateChange) + Send + Sync>,
    /// Held while changes of state are told, so that they are told in their order.
    telling: Mutex<()>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("stream", &self.stream).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Status {
    options: StreamOptions,
    state: StreamState,
    since: SystemTime,
    reason: Option<&'static str>,
    attempts: u32,
    last_error: Option<String>,
    size: Option<Size>,
    rate_in: Rate,
    rate_inferred: Rate,
    received: u64,
    inferred: u64,
    dropped: [u64; DropReason::ALL.len()],
    latency: Window,
    thinning: Thinning,
    /// Frames that were handed to the pipeline: the number of the next one.
    submitted: u64,
    /// Numbers of those of which nothing is known yet: they are under way.
    open: BTreeSet<u64>,
    /// The id of the last frame.
    last_id: Option<u64>,
    /// When the last frame came, or the wait for one began.
    last_frame: Instant,
    /// No more frames are taken.
    closed: bool,
    /// Nobody wants what still waits.
    discarded: bool,
    /// What is still under way was counted under this.
    given_up: Option<DropReason>,
    /// Changes of state that are still to be told.
    untold: VecDeque<StateChange>,
}

impl Stream {
    /// Starts the stream's thread, which opens the source.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        stream: StreamRef,
        pipeline: Arc<Pipeline>,
        options: StreamOptions,
        feed: Feed,
        listeners: Listeners,
        means: Means,
        metrics: StreamMetrics,
    ) -> std::io::Result<Self> {
        let status = Status {
            options,
            state: StreamState::Connecting,
            since: SystemTime::now(),
            reason: None,
            attempts: 0,
            last_error: None,
            size: None,
            rate_in: Rate::default(),
            rate_inferred: Rate::default(),
            received: 0,
            inferred: 0,
            dropped: [0; DropReason::ALL.len()],
            latency: Window::default(),
            thinning: Thinning::new(options.every, options.max_fps),
            submitted: 0,
            open: BTreeSet::new(),
            last_id: None,
            last_frame: Instant::now(),
            closed: false,
            discarded: false,
            given_up: None,
            untold: VecDeque::new(),
        };
        let name = format!("stream-{}", stream.id);
        // What waits, is decoded, runs, and is being published. Each of these needs room for one event; the end and a stop
        // are two more.
        let (capacity, ahead) = (pipeline.detector().capacity(), pipeline.detector().policy().ahead);
        let room = options.cache.frames + ahead + 2 * capacity;
        let (events, inbox) = sync_channel(room + 2);
        let Listeners { publish, ended, changed, gone } = listeners;
        let follower = Follower::new(stream.clone(), pipeline.clone(), &means, ended);
        let shared = Arc::new(Shared {
            stream,
            status: Mutex::new(status),
            metrics,
            pipeline,
            means,
            events,
            woken: AtomicBool::new(false),
            room,
            changed,
            telling: Mutex::new(()),
        });
        // Before anything else can change.
        shared.status.lock().say(&shared.stream, None);
        shared.tell();
        let loop_ = Loop::new(shared.clone(), feed, publish, inbox, follower);
        let worker = Worker::start(&name, move |stop| loop_.supervise(stop, gone))?;
        Ok(Self { shared, stop: worker.flag(), worker: Mutex::new(Some(worker)) })
    }

    /// Its name and generation.
    pub fn id(&self) -> &StreamRef {
        &self.shared.stream
    }

    /// Where it stands now.
    pub fn state(&self) -> StreamState {
        self.shared.status.lock().state
    }

    /// How it is doing now.
    pub fn status(&self) -> StreamStatus {
        let now = Instant::now();
        let metrics = &self.shared.metrics;
        let cached = |gauge: &prometheus_client::metrics::gauge::Gauge| u64::try_from(gauge.get()).unwrap_or(0);
        let mut status = self.shared.status.lock();
        StreamStatus {
            state: status.state,
            since: status.since,
            reason: status.reason,
            attempts: status.attempts,
            connects: metrics.connects.get(),
            last_error: status.last_error.clone(),
            size: status.size,
            fps_in: status.rate_in.per_second(now),
            fps_inferred: status.rate_inferred.per_second(now),
            received: status.received,
            inferred: status.inferred,
            pending: status.open.len() as u64,
            dropped: status.dropped,
            latency: status.latency.percentiles(),
            cached_frames: cached(&metrics.cached_frames),
            cached_bytes: cached(&metrics.cached_bytes),
        }
    }

    /// Pushes a picture into a stream that takes them; its id. `waiter` learns what becomes of it.
    ///
    /// # Errors
    /// When the stream is over, or its id is not above the last one. `waiter` is not called then.
    pub fn push(&self, picture: EncodedPicture, waiter: Option<Waiter>) -> Result<u64, Refused> {
        self.shared.take_picture(picture, false, waiter)
    }

    /// Works on the frames that come from now on in another way; the cache stays as it was.
    pub fn set_options(&self, options: StreamOptions) {
        let mut status = self.shared.status.lock();
        let cache = status.options.cache;
        if (status.options.every, status.options.max_fps) != (options.every, options.max_fps) {
            status.thinning = Thinning::new(options.every, options.max_fps);
        }
        status.options = StreamOptions { cache, ..options };
        drop(status);
        // A wait that has begun ends at another time now.
        self.shared.wake();
    }

    /// Asks for the end without waiting for it; what was taken in is still answered.
    pub fn stop(&self) {
        // Also while somebody waits for the end already.
        self.stop.set();
        self.shared.wake();
    }

    /// Asks for the end without waiting for it; nobody wants what still waits.
    pub fn discard(&self) {
        self.shared.status.lock().discarded = true;
        self.stop();
        self.shared.pipeline.forget(&self.shared.stream);
    }

    /// Waits for the end, which somebody has to have asked for.
    pub fn join(&self) {
        let worker = self.worker.lock().take();
        if let Some(worker) = worker {
            worker.join();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}

impl Status {
    /// Goes to a state; what is to be told of it waits for [`Shared::tell`].
    fn go(&mut self, stream: &StreamRef, state: StreamState, reason: Option<&'static str>, error: Option<&str>) {
        if self.state == state && error.is_none() {
            return;
        }
        if self.state != state {
            self.state = state;
            self.since = SystemTime::now();
        }
        self.reason = reason;
        if let Some(error) = error {
            self.last_error = Some(error.to_owned());
        }
        self.say(stream, error);
    }

    /// Says which state it is in now.
    fn say(&mut self, stream: &StreamRef, error: Option<&str>) {
        self.untold.push_back(StateChange {
            stream: stream.clone(),
            state: self.state,
            since: self.since,
            reason: self.reason,
            error: error.map(str::to_owned),
            attempts: self.attempts,
        });
    }
}

impl Shared {
    /// Makes the thread look at what has changed.
    fn wake(&self) {
        // No room means that events are there to wake it.
        if !self.woken.swap(true, Ordering::AcqRel) && self.events.try_send(Event::Wake).is_err() {
            self.woken.store(false, Ordering::Release);
        }
    }

    fn set_state(&self, state: StreamState, reason: Option<&'static str>, error: Option<&str>) {
        self.status.lock().go(&self.stream, state, reason, error);
        self.tell();
    }

    /// Tells of the changes that are to be told. Not to be called under the lock.
    fn tell(&self) {
        loop {
            let _telling = self.telling.lock();
            let Some(change) = self.status.lock().untold.pop_front() else { return };
            let StateChange { state, reason, error, .. } = &change;
            let StreamRef { id, generation } = &self.stream;
            tracing::info!(stream = %id, generation, state = state.as_str(), reason, error, "stream");
            (self.changed)(change);
        }
    }

    fn drop_one(&self, status: &mut Status, reason: DropReason) {
        status.dropped[reason.index()] += 1;
        self.metrics.dropped[reason.index()].inc();
    }

    /// Nothing that is under way will be settled any more.
    fn give_up(&self, reason: DropReason) {
        let mut status = self.status.lock();
        status.given_up = Some(reason);
        for _ in std::mem::take(&mut status.open) {
            self.drop_one(&mut status, reason);
        }
    }
}
