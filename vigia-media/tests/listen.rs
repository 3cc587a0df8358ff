//! A stream's own socket: one behaviour per module. ffmpeg is the camera.
#![expect(clippy::panic, clippy::print_stderr, reason = "tests panic, and say what they skip")]

#[path = "ingest/support.rs"]
#[expect(dead_code, reason = "the other test uses more of it")]
mod sources;
#[path = "listen/support.rs"]
mod support;

#[path = "listen/a_bad_client_is_closed.rs"]
mod a_bad_client_is_closed;
#[path = "listen/clients_come_one_after_the_other.rs"]
mod clients_come_one_after_the_other;
#[path = "listen/ffmpeg_sends_what_it_can.rs"]
mod ffmpeg_sends_what_it_can;
#[path = "listen/pictures_are_cut_out_whole.rs"]
mod pictures_are_cut_out_whole;
#[path = "listen/stopping_is_quick.rs"]
mod stopping_is_quick;
#[path = "listen/the_stream_changes.rs"]
mod the_stream_changes;
