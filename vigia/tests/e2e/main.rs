//! The real program on real files.
#![expect(clippy::print_stderr, reason = "a test says what it skipped")]

#[cfg(feature = "cameras")]
mod bench_streams;
mod broken;
mod commands;
mod demo;
mod faces;
mod golden;
mod outputs;
mod serve;
mod serve_answers;
mod serve_ends;
mod serve_fails;
mod serve_load;
mod serve_pushed;
mod serve_reload;
mod serve_remembers;
mod serve_secrets;
mod serve_soak;
mod serve_streams;
mod serve_tracks;
#[path = "../common/socket.rs"]
mod socket;
mod support;
mod video;
