//! `vigia bench`
use std::process::ExitCode;
use clap::Args;
use super::output::Failure;
use crate::config::Config;
#[derive(Debug, Args)]
pub(super) struct BenchArgs {}
pub(super) fn run(_args: &BenchArgs, _config: Config) -> Result<ExitCode, Failure> { Ok(ExitCode::SUCCESS) }
