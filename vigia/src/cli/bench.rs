//! `vigia bench`: what this machine can do with a model.
//!
//! Three numbers and their ratio: the engine alone over the ways to run it; what each step of one frame costs; the full
//! path from encoded input to result, as `detect` runs it. The limit is what all cores could do if nothing but the
//! engine, the decoder and 0.4 ms for the rest took time: cores / (cores / R + decode + 0.4 ms), R being the engine
//! alone at its best.
//!
//! `vigia bench streams` is another measurement, of cameras: see `streams`.

mod material;
mod report;
#[cfg(feature = "cameras")]
mod streams;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use vigia_core::backend::{Backend, Cost, Request};
use vigia_core::frame::Frame;
use vigia_core::source::Flow;
use vigia_engine::offline::{self, Event, OfflineOptions};
use vigia_engine::pipeline::Pipeline;
use vigia_engine::worker::StopFlag;
use vigia_infer::load::Model;
use vigia_infer::tuning::{self, Measured, Settings};

use super::detect::EngineArgs;
use super::output::{self, Failure};
use crate::config::Config;
use crate::pipelines::{Loader, Overrides};
use material::Material;
use report::{FullPath, Report, Steps};

/// The arguments.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct BenchArgs {
    /// A detector, by name or ONNX file
    #[arg(value_name = "NAME|FILE", required = true)]
    model: Option<String>,
    /// A picture or a video [default: a generated JPEG of 1280x720]
    #[arg(value_name = "INPUT")]
    input: Option<String>,
    /// Length of each measurement of the full path, and of half of it for each of the engine's
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// The numbers as JSON, to a file or - (in place of the table)
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    #[cfg(feature = "cameras")]
    #[command(subcommand)]
    of: Option<BenchOf>,
}

/// What else can be measured.
#[cfg(feature = "cameras")]
#[derive(Debug, clap::Subcommand)]
enum BenchOf {
    /// How many RTSP cameras this machine serves, and how long after a frame was sent its result is there
    Streams(Box<streams::StreamsArgs>),
    /// The cameras of `bench streams`, until standard input ends
    #[command(hide = true)]
    Cameras(streams::cameras::CamerasArgs),
    /// A clip for them
    #[command(hide = true)]
    Clip(streams::clip::ClipArgs),
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(s) if (0.1..=600.0).contains(&s) => Ok(s),
        _ => Err("must be from 0.1 to 600".to_owned()),
    }
}

pub(super) fn run(args: &BenchArgs, config: Config) -> Result<ExitCode, Failure> {
    #[cfg(feature = "cameras")]
    match &args.of {
        Some(BenchOf::Streams(args)) => return streams::run(args, config),
        Some(BenchOf::Cameras(args)) => return streams::cameras::play(args),
        Some(BenchOf::Clip(args)) => return streams::clip::make(args),
        None => {}
    }
    let failed = Failure::Failed;
    let overrides = args.engine.overrides();
    let loader = Loader::new(config.clone(), overrides)?;
    let name = args.model.as_deref().ok_or_else(|| Failure::Usage("which model?".to_owned()))?;
    let (short, model_config) = loader.resolve(name)?;
    let model = loader.load(&short, &model_config)?;
    if model.spec().family.is_second_stage() {
        return Err(failed(format!("{short} is a second stage: bench takes detectors")));
    }
    let material = Material::open(args.input.as_deref(), &config, model.spec()).map_err(failed)?;
    let time = Duration::from_secs_f64(args.seconds);

    let engine = engine_alone(&model, time / 2);
    let Some(best) = tuning::choose(model.spec(), model.device(), &engine) else {
        return Err(failed("the engine ran in no way that was tried".to_owned()));
    };
    let fastest = engine.iter().map(|m| m.images_per_second).fold(0.0, f64::max);
    model.remember(best).map_err(|e| failed(format!("the measurement cannot be written down: {e}")))?;
    let steps = steps(&model, &material, time).map_err(failed)?;
    // A fresh load takes what was just measured, unless the arguments say otherwise.
    let settings = Overrides {
        instances: overrides.instances.or(Some(best.settings.instances)),
        threads: overrides.threads.or(Some(best.settings.threads)),
        batch: overrides.batch.or(Some(best.settings.batch)),
        ..overrides
    };
    let mut loader = Loader::with_runtime(loader.runtime().clone(), config, settings);
    let pipeline = Arc::new(loader.detector(&short, &model_config)?);
    let full_path = full_path(&pipeline, &material, time).map_err(failed)?;

    let cores = tuning::cores();
    let report = Report {
        model: short,
        file: model.path().to_owned(),
        family: model.spec().family,
        input_size: model.spec().input.size,
        input: material.name().to_owned(),
        device: model.device(),
        library: loader.runtime().version().to_owned(),
        cores,
        engine,
        best,
        steps,
        full_path,
        limit: limit(cores, fastest, steps.decode),
    };
    write_report(args.json.as_deref(), &report.json(), &report.table())?;
    Ok(ExitCode::SUCCESS)
}

/// The numbers to where they are wanted.
fn write_report(to: Option<&Path>, json: &serde_json::Value, table: &str) -> Result<(), Failure> {
    match to {
        Some(path) if path.as_os_str() == "-" => output::print(&format!("{json:#}")),
        Some(path) => {
            std::fs::write(path, format!("{json:#}\n"))
                .map_err(|e| Failure::Failed(format!("{} cannot be written: {e}", path.display())))?;
            output::print(table)
        }
        None => output::print(table),
    }
}

/// The limit of DESIGN.md §6, in pictures per second.
fn limit(cores: usize, engine: f64, decode: Duration) -> f64 {
    const REST: f64 = 0.0004;
    let cores = cores as f64;
    cores / (cores / engine + decode.as_secs_f64() + REST)
}

/// The engine alone, over instances × threads × batch.
fn engine_alone(model: &Model, slice: Duration) -> Vec<Measured> {
    let cores = tuning::cores();
    let mut ways = tuning::candidates(model.spec(), model.device());
    for (instances, threads) in [(1, 1), (1, cores), (cores, 1)] {
        for batch in [1, 4, 8] {
            ways.push(Settings { instances, threads, batch });
        }
    }
    let batches = model.spec().min_batch..=model.spec().max_batch;
    ways.retain(|way| batches.contains(&way.batch));
    ways.sort_by_key(|way| (way.instances, way.threads, way.batch));
    ways.dedup();
    ways.into_iter()
        .filter_map(|settings| {
            let images_per_second = model.measure_engine(settings, slice)?;
            Some(Measured { settings, images_per_second })
        })
        .collect()
}

/// What each step costs on one thread, nothing else running.
fn steps(model: &Model, material: &Material, time: Duration) -> Result<Steps, String> {
    let decode = material.decode_cost(time)?;
    let mut backend = model.instance().map_err(|e| e.to_string())?;
    let frame = Arc::new(material.frame()?);
    let mut answers = Vec::new();
    run_once(backend.as_mut(), &frame, &mut answers)?;
    let (started, mut runs, mut sum) = (Instant::now(), 0u32, Cost::default());
    while started.elapsed() < time || runs == 0 {
        let cost = run_once(backend.as_mut(), &frame, &mut answers)?;
        sum.preprocess += cost.preprocess;
        sum.inference += cost.inference;
        sum.postprocess += cost.postprocess;
        runs += 1;
    }
    let mean = Cost {
        preprocess: sum.preprocess / runs,
        inference: sum.inference / runs,
        postprocess: sum.postprocess / runs,
    };
    Ok(Steps { decode, cost: mean })
}

fn run_once(
    backend: &mut dyn Backend,
    frame: &Arc<Frame>,
    answers: &mut Vec<vigia_core::backend::Answer>,
) -> Result<Cost, String> {
    let request = Request { frame: frame.clone(), roi: None, thresholds: backend.spec().thresholds };
    answers.clear();
    backend.run(&[request], answers).map_err(|e| e.to_string())?;
    let answer = answers.pop().ok_or("the model gave no answer")?;
    answer.output.map_err(|e| e.to_string())?;
    Ok(answer.cost)
}

/// From encoded input to result, with all the threads that `detect` uses.
fn full_path(pipeline: &Arc<Pipeline>, material: &Material, time: Duration) -> Result<FullPath, String> {
    let decoders = tuning::cores();
    let options = OfflineOptions {
        every: 1,
        thresholds: pipeline.detector().spec().thresholds,
        decoders,
        window: pipeline.window(decoders),
    };
    // The first fifth warms up: pools fill, clocks rise.
    let warm_up = time / 5;
    let begun = Instant::now();
    let (mut counting_since, mut results, mut latencies) = (None, 0u64, Vec::new());
    let (mut last, mut failure) = (begun, None);
    offline::run(pipeline, material.inputs(), options, &StopFlag::default(), |_name, event| {
        last = Instant::now();
        match event {
            Event::Result(result) if counting_since.is_some() => {
                results += 1;
                latencies.push(result.timing.total);
            }
            Event::Result(_) if begun.elapsed() >= warm_up => counting_since = Some(last),
            Event::Result(_) | Event::Skipped(_) | Event::Done => {}
            Event::Failed(error) => failure = Some(error),
        }
        let over = counting_since.is_some_and(|since| since.elapsed() >= time);
        if over || failure.is_some() { Flow::Stop } else { Flow::Continue }
    })
    .map_err(|e| e.to_string())?;
    if let Some(error) = failure {
        return Err(format!("{}: {error}", material.name()));
    }
    let counted = counting_since.map_or(Duration::ZERO, |since| last - since);
    if results == 0 {
        return Err(format!("{}: too short for this measurement, give it less --seconds", material.name()));
    }
    latencies.sort_unstable();
    let percentile = |p: usize| latencies[(latencies.len() - 1) * p / 100];
    Ok(FullPath {
        images_per_second: results as f64 / counted.as_secs_f64(),
        p50: percentile(50),
        p99: percentile(99),
        results,
    })
}
