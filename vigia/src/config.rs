//! `vigia.yaml`: models, pipelines and limits.
//!
//! Every key has a default; unknown keys are errors with line and column. `vigia.example.yaml` documents all of them, and
//! a test holds it against [`Config::default`].

mod models;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vigia_vision::picture::PictureLimits;

pub use models::{Auto, DetectConfig, DeviceName, ModelConfig, PipelineConfig, StageConfig};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What vigia remembers: measurements of models. Looked for where absent.
    pub data_dir: Option<PathBuf>,
    /// ONNX Runtime's library; looked for where absent.
    pub onnxruntime: Option<PathBuf>,
    /// The folder that relative model paths start from; looked for where absent.
    pub model_dir: Option<PathBuf>,
    /// What is refused for being too large.
    pub limits: Limits,
    /// Models by name, besides those that lie in the model folder under their own name.
    pub models: BTreeMap<String, ModelConfig>,
    /// Pipelines by name; `faces` is built in.
    pub pipelines: BTreeMap<String, PipelineConfig>,
}

/// What is refused for being too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of one encoded picture.
    #[serde(deserialize_with = "units::bytes")]
    pub body: u64,
    /// Pixels of one picture, read from its header.
    #[serde(deserialize_with = "units::count")]
    pub pixels: u64,
    /// Requests that may wait for one model.
    #[serde(deserialize_with = "units::count_usize")]
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 20_000_000, pixels: 50_000_000, queue: 256 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: None,
            onnxruntime: None,
            model_dir: None,
            limits: Limits::default(),
            models: BTreeMap::from([("tiny-face".to_owned(), ModelConfig::at(PathBuf::from("tiny-face.onnx")))]),
            pipelines: BTreeMap::from([("faces".to_owned(), PipelineConfig::faces())]),
        }
    }
}

impl Limits {
    /// Those of them that a picture decoder holds.
    pub fn pictures(&self) -> PictureLimits {
        PictureLimits { bytes: self.body, pixels: self.pixels }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not what a configuration looks like; the message has line and column.
    #[error("configuration {}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is not valid.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| ConfigError::Invalid { path: path.to_owned(), reason })
    }

    /// Reads a configuration's text.
    ///
    /// # Errors
    /// What is wrong, with line and column where the text itself is.
    pub fn parse(text: &str) -> Result<Self, String> {
        // An empty file is a configuration that leaves everything as it is.
        let only_comments = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if only_comments {
            return Ok(Self::default());
        }
        let mut config: Self = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        config.pipelines.entry("faces".to_owned()).or_insert_with(PipelineConfig::faces);
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), String> {
        if !(4..=100_000).contains(&self.limits.queue) {
            return Err(format!("limits.queue must be from 4 to 100000, not {}", self.limits.queue));
        }
        for (name, model) in &self.models {
            model.validate().map_err(|e| format!("models.{name}: {e}"))?;
        }
        for (name, pipeline) in &self.pipelines {
            pipeline.validate().map_err(|e| format!("pipelines.{name}: {e}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
