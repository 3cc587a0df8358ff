//! `vigia detect`: pictures, videos, folders and stream addresses to JSON lines and annotated copies.

mod progress;
mod session;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use vigia_core::detection::Thresholds;
use vigia_engine::offline::{self, OfflineOptions};
use vigia_engine::pipeline::Pipeline;
use vigia_infer::tuning;
use vigia_vision::picture::{Cover, PictureDecoder};

use super::output::Failure;
use crate::config::{Config, DeviceName};
use crate::inputs::{self, Opener};
use crate::pipelines::{Loader, Overrides};
use session::Session;

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct DetectArgs {
    /// Pictures, videos, folders, or addresses: rtsp(s)://, http(s)://, slides:FOLDER, test://
    #[arg(required = true, value_name = "INPUT")]
    pub(super) inputs: Vec<OsString>,
    /// A model alone, by name or ONNX file, in place of a pipeline
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "pipeline")]
    model: Option<String>,
    /// A pipeline of the configuration
    #[arg(long, value_name = "NAME", default_value = "faces")]
    pipeline: String,
    /// Leave out what the model is less sure of, 0 to 1 [default: the model's own]
    #[arg(long, value_name = "C", value_parser = share)]
    conf: Option<f32>,
    /// Of boxes that overlap by more, keep the best, 0 to 1 [default: the model's own]
    #[arg(long, value_name = "I", value_parser = share)]
    iou: Option<f32>,
    /// One JSON line per picture or frame, to a file or - [default: -, unless --save is given]
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
    /// Annotated copies into this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// Of a video, look at each N-th frame
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    #[command(flatten)]
    engine: EngineArgs,
    /// What carries an RTSP stream
    #[cfg(feature = "gstreamer")]
    #[arg(long, value_enum, default_value_t = RtspTransport::Tcp)]
    rtsp_transport: RtspTransport,
}

/// How models run; absent: the configuration's way, else measured.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct EngineArgs {
    /// Where the models run
    #[arg(long, value_enum)]
    device: Option<DeviceName>,
    /// Sessions of each model side by side
    #[arg(long, value_name = "N", value_parser = count)]
    instances: Option<usize>,
    /// Threads within each session
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,
    /// Largest batch
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
}

/// What carries an RTSP stream.
#[cfg(feature = "gstreamer")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RtspTransport {
    Tcp,
    Udp,
    Auto,
}

impl EngineArgs {
    pub(super) fn overrides(self) -> Overrides {
        let Self { device, instances, threads, batch } = self;
        Overrides { device, instances, threads, batch }
    }
}

fn share(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_parse| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("must be from 0 to 1".to_owned()) }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("must be a number from 1 to 1024".to_owned()),
    }
}

pub(super) fn run(args: &DetectArgs, config: Config) -> Result<ExitCode, Failure> {
    let mut loader = Loader::new(config, args.engine.overrides())?;
    let pipeline = Arc::new(match &args.model {
        Some(name) => {
            let (short, model) = loader.resolve(name)?;
            loader.detector(&short, &model)?
        }
        None => loader.pipeline(&args.pipeline)?,
    });
    let named = inputs::find(&args.inputs);
    let session = Session::start(args, &pipeline, &named)?;
    let tuner = loader.tune_in_background();
    let opener = opener(args, loader.config(), &pipeline, &session);
    let options = options(args, &pipeline);
    let opened = named.into_iter().map(move |input| opener.open(input));
    let mut session = session;
    let interrupted = session.interrupted();
    offline::run(&pipeline, opened, options, &interrupted, |name, event| session.event(name, event))
        .map_err(|e| Failure::Failed(format!("no thread to read on: {e}")))?;
    drop(tuner);
    session.finish()
}

fn opener(args: &DetectArgs, config: &Config, pipeline: &Pipeline, session: &Session) -> Opener {
    let limits = config.limits.pictures();
    // Crops and drawings want all the pixels there are; a detector alone no more than it looks at.
    let cover = Cover::of(&pipeline.detector().spec().input);
    let whole = pipeline.cuts_out() || args.save.is_some();
    #[cfg(feature = "gstreamer")]
    let videos = session.videos();
    #[cfg(not(feature = "gstreamer"))]
    let _ = session;
    Opener {
        decoder: Arc::new(PictureDecoder::new(limits)),
        cover: (!whole).then_some(cover),
        max_bytes: limits.bytes,
        #[cfg(feature = "gstreamer")]
        ingest: vigia_media::IngestOptions {
            transport: match args.rtsp_transport {
                RtspTransport::Tcp => vigia_media::Transport::Tcp,
                RtspTransport::Udp => vigia_media::Transport::Udp,
                RtspTransport::Auto => vigia_media::Transport::Auto,
            },
            ..vigia_media::IngestOptions::default()
        },
        #[cfg(feature = "gstreamer")]
        on_video: Arc::new(move |name, info| videos.add(name, info)),
    }
}

fn options(args: &DetectArgs, pipeline: &Pipeline) -> OfflineOptions {
    let authors = pipeline.detector().spec().thresholds;
    let thresholds =
        Thresholds { confidence: args.conf.unwrap_or(authors.confidence), iou: args.iou.unwrap_or(authors.iou) };
    let decoders = tuning::cores();
    let window = pipeline.window(decoders);
    OfflineOptions { every: args.every, thresholds, decoders, window }
}
