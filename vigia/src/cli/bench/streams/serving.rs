//! The side that is measured: the models and streams of `vigia serve`, put together as it does, without HTTP.
//!
//! Between a source and its stream stands one more sink, which shows each frame to the [`Observer`]; the results are
//! those that a subscriber gets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use serde::Deserialize;
use vigia_core::frame::{Frame, Image};
use vigia_core::id::StreamRef;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source, SourceError, SourceHandle};
use vigia_engine::hub::{Delivery, Subscription};
use vigia_engine::metrics::Metrics;
use vigia_engine::stream::Feed;
use vigia_engine::worker::Worker;
use vigia_infer::tuning;

use crate::app::{App, Served, StreamSetup};
use crate::cli::serve;
use crate::config::{Config, StreamConfig};
use crate::events::Events;
use crate::streams::{OpenFeed, Opened};

/// Told what becomes of the frames of streams, by the streams' numbers.
pub(super) trait Observer: Send + Sync {
    /// A frame came and is about to be offered to its stream; on its source's thread.
    fn frame(&self, stream: usize, frame_id: u64, image: &Image);
    /// Its result was published.
    fn result(&self, stream: usize, frame_id: u64);
}

/// What the measurement needs of a server.
pub(super) trait Serving {
    /// Starts a stream for each of these addresses.
    fn start(&self, urls: &[String], observer: Arc<dyn Observer>) -> Result<Box<dyn Running>, String>;
}

/// Streams that run; dropping them ends them.
pub(super) trait Running {
    /// Each stream's figures, in the order of the addresses.
    fn figures(&self) -> Vec<StreamFigures>;
}

/// How one stream is doing, all counters since it was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StreamFigures {
    /// Where it stands.
    pub(super) state: &'static str,
    /// What went wrong last.
    pub(super) error: Option<String>,
    /// Frames.
    pub(super) frames: Frames,
}

/// What became of frames: received = inferred + pending + all that were dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames {
    pub(super) received: u64,
    pub(super) inferred: u64,
    pub(super) pending: u64,
    /// By reason.
    pub(super) dropped: BTreeMap<&'static str, u64>,
}

impl Frames {
    /// Of all streams together.
    pub(super) fn sum(streams: &[StreamFigures]) -> Self {
        streams.iter().fold(Self::default(), |mut sum, StreamFigures { frames, .. }| {
            sum.received += frames.received;
            sum.inferred += frames.inferred;
            sum.pending += frames.pending;
            for (reason, count) in &frames.dropped {
                *sum.dropped.entry(reason).or_default() += count;
            }
            sum
        })
    }
}

/// A server without HTTP.
pub(super) struct Server {
    app: Arc<App>,
    /// Of each stream, but for its address.
    stream: StreamConfig,
    /// Whom the streams that are added next are shown to.
    observer: Arc<Mutex<Option<Arc<dyn Observer>>>>,
    /// Streams that were added so far: each gets an id of its own.
    added: AtomicU64,
}

impl Server {
    /// Serves the first of the pipelines. `latency` is the objective of its streams; absent: the usual one.
    pub(super) fn new(
        served: Served,
        config: &Config,
        metrics: Metrics,
        latency: Option<Duration>,
    ) -> Result<Self, String> {
        let pipeline = served.pipelines.first().ok_or("there is no pipeline")?.wire.name.clone();
        let mut stream = StreamConfig { pipeline, ..StreamConfig::at("") };
        stream.latency = latency.unwrap_or(stream.latency);
        let observer = Arc::new(Mutex::new(None));
        let feeds = Box::new(Shown { feeds: serve::feeds(config), observer: observer.clone() });
        let events = Events::in_memory(&config.events).map_err(|e| e.to_string())?;
        let setup = StreamSetup { feeds, store: None, config_file: None, events };
        let app = App::new(served, config, tuning::cores(), metrics, setup);
        let app = Arc::new(app.map_err(|e| format!("no threads for the server: {e}"))?);
        Ok(Self { app, stream, observer, added: AtomicU64::new(0) })
    }

    /// What answers posts.
    pub(super) fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl Serving for Server {
    fn start(&self, urls: &[String], observer: Arc<dyn Observer>) -> Result<Box<dyn Running>, String> {
        *self.observer.lock() = Some(observer.clone());
        let mut running = Streams { app: self.app.clone(), ids: Vec::new(), results: None };
        let followed = FuturesUnordered::new();
        for (number, url) in urls.iter().enumerate() {
            let id = format!("{}-{number}", self.added.fetch_add(1, Ordering::Relaxed));
            let config = StreamConfig { source: url.clone(), ..self.stream.clone() };
            let stream = self.app.streams.add(&id, &config).map_err(|e| format!("stream {number}: {e}"))?;
            running.ids.push(id);
            followed.push(follow(stream.outputs().subscribe(None), number, observer.clone()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|e| format!("nobody can follow the results: {e}"))?;
        // It ends when the streams have.
        let work = move |_: &_| runtime.block_on(followed.collect::<()>());
        let worker = Worker::start("results", work).map_err(|e| format!("nobody can follow the results: {e}"))?;
        running.results = Some(worker);
        Ok(Box::new(running))
    }
}

/// Of a result, all that is wanted here.
#[derive(Deserialize)]
struct Published {
    frame_id: u64,
}

/// Reads a stream's results until it ends.
async fn follow(mut results: Subscription<Bytes>, stream: usize, observer: Arc<dyn Observer>) {
    while let Some(delivery) = results.next().await {
        match delivery {
            Delivery::Item(_, json) => match serde_json::from_slice::<Published>(&json) {
                Ok(result) => observer.result(stream, result.frame_id),
                Err(error) => tracing::error!(%error, "a result is no JSON"),
            },
            Delivery::Missed(results) => tracing::warn!(stream, results, "results were missed"),
        }
    }
}

/// Streams of a server.
struct Streams {
    app: Arc<App>,
    ids: Vec<String>,
    results: Option<Worker>,
}

impl Running for Streams {
    fn figures(&self) -> Vec<StreamFigures> {
        let figures = |id: &String| {
            let Ok(stream) = self.app.streams.get(id) else { return StreamFigures::default() };
            let status = stream.status();
            let (received, inferred, pending) = (status.frames.received, status.frames.inferred, status.frames.pending);
            let frames = Frames { received, inferred, pending, dropped: status.frames.dropped };
            StreamFigures { state: status.state, error: status.last_error, frames }
        };
        self.ids.iter().map(figures).collect()
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for id in &self.ids {
            if let Err(error) = self.app.streams.remove(id) {
                tracing::warn!(%error, "a stream was gone already");
            }
        }
        // Joined: they have published their last.
        self.results = None;
    }
}

/// A server's feeds, shown to an observer.
struct Shown {
    feeds: Box<dyn OpenFeed>,
    observer: Arc<Mutex<Option<Arc<dyn Observer>>>>,
}

impl OpenFeed for Shown {
    fn open(&self, stream: &StreamRef, config: &StreamConfig) -> Result<Opened, SourceError> {
        let Opened { feed, shown, url } = self.feeds.open(stream, config)?;
        let observer = self.observer.lock().clone();
        let number = stream.id.as_str().rsplit('-').next().and_then(|number| number.parse().ok());
        let feed = match (feed, observer, number) {
            (Feed::Pulled(mut open), Some(observer), Some(stream)) => {
                // Numbers go on where the source is opened again, as the stream's own do.
                let frames = Arc::new(AtomicU64::new(0));
                Feed::Pulled(Box::new(move || {
                    let (source, observer, frames) = (open()?, observer.clone(), frames.clone());
                    Ok(Box::new(ShownSource { source, stream, observer, frames }))
                }))
            }
            (feed, _, _) => feed,
        };
        Ok(Opened { feed, shown, url })
    }
}

struct ShownSource {
    source: Box<dyn Source>,
    stream: usize,
    observer: Arc<dyn Observer>,
    frames: Arc<AtomicU64>,
}

impl Source for ShownSource {
    fn start(self: Box<Self>, sink: Box<dyn FrameSink>) -> Result<Box<dyn SourceHandle>, SourceError> {
        let Self { source, stream, observer, frames } = *self;
        source.start(Box::new(ShownSink { sink, stream, observer, frames }))
    }
}

struct ShownSink {
    sink: Box<dyn FrameSink>,
    stream: usize,
    observer: Arc<dyn Observer>,
    frames: Arc<AtomicU64>,
}

impl FrameSink for ShownSink {
    fn frame(&mut self, frame: Frame) -> Flow {
        let frame_id = self.frames.fetch_add(1, Ordering::Relaxed);
        self.observer.frame(self.stream, frame_id, &frame.image);
        self.sink.frame(frame)
    }

    fn picture(&mut self, picture: EncodedPicture) -> Flow {
        self.sink.picture(picture)
    }

    fn trouble(&mut self, error: &SourceError) {
        self.sink.trouble(error);
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        self.sink.end(outcome);
    }
}
