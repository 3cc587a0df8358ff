//! `vigia health`: is a server ready? For health checks of containers, which have no other program to ask with.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::output::{self, Failure};

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Where it listens
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    address: String,
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn run(args: &HealthArgs) -> Result<ExitCode, Failure> {
    // Not through a proxy that the environment names: the server is here.
    let agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().new_agent();
    let failed = |why: String| Failure::Failed(format!("{}: not ready: {why}", args.address));
    agent.get(format!("http://{}/readyz", args.address)).call().map_err(|error| failed(error.to_string()))?;
    output::print("ready")?;
    Ok(ExitCode::SUCCESS)
}
