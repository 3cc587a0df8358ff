//! What a user types.

#[cfg(feature = "onnx")]
mod bench;
mod check;
#[cfg(feature = "onnx")]
mod detect;
#[cfg(feature = "onnx")]
mod models;
mod output;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(feature = "onnx")]
use crate::config::Config;
use output::Failure;

/// Real-time video inference: pictures and video in, what a model sees in them out.
#[derive(Debug, Parser)]
#[command(name = "vigia", version, arg_required_else_help = true)]
struct Cli {
    /// Configuration file (vigia.example.yaml documents every key)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say more: -v what is loaded and measured, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Detect objects in pictures, videos, folders and stream addresses
    #[cfg(feature = "onnx")]
    Detect(detect::DetectArgs),
    /// Measure what this machine can do with a model, and remember the best settings
    #[cfg(feature = "onnx")]
    Bench(bench::BenchArgs),
    /// The model folder: list, import, inspect
    #[cfg(feature = "onnx")]
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Check a configuration file, its models included
    Check(check::CheckArgs),
}

/// Parses the arguments and runs the command. Exit status: 0 done, 1 something failed, 2 usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.verbose);
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            output::error(failure.message());
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    #[cfg(feature = "onnx")]
    let config = match &cli.config {
        Some(path) => Config::load(path).map_err(|e| Failure::Usage(e.to_string()))?,
        None => Config::default(),
    };
    match cli.command {
        #[cfg(feature = "onnx")]
        Command::Detect(args) => detect::run(&args, config),
        #[cfg(feature = "onnx")]
        Command::Bench(args) => bench::run(&args, config),
        #[cfg(feature = "onnx")]
        Command::Models(command) => models::run(&command, config),
        Command::Check(args) => check::run(&args),
    }
}

/// Warnings go to standard error; `RUST_LOG` says more exactly what else does.
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new(format!("{level},ort=error")));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
}
