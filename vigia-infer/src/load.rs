//! A model file and everything that has to be known before it can run.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vigia_core::backend::Backend;
use vigia_core::id::ModelId;
use vigia_core::model::ModelSpec;

use crate::family::{self, Recognised};
use crate::manifest::{Manifest, ManifestError};
use crate::model::OnnxBackend;
use crate::provider::Device;
use crate::runtime::Runtime;
use crate::session::{GraphInfo, Opened, OrtSession};
use crate::tuning::{self, Measured, Origin, Settings, Subject, TuningFile};

/// What the caller wants; `None` leaves it to manifest, graph and measurement.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Where it is to run.
    pub device: Device,
    /// Sessions side by side.
    pub instances: Option<usize>,
    /// Threads within each session.
    pub threads: Option<usize>,
    /// Largest batch.
    pub batch: Option<usize>,
    /// Confidence threshold, 0 to 1.
    pub confidence: Option<f32>,
    /// `IoU` threshold, 0 to 1.
    pub iou: Option<f32>,
    /// Where measurements are remembered; nowhere when absent.
    pub tuning: Option<TuningFile>,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file, or it cannot be read.
    #[error("model {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no ONNX model that the engine takes.
    #[error("model {} cannot be loaded: {reason}", path.display())]
    Engine {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        reason: String,
    },
    /// The graph is nothing that vigia can decode.
    #[error("model {} is not usable: {reason}", path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// What was seen and what to do.
        reason: String,
    },
    /// The manifest beside the model is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// A model that was loaded and recognised, ready to make instances of itself.
pub struct Model {
    runtime: Runtime,
    path: PathBuf,
    options: LoadOptions,
    spec: ModelSpec,
    graph: GraphInfo,
    manifest: Option<PathBuf>,
    device: Device,
    fallback: Option<String>,
    settings: Settings,
    origin: Origin,
    key: String,
    /// The session that was opened to look at the graph; the first instance takes it.
    first: Mutex<Option<OnnxBackend>>,
}

impl Model {
    /// Loads `path` and finds out what it is.
    ///
    /// # Errors
    /// When the file cannot be read, the engine refuses it, or its family is not known.
    pub fn load(runtime: &Runtime, id: ModelId, path: &Path, options: LoadOptions) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        let key = tuning::key(&bytes, runtime, options.device);
        drop(bytes);
        let remembered = options.tuning.as_ref().and_then(|file| file.get(&key));
        let threads = options.threads.or(remembered.map(|m| m.settings.threads)).unwrap_or(1);
        let Opened { session, device, fallback } = OrtSession::open(runtime, path, options.device, threads)
            .map_err(|reason| LoadError::Engine { path: path.to_owned(), reason: plain(&reason) })?;
        let graph = session.info();
        let (manifest, manifest_path) = Manifest::find(path)?;
        let Recognised { mut spec, head } = family::recognise(id, path, &graph, &manifest)
            .map_err(|reason| LoadError::Unrecognised { path: path.to_owned(), reason })?;
        spec.thresholds.confidence = options.confidence.unwrap_or(spec.thresholds.confidence);
        spec.thresholds.iou = options.iou.unwrap_or(spec.thresholds.iou);
        let auto = remembered.map_or_else(|| tuning::usual(&spec, device), |m| m.settings);
        let settings = Settings {
            instances: options.instances.unwrap_or(auto.instances).max(1),
            threads: options.threads.unwrap_or(auto.threads).max(1),
            batch: options.batch.unwrap_or(auto.batch).clamp(spec.min_batch, spec.max_batch),
        };
        let origin = match (options.instances, options.threads, options.batch, remembered) {
            (Some(_), Some(_), Some(_), _) => Origin::Configured,
            (.., Some(_)) => Origin::Measured,
            (.., None) => Origin::Default,
        };
        let first = OnnxBackend::new(spec.clone(), session, head);
        Ok(Self {
            runtime: runtime.clone(),
            path: path.to_owned(),
            options,
            spec,
            graph,
            manifest: manifest_path,
            device,
            fallback,
            settings,
            origin,
            key,
            first: Mutex::new(Some(first)),
        })
    }

    /// One more instance, for one thread to own.
    ///
    /// # Errors
    /// When the engine refuses another session, say for want of memory.
    pub fn instance(&self) -> Result<Box<dyn Backend>, LoadError> {
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(Box::new(first));
        }
        let failed = |reason| LoadError::Engine { path: self.path.clone(), reason };
        let opened = OrtSession::open(&self.runtime, &self.path, self.device, self.settings.threads).map_err(failed)?;
        let head = family::head_of(&self.spec, &self.graph).map_err(|e| failed(e.to_string()))?;
        Ok(Box::new(OnnxBackend::new(self.spec.clone(), opened.session, head)))
    }

    /// What it is and wants.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the graph says of itself.
    pub fn graph(&self) -> &GraphInfo {
        &self.graph
    }

    /// The manifest that was used.
    pub fn manifest(&self) -> Option<&Path> {
        self.manifest.as_deref()
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Why it does not run where it was to run.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// How it runs.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Where these settings come from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Pictures per second through the engine alone, pixels and outputs left aside; `None` when it cannot run so.
    pub fn measure_engine(&self, settings: Settings, slice: Duration) -> Option<f64> {
        self.subject().measure(settings, slice, &AtomicBool::new(false))
    }

    /// Measures the best settings, within a few seconds, and remembers them for the next load. `stop` ends it early,
    /// without a result. The model may be in use meanwhile: the sessions are separate ones.
    ///
    /// # Errors
    /// When the result cannot be written.
    pub fn tune(&self, stop: &AtomicBool) -> std::io::Result<Option<Measured>> {
        let Some(best) = self.subject().tune(stop) else { return Ok(None) };
        self.remember(best)?;
        Ok(Some(best))
    }

    /// Remembers a measurement for the next load.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, best: Measured) -> std::io::Result<()> {
        self.options.tuning.as_ref().map_or(Ok(()), |file| file.put(self.key.clone(), best))
    }

    fn subject(&self) -> Subject<'_> {
        Subject { runtime: &self.runtime, path: &self.path, spec: &self.spec, device: self.device }
    }
}

/// The engine's own words, and what they usually mean.
fn plain(reason: &str) -> String {
    if reason.contains("Protobuf parsing failed") || reason.contains("INVALID_PROTOBUF") {
        format!("it is not an ONNX file, or a damaged one ({reason})")
    } else {
        reason.to_owned()
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("spec", &self.spec).field("settings", &self.settings).finish_non_exhaustive()
    }
}
