//! `vigia serve` and `vigia demo`: the server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use vigia_infer::tuning;

use super::detect::EngineArgs;
use super::output::{self, Failure};
use crate::app::App;
use crate::config::{Config, StreamConfig};
use crate::paths;
use crate::pipelines::Loader;
use crate::server::{Bound, Ended, ServerError};

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

pub(super) fn run(args: &ServeArgs, config: Config) -> Result<ExitCode, Failure> {
    let bound = Bound::listen(args.listen.as_ref().unwrap_or(&config.server.listen))?;
    serve(bound, config, args.model.as_deref(), args.engine)
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
    serve(bound, config, None, EngineArgs::default())
}

fn serve(bound: Bound, config: Config, first: Option<&str>, engine: EngineArgs) -> Result<ExitCode, Failure> {
    let mut loader = Loader::new(config, engine.overrides())?;
    let mut served = loader.serve(first)?;
    let config = loader.config();
    served.streams = start_streams(config, &served, &loader)?;
    let app = App::new(served, config, tuning::cores(), loader.metrics().clone()).map_err(ServerError::from)?;
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
fn start_streams(
    config: &Config,
    served: &crate::app::Served,
    loader: &Loader,
) -> Result<std::collections::BTreeMap<String, Arc<crate::live::LiveStream>>, Failure> {
    Ok(crate::sources::start(config, served, loader.metrics()).map_err(ServerError::from)?)
}

#[cfg(not(feature = "gstreamer"))]
fn start_streams(
    config: &Config,
    _served: &crate::app::Served,
    _loader: &Loader,
) -> Result<std::collections::BTreeMap<String, Arc<crate::live::LiveStream>>, Failure> {
    if config.streams.is_empty() {
        return Ok(std::collections::BTreeMap::new());
    }
    Err(Failure::Failed(
        "this vigia was built without GStreamer and has no streams: take them out of streams".to_owned(),
    ))
}
