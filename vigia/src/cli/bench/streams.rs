//! `vigia bench streams`: how many cameras this machine serves, and how fresh the results are.
//!
//! RTSP cameras on loopback play a clip whose frames have their numbers painted in; they run in a process of their own
//! and write down when they sent which frame. This process is the server that is measured: the same models, pipelines and
//! streams as `vigia serve`. When a result is published, its frame's number is read from the luma plane, and its latency is
//! the time since the camera handed that frame to RTSP: packets, TCP, decoding, waiting and inference.
//!
//! `clip` is what the cameras play, `number` what is painted, `cameras` their process; `serving` the side that is
//! measured, `posts` what is posted meanwhile; `meter` holds results against times, `case` runs one measurement, `stats`
//! and `report` say what came of it.

pub(super) mod cameras;
mod case;
pub(super) mod clip;
mod meter;
mod number;
mod posts;
mod progress;
mod report;
mod serving;
mod stats;
mod usage;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use vigia_core::geometry::Size;
use vigia_infer::tuning;

use super::material;
use super::{seconds, write_report};
use crate::app::{App, PredictOptions};
use crate::cli::detect::EngineArgs;
use crate::cli::output::Failure;
use crate::config::Config;
use crate::paths;
use crate::pipelines::{BringUpError, Loader};
use case::{Case, Plan};
use clip::Clip;
use posts::{PostFigures, Poster, Posting};
use progress::Progress;
use report::{Model, Report};
use serving::{Server, Serving};
use stats::Search;

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct StreamsArgs {
    /// A detector alone, by name or ONNX file, in place of a pipeline
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "pipeline")]
    model: Option<String>,
    /// A pipeline of the configuration
    #[arg(long, value_name = "NAME", default_value = "faces")]
    pipeline: String,
    /// What the cameras play: H.264 as an Annex B byte stream with access unit delimiters, numbers painted in [default: made
    /// of the sample pictures, once]
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    clip: Option<PathBuf>,
    /// Width and height of a clip that is made
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = size)]
    size: Size,
    /// How many cameras, one measurement each [default: 1,4,8,16, or none with --find]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1000))]
    streams: Vec<u64>,
    /// Frames per second of each camera
    #[arg(long, value_name = "FPS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,
    /// The latency objective of each stream: a frame whose result would come later is dropped as stale [default: as of a
    /// stream that is configured without one]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    latency: Option<Duration>,
    /// Search for the largest number of streams that is within --bound and --min-fps
    #[arg(long)]
    find: bool,
    /// With --find: what the 99th percentile of the latency may be
    #[arg(long, value_name = "TIME", default_value = "150ms", value_parser = humantime::parse_duration)]
    bound: Duration,
    /// With --find: results a second that each stream must get
    #[arg(long, value_name = "FPS", default_value_t = 0.0)]
    min_fps: f64,
    /// With --find: try no more streams than these
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1000))]
    most: u64,
    /// Length of each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, value_parser = seconds)]
    seconds: f64,
    /// How long all streams run before it
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0, value_parser = seconds)]
    warm: f64,
    /// Also post so many pictures a second to the same models
    #[arg(long, value_name = "RATE", value_parser = rate)]
    posts: Option<f64>,
    /// The numbers as JSON, to a file or - (in place of the table)
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
}

fn size(text: &str) -> Result<Size, String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some(Size::new(w.parse().ok()?, h.parse().ok()?)));
    let size = sides.ok_or("expected WIDTHxHEIGHT, as in 1280x720")?;
    let smallest = number::SMALLEST;
    let fits = size.width >= smallest.width && size.height >= smallest.height;
    let is_even = size.width.is_multiple_of(2) && size.height.is_multiple_of(2);
    if fits && is_even && size.width.max(size.height) <= 4096 {
        Ok(size)
    } else {
        Err(format!("must be even, from {smallest} to 4096x4096"))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.1..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be from 0.1 to 10000".to_owned()),
    }
}

pub(super) fn run(args: &StreamsArgs, config: Config) -> Result<ExitCode, Failure> {
    let failed = Failure::Failed;
    if args.model.is_none() && !config.pipelines.contains_key(&args.pipeline) {
        let known = config.pipelines.into_keys().collect();
        return Err(BringUpError::UnknownPipeline { name: args.pipeline.clone(), known }.into());
    }
    let progress = Progress::new();
    // Before the models, which take longer to load than a missing file should take to be named.
    let clip = match &args.clip {
        Some(path) => Clip::open(path, args.fps),
        None => Clip::make(&config, args.size, args.fps, |made, of| {
            progress.part("making the clip", made as f64 / of as f64);
        }),
    };
    let clip = clip.map_err(failed)?;
    progress.say("bringing the models up");
    let config = only(config, args);
    let mut loader = Loader::new(config, args.engine.overrides())?;
    let served = loader.serve(args.model.as_deref())?;
    let models = models(&served);
    let config = loader.config().clone();
    let server = Server::new(served, &config, loader.metrics().clone(), args.latency).map_err(failed)?;
    let poster = poster(server.app()).map_err(failed)?;
    // Once before anything is measured: what is made at first use is there then.
    poster.once().map_err(|e| failed(format!("a picture that is posted has no result: {e}")))?;

    let time = Duration::from_secs_f64(args.seconds);
    let posts_alone = args.posts.map(|rate| post_alone(&poster, rate, time, &progress)).transpose().map_err(failed)?;
    let plan = Plan {
        clip: &clip,
        warm: Duration::from_secs_f64(args.warm),
        time,
        posts: args.posts.map(|rate| (rate, poster)),
        base_mib: usage::resident_mib(),
    };
    let (cases, search) = cases(args, &plan, &server, &progress).map_err(failed)?;
    progress.finish();
    let report = Report {
        pipeline: args.model.as_ref().map_or_else(|| args.pipeline.clone(), |model| shown(model)),
        models,
        processor: usage::processor(),
        cores: tuning::cores(),
        onnxruntime: loader.runtime().version().to_owned(),
        gstreamer: vigia_media::cameras::version(),
        bound: args.bound,
        min_fps: args.min_fps,
        warm: plan.warm,
        base_mib: plan.base_mib,
        posts_alone,
        cases,
        search,
        clip,
    };
    write_report(args.json.as_deref(), &report.json(), &report.table())?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration without what is not measured.
fn only(mut config: Config, args: &StreamsArgs) -> Config {
    config.streams.clear();
    // Those that are ending count, too.
    config.limits.streams = 100_000;
    config.pipelines.retain(|name, _| args.model.is_none() && *name == args.pipeline);
    let of_pipelines = config.pipelines.values().flat_map(|pipeline| {
        std::iter::once(&pipeline.detect.model).chain(pipeline.stages.iter().map(|stage| &stage.model))
    });
    let models: Vec<String> = of_pipelines.chain(&args.model).cloned().collect();
    config.models.retain(|name, _| models.contains(name));
    config
}

/// A model as it is named in the report: a file without its folder.
fn shown(model: &str) -> String {
    Path::new(model).file_stem().map_or_else(|| model.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn models(served: &crate::app::Served) -> Vec<Model> {
    let model = |(name, model): (&String, &crate::app::ServedModel)| Model {
        name: name.clone(),
        device: model.device.clone(),
        instances: model.instances,
        threads: model.threads,
        batch: model.batcher.policy().max_batch,
    };
    served.models.iter().map(model).collect()
}

/// Posts one of the sample pictures, or a generated one.
fn poster(app: &Arc<App>) -> Result<Arc<Poster>, String> {
    let target = app.target(&PredictOptions::default()).map_err(|e| e.to_string())?;
    let sample = paths::samples().and_then(|folder| std::fs::read(folder.join("sample1.jpg")).ok());
    let picture = sample.map_or_else(material::generated_jpeg, Ok)?;
    Ok(Arc::new(Poster { app: app.clone(), target, picture: picture.into() }))
}

fn post_alone(poster: &Arc<Poster>, rate: f64, time: Duration, progress: &Progress) -> Result<PostFigures, String> {
    let mut posting = Posting::start(poster.clone(), rate)?;
    let mut tell = |what: &str, share| progress.part(&format!("posts alone: {what}"), share);
    case::pass(time / 5, "warming up", &mut tell);
    posting.begin();
    case::pass(time, "measuring", &mut tell);
    Ok(posting.end())
}

/// The measurements, by number of streams, and what was searched for.
fn cases(
    args: &StreamsArgs,
    plan: &Plan<'_>,
    serving: &dyn Serving,
    progress: &Progress,
) -> Result<(Vec<Case>, Option<Search>), String> {
    let mut asked: Vec<usize> = args.streams.iter().map(|&streams| streams as usize).collect();
    if asked.is_empty() && !args.find {
        asked = vec![1, 4, 8, 16];
    }
    // Upwards, so that memory which is kept does not count as that of fewer streams.
    asked.sort_unstable();
    asked.dedup();
    let mut cases: Vec<Case> = Vec::new();
    let measure = |streams: usize, cases: &[Case]| {
        let most = cases.iter().map(|case| case.streams).max().unwrap_or(0);
        let mut tell = |what: &str, share| progress.part(&format!("{streams} streams: {what}"), share);
        case::measure(plan, serving, streams, most, &mut tell)
    };
    for streams in asked {
        cases.push(measure(streams, &cases)?);
    }
    let mut search = args.find.then(|| Search::new(args.most as usize));
    if let Some(search) = &mut search {
        for case in &cases {
            search.tell(case.streams, case.is_good(args.bound, args.min_fps));
        }
        while let Some(streams) = search.next() {
            match measure(streams, &cases) {
                Ok(case) => {
                    search.tell(streams, case.is_good(args.bound, args.min_fps));
                    cases.push(case);
                }
                // So many streams that not all of them get going.
                Err(why) if !cases.is_empty() => {
                    tracing::warn!(streams, why, "not served");
                    search.tell(streams, false);
                }
                Err(why) => return Err(why),
            }
        }
    }
    cases.sort_by_key(|case| case.streams);
    Ok((cases, search))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_and_fit_a_number() {
        assert_eq!(size("1280x720"), Ok(Size::new(1280, 720)));
        for wrong in ["1280", "x", "1281x720", "320x240", "8000x720", "-640x480"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_model_is_named_without_its_folder() {
        assert_eq!(["a/b.onnx", "tiny-face"].map(shown), ["b", "tiny-face"]);
    }
}
