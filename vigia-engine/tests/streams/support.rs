//! A stream over a scripted model, and what it told.

use std::sync::Arc;

use vigia_core::admission::DropReason;
use vigia_core::frame::Frame;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::source::{Flow, FrameSink};
use vigia_core::stream::StreamState;
use vigia_engine::metrics::StreamMetrics;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::stream::{Feed, Means, Stream, StreamOptions, StreamStatus};
use vigia_testkit::live::{Heard, listeners, means};
use vigia_testkit::{Script, batcher, frame};

/// A detector without batches that does what the script says.
pub(crate) fn pipeline(script: Script) -> Arc<Pipeline> {
    Arc::new(Pipeline::new(Arc::new(batcher("scripted", 1, 8, 1, script)), Vec::new()))
}

/// A stream `door`, in its life number 3.
pub(crate) fn start(script: Script, options: StreamOptions, feed: Feed) -> (Stream, Heard) {
    start_with(pipeline(script), options, feed, means())
}

pub(crate) fn start_with(pipeline: Arc<Pipeline>, options: StreamOptions, feed: Feed, means: Means) -> (Stream, Heard) {
    let id = StreamRef { id: StreamId::new("door"), generation: 3 };
    let (listeners, heard) = listeners();
    let stream = Stream::start(id, pipeline, options, feed, listeners, means, StreamMetrics::default());
    (stream.expect("a thread"), heard)
}

/// A frame that says it is of another stream and has another number: the stream knows better.
pub(crate) fn picture() -> Frame {
    Arc::unwrap_or_clone(frame("elsewhere", 99))
}

pub(crate) fn push(sink: &mut Box<dyn FrameSink>) {
    assert_eq!(sink.frame(picture()), Flow::Continue);
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
    /// The next state.
    fn state(&self) -> StreamState;
}

impl Told for Heard {
    fn result(&self) -> u64 {
        self.results.recv().expect("a result").frame.frame_id
    }

    fn state(&self) -> StreamState {
        self.changes.recv().expect("a change").state
    }
}
