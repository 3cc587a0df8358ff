//! What a user types.

#[cfg(feature = "onnx")]
mod bench;
mod check;
#[cfg(feature = "onnx")]
mod detect;
mod health;
#[cfg(feature = "onnx")]
mod models;
mod output;
#[cfg(feature = "onnx")]
mod serve;

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
    /// Serve models and streams over HTTP
    #[cfg(feature = "onnx")]
    Serve(serve::ServeArgs),
    /// Serve a built-in moving stream, with a page to open in a browser
    #[cfg(feature = "onnx")]
    Demo(serve::DemoArgs),
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
    /// Ask a running server whether it is ready: status 0 when it is
    Health(health::HealthArgs),
    /// Check a configuration file, its models included
    Check(check::CheckArgs),
}

impl Command {
    /// True for what runs until it is stopped: its log says what happens, not only what goes wrong.
    fn is_server(&self) -> bool {
        match self {
            #[cfg(feature = "onnx")]
            Self::Serve(_) | Self::Demo(_) => true,
            _ => false,
        }
    }
}

/// Parses the arguments and runs the command. Exit status: 0 done, 1 something failed, 2 usage.
pub fn main() -> ExitCode {
    // First of all, while this is the only thread.
    #[cfg(feature = "gstreamer")]
    vigia_media::share_memory_among_threads();
    #[cfg(feature = "onnx")]
    let refused = vigia_infer::telemetry::refuse();
    let cli = Cli::parse();
    start_logging(cli.verbose + u8::from(cli.command.is_server()));
    #[cfg(feature = "onnx")]
    if !refused {
        tracing::warn!("ONNX Runtime's usage data could not be turned off: set ORT_DISABLE_TELEMETRY=1");
    }
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
    let config = || Config::load(cli.config.as_deref()).map_err(|e| Failure::Usage(e.to_string()));
    match cli.command {
        #[cfg(feature = "onnx")]
        Command::Serve(args) => serve::run(&args, config()?, cli.config.clone()),
        #[cfg(feature = "onnx")]
        Command::Demo(args) => serve::demo(&args, config()?),
        #[cfg(feature = "onnx")]
        Command::Detect(args) => detect::run(&args, config()?),
        #[cfg(feature = "onnx")]
        Command::Bench(args) => bench::run(&args, config()?),
        #[cfg(feature = "onnx")]
        Command::Models(command) => models::run(&command, config()?),
        Command::Health(args) => health::run(&args),
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
