//! A running stream as the server shows it: its results, its newest picture.
//!
//! [`LiveStream`] owns the stream; whoever follows it holds its [`Outputs`] only, so that a reader never keeps a stream
//! alive, and never waits for its end.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, watch};
use vigia_core::id::StreamRef;
use vigia_core::model::ModelSpec;
use vigia_core::result::FrameResult;
use vigia_core::source::EncodedPicture;
use vigia_core::stream::StreamState;
use vigia_engine::hub::{Hub, Subscription};
use vigia_engine::metrics::StreamMetrics;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::registry::Entry;
use vigia_engine::stream::{Feed, Listeners, Means, Refused, StateChange, Stream, StreamOptions, TakeEnded, Waiter};
use vigia_engine::worker::WorkerPool;

use crate::config::StreamConfig;
use crate::error::ApiError;
use crate::news::Notice;
use crate::paint::Painter;
use crate::streams::PUSH;
use crate::wire::{Origin, ResultLine, StreamWire};

/// Results that are kept for listeners that come back.
const KEPT_RESULTS: usize = 256;

/// The newest frame with its result, and its pictures once somebody wanted to see them.
#[derive(Debug)]
pub struct Shown {
    result: Arc<FrameResult>,
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

/// What a stream publishes.
#[derive(Debug)]
pub struct Outputs {
    stream: StreamRef,
    spec: ModelSpec,
    results: Arc<Hub<Bytes>>,
    newest: watch::Receiver<Option<Arc<Shown>>>,
}

/// What all streams tell of their states: of each one up to its end, and nothing of one that was taken out, so that an id
/// that is taken again is told of in order.
#[derive(Debug)]
pub struct News {
    changes: Arc<Hub<Notice>>,
    /// The last change that was told; absent once the stream was taken out.
    last: Mutex<Told>,
}

#[derive(Debug)]
enum Told {
    Nothing,
    Last(StateChange),
    Enough,
}

impl News {
    /// News of a stream that is about to be started.
    pub fn new(changes: Arc<Hub<Notice>>) -> Self {
        Self { changes, last: Mutex::new(Told::Nothing) }
    }

    fn tell(&self, change: StateChange) {
        let mut last = self.last.lock();
        if !matches!(*last, Told::Enough) {
            *last = Told::Last(change.clone());
            // Under the lock: in their order.
            self.changes.publish(Notice::state(change));
        }
    }

    /// The stream was taken out: that is its end, whatever it still does.
    fn end(&self) {
        let mut last = self.last.lock();
        if let Told::Last(change) = std::mem::replace(&mut *last, Told::Enough)
            && !change.state.is_over()
        {
            let ended = StateChange {
                state: StreamState::Ended,
                since: SystemTime::now(),
                reason: None,
                error: None,
                attempts: 0,
                ..change
            };
            self.changes.publish(Notice::state(ended));
        }
    }
}

/// A stream and what it publishes. Dropping it ends the stream.
#[derive(Debug)]
pub struct LiveStream {
    stream: Stream,
    outputs: Arc<Outputs>,
    /// The source as it may be shown.
    source: String,
    /// Where to push or connect.
    url: Option<String>,
    /// Its configuration now; changed while the stream runs.
    config: Mutex<StreamConfig>,
    /// It was added over the API.
    is_added: bool,
    news: Arc<News>,
}

/// What a stream consists of.
pub struct Parts {
    /// The stream.
    pub stream: StreamRef,
    /// Its configuration.
    pub config: StreamConfig,
    /// Its source as it may be shown.
    pub source: String,
    /// Where to push or connect, for sources that listen.
    pub url: Option<String>,
    /// Where its frames come from.
    pub feed: Feed,
    /// Its pipeline.
    pub pipeline: Arc<Pipeline>,
    /// How it is worked on.
    pub options: StreamOptions,
    /// It was added over the API.
    pub is_added: bool,
    /// Where its changes of state are told.
    pub news: News,
    /// Takes its tracks that ended; must not block.
    pub ended: TakeEnded,
    /// Learns that a stream that is pushed to or listens is over.
    pub gone: Box<dyn FnOnce() + Send>,
}

impl LiveStream {
    /// Starts a stream.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(parts: Parts, means: Means, metrics: StreamMetrics) -> std::io::Result<Self> {
        let Parts { stream, config, source, url, feed, pipeline, options, is_added, news, ended, gone } = parts;
        let spec = pipeline.detector().spec().clone();
        let results = Arc::new(Hub::new(KEPT_RESULTS));
        let (newest_sender, newest) = watch::channel(None);
        let (labels, id) = (spec.clone(), stream.id.clone());
        let published = Published(results.clone());
        let publish = move |result: Arc<FrameResult>| {
            let json = json(id.as_str(), &result, &labels);
            let shown = Shown { result, plain: OnceCell::new(), annotated: OnceCell::new() };
            // First: whoever gets the result may ask for its picture.
            newest_sender.send_replace(Some(Arc::new(shown)));
            published.0.publish(json);
        };
        let news = Arc::new(news);
        let told = news.clone();
        let changed = Box::new(move |change| told.tell(change));
        let listeners = Listeners { publish: Box::new(publish), ended, changed, gone };
        let outputs = Arc::new(Outputs { stream: stream.clone(), spec, results, newest });
        let stream = Stream::start(stream, pipeline, options, feed, listeners, means, metrics)?;
        Ok(Self { stream, outputs, source, url, config: Mutex::new(config), is_added, news })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.stream.id().id.as_str()
    }

    /// Its id and which life of it this is.
    pub(crate) fn stream(&self) -> &StreamRef {
        self.stream.id()
    }

    /// How it is doing.
    pub fn status(&self) -> StreamWire {
        let pipeline = self.config.lock().pipeline.clone();
        StreamWire::new(self.id(), &self.source, self.url.as_deref(), pipeline, self.stream.status())
    }

    /// What it publishes.
    pub fn outputs(&self) -> &Arc<Outputs> {
        &self.outputs
    }

    /// Where to connect, for one that waits for somebody to connect to a socket of its own.
    pub(crate) fn listens(&self) -> bool {
        self.url.as_deref().is_some_and(|url| !url.starts_with('/'))
    }

    /// Its configuration now.
    pub fn config(&self) -> StreamConfig {
        self.config.lock().clone()
    }

    /// Its source as it may be shown.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its frames are pushed.
    pub fn is_pushed(&self) -> bool {
        self.source == PUSH
    }

    /// It was added over the API, not by the configuration file.
    pub fn is_added(&self) -> bool {
        self.is_added
    }

    /// It takes no more frames.
    pub fn is_over(&self) -> bool {
        self.stream.state().is_over()
    }

    /// Goes on with another configuration, where nothing has to start anew for it.
    pub(crate) fn reconfigure(&self, config: StreamConfig, options: StreamOptions) {
        *self.config.lock() = config;
        self.stream.set_options(options);
    }

    /// Pushes a picture; its id. `waiter` learns what becomes of it.
    ///
    /// # Errors
    /// When the stream is over, or its id is not above the last one.
    pub fn push(&self, picture: EncodedPicture, waiter: Option<Waiter>) -> Result<u64, Refused> {
        self.stream.push(picture, waiter)
    }
}

impl Entry for LiveStream {
    fn stop(&self) {
        self.stream.stop();
    }

    fn discard(&self) {
        self.news.end();
        self.stream.discard();
    }

    fn join(&self) {
        self.stream.join();
    }
}

impl Outputs {
    /// Its id.
    pub fn id(&self) -> &str {
        self.stream.id.as_str()
    }

    /// Which life of its id it is.
    pub fn generation(&self) -> u64 {
        self.stream.generation
    }

    /// Waits for the stream's end.
    pub async fn ended(&self) {
        let mut newest = self.newest.clone();
        while newest.changed().await.is_ok() {}
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

    /// A result of it as JSON.
    pub fn json(&self, result: &FrameResult) -> Bytes {
        json(self.id(), result, &self.spec)
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

fn json(id: &str, result: &FrameResult, spec: &ModelSpec) -> Bytes {
    let line = ResultLine::new(Origin::Stream(id), result, &|class| spec.label(class));
    // Nothing in it can fail to be written: names, numbers, and finite ones at that.
    let json = serde_json::to_vec(&line);
    if let Err(error) = &json {
        tracing::error!(%error, "a result could not be written");
    }
    Bytes::from(json.unwrap_or_default())
}
