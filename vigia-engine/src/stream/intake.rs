//! How frames come in: from a source's thread, or from whoever pushes them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::Instant;

use prometheus_client::metrics::gauge::Gauge;
use vigia_core::admission::{CacheMode, CachePolicy, DropReason};
use vigia_core::backend::InferError;
use vigia_core::batching::Live;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::geometry::Size;
use vigia_core::result::FrameResult;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, SourceError};
use vigia_core::stream::StreamState;

use super::run::{Arrived, Event};
use super::{Outcome, Shared, Status, Waiter};
use crate::batcher::{Encoded, Picture};
use crate::memory::Charge;
use crate::metrics::StreamMetrics;
use crate::pipeline::Deliver;

/// Why a pushed frame was not taken. It is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The stream takes no more.
    #[error("the stream has ended")]
    Ended,
    /// Ids grow from frame to frame.
    #[error("the frame's id is not above the last one, {last}")]
    NotAbove {
        /// The last one.
        last: u64,
    },
}

/// What is known of a frame when it comes.
struct Arrival {
    frame_id: Option<u64>,
    /// Where its id is not above the last one, it gets one that is: who connects anew may count anew.
    renumbers: bool,
    size: Option<Size>,
    bytes: u64,
    now: Instant,
}

/// A frame that was counted.
enum Admitted {
    /// It is to be looked at.
    Yes { frame_id: u64, number: u64, live: Live, thresholds: Thresholds, cached: Cached },
    /// It is not, and was counted so.
    No(u64, DropReason),
}

/// A frame in the cache: dropping it takes it out of the figures.
struct Cached {
    frames: Gauge,
    bytes: Gauge,
    charge: Charge,
}

impl Cached {
    fn new(metrics: &StreamMetrics, charge: Charge) -> Self {
        metrics.cached_frames.inc();
        metrics.cached_bytes.inc_by(signed(charge.bytes()));
        Self { frames: metrics.cached_frames.clone(), bytes: metrics.cached_bytes.clone(), charge }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.frames.dec();
        self.bytes.dec_by(signed(self.charge.bytes()));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Shared {
    /// Counts a frame and decides whether it is to be looked at.
    fn admit(&self, mut arrival: Arrival) -> Result<Admitted, Refused> {
        let mut status = self.status.lock();
        self.came(&mut status, &mut arrival)?;
        let admitted = self.decide(&mut status, &arrival);
        let has_news = !status.untold.is_empty();
        drop(status);
        if has_news {
            self.tell();
        }
        Ok(admitted)
    }

    /// Counts it in.
    fn came(&self, status: &mut Status, arrival: &mut Arrival) -> Result<(), Refused> {
        if status.closed {
            return Err(Refused::Ended);
        }
        if let (Some(id), Some(last)) = (arrival.frame_id, status.last_id)
            && id <= last
        {
            if !arrival.renumbers {
                return Err(Refused::NotAbove { last });
            }
            arrival.frame_id = None;
        }
        status.received += 1;
        self.metrics.received.inc();
        status.rate_in.add(arrival.now);
        status.last_frame = arrival.now;
        status.size = arrival.size.or(status.size);
        if status.state != StreamState::Online {
            status.attempts = 0;
            status.last_error = None;
            status.go(&self.stream, StreamState::Online, None, None);
        }
        Ok(())
    }

    fn decide(&self, status: &mut Status, arrival: &Arrival) -> Admitted {
        let frame_id = arrival.frame_id.unwrap_or(status.last_id.map_or(0, |last| last.saturating_add(1)));
        status.last_id = Some(frame_id);
        let options = status.options;
        let reason = if !status.thinning.admits(arrival.now) {
            DropReason::Skipped
        } else if status.open.len() >= self.room {
            DropReason::Overload
        } else if let Some(charge) = self.room_for(options.cache, arrival.bytes) {
            let number = status.submitted;
            status.submitted += 1;
            status.open.insert(number);
            let live = Live { cache: options.cache, offered: arrival.now, latency: options.latency };
            let cached = Cached::new(&self.metrics, charge);
            // A tracker goes on with what is hardly seen any more.
            let lowest = self.pipeline.tracking().map_or(1.0, |tracking| tracking.low);
            let confidence = options.thresholds.confidence.min(lowest);
            let thresholds = Thresholds { confidence, ..options.thresholds };
            return Admitted::Yes { frame_id, number, live, thresholds, cached };
        } else {
            DropReason::Overload
        };
        self.drop_one(status, reason);
        Admitted::No(frame_id, reason)
    }

    /// Memory for one more frame. A stream that has some in its cache already gets it while half of all memory is free,
    /// one that has none, or drops another for it, while a quarter is: so that no stream, however much it may keep, takes
    /// the last of it from the others, and live frames not from posts.
    fn room_for(&self, cache: CachePolicy, bytes: u64) -> Option<Charge> {
        let cached = usize::try_from(self.metrics.cached_frames.get()).unwrap_or(0);
        let replaces = cache.mode == CacheMode::Latest && cached >= cache.frames.max(1);
        let quarters = if cached == 0 || replaces { 3 } else { 2 };
        self.means.budget.take_within(quarters, bytes)
    }

    /// Takes a picture in that is still encoded; its id.
    pub(super) fn take_picture(
        self: &Arc<Self>,
        picture: EncodedPicture,
        renumbers: bool,
        waiter: Option<Waiter>,
    ) -> Result<u64, Refused> {
        let EncodedPicture { frame_id, captured_at, bytes } = picture;
        let now = Instant::now();
        let arrival = Arrival { frame_id, renumbers, size: None, bytes: bytes.len() as u64, now };
        let (frame_id, number, live, thresholds, cached) = match self.admit(arrival)? {
            Admitted::Yes { frame_id, number, live, thresholds, cached } => {
                (frame_id, number, live, thresholds, cached)
            }
            Admitted::No(frame_id, reason) => {
                if let Some(waiter) = waiter {
                    waiter(Err(InferError::Dropped(reason)));
                }
                return Ok(frame_id);
            }
        };
        let (shared, stream) = (self.clone(), self.stream.clone());
        let decode = Box::new(move || {
            let started = Instant::now();
            let image = (shared.means.decode)(&bytes)?;
            shared.status.lock().size = Some(image.source_size());
            let (captured_at, decode) = (Some(captured_at), Some(started.elapsed()));
            Ok(Frame { stream, frame_id, captured_at, pts: None, image, decode })
        });
        let picture = Encoded { owner: self.stream.clone(), pool: self.means.pool.clone(), decode };
        let deliver = self.deliver(number, now, waiter);
        self.pipeline.submit_live(Picture::Encoded(picture), thresholds, live, Box::new(cached), deliver);
        Ok(frame_id)
    }

    fn take_frame(self: &Arc<Self>, mut frame: Frame) -> Flow {
        let now = Instant::now();
        let image = &frame.image;
        let bytes = (0..image.format().planes()).map(|plane| image.plane(plane).0.len() as u64).sum();
        let arrival = Arrival { frame_id: None, renumbers: true, size: Some(image.source_size()), bytes, now };
        match self.admit(arrival) {
            Ok(Admitted::Yes { frame_id, number, live, thresholds, cached }) => {
                // Numbers go on where the source was opened again.
                frame.frame_id = frame_id;
                frame.stream = self.stream.clone();
                let deliver = self.deliver(number, now, None);
                let picture = Picture::Frame(Arc::new(frame));
                self.pipeline.submit_live(picture, thresholds, live, Box::new(cached), deliver);
                Flow::Continue
            }
            Ok(Admitted::No(..)) => Flow::Continue,
            Err(_ended) => Flow::Stop,
        }
    }

    /// Counts a frame that has no result; why not, as it was counted.
    fn settle_without(&self, number: u64, error: InferError) -> InferError {
        let (reason, is_news) = match &error {
            InferError::Dropped(reason) => (*reason, false),
            InferError::QueueFull { .. } => (DropReason::Overload, false),
            InferError::Shutdown { .. } => (DropReason::Shutdown, false),
            InferError::EmptyCrop
            | InferError::Unusable { .. }
            | InferError::Failed { .. }
            | InferError::Panicked { .. } => (DropReason::Failed, true),
        };
        let mut status = self.status.lock();
        if !status.open.remove(&number) {
            return InferError::Dropped(status.given_up.unwrap_or(reason));
        }
        self.drop_one(&mut status, reason);
        let text = is_news.then(|| error.to_string());
        let is_news = is_news && status.last_error != text;
        if is_news {
            status.last_error.clone_from(&text);
        }
        drop(status);
        if is_news {
            tracing::warn!(stream = %self.stream.id, error = text, "a frame has no result");
        }
        error
    }

    fn deliver(self: &Arc<Self>, number: u64, offered: Instant, waiter: Option<Waiter>) -> Deliver {
        let awaited = waiter.map(|waiter| Awaited { waiter: Some(waiter), shared: self.clone() });
        let mut settler = Settler { number, offered, shared: self.clone(), awaited, told: false };
        Box::new(move |result| settler.tell(result))
    }
}

/// Tells the stream what became of a frame, exactly once: also when whoever had it panicked.
struct Settler {
    number: u64,
    offered: Instant,
    shared: Arc<Shared>,
    awaited: Option<Awaited>,
    told: bool,
}

impl Settler {
    fn tell(&mut self, outcome: Result<FrameResult, InferError>) {
        self.told = true;
        match outcome {
            Ok(result) => {
                let (offered, awaited) = (self.offered, self.awaited.take());
                let arrived = Arrived { offered, result: Box::new(result), awaited };
                let event = Event::Result(self.number, arrived);
                // A stream that is gone wants to know nothing; one that is there has room for each of its frames.
                if let Err(TrySendError::Full(_)) = self.shared.events.try_send(event) {
                    tracing::error!("a stream had no room for the result of its own frame");
                }
            }
            // Only results have an order: whatever makes room for a newer frame does so at once.
            Err(error) => {
                let error = self.shared.settle_without(self.number, error);
                if let Some(awaited) = self.awaited.take() {
                    awaited.tell(Err(error));
                }
                self.shared.wake();
            }
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        if !self.told {
            let model = self.shared.pipeline.detector().spec().id.to_string();
            self.tell(Err(InferError::Failed { model, reason: "the result was lost".to_owned() }));
        }
    }
}

/// Somebody who waits for what becomes of a frame, and is told exactly once: at the latest when this is dropped, since the
/// stream is over.
pub(super) struct Awaited {
    waiter: Option<Waiter>,
    shared: Arc<Shared>,
}

impl Awaited {
    pub(super) fn tell(mut self, outcome: Outcome) {
        self.call(outcome);
    }

    fn call(&mut self, outcome: Outcome) {
        let Some(waiter) = self.waiter.take() else { return };
        if catch_unwind(AssertUnwindSafe(|| waiter(outcome))).is_err() {
            tracing::error!(stream = %self.shared.stream.id, "whoever waited for a frame panicked on its result");
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if self.waiter.is_some() {
            let reason = self.shared.status.lock().given_up.unwrap_or(DropReason::Shutdown);
            self.call(Err(InferError::Dropped(reason)));
        }
    }
}

/// Takes what a source hands over, on the source's thread.
pub(super) struct StreamSink(pub(super) Arc<Shared>);

impl FrameSink for StreamSink {
    fn frame(&mut self, frame: Frame) -> Flow {
        self.0.take_frame(frame)
    }

    fn picture(&mut self, picture: EncodedPicture) -> Flow {
        // Only the end of the stream is a reason to refuse it.
        if self.0.take_picture(picture, true, None).is_ok() { Flow::Continue } else { Flow::Stop }
    }

    fn trouble(&mut self, error: &SourceError) {
        tracing::warn!(stream = %self.0.stream.id, %error, "the source goes on");
        self.0.status.lock().last_error = Some(error.to_string());
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        if let Err(TrySendError::Full(_)) = self.0.events.try_send(Event::Ended(outcome)) {
            tracing::error!("a stream had no room for the end of its own source");
        }
    }
}
