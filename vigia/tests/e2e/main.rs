//! The real program on real files.
#![expect(clippy::print_stderr, reason = "a test says what it skipped")]

mod broken;
mod commands;
mod faces;
mod golden;
mod outputs;
mod support;
mod video;
