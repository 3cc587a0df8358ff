//! Addresses to frames: one behaviour per module.
#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests panic, say what they skip, and have threads of their own"
)]

#[path = "ingest/support.rs"]
#[expect(dead_code, reason = "what sources that listen say is for their own test")]
mod support;

#[path = "ingest/a_blocking_sink_holds_the_decoder.rs"]
mod a_blocking_sink_holds_the_decoder;
#[cfg(feature = "cameras")]
#[path = "ingest/a_camera_changes_its_picture.rs"]
mod a_camera_changes_its_picture;
#[path = "ingest/a_file_comes_whole_and_in_order.rs"]
mod a_file_comes_whole_and_in_order;
#[path = "ingest/a_live_pace_keeps_time.rs"]
mod a_live_pace_keeps_time;
#[path = "ingest/a_tag_turns_the_picture.rs"]
mod a_tag_turns_the_picture;
#[path = "ingest/broken_inputs_are_named.rs"]
mod broken_inputs_are_named;
#[path = "ingest/cameras_that_are_none.rs"]
mod cameras_that_are_none;
#[path = "ingest/formats_are_not_converted.rs"]
mod formats_are_not_converted;
#[path = "ingest/http_serves_files_and_cameras.rs"]
mod http_serves_files_and_cameras;
#[path = "ingest/other_protocols.rs"]
mod other_protocols;
#[path = "ingest/planes_are_the_decoders.rs"]
mod planes_are_the_decoders;
#[path = "ingest/recordings_are_read_back.rs"]
mod recordings_are_read_back;
#[path = "ingest/rtsp_cameras.rs"]
mod rtsp_cameras;
#[path = "ingest/slides_show_a_folder.rs"]
mod slides_show_a_folder;
#[path = "ingest/sound_is_not_decoded.rs"]
mod sound_is_not_decoded;
#[path = "ingest/stopping_ends_once.rs"]
mod stopping_ends_once;
