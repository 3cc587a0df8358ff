//! A stream's thread: opens the source, watches the time, settles frames in their order, ends.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use vigia_core::admission::DropReason;
use vigia_core::result::FrameResult;
use vigia_core::source::SourceError;
use vigia_core::stream::StreamState;

use super::follow::Follower;
use super::intake::{Awaited, StreamSink};
use super::{Feed, OpenSource, Shared};
use crate::worker::StopFlag;

/// What the stream's thread is told.
pub(super) enum Event {
    /// The frame of this number has a result.
    Result(u64, Arrived),
    /// The source is over.
    Ended(Result<(), SourceError>),
    /// Look at the stop flag, at the time, and whether the way is free for results that came early.
    Wake,
}

/// A frame's result.
pub(super) struct Arrived {
    /// When the frame came.
    pub(super) offered: Instant,
    pub(super) result: Box<FrameResult>,
    /// Who waits for it.
    pub(super) awaited: Option<Awaited>,
}

/// What comes after a source.
enum Next {
    /// It is opened again, after a pause.
    Again(Duration),
    /// Nothing; the stream stays in this state, with what went wrong.
    Over(StreamState, Option<(&'static str, String)>),
}

/// How long nothing may be heard of frames under way before they are given up at the end; every one of them is answered, so
/// this is for our own mistakes.
const LOST: Duration = Duration::from_secs(30);

/// What the stream's thread has.
pub(super) struct Loop {
    shared: Arc<Shared>,
    feed: Feed,
    publish: Box<dyn FnMut(Arc<FrameResult>) + Send>,
    inbox: Receiver<Event>,
    /// Results that came before their turn.
    early: BTreeMap<u64, Arrived>,
    follower: Follower,
    /// Numbers of the first frames that come from another opening of the source than those before: what was followed ends
    /// there.
    cuts: VecDeque<u64>,
}

impl Loop {
    pub(super) fn new(
        shared: Arc<Shared>,
        feed: Feed,
        publish: Box<dyn FnMut(Arc<FrameResult>) + Send>,
        inbox: Receiver<Event>,
        follower: Follower,
    ) -> Self {
        Self { shared, feed, publish, inbox, early: BTreeMap::new(), follower, cuts: VecDeque::new() }
    }

    pub(super) fn supervise(mut self, stop: &StopFlag, gone: Box<dyn FnOnce() + Send>) {
        let lingers = !matches!(self.feed, Feed::Pulled(_));
        if catch_unwind(AssertUnwindSafe(|| self.run(stop))).is_err() {
            self.shared.status.lock().closed = true;
            self.shared.metrics.panics.inc();
            self.shared.give_up(DropReason::Failed);
            let error = "the stream's worker failed in a way it should not";
            self.shared.set_state(StreamState::Failed, Some("panicked"), Some(error));
            let follower = &mut self.follower;
            if catch_unwind(AssertUnwindSafe(|| follower.finish(false))).is_err() {
                tracing::error!(stream = %self.shared.stream.id, "tracks could not be ended");
            }
        }
        let Self { shared, feed, publish, inbox, early, follower, cuts: _ } = self;
        // Whoever listens to the results, or waits for one, learns of the end now, not when the stream leaves the dictionary.
        drop((publish, feed, follower));
        shared.pipeline.forget(&shared.stream);
        drop((early, inbox));
        let linger = shared.status.lock().options.linger;
        if lingers && !stop.wait_for(linger) {
            gone();
        }
    }

    fn run(&mut self, stop: &StopFlag) {
        let (last, error) = match std::mem::replace(&mut self.feed, Feed::Pushed) {
            Feed::Pulled(mut open) => {
                let last = self.pull(&mut open, stop);
                self.feed = Feed::Pulled(open);
                last
            }
            Feed::Listening(mut open) => self.listen(&mut open, stop),
            Feed::Pushed => self.wait_for_frames(stop),
        };
        self.shared.status.lock().closed = true;
        self.settle_rest();
        let waits = !self.shared.status.lock().discarded;
        self.follower.finish(waits);
        let (reason, error) = error.unzip();
        self.shared.set_state(last, reason, error.as_deref());
    }

    /// A source that is opened again when it breaks off.
    fn pull(&mut self, open: &mut OpenSource, stop: &StopFlag) -> (StreamState, Option<(&'static str, String)>) {
        let mut repeats = false;
        loop {
            if stop.is_set() {
                return (StreamState::Ended, None);
            }
            // A file that begins again is as well as it was.
            if !repeats {
                self.shared.status.lock().attempts += 1;
                self.shared.metrics.connects.inc();
                self.shared.set_state(StreamState::Connecting, None, None);
            }
            let before = self.shared.status.lock().received;
            let began = Instant::now();
            let outcome = self.play(open, stop);
            if stop.is_set() {
                return (StreamState::Ended, None);
            }
            let worked = self.shared.status.lock().received > before;
            repeats = outcome.is_ok();
            match self.after(outcome, worked, began.elapsed()) {
                Next::Again(pause) => {
                    // What was seen before is not what is seen when it is back.
                    self.cuts.push_back(self.shared.status.lock().submitted);
                    self.end_tracks();
                    self.pause(pause, stop);
                }
                Next::Over(state, error) => return (state, error),
            }
        }
    }

    /// What to do once the source is over; `worked` when it gave frames, for `played`.
    fn after(&self, outcome: Result<(), SourceError>, worked: bool, played: Duration) -> Next {
        let status = self.shared.status.lock();
        // A camera that is just starting says strange things; one that has worked will work again.
        let (options, ever_worked) = (status.options, status.received > 0);
        drop(status);
        let error = match outcome {
            // A file of a moment is not opened in a frenzy.
            Ok(()) if options.repeat && worked => {
                return Next::Again(options.backoff.initial.saturating_sub(played));
            }
            Ok(()) => return Next::Over(StreamState::Ended, None),
            // What never gave a picture will give none next time either.
            Err(error @ (SourceError::NotFound(_) | SourceError::Library(_) | SourceError::Undecodable(_)))
                if !ever_worked =>
            {
                return Next::Over(StreamState::Failed, Some((error.reason(), error.to_string())));
            }
            Err(error) => error,
        };
        let (reason, text) = (Some(error.reason()), error.to_string());
        if matches!(error, SourceError::Stalled(_)) {
            self.shared.set_state(StreamState::Stalled, reason, Some(&text));
        }
        self.shared.set_state(StreamState::Retrying, reason, Some(&text));
        if matches!(error, SourceError::Unauthorized(_)) {
            return Next::Again(options.unauthorized_pause);
        }
        let attempts = self.shared.status.lock().attempts;
        let key = self.shared.stream.id.as_str().bytes().fold(0u64, |key, b| key.wrapping_mul(31) + u64::from(b));
        Next::Again(options.backoff.pause(attempts.max(1), key))
    }

    /// Runs the source to its end, or to a stop.
    fn play(&mut self, open: &mut OpenSource, stop: &StopFlag) -> Result<(), SourceError> {
        let source = open()?;
        // Dropped on the way out: the source's threads are gone then, and nothing more is submitted.
        let _handle = source.start(Box::new(StreamSink(self.shared.clone())))?;
        while !stop.is_set() {
            match self.inbox.recv() {
                Ok(Event::Ended(outcome)) => return outcome,
                Ok(event) => self.handle(event),
                Err(_nobody_left) => break,
            }
        }
        Ok(())
    }

    /// A source that waits for somebody to connect.
    fn listen(&mut self, open: &mut OpenSource, stop: &StopFlag) -> (StreamState, Option<(&'static str, String)>) {
        self.shared.metrics.connects.inc();
        let started = open().and_then(|source| source.start(Box::new(StreamSink(self.shared.clone()))));
        match started {
            Ok(_handle) => self.wait_for_frames(stop),
            Err(error) => (StreamState::Failed, Some((error.reason(), error.to_string()))),
        }
    }

    /// Settles frames until none has come for too long, or to a stop, or the end of a source that listens.
    fn wait_for_frames(&mut self, stop: &StopFlag) -> (StreamState, Option<(&'static str, String)>) {
        while !stop.is_set() {
            let mut status = self.shared.status.lock();
            let timeout = status.options.timeout;
            let left = (status.last_frame + timeout).saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Under the same lock: a frame that comes now is refused, not taken by a stream that is ending.
                status.closed = true;
                let error = format!("no frame for {timeout:?}");
                if status.received > 0 {
                    status.go(&self.shared.stream, StreamState::Stalled, Some("stalled"), Some(&error));
                }
                drop(status);
                self.shared.tell();
                return (StreamState::Ended, Some(("timeout", error)));
            }
            drop(status);
            match self.inbox.recv_timeout(left) {
                Ok(Event::Ended(Ok(()))) => return (StreamState::Ended, None),
                Ok(Event::Ended(Err(error))) => {
                    return (StreamState::Failed, Some((error.reason(), error.to_string())));
                }
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        (StreamState::Ended, None)
    }

    /// Lets a pause pass; results go on being published.
    fn pause(&mut self, pause: Duration, stop: &StopFlag) {
        let until = Instant::now() + pause;
        while !stop.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.inbox.recv_timeout(left) {
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// What is under way is still answered and counted.
    fn settle_rest(&mut self) {
        loop {
            let status = self.shared.status.lock();
            let (open, discarded) = (!status.open.is_empty(), status.discarded);
            drop(status);
            if !open {
                break;
            }
            if discarded {
                // Again: a frame may have come between the first time and the end of the source.
                self.shared.pipeline.detector().forget(&self.shared.stream);
            }
            match self.inbox.recv_timeout(LOST) {
                Ok(event) => self.handle(event),
                Err(_nothing_more) => break,
            }
        }
        self.shared.give_up(DropReason::Shutdown);
    }

    /// Takes in what it was told. Whoever called looks at the stop flag and the time next.
    fn handle(&mut self, event: Event) {
        match event {
            Event::Result(number, arrived) => drop(self.early.insert(number, arrived)),
            // A swap, so that what was set before the wake-up is seen after it.
            Event::Wake => drop(self.shared.woken.swap(false, Ordering::AcqRel)),
            Event::Ended(_) => {}
        }
        while let Some(first) = self.early.first_entry() {
            let mut status = self.shared.status.lock();
            if status.open.first() != Some(first.key()) {
                // One before it is still under way.
                break;
            }
            let number = *first.key();
            let Arrived { offered, mut result, awaited } = first.remove();
            let (total, now) = (result.timing.total, Instant::now());
            status.open.pop_first();
            status.inferred += 1;
            status.rate_inferred.add(now);
            status.latency.add(total);
            let confidence = status.options.thresholds.confidence;
            drop(status);
            self.shared.metrics.inferred.inc();
            self.shared.metrics.took(&result.timing);
            while self.cuts.front().is_some_and(|&cut| number >= cut) {
                self.cuts.pop_front();
                self.follower.finish(false);
            }
            self.follower.follow(&mut result, confidence, offered);
            let result = Arc::new(*result);
            let publish = &mut self.publish;
            let published = catch_unwind(AssertUnwindSafe(|| publish(result.clone())));
            if let Some(awaited) = awaited {
                awaited.tell(Ok(result));
            }
            if let Err(panic) = published {
                resume_unwind(panic);
            }
        }
        self.end_tracks();
    }

    /// Ends the tracks of a source that is over once nothing of it is under way.
    fn end_tracks(&mut self) {
        while let Some(&cut) = self.cuts.front() {
            if self.shared.status.lock().open.first().is_some_and(|&first| first < cut) {
                return;
            }
            self.cuts.pop_front();
            self.follower.finish(false);
        }
    }
}
