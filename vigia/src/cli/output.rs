//! What goes to the terminal, and why a command ends.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is where the program speaks to its user")]

use std::process::ExitCode;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was typed or configured is wrong: status 2.
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "only commands that run models are given names"))]
    Usage(String),
    /// What was to be done failed: status 1.
    Failed(String),
}

impl Failure {
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Failed(message) => message,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

#[cfg(feature = "onnx")]
impl From<crate::pipelines::BringUpError> for Failure {
    fn from(error: crate::pipelines::BringUpError) -> Self {
        if error.is_usage() { Self::Usage(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

/// A line on standard error.
pub(crate) fn error(message: &str) {
    eprintln!("vigia: {message}");
}

/// A line on standard output.
pub(crate) fn line(text: &str) {
    println!("{text}");
}
