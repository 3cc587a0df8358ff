//! `vigia.yaml` and the environment: where the server listens, limits, events, models, pipelines, streams.
//!
//! Every key has a default; unknown keys are errors with line and column. `vigia.example.yaml` documents all of them, and
//! a test holds it against [`Config::default`].

mod body;
mod environment;
mod events;
mod hints;
mod models;
mod schema;
mod server;
mod streams;
mod units;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use body::{NewStream, StreamBodyError, StreamPatch};
pub use events::{EventsConfig, SnapshotPlace};
pub(crate) use hints::hidden;
pub use models::{
    Auto, DetectConfig, DeviceName, EventsOfConfig, ModelConfig, PipelineConfig, StageConfig, TrackConfig, WhenName,
};
pub use server::{FetchConfig, Limits, ServerConfig};
pub use streams::{CacheConfig, CacheModeName, RetryConfig, StreamConfig, TransportName, check_stream_id};

/// The longest file that is taken for a configuration, in bytes.
const LONGEST: u64 = 4_000_000;

/// The configuration of vigia: every key has a default.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "vigia configuration")]
pub struct Config {
    /// Where the server listens and how it ends.
    pub server: ServerConfig,
    /// The folder for what vigia remembers: events, streams that were added, measurements of models. Null: looked for.
    pub data_dir: Option<PathBuf>,
    /// ONNX Runtime's library. Null: looked for.
    pub onnxruntime: Option<PathBuf>,
    /// The folder that relative model paths start from. Null: looked for.
    pub model_dir: Option<PathBuf>,
    /// What is refused for being too large, too many or too slow.
    pub limits: Limits,
    /// What the server may fetch for clients that send an address in place of a picture.
    pub fetch: FetchConfig,
    /// Where events and their pictures are kept, and for how long.
    pub events: EventsConfig,
    /// Models by name, besides those that lie in the model folder under their own name.
    pub models: BTreeMap<String, ModelConfig>,
    /// Pipelines by name; `faces` is built in.
    pub pipelines: BTreeMap<String, PipelineConfig>,
    /// Streams by id: 1 to 64 letters, digits, dots, hyphens and underscores.
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9_.-]{1,64}$" }))]
    pub streams: BTreeMap<String, StreamConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            data_dir: None,
            onnxruntime: None,
            model_dir: None,
            limits: Limits::default(),
            fetch: FetchConfig::default(),
            events: EventsConfig::default(),
            models: BTreeMap::from([("tiny-face".to_owned(), ModelConfig::at(PathBuf::from("tiny-face.onnx")))]),
            pipelines: BTreeMap::from([("faces".to_owned(), PipelineConfig::faces())]),
            streams: BTreeMap::new(),
        }
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
        source: io::Error,
    },
    /// It is not what a configuration looks like; the message has line and column where the text itself is wrong.
    #[error("configuration {}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A variable of the environment is wrong: the message names it.
    #[error("environment: {0}")]
    Environment(String),
}

/// What is wrong, by where it has to be set right.
#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Text(String),
    Environment(String),
}

impl Config {
    /// Reads a file, or takes the defaults where there is none, and then the variables of the environment.
    ///
    /// # Errors
    /// When the file cannot be read, or it or a variable is not valid.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let variables = environment::variables().map_err(ConfigError::Environment)?;
        let text = path.map(|path| read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source }));
        let text = text.transpose()?.unwrap_or_default();
        let name = path.map(|path| path.display().to_string());
        Self::merge(&text, name.as_deref(), &variables).map_err(|problem| match problem {
            Problem::Text(reason) => {
                ConfigError::Invalid { path: path.map(Path::to_owned).unwrap_or_default(), reason }
            }
            Problem::Environment(reason) => ConfigError::Environment(reason),
        })
    }

    /// Reads a configuration's text alone, without the environment.
    ///
    /// # Errors
    /// What is wrong, with line and column where the text itself is.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::merge(text, None, &[]).map_err(|problem| match problem {
            Problem::Text(reason) | Problem::Environment(reason) => reason,
        })
    }

    /// The text and what goes before it.
    fn merge(text: &str, name: Option<&str>, variables: &[environment::Variable]) -> Result<Self, Problem> {
        let from_text = Self::read_text(text, name).map_err(Problem::Text)?;
        let config = environment::apply(from_text.clone(), variables).map_err(Problem::Environment)?;
        config.finish().map_err(|reason| match from_text.finish() {
            Err(same) if same == reason => Problem::Text(reason),
            _ => Problem::Environment(format!("{reason} (set by {})", environment::names(variables, &reason))),
        })
    }

    /// What the text says, its values not yet held against each other.
    fn read_text(text: &str, name: Option<&str>) -> Result<Self, String> {
        // An empty file is a configuration that leaves everything as it is.
        let only_comments = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if only_comments {
            return Ok(Self::default());
        }
        yaml(text).map_err(|error| {
            // The lines around a mistake are shown, and may hold a camera's password: they are taken from a copy that
            // has none. Where that copy hides the mistake itself, there is only the place.
            match yaml::<Self>(&hints::without_secrets(text)) {
                Err(shown) if shown.location() == error.location() => hints::rendered(&shown, name),
                _ => error.location().map_or_else(
                    || "this is not a configuration".to_owned(),
                    |at| format!("line {} column {}: this cannot be read", at.line(), at.column()),
                ),
            }
        })
    }

    /// Adds what is built in and checks what the types do not.
    fn finish(mut self) -> Result<Self, String> {
        self.pipelines.entry("faces".to_owned()).or_insert_with(PipelineConfig::faces);
        self.fetch.normalise();
        self.validate()?;
        Ok(self)
    }

    fn validate(&self) -> Result<(), String> {
        self.server.validate().map_err(|e| format!("server.{e}"))?;
        self.limits.validate().map_err(|e| format!("limits.{e}"))?;
        self.fetch.validate().map_err(|e| format!("fetch.{e}"))?;
        self.events.validate().map_err(|e| format!("events.{e}"))?;
        for (name, model) in &self.models {
            model.validate().map_err(|e| format!("models.{name}: {e}"))?;
        }
        for (name, pipeline) in &self.pipelines {
            pipeline.validate().map_err(|e| format!("pipelines.{name}: {e}"))?;
        }
        for (id, stream) in &self.streams {
            check_stream_id(id).map_err(|e| format!("streams: {e}"))?;
            self.check_values(stream).map_err(|e| format!("streams.{id}: {e}"))?;
        }
        Ok(())
    }

    /// Whether this could be one of the streams: its id, its values, its pipeline.
    ///
    /// # Errors
    /// The key and what it must be; never the source itself.
    pub fn check_stream(&self, id: &str, stream: &StreamConfig) -> Result<(), String> {
        check_stream_id(id).map_err(|e| format!("id: {e}"))?;
        self.check_values(stream)
    }

    fn check_values(&self, stream: &StreamConfig) -> Result<(), String> {
        stream.validate()?;
        self.check_pipeline(&stream.pipeline)
    }

    /// The sections that are not the same in `new`, in the order of the file; `streams` left out.
    pub fn differs(&self, new: &Self) -> Vec<&'static str> {
        let Self { server, data_dir, onnxruntime, model_dir, limits, fetch, events, models, pipelines, streams: _ } =
            self;
        let sections = [
            ("server", *server == new.server),
            ("data_dir", *data_dir == new.data_dir),
            ("onnxruntime", *onnxruntime == new.onnxruntime),
            ("model_dir", *model_dir == new.model_dir),
            ("limits", *limits == new.limits),
            ("fetch", *fetch == new.fetch),
            ("events", *events == new.events),
            ("models", *models == new.models),
            ("pipelines", *pipelines == new.pipelines),
        ];
        sections.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
    }

    fn check_pipeline(&self, name: &str) -> Result<(), String> {
        if self.pipelines.contains_key(name) {
            return Ok(());
        }
        let known = || self.pipelines.keys().map(String::as_str);
        let hint = hints::did_you_mean(name, known());
        let all = known().collect::<Vec<_>>().join(", ");
        let name = hints::excerpt(name, 64);
        Err(format!("there is no pipeline {name:?}{hint} (pipelines: {all})"))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it has more than {LONGEST} bytes: that is no configuration")));
    }
    Ok(text)
}

/// One YAML document, within what a configuration can need.
fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 32, max_nodes: 100_000, max_anchors: 1000, max_aliases: 1000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000, max_replay_stack_depth: 16 },
    };
    serde_saphyr::from_str_with_options(text, options)
}

#[cfg(test)]
mod tests;
