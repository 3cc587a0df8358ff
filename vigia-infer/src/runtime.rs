//! Finding and loading ONNX Runtime's shared library.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use ort::environment::Environment;

/// The loaded library. Cloning shares it.
#[derive(Clone)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
    version: String,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// None of the places holds the library.
    #[error(
        "ONNX Runtime's library was not found (looked at {}): run scripts/setup.sh, or set ORT_DYLIB_PATH to a \
         libonnxruntime.so of version 1.24 or later (it is in the PyPI package onnxruntime)",
        looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Missing {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// A file is there and cannot be used.
    #[error("ONNX Runtime's library {} cannot be used: {reason}; vigia needs version 1.24 or later, scripts/setup.sh gets one", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Runtime {
    /// Loads the first library that is there among `candidates`.
    ///
    /// # Errors
    /// When none is there, or the first that is there is no ONNX Runtime or too old.
    pub fn load(candidates: &[PathBuf]) -> Result<Self, RuntimeError> {
        let Some(path) = candidates.iter().find(|p| p.is_file()) else {
            return Err(RuntimeError::Missing { looked: candidates.to_vec() });
        };
        // A relative path would be searched for beside the executable.
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        let unusable = |reason: String| RuntimeError::Unusable { path: path.clone(), reason };
        let builder = ort::init_from(&path).map_err(|e| unusable(e.to_string()))?;
        let environment =
            builder.with_name("vigia").with_telemetry(false).build().map_err(|e| unusable(e.to_string()))?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        Ok(Self { environment, version: library_version(&path), library: path })
    }

    /// The library's file.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The version that the library says it is, such as `1.31.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("library", &self.library)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The version that the library at `path` says it is, such as `1.31.1`; `unknown` where it does not say.
#[expect(unsafe_code, reason = "ort reads the version, but does not tell it")]
fn library_version(path: &Path) -> String {
    type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: the caller has just loaded and initialised this very file, so no initialiser runs here.
    let Ok(library) = (unsafe { libloading::Library::new(path) }) else { return UNKNOWN.to_owned() };
    // SAFETY: every ONNX Runtime exports the function with this signature; ort has called it already.
    let Ok(get) = (unsafe { library.get::<GetApiBase>(b"OrtGetApiBase") }) else { return UNKNOWN.to_owned() };
    // SAFETY: it takes nothing and may be called at any time.
    let base = unsafe { get() };
    // SAFETY: it is null or points to a structure that lives as long as the library; null is checked.
    let Some(base) = (unsafe { base.as_ref() }) else { return UNKNOWN.to_owned() };
    // SAFETY: as above; it takes nothing.
    let version = unsafe { (base.GetVersionString)() };
    if version.is_null() {
        return UNKNOWN.to_owned();
    }
    // SAFETY: it is not null, and a constant string of the library, which ends with a zero byte.
    unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned()
}

const UNKNOWN: &str = "unknown";
