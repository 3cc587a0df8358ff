//! Where ONNX Runtime's library, the models and vigia's own data are looked for.
//!
//! The order is the same for all: the environment, the configuration, `.vigia` in the working directory, `.vigia` above
//! the executable, the user's data directory.

use std::env;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// `.vigia` folders, in order.
fn homes() -> Vec<PathBuf> {
    let mut homes = vec![PathBuf::from(".vigia")];
    if let Ok(exe) = env::current_exe() {
        homes.extend(exe.ancestors().skip(1).map(|folder| folder.join(".vigia")));
    }
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")));
    homes.extend(data.map(|d| d.join("vigia")));
    homes
}

/// Files that may be ONNX Runtime's library, in order.
pub fn runtime_candidates(config: &Config) -> Vec<PathBuf> {
    // What is asked for by name is the only candidate: falling back to another version would hide the mistake.
    let named = env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()).map(PathBuf::from);
    if let Some(path) = named.or_else(|| config.onnxruntime.clone()) {
        return vec![path];
    }
    homes().into_iter().map(|home| home.join("lib").join("libonnxruntime.so")).collect()
}

/// The folder with the default models: the first that is there, else where one would be made.
pub fn model_folder(config: &Config) -> PathBuf {
    let named = env::var_os("VIGIA_MODELS").filter(|p| !p.is_empty()).map(PathBuf::from);
    if let Some(path) = named.or_else(|| config.model_dir.clone()) {
        return path;
    }
    let folders: Vec<PathBuf> = homes().into_iter().map(|home| home.join("models")).collect();
    folders.iter().find(|f| f.is_dir()).cloned().unwrap_or_else(|| PathBuf::from(".vigia").join("models"))
}

/// The pictures that set-up left for the demo: the first folder that is there.
pub fn samples() -> Option<PathBuf> {
    homes().into_iter().map(|home| home.join("samples")).find(|folder| folder.is_dir())
}

/// Where measurements of models on this machine are remembered.
pub fn tuning_file(config: &Config) -> PathBuf {
    data_folder(config).join("tuning.json")
}

/// Where streams are remembered that were added over the API; `data` is the data folder.
pub fn streams_file(data: &Path) -> PathBuf {
    data.join("streams.json")
}

/// The folder for what vigia remembers: the configured one, else `data` in the first home that is there, else in the user's.
pub fn data_folder(config: &Config) -> PathBuf {
    let homes = homes();
    let home = || homes.iter().find(|home| home.is_dir()).or(homes.last()).cloned().unwrap_or_default();
    config.data_dir.clone().unwrap_or_else(|| home().join("data"))
}
