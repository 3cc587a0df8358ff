//! A running stream as the server shows it: its results, its newest picture.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OnceCell, watch};
use vigia_core::id::StreamRef;
use vigia_core::model::ModelSpec;
use vigia_core::result::FrameResult;
use vigia_engine::hub::{Hub, Subscription};
use vigia_engine::metrics::StreamMetrics;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::stream::{OpenSource, Stream, StreamOptions};
use vigia_engine::worker::WorkerPool;

use crate::error::ApiError;
use crate::paint::Painter;
use crate::wire::{Origin, ResultLine, StreamWire};

/// Results that are kept for listeners that come back.
const KEPT_RESULTS: usize = 256;

/// The newest frame with its result, and its pictures once somebody wanted to see them.
#[derive(Debug)]
pub struct Shown {
    result: FrameResult,
    plain: OnceCell<Bytes>,
    annotated: OnceCell<Bytes>,
}

/// The side of the stream's thread: when that ends, so do those who listen.
struct Published(Arc<Hub<Bytes>>);

impl Drop for Published {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A stream and what it publishes. Dropping it ends the stream.
#[derive(Debug)]
pub struct LiveStream {
    stream: Stream,
    source: String,
    pipeline: String,
    spec: ModelSpec,
    results: Arc<Hub<Bytes>>,
    newest: watch::Receiver<Option<Arc<Shown>>>,
}

/// Where a stream's pictures come from and where they go.
pub struct LiveSource {
    /// The stream.
    pub stream: StreamRef,
    /// Its source as it may be shown.
    pub shown: String,
    /// Opens it.
    pub open: OpenSource,
    /// Name of the pipeline.
    pub pipeline_name: String,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
}

impl LiveStream {
    /// Starts a stream.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(source: LiveSource, options: StreamOptions, metrics: StreamMetrics) -> std::io::Result<Self> {
        let LiveSource { stream, shown, open, pipeline_name, pipeline } = source;
        let spec = pipeline.detector().spec().clone();
        let results = Arc::new(Hub::new(KEPT_RESULTS));
        let (newest_sender, newest) = watch::channel(None);
        let (labels, id) = (spec.clone(), stream.id.clone());
        let published = Published(results.clone());
        let publish = move |result: FrameResult| {
            let line = ResultLine::new(Origin::Stream(id.as_str()), &result, &|class| labels.label(class));
            match serde_json::to_vec(&line) {
                Ok(json) => published.0.publish(Bytes::from(json)),
                Err(error) => tracing::error!(%error, "a result could not be written"),
            }
            let shown = Shown { result, plain: OnceCell::new(), annotated: OnceCell::new() };
            newest_sender.send_replace(Some(Arc::new(shown)));
        };
        let stream = Stream::start(stream, pipeline, options, open, Box::new(publish), metrics)?;
        Ok(Self { stream, source: shown, pipeline: pipeline_name, spec, results, newest })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.stream.id().id.as_str()
    }

    /// How it is doing.
    pub fn status(&self) -> StreamWire {
        StreamWire::new(self.id(), &self.source, &self.pipeline, self.stream.status())
    }

    /// Results as JSON, from now on or after the one of this number.
    pub fn subscribe(&self, last: Option<u64>) -> Subscription<Bytes> {
        self.results.subscribe(last)
    }

    /// The newest result as JSON.
    pub fn latest(&self) -> Option<Bytes> {
        self.results.latest().map(|(_, json)| json)
    }

    /// The newest frame, and the next ones for whoever waits for them.
    pub fn newest(&self) -> watch::Receiver<Option<Arc<Shown>>> {
        self.newest.clone()
    }

    /// Asks for the end without waiting for it.
    pub fn stop(&self) {
        self.stream.stop();
    }

    /// A frame as JPEG; it is made once, however many want to see it.
    ///
    /// # Errors
    /// When the pool has no room, or the codec cannot work.
    pub async fn jpeg(
        &self,
        shown: &Arc<Shown>,
        annotated: bool,
        painter: &Arc<Painter>,
        pool: &WorkerPool,
    ) -> Result<Bytes, ApiError> {
        let cell = if annotated { &shown.annotated } else { &shown.plain };
        let paint = || async {
            let (shown, painter, spec) = (shown.clone(), painter.clone(), self.spec.clone());
            Ok(pool.call(move || painter.jpeg(&shown.result, &spec, annotated)).await??)
        };
        cell.get_or_try_init(paint).await.cloned()
    }
}
