//! A server over scripted models, on a free port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use vigia::app::{App, Served, ServedModel, ServedPipeline, StreamSetup};
use vigia::config::{Config, PipelineConfig, StreamConfig};
use vigia::events::Events;
use vigia::server::{Bound, Ended};
use vigia::wire::{PipelineWire, StageWire};
use vigia_core::cascade::StagePolicy;
use vigia_core::detection::Detection;
use vigia_core::geometry::BBox;
use vigia_core::model::{Family, ModelSpec};
use vigia_core::source::FrameSink;
use vigia_engine::metrics::{Metrics, StageMetrics};
use vigia_engine::pipeline::{Pipeline, Stage};
use vigia_engine::worker::Worker;
use vigia_testkit::{Script, batcher_with, corner_landmarks, finds, frame, spec};

use crate::client::{Answer, Client};
use crate::pictures::good_jpeg;
use crate::socket::Socket;
use crate::sources::{Sinks, Sources};

/// Longest that anything may take here; only what hangs gets there.
pub(crate) const GUARD: Duration = Duration::from_mins(2);
/// What is never reached by the clock.
pub(crate) const NEVER: Duration = Duration::from_hours(1);
/// Threads that decode and draw.
const THREADS: usize = 2;

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + GUARD;
    while !is() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A box of 30 × 30 pixels at (10, 5).
pub(crate) fn one_box() -> Vec<Detection> {
    vec![Detection::new(0, 0.9, BBox { x1: 10.0, y1: 5.0, x2: 40.0, y2: 35.0 })]
}

/// The configuration of a stream whose frames a test hands over: every one is taken, none is ever too old, and nothing
/// happens by the clock.
pub(crate) fn camera(id: &str) -> StreamConfig {
    StreamConfig {
        pipeline: PIPELINE.to_owned(),
        latency: NEVER,
        timeout: NEVER,
        linger: NEVER,
        ..StreamConfig::at(format!("rtsp://user:secret@{id}"))
    }
}

/// The body that adds a stream like [`camera`].
pub(crate) fn camera_body(id: &str) -> Value {
    body(id, &format!("rtsp://user:secret@{id}"))
}

/// The body that adds a stream whose frames are pushed; nothing happens to it by the clock, either.
pub(crate) fn pushed_body(id: &str) -> Value {
    body(id, "push")
}

fn body(id: &str, source: &str) -> Value {
    json!({"id": id, "source": source, "pipeline": PIPELINE, "latency": "1h", "timeout": "1h", "linger": "1h"})
}

/// With these keys in place of its own.
pub(crate) fn with(mut body: Value, keys: Value) -> Value {
    let (Value::Object(all), Value::Object(keys)) = (&mut body, keys) else { unreachable!("objects") };
    all.extend(keys);
    body
}

/// The pipeline of [`Setup::new`].
pub(crate) const PIPELINE: &str = "plain";

/// What is to be served.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) grace: Duration,
    /// Requests that may wait for each model that is added from now on.
    pub(crate) queue: usize,
    /// The file that keeps added streams.
    pub(crate) store: Option<PathBuf>,
    /// The file that is read again.
    pub(crate) config_file: Option<PathBuf>,
    /// Where events are kept; in memory where absent.
    pub(crate) events: Option<Events>,
    sources: Sources,
    metrics: Metrics,
    models: BTreeMap<String, ServedModel>,
    pipelines: Vec<ServedPipeline>,
}

impl Setup {
    /// One detector, `finder`, that does what the script says, and the pipeline `plain` over it alone.
    pub(crate) fn new(script: Script) -> Self {
        Self::empty().model(&spec("finder", 1), script).pipeline(PIPELINE, "finder", None)
    }

    /// No model yet; a configuration in which nothing happens by the clock.
    pub(crate) fn empty() -> Self {
        let mut config = Config::default();
        (config.limits.body_timeout, config.limits.idle_timeout) = (NEVER, NEVER);
        Self {
            config,
            grace: GUARD,
            queue: 64,
            store: None,
            config_file: None,
            events: None,
            sources: Sources::default(),
            metrics: Metrics::default(),
            models: BTreeMap::new(),
            pipelines: Vec::new(),
        }
    }

    pub(crate) fn model(mut self, spec: &ModelSpec, script: Script) -> Self {
        let name = spec.id.as_str().to_owned();
        let batcher = Arc::new(batcher_with(spec, self.queue, 1, script, self.metrics.model(&name)));
        let served = ServedModel { batcher, device: "cpu".to_owned(), instances: 1, threads: 1 };
        self.models.insert(name, served);
        self
    }

    /// A second stage that answers the corner of each crop.
    pub(crate) fn second_stage(self, name: &str) -> Self {
        self.model(&ModelSpec { family: Family::FaceLandmarks68, ..spec(name, 4) }, corner_landmarks())
    }

    pub(crate) fn pipeline(mut self, name: &str, detector: &str, stage: Option<&str>) -> Self {
        let batcher = |name: &str| self.models[name].batcher.clone();
        let made = |name: &str| Stage {
            batcher: batcher(name),
            policy: StagePolicy::default(),
            align: None,
            metrics: StageMetrics::default(),
        };
        let pipeline = Arc::new(Pipeline::new(batcher(detector), stage.map(made).into_iter().collect()));
        let stages = stage.map(|model| StageWire { model: model.to_owned() }).into_iter().collect();
        // The configuration knows its name, too, as that of a server that loads models does.
        self.config.pipelines.insert(name.to_owned(), PipelineConfig::faces());
        let wire = PipelineWire { name: name.to_owned(), detect: detector.to_owned(), stages };
        self.pipelines.push(ServedPipeline { wire, pipeline });
        self
    }

    /// A stream of the configuration whose frames the test hands over: the sinks of its source arrive at the receiver.
    pub(crate) fn stream(&mut self, id: &str, config: StreamConfig) -> Sinks {
        self.config.streams.insert(id.to_owned(), config);
        self.sources.of(id)
    }

    pub(crate) fn start(self) -> Server {
        let Self { config, grace, queue: _, store, config_file, events, sources, metrics, models, pipelines } = self;
        let events = events.unwrap_or_else(|| Events::in_memory(&config.events).expect("threads"));
        let setup = StreamSetup { feeds: Box::new(sources.clone()), store, config_file, events };
        let served = Served { models, pipelines };
        let app = Arc::new(App::new(served, &config, THREADS, metrics, setup).expect("threads"));
        app.start_streams();
        let bound = Bound::listen("127.0.0.1:0").expect("a free port");
        let address = bound.address();
        let (ended_sender, ended) = sync_channel(1);
        let (gone_sender, gone) = sync_channel(1);
        let (running, last) = (app.clone(), app.clone());
        let run = move |_stop: &_| {
            let outcome = bound.run(running, grace);
            // A test that is over does not ask.
            let _over = ended_sender.try_send(outcome);
            // Streams and models end with their last owner: here, where somebody waits for it no longer than that.
            wait_until("the test is over", || Arc::strong_count(&last) == 1);
            drop(last);
            let _over = gone_sender.try_send(());
        };
        let worker = Worker::start("server", run).expect("a thread");
        let end = End { gone: Mutex::new(gone), worker: Some(worker) };
        Server { app, address, sources, ended: Mutex::new(ended), _end: end }
    }
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) address: SocketAddr,
    pub(crate) sources: Sources,
    ended: Mutex<Receiver<Ended>>,
    /// After `app`.
    _end: End,
}

/// Waits until all of a server is gone.
struct End {
    gone: Mutex<Receiver<()>>,
    worker: Option<Worker>,
}

impl Drop for End {
    fn drop(&mut self) {
        if self.gone.lock().recv_timeout(GUARD).is_err() {
            // A server that hangs is a failure, not a test that hangs, too.
            self.worker.take().map(Box::new).map(Box::leak);
            assert!(std::thread::panicking(), "the server does not come to its end");
        }
    }
}

impl Server {
    /// Serves what always finds [`one_box`].
    pub(crate) fn plain() -> Self {
        Setup::new(finds(one_box())).start()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Adds a stream; as it is then.
    pub(crate) fn add(&self, body: &Value) -> Value {
        let answer = self.client().post_json("/v1/streams", body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// Changes a stream; as it is then.
    pub(crate) fn change(&self, id: &str, patch: &Value) -> Value {
        let answer = self.client().patch(id, patch);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Removes a stream.
    pub(crate) fn remove(&self, id: &str) {
        let answer = self.client().send("DELETE", &format!("/v1/streams/{id}"), &[], &[]);
        assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    }

    /// A stream as it is now; every frame of it is in exactly one counter.
    pub(crate) fn stream(&self, id: &str) -> Value {
        let stream = self.client().get(&format!("/v1/streams/{id}")).json();
        assert_adds_up(&stream);
        stream
    }

    /// The frames of a stream, by what became of them.
    pub(crate) fn frames(&self, id: &str) -> Value {
        self.stream(id)["frames"].clone()
    }

    /// Pushes a frame by itself.
    pub(crate) fn put(&self, id: &str, frame_id: u64, query: &str) -> Answer {
        self.client().put(&format!("/v1/streams/{id}/frames/{frame_id}{query}"), &good_jpeg())
    }

    /// Opens a WebSocket.
    pub(crate) fn socket(&self, path: &str) -> Socket {
        Socket::open(&self.address.to_string(), path, GUARD)
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&self) -> Ended {
        self.ended.lock().recv_timeout(GUARD).expect("it ends")
    }

    /// Asserts that it still answers a picture.
    pub(crate) fn assert_unharmed(&self) {
        let answer = self.client().post("/predict/", "image/jpeg", &good_jpeg());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.app.end();
    }
}

/// `received = inferred + pending + Σ dropped`.
#[track_caller]
pub(crate) fn assert_adds_up(stream: &Value) {
    let frames = &stream["frames"];
    let number = |v: &Value| v.as_u64().expect("a number");
    let dropped: u64 = frames["dropped"].as_object().expect("by reason").values().map(number).sum();
    let sum = number(&frames["inferred"]) + number(&frames["pending"]) + dropped;
    assert_eq!(number(&frames["received"]), sum, "{stream}");
}

/// Pushes a frame of 64 × 48 pixels.
pub(crate) fn push(sink: &mut Box<dyn FrameSink>) {
    let picture = Arc::try_unwrap(frame("", 0)).expect("nobody else has it");
    let _flow = sink.frame(picture);
}

/// The sink of a stream's source, once that is open.
pub(crate) fn opened(sinks: &Sinks) -> Box<dyn FrameSink> {
    sinks.recv_timeout(GUARD).expect("the source is opened")
}

/// Pushes a frame and waits until its result is published.
pub(crate) fn push_through(server: &Server, stream: &str, sink: &mut Box<dyn FrameSink>) {
    let stream = server.app.streams.get(stream).expect("there");
    let frame_id = stream.status().frames.received;
    push(sink);
    let number = format!("\"frame_id\":{frame_id},");
    let published = |json: bytes::Bytes| String::from_utf8_lossy(&json[..json.len().min(200)]).contains(&number);
    wait_until("the result is published", || stream.outputs().latest().is_some_and(published));
}

/// Holds a text against a file of the repository; with `UPDATE_GOLDEN` set, writes it anew.
pub(crate) fn assert_golden(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("written");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (n, (new, old)) in text.lines().zip(golden.lines()).enumerate() {
        assert!(new == old, "{} line {}: UPDATE_GOLDEN=1 writes it anew:\n{new}\nwas\n{old}", path.display(), n + 1);
    }
    assert!(text == golden, "{} has another length: UPDATE_GOLDEN=1 writes it anew", path.display());
}
