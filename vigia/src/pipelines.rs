//! Models and pipelines brought up from the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use vigia_core::backend::InferError;
use vigia_core::batching::BatchPolicy;
use vigia_core::cascade::{EventPolicy, StagePolicy};
use vigia_core::geometry::{Affine, Point, Size};
use vigia_core::id::ModelId;
use vigia_engine::batcher::{BackendFactory, Batcher};
use vigia_engine::metrics::Metrics;
use vigia_engine::pipeline::{Align, Pipeline, Stage};
use vigia_engine::worker::Worker;
use vigia_infer::load::{LoadError, LoadOptions, Model};
use vigia_infer::provider::Device;
use vigia_infer::runtime::{Runtime, RuntimeError};
use vigia_infer::tuning::{self, Origin, TuningFile};
use vigia_vision::align;

use crate::app::{Served, ServedModel, ServedPipeline};
use crate::config::{Config, DeviceName, ModelConfig, PipelineConfig, StageConfig};
use crate::paths;
use crate::wire::{PipelineWire, StageWire};

/// Why models or pipelines cannot be brought up.
#[derive(Debug, thiserror::Error)]
pub enum BringUpError {
    /// A name that is in neither the configuration nor the model folder.
    #[error("unknown model \"{name}\": it is neither in the configuration nor a file in {} (there: {})",
        folder.display(), if known.is_empty() { "nothing; run scripts/setup.sh".to_owned() } else { known.join(", ") })]
    UnknownModel {
        /// The name.
        name: String,
        /// The model folder.
        folder: PathBuf,
        /// What is there.
        known: Vec<String>,
    },
    /// A configured model whose file is not there.
    #[error("model {name}: {} is not there; scripts/setup.sh makes the default models, VIGIA_MODELS or model_dir in the \
             configuration say where they are", path.display())]
    MissingModel {
        /// The name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A pipeline's name that is not in the configuration.
    #[error("unknown pipeline \"{name}\": the configuration has {}", known.join(", "))]
    UnknownPipeline {
        /// The name.
        name: String,
        /// What is there.
        known: Vec<String>,
    },
    /// A stage names a class that its detector does not have.
    #[error("pipeline {pipeline}: model {model} has no class \"{class}\"; it has {known}")]
    UnknownClass {
        /// The pipeline.
        pipeline: String,
        /// The detector.
        model: String,
        /// The class.
        class: String,
        /// What it has.
        known: String,
    },
    /// A model in the wrong place.
    #[error("pipeline {pipeline}: model {model} is {is}, it cannot stand as {place}")]
    WrongPlace {
        /// The pipeline.
        pipeline: String,
        /// The model.
        model: String,
        /// What it is.
        is: String,
        /// Where it stands.
        place: &'static str,
    },
    /// The library is missing or too old.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A model cannot be loaded.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// A model's threads cannot be started.
    #[error(transparent)]
    Start(#[from] InferError),
}

impl BringUpError {
    /// True where what was typed is wrong, not what was found.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownModel { .. } | Self::UnknownPipeline { .. } | Self::WrongPlace { .. })
    }
}

/// A loaded model and its threads, which pipelines share.
#[derive(Clone)]
pub struct Running {
    /// The model.
    pub model: Arc<Model>,
    /// Its queue and threads.
    pub batcher: Arc<Batcher>,
}

/// How all models of a run are to run, whatever the configuration says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// Where.
    pub device: Option<DeviceName>,
    /// Sessions side by side.
    pub instances: Option<usize>,
    /// Threads within each session.
    pub threads: Option<usize>,
    /// Largest batch.
    pub batch: Option<usize>,
}

/// Loads models as they are asked for and keeps them.
pub struct Loader {
    config: Config,
    overrides: Overrides,
    runtime: Runtime,
    folder: PathBuf,
    running: BTreeMap<String, Running>,
    metrics: Metrics,
    /// Models that were never measured on this machine are measured before they start.
    measures_first: bool,
}

impl Loader {
    /// Loads ONNX Runtime's library.
    ///
    /// # Errors
    /// When it is missing or too old.
    pub fn new(config: Config, overrides: Overrides) -> Result<Self, BringUpError> {
        let runtime = Runtime::load(&paths::runtime_candidates(&config))?;
        tracing::debug!(library = %runtime.library().display(), version = runtime.version(), "ONNX Runtime loaded");
        Ok(Self::with_runtime(runtime, config, overrides))
    }

    /// The same with a library that is loaded already: there can be one in a process.
    pub fn with_runtime(runtime: Runtime, config: Config, overrides: Overrides) -> Self {
        let folder = paths::model_folder(&config);
        Self {
            config,
            overrides,
            runtime,
            folder,
            running: BTreeMap::new(),
            metrics: Metrics::default(),
            measures_first: false,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the models that it starts count.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The engine's library.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A model by its name or by its file: its configuration under a short name.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn resolve(&self, name: &str) -> Result<(String, ModelConfig), BringUpError> {
        if let Some(config) = self.config.models.get(name) {
            let path = self.folder.join(&config.path);
            if !path.exists() {
                return Err(BringUpError::MissingModel { name: name.to_owned(), path });
            }
            return Ok((name.to_owned(), ModelConfig { path, ..config.clone() }));
        }
        let in_folder = self.folder.join(format!("{name}.onnx"));
        if !name.contains('/') && in_folder.is_file() {
            return Ok((name.to_owned(), ModelConfig::at(in_folder)));
        }
        let path = PathBuf::from(name);
        let looks_like_a_file = path.extension().is_some() || name.contains('/');
        if looks_like_a_file || path.is_file() {
            let short = path.file_stem().map_or_else(|| name.to_owned(), |s| s.to_string_lossy().into_owned());
            return Ok((short, ModelConfig::at(path)));
        }
        let known = self.known_models();
        Err(BringUpError::UnknownModel { name: name.to_owned(), folder: self.folder.clone(), known })
    }

    /// Names of the models of the configuration and the model folder, sorted.
    pub fn known_models(&self) -> Vec<String> {
        let mut known: Vec<String> = self.config.models.keys().cloned().collect();
        known.extend(models_in(&self.folder));
        known.sort();
        known.dedup();
        known
    }

    /// The model folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Loads a model without starting it.
    ///
    /// # Errors
    /// When the file is no model that can be used.
    pub fn load(&self, name: &str, config: &ModelConfig) -> Result<Model, BringUpError> {
        let over = self.overrides;
        let options = LoadOptions {
            device: device(over.device.unwrap_or(config.device)),
            instances: over.instances.or(config.instances.exactly()),
            threads: over.threads.or(config.threads.exactly()),
            batch: over.batch.or(config.batch.exactly()),
            confidence: config.confidence,
            iou: config.iou,
            tuning: Some(TuningFile::new(paths::tuning_file(&self.config))),
        };
        let model = Model::load(&self.runtime, ModelId::new(name), &config.path, options)?;
        if let Some(reason) = model.fallback() {
            tracing::warn!(model = name, reason, "runs on {} instead", model.device());
        }
        tracing::info!(model = name, family = %model.spec().family, device = %model.device(),
            settings = %model.settings(), origin = ?model.origin(), "model loaded");
        Ok(model)
    }

    /// Loads and starts a model; a second call gives the same one.
    ///
    /// # Errors
    /// When the file is no model that can be used, or its threads cannot be started.
    pub fn start(&mut self, name: &str, config: &ModelConfig) -> Result<Running, BringUpError> {
        if let Some(running) = self.running.get(name) {
            return Ok(running.clone());
        }
        let mut model = self.load(name, config)?;
        if self.measures_first && model.origin() == Origin::Default {
            tracing::info!(model = name, "measuring how it runs best on this machine; the next start knows");
            match model.tune(&AtomicBool::new(false)) {
                Ok(_measured) => model = self.load(name, config)?,
                Err(error) => tracing::warn!(%error, "the measurement could not be written down"),
            }
        }
        let model = Arc::new(model);
        let made = model.clone();
        let factory: BackendFactory = Arc::new(move || {
            let failed = |e: LoadError| InferError::Failed { model: made.spec().id.to_string(), reason: e.to_string() };
            made.instance().map_err(failed)
        });
        let settings = model.settings();
        let (instances, max_batch, queue) = (settings.instances, settings.batch, self.config.limits.queue);
        // As many pictures are decoded ahead as keep every instance and every decoder busy.
        let ahead = instances * max_batch + tuning::cores();
        // Crops of live frames wait a moment for company: nobody waits for them. See DESIGN.md §2b.
        let linger = if model.spec().family.is_second_stage() { CROPS_LINGER } else { Duration::ZERO };
        let policy = BatchPolicy { max_batch, queue, linger, ahead };
        let metrics = self.metrics.model(name);
        let batcher = Arc::new(Batcher::start(model.spec(), &factory, settings.instances, policy, metrics)?);
        let running = Running { model, batcher };
        self.running.insert(name.to_owned(), running.clone());
        Ok(running)
    }

    /// Brings a configured pipeline up.
    ///
    /// # Errors
    /// When it or one of its models is unknown or cannot be used.
    pub fn pipeline(&mut self, name: &str) -> Result<Pipeline, BringUpError> {
        let Some(pipeline) = self.config.pipelines.get(name).cloned() else {
            let known = self.config.pipelines.keys().cloned().collect();
            return Err(BringUpError::UnknownPipeline { name: name.to_owned(), known });
        };
        let PipelineConfig { detect, track, stages, events } = pipeline;
        let (short, config) = self.resolve(&detect.model)?;
        let detector = self.start(&short, &config)?;
        let family = detector.model.spec().family;
        let wrong = |model: &str, place| BringUpError::WrongPlace {
            pipeline: name.to_owned(),
            model: model.to_owned(),
            is: if place == "detect" { "a second stage" } else { "a detector" }.to_owned(),
            place,
        };
        if family.is_second_stage() {
            return Err(wrong(&detect.model, "detect"));
        }
        let mut running = Vec::new();
        for stage in &stages {
            let (short, config) = self.resolve(&stage.model)?;
            let second = self.start(&short, &config)?;
            if !second.model.spec().family.is_second_stage() {
                return Err(wrong(&stage.model, "a stage"));
            }
            let policy = stage_policy(name, &detector, stage)?;
            let align: Option<Align> = stage.align.then_some(upright);
            running.push(Stage { batcher: second.batcher, policy, align, metrics: self.metrics.stage(&short) });
        }
        let events = events.map(|events| classes(name, &detector, &events.classes)).transpose()?;
        let mut pipeline = Pipeline::new(detector.batcher, running);
        if let Some(track) = &track {
            pipeline = pipeline.with_tracking(track.into());
        }
        if let Some(classes) = events {
            pipeline = pipeline.with_events(EventPolicy { classes });
        }
        Ok(pipeline)
    }

    /// A pipeline of one detector alone.
    ///
    /// # Errors
    /// When the model is unknown, cannot be used, or is a second stage.
    pub fn detector(&mut self, name: &str, config: &ModelConfig) -> Result<Pipeline, BringUpError> {
        let running = self.start(name, config)?;
        if running.model.spec().family.is_second_stage() {
            return Err(BringUpError::WrongPlace {
                pipeline: "of --model".to_owned(),
                model: name.to_owned(),
                is: "a second stage".to_owned(),
                place: "detect",
            });
        }
        Ok(Pipeline::new(running.batcher, Vec::new()))
    }

    /// Brings up everything that the configuration has, for a server: all pipelines and models, and, in front of them,
    /// `first`, a detector alone. What is there only because it is built in may be missing, as long as something is left.
    ///
    /// # Errors
    /// When one of them cannot be brought up, or nothing is left.
    pub fn serve(&mut self, first: Option<&str>) -> Result<Served, BringUpError> {
        // A server runs for long: it is worth a few seconds, once.
        self.measures_first = true;
        let mut pipelines = Vec::new();
        if let Some(name) = first {
            let (short, config) = self.resolve(name)?;
            let pipeline = Arc::new(self.detector(&short, &config)?);
            let wire = PipelineWire { name: short.clone(), detect: short, stages: Vec::new() };
            pipelines.push(ServedPipeline { wire, pipeline });
        }
        let built_in = PipelineConfig::faces();
        let mut configured: Vec<_> = self.config.pipelines.clone().into_iter().collect();
        // The built-in one is the default; the others are in the order of their names.
        configured.sort_by_key(|(name, _)| name != "faces");
        let mut absent = None;
        let streams: Vec<String> = self.config.streams.values().map(|stream| stream.pipeline.clone()).collect();
        for (name, config) in configured {
            match self.pipeline(&name) {
                Err(error @ (BringUpError::MissingModel { .. } | BringUpError::UnknownModel { .. }))
                    if config == built_in && !streams.contains(&name) =>
                {
                    absent = Some(error);
                }
                Err(error) => return Err(error),
                Ok(pipeline) => {
                    let stages = config.stages.into_iter().map(|stage| StageWire { model: stage.model }).collect();
                    let wire = PipelineWire { name, detect: config.detect.model, stages };
                    pipelines.push(ServedPipeline { wire, pipeline: Arc::new(pipeline) });
                }
            }
        }
        let defaults = Config::default().models;
        for (name, config) in self.config.models.clone() {
            let (short, found) = match self.resolve(&name) {
                Err(BringUpError::MissingModel { .. }) if defaults.get(&name) == Some(&config) => continue,
                other => other?,
            };
            self.start(&short, &found)?;
        }
        if self.running.is_empty()
            && let Some(error) = absent
        {
            return Err(error);
        }
        let served = |running: &Running| {
            let settings = running.model.settings();
            ServedModel {
                batcher: running.batcher.clone(),
                device: running.model.device().as_str().to_owned(),
                instances: settings.instances,
                threads: settings.threads,
            }
        };
        let models = self.running.iter().map(|(name, running)| (name.clone(), served(running))).collect();
        Ok(Served { models, pipelines })
    }

    /// Measures, on a thread of its own and after a while, what was not measured on this machine yet, for the next
    /// time. Dropping the worker ends it.
    pub fn tune_in_background(&self) -> Option<Worker> {
        let open: Vec<Arc<Model>> = self.running.values().map(|r| r.model.clone()).collect();
        let open: Vec<_> = open.into_iter().filter(|m| m.origin() == Origin::Default).collect();
        if open.is_empty() {
            return None;
        }
        let worker = Worker::start("tune", move |stop| {
            // Short runs are over by then, and nothing was in their way.
            if stop.wait_for(Duration::from_secs(3)) {
                return;
            }
            for model in open {
                match model.tune(stop.as_atomic()) {
                    Ok(Some(best)) => tracing::info!(model = %model.spec().id, best = %best.settings, "measured"),
                    Ok(None) => return,
                    Err(error) => tracing::warn!(%error, "the measurement could not be written down"),
                }
            }
        });
        worker.inspect_err(|error| tracing::warn!(%error, "no thread to measure on")).ok()
    }
}

/// Brings eyes, nose and mouth to where networks that are trained on upright faces expect them.
fn upright(points: &[Point], input: Size) -> Option<Affine> {
    align::arcface(&align::five_points(points)?, input)
}

/// How long a batch of crops that is not full waits, from when its oldest one was queued.
const CROPS_LINGER: Duration = Duration::from_millis(10);

fn stage_policy(pipeline: &str, detector: &Running, stage: &StageConfig) -> Result<StagePolicy, BringUpError> {
    let classes = classes(pipeline, detector, &stage.classes)?;
    let StageConfig { min_size, margin, when, refresh, .. } = *stage;
    Ok(StagePolicy { classes, min_size, margin, when: when.into(), refresh })
}

/// The numbers of a detector's classes.
fn classes(pipeline: &str, detector: &Running, names: &[String]) -> Result<Vec<u32>, BringUpError> {
    let labels = &detector.model.spec().labels;
    let number = |class: &String| {
        let found = labels.iter().position(|label| label == class).and_then(|i| u32::try_from(i).ok());
        found.ok_or_else(|| BringUpError::UnknownClass {
            pipeline: pipeline.to_owned(),
            model: detector.model.spec().id.to_string(),
            class: class.clone(),
            known: labels.join(", "),
        })
    };
    names.iter().map(number).collect()
}

/// The configured name as the engine's device.
fn device(name: DeviceName) -> Device {
    match name {
        DeviceName::Auto => Device::Auto,
        DeviceName::Cpu => Device::Cpu,
        DeviceName::Cuda => Device::Cuda,
        DeviceName::TensorRt => Device::TensorRt,
        DeviceName::OpenVino => Device::OpenVino,
    }
}

/// Names of the ONNX files in a folder.
fn models_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect()
}
