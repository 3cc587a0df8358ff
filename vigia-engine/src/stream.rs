//! One live stream: its source, its frames on their way, its counters.
//!
//! The source pushes frames on a thread of its own into the detector's queue, where only the newest ones of each stream
//! wait; nothing here holds a decoder up. The stream's thread, `stream-<id>`, owns the source, opens it again when it
//! breaks off, puts results back into the order of their frames, counts them and publishes them. Every frame that was
//! received is counted once: as inferred, or under the reason why not.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use vigia_core::admission::{DropReason, Thinning};
use vigia_core::backend::InferError;
use vigia_core::backoff::Backoff;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::geometry::Size;
use vigia_core::id::StreamRef;
use vigia_core::result::FrameResult;
use vigia_core::source::{Flow, FrameSink, Source, SourceError};
use vigia_core::stream::StreamState;

use crate::metrics::{Rate, StreamMetrics, Window};
use crate::pipeline::{Deliver, Pipeline};
use crate::worker::{StopFlag, Worker};

/// Opens the source, again after each time that it broke off.
pub type OpenSource = Box<dyn FnMut() -> Result<Box<dyn Source>, SourceError> + Send>;
/// Takes a frame's result, in the order of the frames, on the stream's thread.
pub type Publish = Box<dyn FnMut(FrameResult) + Send>;

/// How a stream is worked on.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// What counts as found.
    pub thresholds: Thresholds,
    /// Each how-many-th frame is looked at, from 1.
    pub every: u64,
    /// Frames per second that are looked at, at most.
    pub max_fps: Option<f64>,
    /// Frames that may wait for the detector; the newest ones stay.
    pub keep: usize,
    /// Whether a source that came to its end is opened again.
    pub repeat: bool,
    /// When a source that broke off is opened again.
    pub backoff: Backoff,
    /// Pause before a source is asked again that does not know our name and password.
    pub unauthorized_pause: Duration,
}

/// How a stream is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamStatus {
    /// Where it stands.
    pub state: StreamState,
    /// Since when.
    pub since: SystemTime,
    /// How often the source was tried since it last worked.
    pub attempts: u32,
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
}

/// A running stream. Dropping it ends its source, waits for the frames under way, and joins its thread.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    events: SyncSender<Event>,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Shared {
    stream: StreamRef,
    status: Mutex<Status>,
    metrics: StreamMetrics,
}

#[derive(Debug)]
struct Status {
    state: StreamState,
    since: SystemTime,
    attempts: u32,
    last_error: Option<String>,
    size: Option<Size>,
    rate_in: Rate,
    rate_inferred: Rate,
    received: u64,
    inferred: u64,
    pending: u64,
    dropped: [u64; DropReason::ALL.len()],
    latency: Window,
    thinning: Thinning,
    /// Frames that were handed to the pipeline: the number of the next one.
    submitted: u64,
}

/// What the stream's thread is told.
#[derive(Debug)]
enum Event {
    /// What became of the frame of this number.
    Settled(u64, Box<Result<FrameResult, InferError>>),
    /// The source is over.
    Ended(Result<(), SourceError>),
    /// Look at the stop flag.
    Wake,
}

/// What comes after a source.
enum Next {
    /// It is opened again, after a pause.
    Again(Duration),
    /// Nothing; the stream stays in this state, with what went wrong.
    Over(StreamState, Option<String>),
}

/// How long nothing may be heard of frames under way before they are given up at the end; every one of them is answered, so
/// this is for our own mistakes.
const LOST: Duration = Duration::from_secs(30);
/// How soon a stop is noticed at the latest, should its event find no room.
const NOTICE: Duration = Duration::from_millis(200);

impl Stream {
    /// Starts the stream's thread, which opens the source.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        stream: StreamRef,
        pipeline: Arc<Pipeline>,
        options: StreamOptions,
        open: OpenSource,
        publish: Publish,
        metrics: StreamMetrics,
    ) -> std::io::Result<Self> {
        let status = Status {
            state: StreamState::Connecting,
            since: SystemTime::now(),
            attempts: 0,
            last_error: None,
            size: None,
            rate_in: Rate::default(),
            rate_inferred: Rate::default(),
            received: 0,
            inferred: 0,
            pending: 0,
            dropped: [0; DropReason::ALL.len()],
            latency: Window::default(),
            thinning: Thinning::new(options.every, options.max_fps),
            submitted: 0,
        };
        let name = format!("stream-{}", stream.id);
        let shared = Arc::new(Shared { stream, status: Mutex::new(status), metrics });
        // Each frame under way needs room for one event; the end and a stop are two more.
        let room = options.keep + 2 * pipeline.detector().capacity() + 2;
        let (events, inbox) = sync_channel(room + 2);
        let loop_ = Loop {
            shared: shared.clone(),
            pipeline,
            options,
            room: room as u64,
            open,
            publish,
            events: events.clone(),
            inbox,
            next: 0,
            early: BTreeMap::new(),
        };
        let worker = Worker::start(&name, move |stop| loop_.supervise(stop))?;
        Ok(Self { shared, events, worker: Some(worker) })
    }

    /// Its name and generation.
    pub fn id(&self) -> &StreamRef {
        &self.shared.stream
    }

    /// How it is doing now.
    pub fn status(&self) -> StreamStatus {
        let now = Instant::now();
        let mut status = self.shared.status.lock();
        StreamStatus {
            state: status.state,
            since: status.since,
            attempts: status.attempts,
            last_error: status.last_error.clone(),
            size: status.size,
            fps_in: status.rate_in.per_second(now),
            fps_inferred: status.rate_inferred.per_second(now),
            received: status.received,
            inferred: status.inferred,
            pending: status.pending,
            dropped: status.dropped,
            latency: status.latency.percentiles(),
        }
    }

    /// Asks for the end without waiting for it.
    pub fn stop(&self) {
        // Once: the room for events is counted.
        if self.worker.as_ref().is_some_and(Worker::stop) {
            // No room means that events are there to wake it.
            let _full = self.events.try_send(Event::Wake);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop();
        self.worker = None;
    }
}

impl Shared {
    fn set_state(&self, state: StreamState, error: Option<&str>) {
        let mut status = self.status.lock();
        let before = status.state;
        if before != state {
            status.state = state;
            status.since = SystemTime::now();
        }
        if let Some(error) = error {
            status.last_error = Some(error.to_owned());
        }
        drop(status);
        if before != state || error.is_some() {
            let (stream, state, error) = (&self.stream.id, state.as_str(), error.unwrap_or_default());
            tracing::info!(%stream, state, error, "stream");
        }
    }

    fn drop_one(&self, status: &mut Status, reason: DropReason) {
        status.pending -= 1;
        status.dropped[reason.index()] += 1;
        self.metrics.dropped[reason.index()].inc();
    }

    /// Nothing that is under way will be settled any more.
    fn give_up(&self, reason: DropReason) {
        let mut status = self.status.lock();
        for _ in 0..status.pending {
            self.drop_one(&mut status, reason);
        }
    }
}

/// What the stream's thread has.
struct Loop {
    shared: Arc<Shared>,
    pipeline: Arc<Pipeline>,
    options: StreamOptions,
    /// Frames under way at most.
    room: u64,
    open: OpenSource,
    publish: Publish,
    events: SyncSender<Event>,
    inbox: Receiver<Event>,
    /// Number of the frame whose outcome is next in order.
    next: u64,
    /// Outcomes that came before their turn.
    early: BTreeMap<u64, Result<FrameResult, InferError>>,
}

impl Loop {
    fn supervise(mut self, stop: &StopFlag) {
        if catch_unwind(AssertUnwindSafe(|| self.run(stop))).is_err() {
            self.shared.give_up(DropReason::Failed);
            self.shared.set_state(StreamState::Failed, Some("the stream's worker failed in a way it should not"));
        }
    }

    fn run(&mut self, stop: &StopFlag) {
        let mut repeats = false;
        let (last, error) = loop {
            if stop.is_set() {
                break (StreamState::Ended, None);
            }
            // A file that begins again is as well as it was.
            if !repeats {
                self.shared.set_state(StreamState::Connecting, None);
                self.shared.status.lock().attempts += 1;
                self.shared.metrics.connects.inc();
            }
            let before = self.shared.status.lock().received;
            let began = Instant::now();
            let outcome = self.play(stop);
            if stop.is_set() {
                break (StreamState::Ended, None);
            }
            let worked = self.shared.status.lock().received > before;
            repeats = outcome.is_ok();
            match self.after(outcome, worked, began.elapsed()) {
                Next::Again(pause) => self.wait(pause, stop),
                Next::Over(state, error) => break (state, error),
            }
        };
        self.settle_rest();
        self.shared.set_state(last, error.as_deref());
    }

    /// What is under way is still answered and counted.
    fn settle_rest(&mut self) {
        while self.next < self.shared.status.lock().submitted {
            match self.inbox.recv_timeout(LOST) {
                Ok(event) => self.handle(event),
                Err(_nothing_more) => break,
            }
        }
        self.shared.give_up(DropReason::Shutdown);
    }

    /// What to do once the source is over; `worked` when it gave frames, for `played`.
    fn after(&self, outcome: Result<(), SourceError>, worked: bool, played: Duration) -> Next {
        let error = match outcome {
            // A file of a moment is not opened in a frenzy.
            Ok(()) if self.options.repeat && worked => {
                return Next::Again(self.options.backoff.initial.saturating_sub(played));
            }
            Ok(()) => return Next::Over(StreamState::Ended, None),
            // What never gave a picture will give none next time either.
            Err(error @ (SourceError::NotFound(_) | SourceError::Library(_) | SourceError::Undecodable(_)))
                if !worked =>
            {
                return Next::Over(StreamState::Failed, Some(error.to_string()));
            }
            Err(error) => error,
        };
        self.shared.set_state(StreamState::Retrying, Some(&error.to_string()));
        if matches!(error, SourceError::Unauthorized(_)) {
            return Next::Again(self.options.unauthorized_pause);
        }
        let attempts = self.shared.status.lock().attempts;
        let key = self.shared.stream.id.as_str().bytes().fold(0u64, |key, b| key.wrapping_mul(31) + u64::from(b));
        Next::Again(self.options.backoff.pause(attempts.max(1), key))
    }

    /// Runs the source to its end, or to a stop.
    fn play(&mut self, stop: &StopFlag) -> Result<(), SourceError> {
        let source = (self.open)()?;
        let sink = StreamSink {
            shared: self.shared.clone(),
            pipeline: self.pipeline.clone(),
            options: self.options,
            room: self.room,
            events: self.events.clone(),
            online: false,
        };
        // Dropped on the way out: the source's threads are gone then, and nothing more is submitted.
        let _handle = source.start(Box::new(sink))?;
        loop {
            match self.inbox.recv_timeout(NOTICE) {
                Ok(Event::Ended(outcome)) => return outcome,
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if stop.is_set() {
                return Ok(());
            }
        }
    }

    /// Lets a pause pass; results go on being published.
    fn wait(&mut self, pause: Duration, stop: &StopFlag) {
        let until = Instant::now() + pause;
        while !stop.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.inbox.recv_timeout(left.min(NOTICE)) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let Event::Settled(number, outcome) = event else { return };
        self.early.insert(number, *outcome);
        while let Some(outcome) = self.early.remove(&self.next) {
            self.next += 1;
            self.settle(outcome);
        }
    }

    fn settle(&mut self, outcome: Result<FrameResult, InferError>) {
        let mut status = self.shared.status.lock();
        let (reason, error) = match outcome {
            Ok(result) => {
                status.pending -= 1;
                status.inferred += 1;
                status.rate_inferred.add(Instant::now());
                status.latency.add(result.timing.total);
                drop(status);
                self.shared.metrics.inferred.inc();
                self.shared.metrics.latency.observe(result.timing.total.as_secs_f64());
                return (self.publish)(result);
            }
            Err(InferError::Superseded) => (DropReason::Superseded, None),
            Err(InferError::QueueFull { .. }) => (DropReason::Overload, None),
            Err(InferError::Shutdown { .. }) => (DropReason::Shutdown, None),
            Err(error @ (InferError::EmptyCrop | InferError::Failed { .. } | InferError::Panicked { .. })) => {
                (DropReason::Failed, Some(error.to_string()))
            }
        };
        self.shared.drop_one(&mut status, reason);
        let news = error.is_some() && status.last_error != error;
        if news {
            status.last_error.clone_from(&error);
        }
        drop(status);
        if news {
            tracing::warn!(stream = %self.shared.stream.id, error, "a frame has no result");
        }
    }
}

/// Hands each frame to the pipeline, on the source's thread.
struct StreamSink {
    shared: Arc<Shared>,
    pipeline: Arc<Pipeline>,
    options: StreamOptions,
    room: u64,
    events: SyncSender<Event>,
    online: bool,
}

/// Tells the stream what became of a frame, exactly once: also when whoever had it panicked.
struct Settler {
    number: u64,
    pipeline: Arc<Pipeline>,
    events: SyncSender<Event>,
    told: bool,
}

impl Settler {
    fn tell(&mut self, outcome: Result<FrameResult, InferError>) {
        self.told = true;
        // A stream that is gone wants to know nothing; one that is there has room for each of its frames.
        if let Err(TrySendError::Full(_)) = self.events.try_send(Event::Settled(self.number, Box::new(outcome))) {
            tracing::error!("a stream had no room for the result of its own frame");
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        if !self.told {
            let model = self.pipeline.detector().spec().id.to_string();
            self.tell(Err(InferError::Failed { model, reason: "the result was lost".to_owned() }));
        }
    }
}

impl StreamSink {
    /// Counts a frame; its number within the stream, and, where it is to be looked at, its number among these.
    fn admit(&self, now: Instant, size: Size) -> (u64, Option<u64>) {
        let mut status = self.shared.status.lock();
        let frame_id = status.received;
        status.received += 1;
        status.pending += 1;
        self.shared.metrics.received.inc();
        status.rate_in.add(now);
        status.size = Some(size);
        let reason = if !status.thinning.admits(now) {
            DropReason::Skipped
        } else if status.pending > self.room {
            DropReason::Overload
        } else {
            let number = status.submitted;
            status.submitted += 1;
            return (frame_id, Some(number));
        };
        self.shared.drop_one(&mut status, reason);
        (frame_id, None)
    }
}

impl FrameSink for StreamSink {
    fn frame(&mut self, mut frame: Frame) -> Flow {
        let now = Instant::now();
        if !self.online {
            self.online = true;
            let mut status = self.shared.status.lock();
            status.attempts = 0;
            status.last_error = None;
            drop(status);
            self.shared.set_state(StreamState::Online, None);
        }
        let (frame_id, number) = self.admit(now, frame.image.source_size());
        let Some(number) = number else { return Flow::Continue };
        // Numbers go on where the source was opened again.
        frame.frame_id = frame_id;
        frame.stream = self.shared.stream.clone();
        let (pipeline, events) = (self.pipeline.clone(), self.events.clone());
        let mut settler = Settler { number, pipeline, events, told: false };
        let deliver: Deliver = Box::new(move |result| settler.tell(result));
        let StreamOptions { keep, thresholds, .. } = self.options;
        self.pipeline.submit_newest(Arc::new(frame), keep, thresholds, now, deliver);
        Flow::Continue
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        if let Err(TrySendError::Full(_)) = self.events.try_send(Event::Ended(outcome)) {
            tracing::error!("a stream had no room for the end of its own source");
        }
    }
}
