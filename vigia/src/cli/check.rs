//! `vigia check`: a configuration, its models included, without running anything.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::output::{self, Failure};
use crate::config::Config;
#[cfg(feature = "onnx")]
use crate::config::{PipelineConfig, StageConfig};
#[cfg(feature = "onnx")]
use crate::pipelines::{Loader, Overrides};

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[cfg(feature = "onnx")]
/// `tiny-face -> [face, from 24 px] face-landmarks-68`
fn drawing(pipeline: &PipelineConfig) -> String {
    let stage = |stage: &StageConfig| {
        let classes = if stage.classes.is_empty() { "all".to_owned() } else { stage.classes.join(", ") };
        format!("[{classes}, from {} px] {}", stage.min_size, stage.model)
    };
    let stages = pipeline.stages.iter().map(stage);
    [pipeline.detect.model.clone()].into_iter().chain(stages).collect::<Vec<_>>().join(" -> ")
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.file).map_err(|e| Failure::Failed(e.to_string()))?;
    check_models(&config)
}

/// Only the file itself: there is no engine to load models with.
#[cfg(not(feature = "onnx"))]
fn check_models(config: &Config) -> Result<ExitCode, Failure> {
    let (models, pipelines) = (config.models.len(), config.pipelines.len());
    output::print(&format!("ok      {models} models, {pipelines} pipelines; built without ONNX Runtime, not loaded"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "onnx")]
fn check_models(config: &Config) -> Result<ExitCode, Failure> {
    let mut loader = Loader::new(config.clone(), Overrides::default())?;
    let mut lines = Vec::new();
    let line = |what: String, outcome: Result<String, String>| match outcome {
        Ok(said) => format!("ok      {what}: {said}"),
        Err(error) => format!("failed  {what}: {error}"),
    };
    for name in config.models.keys() {
        let loaded = loader.resolve(name).and_then(|(short, model)| loader.load(&short, &model));
        let said = loaded.map(|m| {
            let fallback = m.fallback().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("{}, {}, on {}{fallback}", m.spec().family, m.spec().input.size, m.device())
        });
        lines.push(line(format!("model {name}"), said.map_err(|e| e.to_string())));
    }
    for (name, pipeline) in &config.pipelines {
        // Nobody has to have the models of what is only there because it is built in.
        let missing = loader.resolve(&pipeline.detect.model).is_err();
        if missing && *pipeline == PipelineConfig::faces() {
            lines.push(format!("absent  pipeline {name}: built in, its models are not there"));
            continue;
        }
        let outcome = loader.pipeline(name).map(|_running| drawing(pipeline)).map_err(|e| e.to_string());
        lines.push(line(format!("pipeline {name}"), outcome));
    }
    output::print(&lines.join("\n"))?;
    let failed = lines.iter().any(|line| line.starts_with("failed"));
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
