//! What a live stream needs: a source that a test feeds, pictures without a decoder, ears for what it says.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use vigia_core::admission::{CacheMode, CachePolicy};
use vigia_core::backend::InferError;
use vigia_core::backoff::Backoff;
use vigia_core::detection::Thresholds;
use vigia_core::event::EndedTrack;
use vigia_core::frame::Image;
use vigia_core::geometry::BBox;
use vigia_core::result::FrameResult;
use vigia_core::source::{EncodedPicture, FrameSink, Source, SourceError, SourceHandle};
use vigia_engine::memory::Budget;
use vigia_engine::stream::{DecodePicture, Listeners, Means, OpenSource, Shots, StateChange, StreamOptions};
use vigia_engine::worker::WorkerPool;

use crate::image;

/// Long enough for whatever a test does: nothing in it is ever late by the clock.
pub const NEVER: Duration = Duration::from_hours(24);

/// A stream that takes every frame, keeps the newest one, never finds one too old, never gives up waiting, and tries again
/// at once.
pub fn stream_options() -> StreamOptions {
    StreamOptions {
        thresholds: Thresholds { confidence: 0.5, iou: 0.5 },
        every: 1,
        max_fps: None,
        cache: CachePolicy { mode: CacheMode::Latest, frames: 1 },
        latency: NEVER,
        timeout: NEVER,
        linger: Duration::ZERO,
        repeat: false,
        backoff: Backoff { initial: Duration::ZERO, max: Duration::ZERO },
        unauthorized_pause: Duration::ZERO,
    }
}

/// What [`means`] cannot decode.
pub const BROKEN: &[u8] = b"broken";
/// What makes the decoder of [`means`] panic.
pub const POISON: &[u8] = b"poison";

/// A decoder for pictures of any other bytes than [`BROKEN`] and [`POISON`].
pub fn decoder() -> DecodePicture {
    Arc::new(|bytes| match bytes {
        BROKEN => Err(InferError::Unusable { code: "broken", reason: "this is no picture".to_owned() }),
        POISON => std::panic::resume_unwind(Box::new("on purpose")),
        _ => Ok(image()),
    })
}

/// Everything is equally sharp, and a cut is the whole picture.
pub struct Scissors;

impl Shots for Scissors {
    fn sharpness(&self, _image: &Image, _bbox: &BBox) -> f32 {
        100.0
    }

    fn cut(&self, image: &Image, _bbox: &BBox) -> Option<(Image, BBox)> {
        Some((image.clone(), image.source_size().whole()))
    }
}

/// One decoding thread and a budget of so many bytes.
pub fn means_of(budget: u64) -> Means {
    let pool = Arc::new(WorkerPool::start("decode", 1, 64).expect("threads"));
    Means { pool, decode: decoder(), budget: Budget::new(budget), shots: Arc::new(Scissors) }
}

/// One decoding thread and more memory than any test takes.
pub fn means() -> Means {
    means_of(1 << 30)
}

/// A picture of these bytes, with the id that its sender gave it.
pub fn pushed(frame_id: Option<u64>, bytes: &[u8]) -> EncodedPicture {
    EncodedPicture { frame_id, captured_at: SystemTime::UNIX_EPOCH, bytes: bytes.to_vec() }
}

/// What a stream told its listeners.
pub struct Heard {
    /// Its results.
    pub results: Receiver<Arc<FrameResult>>,
    /// Its changes of state.
    pub changes: Receiver<StateChange>,
    /// Its tracks that ended.
    pub ended: Receiver<EndedTrack>,
    /// That it is gone.
    pub gone: Receiver<()>,
}

/// Listeners that keep what they hear for a test.
pub fn listeners() -> (Listeners, Heard) {
    const KEPT: usize = 1 << 16;
    let (publish, results) = sync_channel(KEPT);
    let (change, changes) = sync_channel(KEPT);
    let (leave, gone) = sync_channel(1);
    let (end, ended) = sync_channel(KEPT);
    // A test that is over hears nothing.
    let listeners = Listeners {
        publish: Box::new(move |result| {
            let _over = publish.try_send(result);
        }),
        ended: Box::new(move |track| {
            let _over = end.try_send(track);
        }),
        changed: Box::new(move |changed| {
            let _over = change.try_send(changed);
        }),
        gone: Box::new(move || {
            let _over = leave.try_send(());
        }),
    };
    (listeners, Heard { results, changes, ended, gone })
}

/// A source whose frames a test pushes: each opening of it gives the test the other end.
pub struct PushedSource(SyncSender<Box<dyn FrameSink>>);

struct Pushed;
impl SourceHandle for Pushed {}

impl PushedSource {
    /// A way to open the source again and again, and where the sinks of its openings arrive.
    pub fn opener() -> (OpenSource, Receiver<Box<dyn FrameSink>>) {
        let (sender, sinks) = sync_channel(8);
        (Box::new(move || Ok(Box::new(Self(sender.clone())))), sinks)
    }
}

impl Source for PushedSource {
    fn start(self: Box<Self>, sink: Box<dyn FrameSink>) -> Result<Box<dyn SourceHandle>, SourceError> {
        // A test that is over needs no sink.
        let _gone = self.0.try_send(sink);
        Ok(Box::new(Pushed))
    }
}
