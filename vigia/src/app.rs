//! What is served: models, pipelines, streams, and what their requests share. Knows nothing of HTTP or of how models are
//! loaded, so that it can be put together from scripted models, too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use vigia_core::admission::DropReason;
use vigia_core::backend::InferError;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::model::ModelSpec;
use vigia_core::result::FrameResult;
use vigia_engine::batcher::{Batcher, Encoded, Picture};
use vigia_engine::memory::{Budget, Charge};
use vigia_engine::metrics::{Metrics, ModelFigures};
use vigia_engine::pipeline::{self, Pipeline};
use vigia_engine::stream::Means;
use vigia_engine::worker::{PoolError, WorkerPool};
use vigia_vision::picture::{Cover, PictureDecoder};

use crate::config::{Config, Limits, StreamConfig};
use crate::drain::Drain;
use crate::error::{ApiError, Code, said, unusable};
use crate::events::Events;
use crate::fetch::Fetcher;
use crate::live::{Outputs, Shown};
use crate::paint::Painter;
use crate::shots::Scissors;
use crate::streams::{OpenFeed, Streams, Workshop};
use crate::wire::{self, Reloaded};

/// Jobs that may wait for a thread that decodes or draws. What bounds the pictures is the room ahead of each detector; this
/// bounds drawings, too.
const WAITING_JOBS: usize = 1024;

/// Changes of the dictionary of streams that may wait.
const WAITING_CHANGES: usize = 1024;

/// A model that is served.
#[derive(Clone, Debug)]
pub struct ServedModel {
    /// Its queue and threads.
    pub batcher: Arc<Batcher>,
    /// Where it runs.
    pub device: String,
    /// Sessions side by side.
    pub instances: usize,
    /// Threads within each session.
    pub threads: usize,
}

/// A pipeline that is served.
#[derive(Clone, Debug)]
pub struct ServedPipeline {
    /// What it consists of.
    pub wire: wire::PipelineWire,
    /// It.
    pub pipeline: Arc<Pipeline>,
}

/// What is to be served.
#[derive(Debug)]
pub struct Served {
    /// Models by name.
    pub models: BTreeMap<String, ServedModel>,
    /// Pipelines, the default one first.
    pub pipelines: Vec<ServedPipeline>,
}

/// What a posted picture goes to.
#[derive(Debug)]
pub struct Target {
    pipeline: Arc<Pipeline>,
    cover: Cover,
}

/// What streams are made from and kept in.
pub struct StreamSetup {
    /// Opens sources.
    pub feeds: Box<dyn OpenFeed>,
    /// The file that keeps streams that are added over the API; without one, they end with the server.
    pub store: Option<PathBuf>,
    /// The configuration file, to be read again when somebody asks for it.
    pub config_file: Option<PathBuf>,
    /// Where tracks go that ended.
    pub events: Events,
}

/// The server, but for HTTP.
#[derive(Debug)]
pub struct App {
    models: BTreeMap<String, ServedModel>,
    pipelines: Vec<ServedPipeline>,
    /// In the order of `pipelines`.
    by_pipeline: Vec<Arc<Target>>,
    by_model: BTreeMap<String, Arc<Target>>,
    decoder: Arc<PictureDecoder>,
    painter: Arc<Painter>,
    pool: Arc<WorkerPool>,
    /// One thread: the dictionary of streams is changed by one at a time, and that may take a while.
    clerk: WorkerPool,
    memory: Budget,
    /// As the server was started with it.
    config: Config,
    config_file: Option<PathBuf>,
    /// The live streams.
    pub streams: Streams,
    /// After the streams: what these still tell at their end is kept, too.
    events: Events,
    /// Where URLs are fetched.
    pub fetcher: Fetcher,
    /// What is refused for being too large or too slow.
    pub limits: Limits,
    /// Whether it is ending.
    pub drain: Drain,
    /// What the engine counts.
    pub metrics: Metrics,
}

/// What a request may ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictOptions {
    /// A model alone.
    pub model: Option<String>,
    /// A pipeline; the default one where absent.
    pub pipeline: Option<String>,
    /// Confidence, 0 to 1.
    pub confidence: Option<f32>,
    /// IoU, 0 to 1.
    pub iou: Option<f32>,
    /// The drawn picture is wanted, not the result.
    pub annotated: bool,
}

/// What came of a picture.
#[derive(Debug)]
pub enum Prediction {
    /// The result.
    Result(Box<FrameResult>, ModelSpec),
    /// The drawn picture, a JPEG.
    Picture(bytes::Bytes),
}

impl App {
    /// Serves `served` within the limits of `config`; `threads` threads decode and draw. No stream runs yet.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(
        served: Served,
        config: &Config,
        threads: usize,
        metrics: Metrics,
        setup: StreamSetup,
    ) -> std::io::Result<Self> {
        let Served { models, pipelines } = served;
        let limits = config.limits;
        let pool = Arc::new(WorkerPool::start("decode", threads, WAITING_JOBS)?);
        let target = |pipeline: Arc<Pipeline>| {
            let cover = Cover::of(&pipeline.detector().spec().input);
            Arc::new(Target { pipeline, cover })
        };
        let detectors = models.iter().filter(|(_, model)| !model.batcher.spec().family.is_second_stage());
        let by_model = detectors
            .map(|(name, model)| (name.clone(), target(Arc::new(Pipeline::new(model.batcher.clone(), Vec::new())))))
            .collect();
        let decoder = Arc::new(PictureDecoder::new(limits.pictures()));
        let memory = Budget::new(limits.cache);
        let whole = decoder.clone();
        // At full size: whoever looks at a stream wants to see all of it, and crops are cut out of it.
        let decode = Arc::new(move |bytes: &[u8]| whole.decode(bytes, None).map_err(unusable));
        let recorded = setup.events.clone();
        let workshop = Workshop {
            feeds: Arc::from(setup.feeds),
            pipelines: pipelines.iter().map(|p| (p.wire.name.clone(), p.pipeline.clone())).collect(),
            means: Means { pool: pool.clone(), decode, budget: memory.clone(), shots: Arc::new(Scissors) },
            metrics: metrics.clone(),
            ended: Arc::new(move |ended, class| recorded.record(ended, class)),
        };
        Ok(Self {
            by_pipeline: pipelines.iter().map(|served| target(served.pipeline.clone())).collect(),
            by_model,
            models,
            pipelines,
            decoder,
            painter: Arc::default(),
            pool,
            clerk: WorkerPool::start("streams", 1, WAITING_CHANGES)?,
            memory,
            config: config.clone(),
            config_file: setup.config_file,
            streams: Streams::new(workshop, limits.streams, setup.store, &setup.events)?,
            events: setup.events,
            fetcher: Fetcher::new(&config.fetch, limits.body)?,
            limits,
            drain: Drain::default(),
            metrics,
        })
    }

    /// Models and pipelines with their figures.
    pub fn models(&self) -> wire::Models {
        let model = |(name, served): (&String, &ServedModel)| {
            let spec = served.batcher.spec();
            let second = spec.family.is_second_stage();
            let ModelFigures { answered, refused, failed, batches: _, mean_batch, waiting, restarts, latency } =
                served.batcher.figures();
            wire::Model {
                name: name.clone(),
                family: spec.family.to_string(),
                task: if second { "landmarks" } else { "detect" }.to_owned(),
                width: spec.input.size.width,
                height: spec.input.size.height,
                classes: (!second).then(|| spec.labels.to_vec()),
                confidence: (!second).then(|| wire::share(spec.thresholds.confidence)),
                iou: (!second).then(|| wire::share(spec.thresholds.iou)),
                device: served.device.clone(),
                instances: served.instances,
                threads: served.threads,
                max_batch: served.batcher.policy().max_batch,
                mean_batch: mean_batch.map(|mean| wire::round(mean, 100.0)),
                waiting,
                answered,
                refused,
                failed,
                restarts,
                latency_ms: latency.map(wire::LatencyWire::from),
            }
        };
        wire::Models {
            models: self.models.iter().map(model).collect(),
            pipelines: self.pipelines.iter().map(|served| served.wire.clone()).collect(),
        }
    }

    /// The tracks that ended.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Starts the streams of the configuration, and those that were added in an earlier life.
    pub fn start_streams(&self) {
        self.streams.start(&self.config);
    }

    /// Begins to end: no new work; what is under way is answered. The second time does nothing.
    pub fn end(&self) {
        // First: whoever sees a stream end knows why.
        self.drain.end();
        self.events.ending();
        self.streams.close();
    }

    /// Whether a stream could be added: its id, its values, its pipeline.
    ///
    /// # Errors
    /// What is wrong, by key.
    pub fn check_stream(&self, id: &str, stream: &StreamConfig) -> Result<(), ApiError> {
        self.streams.check(&self.config, id, stream)
    }

    /// Reads the configuration file again and applies what differs in its streams. Reads files.
    ///
    /// # Errors
    /// When there is none, or something in it is wrong: then nothing changes.
    pub fn reload(&self) -> Result<Reloaded, ApiError> {
        let Some(path) = &self.config_file else {
            let detail = "the server was started without --config: there is nothing to read again";
            return Err(ApiError::new(Code::NoConfig, detail));
        };
        let new = Config::load(Some(path)).map_err(|error| ApiError::new(Code::InvalidConfig, error.to_string()))?;
        let restart_needed = self.config.differs(&new).into_iter().map(str::to_owned).collect();
        let reloaded = self.streams.reload(&new)?;
        Ok(Reloaded { restart_needed, ..reloaded })
    }

    /// A frame of a stream as JPEG.
    ///
    /// # Errors
    /// When it cannot be drawn now.
    pub async fn frame_jpeg(
        &self,
        outputs: &Outputs,
        shown: &Arc<Shown>,
        annotated: bool,
    ) -> Result<bytes::Bytes, ApiError> {
        outputs.jpeg(shown, annotated, &self.painter, &self.pool).await
    }

    /// Refuses what is no picture by its first bytes.
    ///
    /// # Errors
    /// What it is instead.
    pub fn check_picture(&self, bytes: &[u8]) -> Result<(), ApiError> {
        Ok(self.decoder.check(bytes)?)
    }

    /// Computes something on the threads that decode and draw.
    ///
    /// # Errors
    /// When these have no room, or the work panicked.
    pub async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        Ok(self.pool.call(work).await?)
    }

    /// Does something to the dictionary of streams, or reads the configuration: what may look at files, names and ports, and
    /// wait for them.
    ///
    /// # Errors
    /// When too many such things wait already, or the work panicked.
    pub async fn arrange<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let app = Arc::downgrade(self);
        // The last owner of all this is to be somebody else than one of its own threads.
        let work = move || app.upgrade().map(|app| work(&app));
        let closing = || ApiError::new(Code::ShuttingDown, "the server is shutting down");
        match self.clerk.call(work).await {
            Ok(done) => done.ok_or_else(closing),
            Err(PoolError::Full) => {
                let detail = "too many changes of streams wait already; try again later";
                Err(ApiError::new(Code::Overloaded, detail))
            }
            Err(PoolError::Panicked) => {
                Err(ApiError::new(Code::Internal, "the change failed in a way it should not; it is in the log"))
            }
        }
    }

    /// The same for whom nobody waits.
    pub fn arrange_later(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        let app = Arc::downgrade(self);
        let work = move || {
            if let Some(app) = app.upgrade() {
                work(&app);
            }
        };
        if self.clerk.offer(work).is_err() {
            tracing::error!("too many changes of streams wait already; this one is left out");
        }
    }

    /// Takes memory for `bytes` of a body; it is given back when dropped.
    ///
    /// # Errors
    /// When all that is allowed is in use.
    pub fn reserve(&self, bytes: u64) -> Result<Charge, ApiError> {
        self.memory.take(bytes).ok_or_else(|| self.no_memory())
    }

    /// Takes more for the same body.
    ///
    /// # Errors
    /// When all that is allowed is in use.
    pub fn grow(&self, held: &mut Charge, bytes: u64) -> Result<(), ApiError> {
        if held.grow(bytes) { Ok(()) } else { Err(self.no_memory()) }
    }

    fn no_memory(&self) -> ApiError {
        let limit = self.limits.cache;
        let detail = format!("the pictures that wait take all of limits.cache, {limit} bytes; try again later");
        ApiError::new(Code::Overloaded, detail)
    }

    /// What a request goes to; asked for before its body is read, so that nothing is read in vain.
    ///
    /// # Errors
    /// When the model or pipeline is not served.
    pub fn target(&self, options: &PredictOptions) -> Result<Arc<Target>, ApiError> {
        match (&options.model, &options.pipeline) {
            (Some(_), Some(_)) => {
                let detail = "model, pipeline: give one of them, a model alone or a pipeline";
                Err(ApiError::new(Code::InvalidParameter, detail))
            }
            (Some(name), None) => self.by_model.get(name).cloned().ok_or_else(|| {
                let known = listed(self.by_model.keys().map(String::as_str));
                let (is_there, name) = (self.models.contains_key(name), said(name));
                if is_there {
                    let detail = format!("model: \"{name}\" works on what a detector found; a detector is {known}");
                    return ApiError::new(Code::NotADetector, detail);
                }
                ApiError::new(Code::UnknownModel, format!("model: there is no \"{name}\"; there is {known}"))
            }),
            (None, Some(name)) => {
                let index = self.pipelines.iter().position(|served| served.wire.name == *name);
                index.and_then(|index| self.by_pipeline.get(index)).cloned().ok_or_else(|| {
                    let known = listed(self.pipelines.iter().map(|served| served.wire.name.as_str()));
                    let detail = format!("pipeline: there is no \"{}\"; there is {known}", said(name));
                    ApiError::new(Code::UnknownPipeline, detail)
                })
            }
            (None, None) => self.by_pipeline.first().cloned().ok_or_else(|| {
                ApiError::new(Code::UnknownPipeline, "no pipeline is served: say which model you want with ?model=")
            }),
        }
    }

    /// Runs one picture.
    ///
    /// `picture` is what it holds; `held` whatever has to live as long.
    ///
    /// # Errors
    /// What is wrong with the picture, the request or the server.
    pub async fn predict(
        &self,
        target: &Target,
        options: &PredictOptions,
        picture: bytes::Bytes,
        held: impl Send + 'static,
    ) -> Result<Prediction, ApiError> {
        let pipeline = &target.pipeline;
        let spec = pipeline.detector().spec();
        let thresholds = Thresholds {
            confidence: options.confidence.unwrap_or(spec.thresholds.confidence),
            iou: options.iou.unwrap_or(spec.thresholds.iou),
        };
        // Crops and drawings want all the pixels there are; a detector alone no more than it looks at.
        let whole = pipeline.cuts_out() || options.annotated;
        let cover = (!whole).then_some(target.cover);
        let owner = StreamRef { id: StreamId::new(POSTED), generation: 0 };
        let (decoder, stream) = (self.decoder.clone(), owner.clone());
        // Whoever goes away drops this future; what has not begun by then is not begun.
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let decode = Box::new(move || {
            if is_wanted.strong_count() == 0 {
                return Err(InferError::Dropped(DropReason::Shutdown));
            }
            let started = Instant::now();
            let image = decoder.decode(&picture, cover).map_err(unusable)?;
            drop((picture, held));
            let decode = Some(started.elapsed());
            Ok(Frame { stream, frame_id: 0, captured_at: None, pts: None, image, decode })
        });
        let (deliver, receiver) = pipeline::receiver();
        let encoded = Encoded { owner, pool: self.pool.clone(), decode };
        pipeline.submit(Picture::Encoded(encoded), thresholds, Instant::now(), deliver);
        let lost = || ApiError::new(Code::Internal, "the picture was lost on its way");
        let result = receiver.await.map_err(|_lost| lost())??;
        drop(wanted);
        if !options.annotated {
            return Ok(Prediction::Result(Box::new(result), spec.clone()));
        }
        let (painter, spec) = (self.painter.clone(), spec.clone());
        let jpeg = self.pool.call(move || painter.jpeg(&result, &spec, true)).await??;
        Ok(Prediction::Picture(jpeg))
    }
}

/// Whose frames posted pictures are. No stream can have this id: `:` is not allowed in one.
const POSTED: &str = ":posted";

/// Names for a sentence.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
