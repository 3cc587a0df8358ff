//! The HTTP interface over scripted models: no ONNX Runtime, no GStreamer. One behaviour per file.

mod bad_input_is_named;
mod body_over_the_limit;
mod body_that_trickles;
mod client;
mod counters_of_streams_add_up;
mod every_problem_body;
mod full_queue_is_refused;
mod grace_runs_out;
mod labels_are_bounded;
mod live_pictures;
mod models_are_described;
mod openapi_is_true;
mod panic_is_survived;
mod parameters_reach_the_model;
mod picture_by_url;
mod picture_in_every_form;
mod pictures;
mod refused_while_it_sends;
mod results_are_followed;
mod shutdown_answers_what_it_has;
mod sources;
mod support;
mod unread_answers_are_given_up;
