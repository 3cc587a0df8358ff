//! A stream over a scripted model, and what it told.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use vigia_core::admission::{CacheMode, CachePolicy, DropReason};
use vigia_core::frame::Frame;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::source::{Flow, FrameSink};
use vigia_core::stream::StreamState;
use vigia_engine::metrics::StreamMetrics;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::stream::{Feed, Means, Outcome, Stream, StreamOptions, StreamStatus, Waiter};
use vigia_testkit::live::{Heard, listeners, means, pushed, stream_options};
use vigia_testkit::{Script, batcher, frame};

/// A detector without batches that does what the script says.
pub(crate) fn pipeline(script: Script) -> Arc<Pipeline> {
    pipeline_of(script, 1)
}

/// The same with several instances.
pub(crate) fn pipeline_of(script: Script, instances: usize) -> Arc<Pipeline> {
    Arc::new(Pipeline::new(Arc::new(batcher("scripted", 1, 8, instances, script)), Vec::new()))
}

/// The life number 3 of the stream `door`.
pub(crate) fn door() -> StreamRef {
    StreamRef { id: StreamId::new("door"), generation: 3 }
}

/// The stream [`door`] over a model that does what the script says.
pub(crate) fn start(script: Script, options: StreamOptions, feed: Feed) -> (Stream, Heard) {
    start_with(door(), pipeline(script), options, feed, means())
}

pub(crate) fn start_with(
    stream: StreamRef,
    pipeline: Arc<Pipeline>,
    options: StreamOptions,
    feed: Feed,
    means: Means,
) -> (Stream, Heard) {
    let (listeners, heard) = listeners();
    let stream = Stream::start(stream, pipeline, options, feed, listeners, means, StreamMetrics::default());
    (stream.expect("a thread"), heard)
}

/// Options under which the oldest `frames` wait.
pub(crate) fn fifo(frames: usize) -> StreamOptions {
    StreamOptions { cache: CachePolicy { mode: CacheMode::Fifo, frames }, ..stream_options() }
}

/// A frame that says it is of another stream and has another number: the stream knows better.
pub(crate) fn picture() -> Frame {
    Arc::unwrap_or_clone(frame("elsewhere", 99))
}

/// Hands a decoded frame over.
pub(crate) fn push(sink: &mut Box<dyn FrameSink>) {
    assert_eq!(sink.frame(picture()), Flow::Continue);
}

/// Pushes a picture of these bytes; what becomes of it.
pub(crate) fn push_picture(stream: &Stream, bytes: &[u8]) -> Awaited {
    let (awaited, waiter) = Awaited::new();
    stream.push(pushed(None, bytes), Some(waiter)).expect("the stream takes it");
    awaited
}

/// Somebody who waits for a frame.
pub(crate) struct Awaited(Receiver<Outcome>);

impl Awaited {
    pub(crate) fn new() -> (Self, Waiter) {
        // Room for more than there should ever be.
        let (sender, receiver) = sync_channel(4);
        (Self(receiver), Box::new(move |outcome| sender.send(outcome).expect("the test waits")))
    }

    /// What it was told, once; waits for that.
    pub(crate) fn outcome(self) -> Outcome {
        let told: Vec<Outcome> = self.0.iter().collect();
        assert_eq!(told.len(), 1, "{told:?}");
        told.into_iter().next().expect("there is one")
    }

    /// The number of the frame whose result it was told.
    pub(crate) fn number(self) -> u64 {
        self.outcome().expect("a result").frame.frame_id
    }

    /// Nobody told it anything, and nobody will.
    pub(crate) fn was_never_told(self) -> bool {
        self.0.iter().next().is_none()
    }
}

/// Every frame that came is somewhere.
pub(crate) fn assert_whole(status: &StreamStatus) {
    assert_eq!(status.received, status.inferred + status.pending + status.dropped.iter().sum::<u64>(), "{status:?}");
}

/// Looks until something is so; at each look every frame that came is somewhere.
pub(crate) fn wait_for(stream: &Stream, what: impl Fn(&StreamStatus) -> bool) -> StreamStatus {
    loop {
        let status = stream.status();
        assert_whole(&status);
        if what(&status) {
            return status;
        }
        std::thread::yield_now();
    }
}

pub(crate) fn dropped(status: &StreamStatus, reason: DropReason) -> u64 {
    status.dropped[reason.index()]
}

/// What a test asks of what it heard.
pub(crate) trait Told {
    /// The number of the next result.
    fn result(&self) -> u64;
    /// Goes through the changes up to this state, and gives those before it.
    fn until(&self, state: StreamState) -> Vec<StreamState>;
}

impl Told for Heard {
    fn result(&self) -> u64 {
        self.results.recv().expect("a result").frame.frame_id
    }

    fn until(&self, state: StreamState) -> Vec<StreamState> {
        let changes = self.changes.iter().map(|change| change.state);
        changes.take_while(|&change| change != state).collect()
    }
}
