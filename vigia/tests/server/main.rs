//! The HTTP interface over scripted models: no ONNX Runtime, no GStreamer. One behaviour per file.

mod bad_input_is_named;
mod body_over_the_limit;
mod body_that_trickles;
mod changes_are_followed;
mod client;
mod counters_of_streams_add_up;
mod credentials_are_nowhere;
mod events_are_listed;
mod events_are_told;
mod every_problem_body;
mod frames_are_pushed;
mod frames_over_a_socket;
mod full_queue_is_refused;
mod grace_runs_out;
mod labels_are_bounded;
mod live_pictures;
mod many_hands_at_once;
mod memory_is_bounded;
mod models_are_described;
mod openapi_is_true;
mod other_sites_are_refused;
mod panic_is_survived;
mod parameters_reach_the_model;
mod picture_by_url;
mod picture_in_every_form;
mod pictures;
mod refused_while_it_sends;
mod reload_applies_what_differs;
mod results_are_followed;
mod results_over_a_socket;
mod shutdown_answers_what_it_has;
mod silent_streams_end;
#[path = "../common/socket.rs"]
mod socket;
mod sources;
mod stream_bodies_are_checked;
mod streams_are_added;
mod streams_are_changed;
mod streams_are_removed;
mod streams_come_and_go;
mod streams_survive_a_restart;
mod support;
#[path = "../common/tracks.rs"]
mod tracks;
mod unread_answers_are_given_up;
