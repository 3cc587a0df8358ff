//! What goes to the terminal, and why a command ends.

use std::io::{self, Write as _};
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

/// A line on standard error; where that is closed there is nobody to tell.
pub(crate) fn error(message: &str) {
    let _written = writeln!(io::stderr(), "vigia: {message}");
}

/// Text on standard output, with a line's end. A reader that has enough is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}
