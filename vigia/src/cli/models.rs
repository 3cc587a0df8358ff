//! `vigia models`: the model folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};
use vigia_core::model::{Align, Channels, Fit, Scaling};
use vigia_infer::import::{ImportedModel, import_face_api};
use vigia_infer::load::Model;
use vigia_infer::session::TensorInfo;

use super::output::{self, Failure};
use crate::config::{Config, ModelConfig};
use crate::paths;
use crate::pipelines::{Loader, Overrides};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum ModelsCommand {
    /// Models of the configuration and the model folder
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Convert the networks of the npm package @vladmandic/face-api
    Import {
        /// The package's folder, or the folder with its weights
        #[arg(value_name = "DIR")]
        package: PathBuf,
        /// Where the ONNX files go [default: the model folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// What vigia sees in a model file
    Inspect {
        /// A name, or an ONNX file
        #[arg(value_name = "NAME|FILE")]
        model: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: &ModelsCommand, config: Config) -> Result<ExitCode, Failure> {
    match command {
        ModelsCommand::List { json } => list(config, *json),
        ModelsCommand::Import { package, out } => {
            let out = out.clone().unwrap_or_else(|| paths::model_folder(&config));
            import(package, &out)
        }
        ModelsCommand::Inspect { model, json } => inspect(config, model, *json),
    }
}

fn import(package: &Path, out: &Path) -> Result<ExitCode, Failure> {
    let inner = package.join("model");
    let weights = if inner.is_dir() { inner } else { package.to_owned() };
    let imported = import_face_api(&weights, out).map_err(|e| Failure::Failed(e.to_string()))?;
    let line = |model: &ImportedModel| format!("{}  {} kB", model.path.display(), model.bytes.div_ceil(1000));
    output::print(&imported.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn list(config: Config, as_json: bool) -> Result<ExitCode, Failure> {
    let loader = Loader::new(config, Overrides::default())?;
    let names = loader.known_models();
    let mut failed = false;
    let mut rows = Vec::new();
    for name in &names {
        let loaded = loader.resolve(name).and_then(|(short, model)| loader.load(&short, &model));
        let row = loaded.map_err(|error| error.to_string());
        // A file in the folder that nobody asked for is no failure.
        failed |= row.is_err() && loader.config().models.contains_key(name);
        rows.push((name, row));
    }
    let text = if as_json {
        let list: Vec<Value> = rows.iter().map(|(name, row)| list_entry(name, row)).collect();
        json!({ "models": list }).to_string()
    } else if rows.is_empty() {
        format!("no models in {}: run scripts/setup.sh", loader.folder().display())
    } else {
        rows.iter().map(|(name, row)| list_line(name, row)).collect::<Vec<_>>().join("\n")
    };
    output::print(&text)?;
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn list_line(name: &str, row: &Result<Model, String>) -> String {
    match row {
        Ok(model) => {
            let spec = model.spec();
            let (family, size, settings) = (spec.family, spec.input.size, model.settings());
            let (classes, device) = (spec.labels.len(), model.device());
            format!("{name:<20} {family:<18} {size:>9}  {classes:>3} classes  {device}: {settings}")
        }
        Err(error) => format!("{name:<20} not usable: {}", error.split(';').next().unwrap_or(error)),
    }
}

fn list_entry(name: &str, row: &Result<Model, String>) -> Value {
    match row {
        Ok(model) => {
            let spec = model.spec();
            json!({"name": name, "path": model.path(), "family": spec.family.as_str(),
                "input": [spec.input.size.width, spec.input.size.height], "classes": spec.labels.len(),
                "device": model.device().as_str(), "settings": model.settings()})
        }
        Err(error) => json!({"name": name, "error": error}),
    }
}

fn inspect(config: Config, name: &str, as_json: bool) -> Result<ExitCode, Failure> {
    let loader = Loader::new(config, Overrides::default())?;
    let (short, wanted): (String, ModelConfig) = loader.resolve(name)?;
    let model = loader.load(&short, &wanted)?;
    output::print(&if as_json { format!("{:#}", inspection(&model)) } else { inspection_text(&model) })?;
    Ok(ExitCode::SUCCESS)
}

fn inspection(model: &Model) -> Value {
    let tensors = |list: &[TensorInfo]| -> Vec<Value> {
        list.iter().map(|t| json!({"name": t.name, "type": t.element, "shape": t.dims})).collect()
    };
    let (spec, graph) = (model.spec(), model.graph());
    json!({
        "path": model.path(), "manifest": model.manifest(), "family": spec.family.as_str(),
        "gives": spec.family.gives(),
        "input": {"width": spec.input.size.width, "height": spec.input.size.height,
            "channels": channels(spec.input.channels), "mean": spec.input.mean, "scale": spec.input.scale,
            "fit": fit(spec.input.fit), "scaling": scaling(spec.input.scaling)},
        "labels": spec.labels.as_ref(), "confidence": spec.thresholds.confidence, "iou": spec.thresholds.iou,
        "max_batch": spec.max_batch, "device": model.device().as_str(), "settings": model.settings(),
        "graph": {"inputs": tensors(&graph.inputs), "outputs": tensors(&graph.outputs),
            "producer": graph.producer, "metadata": graph.metadata},
    })
}

fn inspection_text(model: &Model) -> String {
    let (spec, graph) = (model.spec(), model.graph());
    let input = &spec.input;
    let mut lines = Vec::new();
    let mut row = |key: &str, value: String| lines.push(format!("{key:<11} {value}"));
    row("file", model.path().display().to_string());
    row("manifest", model.manifest().map_or_else(|| "none".to_owned(), |m| m.display().to_string()));
    row("family", spec.family.to_string());
    row("gives", spec.family.gives().to_owned());
    row(
        "input",
        format!("{}, {}, {}, {}", input.size, channels(input.channels), fit(input.fit), scaling(input.scaling)),
    );
    row("normalised", format!("(pixel - {:?}) x {:?}", input.mean, input.scale));
    let few: Vec<&str> = spec.labels.iter().take(7).map(String::as_str).collect();
    let dots = if spec.labels.len() > few.len() { ", ..." } else { "" };
    if !few.is_empty() {
        row("classes", format!("{}: {}{dots}", spec.labels.len(), few.join(", ")));
    }
    if !spec.family.is_second_stage() {
        row("thresholds", format!("confidence {}, IoU {}", spec.thresholds.confidence, spec.thresholds.iou));
    }
    row("batch", format!("up to {}", spec.max_batch));
    row("runs on", format!("{}, {} ({:?})", model.device(), model.settings(), model.origin()));
    for tensor in &graph.inputs {
        row("graph in", format!("{} {} {}", tensor.name, tensor.element, tensor.shape()));
    }
    for tensor in &graph.outputs {
        row("graph out", format!("{} {} {}", tensor.name, tensor.element, tensor.shape()));
    }
    for (key, value) in &graph.metadata {
        let short: String = value.chars().take(80).collect();
        row("metadata", format!("{key} = {short}{}", if short.len() < value.len() { "..." } else { "" }));
    }
    lines.join("\n")
}

fn channels(channels: Channels) -> &'static str {
    match channels {
        Channels::Rgb => "rgb",
        Channels::Bgr => "bgr",
    }
}

fn fit(fit: Fit) -> String {
    match fit {
        Fit::Stretch => "stretch".to_owned(),
        Fit::Letterbox { align, pad, enlarge } => {
            let align = if align == Align::TopLeft { "letterbox-top-left" } else { "letterbox" };
            format!("{align} (pad {pad}{})", if enlarge { "" } else { ", never enlarged" })
        }
    }
}

fn scaling(scaling: Scaling) -> &'static str {
    match scaling {
        Scaling::Bilinear => "bilinear",
        Scaling::BilinearCorner => "bilinear-corner",
        Scaling::Area => "area",
    }
}
