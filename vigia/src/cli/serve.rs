//! `vigia serve` and `vigia demo`: the server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use vigia_infer::tuning;

use super::detect::EngineArgs;
use super::output::{self, Failure};
use crate::app::{App, StreamSetup};
use crate::config::{Config, EventsConfig, StreamConfig};
use crate::events::Events;
use crate::paths;
use crate::pipelines::Loader;
use crate::server::{Bound, Ended, ServerError};
use crate::streams::OpenFeed;

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where to listen, as HOST:PORT; port 0 takes a free one [default: the configuration's, 127.0.0.1:8080]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Serve this model alone in front of the configuration's pipelines: what is posted goes to it
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    #[command(flatten)]
    engine: EngineArgs,
}

/// The arguments of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Where to listen [default: 127.0.0.1:8080, or a free port where that is taken]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// A folder of pictures to show, moving [default: the samples that set-up left]
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(super) fn run(args: &ServeArgs, config: Config, file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let bound = Bound::listen(args.listen.as_ref().unwrap_or(&config.server.listen))?;
    let data = Some(paths::data_folder(&config));
    serve(bound, config, args.model.as_deref(), args.engine, (data, file))
}

/// The stream of the demo.
const DEMO: &str = "demo";

pub(super) fn demo(args: &DemoArgs, mut config: Config) -> Result<ExitCode, Failure> {
    let source = match args.pictures.clone().or_else(paths::samples) {
        Some(folder) => format!("slides:{}", folder.display()),
        None => "test://?width=1280&height=720&fps=15".to_owned(),
    };
    config.streams.insert(DEMO.to_owned(), StreamConfig::at(source));
    let bound = match &args.listen {
        Some(address) => Bound::listen(address)?,
        None => match Bound::listen(&config.server.listen) {
            Err(error) if error.is_taken() => Bound::listen("127.0.0.1:0")?,
            bound => bound?,
        },
    };
    // What others have added elsewhere has no place in a demo, and nothing of a demo stays.
    serve(bound, config, None, EngineArgs::default(), (None, None))
}

/// Most bytes of events that are kept in memory.
const DEMO_EVENTS: u64 = 50_000_000;

/// `places` are the folder for what outlives the server, and the file that holds the configuration.
fn serve(
    bound: Bound,
    config: Config,
    first: Option<&str>,
    engine: EngineArgs,
    places: (Option<PathBuf>, Option<PathBuf>),
) -> Result<ExitCode, Failure> {
    let (data, config_file) = places;
    // Before the models: what is wrong with it is known at once.
    let events = match &data {
        Some(data) => Events::open(&config.events, data, config.server.grace),
        None => Events::in_memory(&EventsConfig { max_size: DEMO_EVENTS, ..config.events.clone() }),
    };
    let events = events.map_err(|error| Failure::Failed(error.to_string()))?;
    let mut loader = Loader::new(config, engine.overrides())?;
    let served = loader.serve(first)?;
    let config = loader.config();
    let store = data.as_deref().map(paths::streams_file);
    let setup = StreamSetup { feeds: feeds(config), store, config_file, events };
    let app = App::new(served, config, tuning::cores(), loader.metrics().clone(), setup).map_err(ServerError::from)?;
    app.start_streams();
    let address = bound.address();
    output::print(&format!("vigia {} listens on http://{address}", env!("CARGO_PKG_VERSION")))?;
    let ended = bound.run(Arc::new(app), config.server.grace);
    match ended {
        Ended::Finished => Ok(ExitCode::SUCCESS),
        Ended::Unfinished(requests) => {
            let grace = humantime::format_duration(config.server.grace);
            let time = format!("server.grace is {grace}, and a second Ctrl-C does not wait for it");
            Err(Failure::Failed(format!("{requests} requests were left without an answer ({time})")))
        }
    }
}

#[cfg(feature = "gstreamer")]
pub(super) fn feeds(config: &Config) -> Box<dyn OpenFeed> {
    Box::new(crate::sources::MediaFeeds { picture_limit: config.limits.body })
}

#[cfg(not(feature = "gstreamer"))]
pub(super) fn feeds(_config: &Config) -> Box<dyn OpenFeed> {
    Box::new(crate::streams::PushedOnly)
}
