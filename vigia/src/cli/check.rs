//! `vigia check`: a configuration, its models included, without running anything or connecting to anything.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
#[cfg(feature = "gstreamer")]
use vigia_core::id::{StreamId, StreamRef};
#[cfg(feature = "gstreamer")]
use vigia_media::{IngestOptions, MediaSource};

use super::output::{self, Failure};
use crate::config::{Config, StreamConfig};
#[cfg(feature = "onnx")]
use crate::config::{PipelineConfig, StageConfig, TrackConfig};
#[cfg(feature = "onnx")]
use crate::pipelines::{Loader, Overrides};
use crate::streams::PUSH;

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Print the JSON Schema of a configuration
    #[arg(long, conflicts_with = "file")]
    schema: bool,
}

#[cfg(feature = "onnx")]
/// A pipeline as a drawing, a line for each step:
///
/// ```text
/// tiny-face
///           ├─ track    confirmed after 2 detections, kept 2s without one
///           ├─ stage    face-landmarks-68: face, from 24 px, margin 0, when better or 1s old
///           └─ events   face
/// ```
fn drawing(pipeline: &PipelineConfig) -> String {
    let named = |classes: &[String]| if classes.is_empty() { "all classes".to_owned() } else { classes.join(", ") };
    let track = pipeline.track.iter().map(|track| {
        let TrackConfig { confirm, lost, .. } = track;
        format!("track    confirmed after {confirm} detections, kept {} without one", humantime::format_duration(*lost))
    });
    let stages = pipeline.stages.iter().map(|stage| {
        let StageConfig { model, classes, min_size, margin, when, refresh, align } = stage;
        let refresh = refresh.map(|age| format!(" or {} old", humantime::format_duration(age))).unwrap_or_default();
        let align = if *align { ", upright" } else { "" };
        // Without a tracker, streams have nobody who would read what comes later.
        let posted = if pipeline.track.is_none() { ", posted pictures only: track is absent" } else { "" };
        format!(
            "stage    {model}: {}, from {min_size} px, margin {margin}, when {}{refresh}{align}{posted}",
            named(classes),
            when.as_str()
        )
    });
    let events = pipeline.events.iter().map(|events| format!("events   {}", named(&events.classes)));
    let steps: Vec<String> = track.chain(stages).chain(events).collect();
    let mut lines = vec![pipeline.detect.model.clone()];
    for (index, step) in steps.iter().enumerate() {
        let corner = if index + 1 == steps.len() { '└' } else { '├' };
        lines.push(format!("          {corner}─ {step}"));
    }
    lines.join("\n")
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let Some(file) = args.file.as_deref().filter(|_| !args.schema) else {
        output::print(&format!("{:#}", Config::schema()))?;
        return Ok(ExitCode::SUCCESS);
    };
    let config = Config::load(Some(file)).map_err(|e| Failure::Failed(e.to_string()))?;
    let mut lines = check_models(&config)?;
    lines.extend(config.streams.iter().map(|(id, stream)| check_stream(id, stream)));
    output::print(&lines.join("\n"))?;
    let failed = lines.iter().any(|line| line.starts_with("failed"));
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Whether the source's address can be understood, and what goes where.
fn check_stream(id: &str, stream: &StreamConfig) -> String {
    match understood(id, &stream.source) {
        Ok(shown) => format!("ok      stream {id}: {shown} -> {}", stream.pipeline),
        Err(why) => format!("failed  stream {id}: {why}"),
    }
}

/// The address as it may be shown; a file has to be there, nothing else is opened. Where a stream listens, the
/// configuration has looked at the address already.
#[cfg(feature = "gstreamer")]
fn understood(id: &str, source: &str) -> Result<String, String> {
    if source == PUSH || vigia_media::is_listening(source) {
        return Ok(source.to_owned());
    }
    let stream = StreamRef { id: StreamId::new(id), generation: 0 };
    match MediaSource::open(source, stream, IngestOptions::default()) {
        Ok(_not_started) => Ok(vigia_media::redact(source)),
        Err(why) => Err(why.to_string()),
    }
}

/// Nothing here could open anything else, and nothing here could show it without its password.
#[cfg(not(feature = "gstreamer"))]
fn understood(_id: &str, source: &str) -> Result<String, String> {
    if source == PUSH {
        return Ok(source.to_owned());
    }
    Err("this vigia was built without GStreamer and opens no streams".to_owned())
}

/// Only the file itself: there is no engine to load models with.
#[cfg(not(feature = "onnx"))]
#[expect(clippy::unnecessary_wraps, reason = "the one that loads models can fail")]
fn check_models(config: &Config) -> Result<Vec<String>, Failure> {
    let (models, pipelines) = (config.models.len(), config.pipelines.len());
    Ok(vec![format!("ok      {models} models, {pipelines} pipelines; built without ONNX Runtime, not loaded")])
}

#[cfg(feature = "onnx")]
fn check_models(config: &Config) -> Result<Vec<String>, Failure> {
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
    Ok(lines)
}

#[cfg(all(test, feature = "gstreamer"))]
mod tests {
    use super::*;

    #[test]
    fn streams_are_shown_without_credentials() {
        let check = |source: &str| check_stream("door", &StreamConfig::at(source));
        assert_eq!(
            check("rtsp://user:hunter2@camera/h264"),
            "ok      stream door: rtsp://user:***@camera/h264 -> faces"
        );
        assert_eq!(check("test://"), "ok      stream door: test:// -> faces");
        assert_eq!(check("push"), "ok      stream door: push -> faces");
        assert_eq!(check("tcp-listen://127.0.0.1:9000"), "ok      stream door: tcp-listen://127.0.0.1:9000 -> faces");
        for wrong in
            ["gopher://user:hunter2@camera/", "rtsp://user:hunter2@:99999/", "no-such-file.mp4", "test://?frames=x"]
        {
            let said = check(wrong);
            assert!(said.starts_with("failed  stream door: ") && !said.contains("hunter2"), "{said}");
        }
    }
}
