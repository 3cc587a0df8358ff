//! Events: kept, listed, told, bounded; in a file, in PostgreSQL, with pictures in a folder or a bucket. One behaviour per
//! file. No model, no HTTP.
#![expect(clippy::print_stderr, reason = "a test says what it skipped")]

mod bounds_hold;
mod bucket;
mod every_event_is_kept;
mod ids_are_never_given_twice;
mod killed_at_any_moment;
mod places_that_cannot_be_used;
mod postgres;
mod server;
mod support;
mod the_end_waits_for_what_is_there;
#[path = "../common/tracks.rs"]
mod tracks;
