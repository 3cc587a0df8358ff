//! GStreamer's side of vigia: addresses become frames ([`MediaSource`]), pictures become video files ([`Recorder`]).
//!
//! This is the only crate that links GStreamer; everything it hands over is vocabulary of `vigia-core`. Read
//! `address` (what can be opened), `ingest` (the pipeline and who runs it), `caps` and `planes` (how a decoder's buffer
//! becomes an `Image` without a copy), `bus` (what a failure means), `listen` (who connects to a stream's own socket),
//! `record`, `cameras` (what a server is measured with), `allocator` (how threads share memory).
//!
//! | type | what it is |
//! | --- | --- |
//! | [`MediaSource`] | a file, camera, URL, test picture or folder of pictures that pushes frames; a [`vigia_core::source::Source`] |
//! | [`Listener`] | a socket that clients send video to; it makes sources |
//! | [`IngestOptions`] | pace, RTSP transport, timeouts, decoder threads, most bytes of a picture |
//! | [`MediaInfo`] | what is known about a running source: duration, frame rate, size |
//! | [`Recorder`] | writes pictures as H.264 in MP4, or VP8 in WebM |
//!
//! Not here: when to connect again (the engine's supervisor decides), and anything that looks at pixels.

#![deny(unsafe_code)]

mod address;
mod allocator;
mod bus;
#[cfg(feature = "cameras")]
pub mod cameras;
mod caps;
mod elements;
mod ingest;
mod listen;
mod planes;
mod record;

pub use address::{local_path, redact};
pub use allocator::share_memory_among_threads;
pub use elements::init;
pub use ingest::{IngestOptions, MediaInfo, MediaSource, Pace, Transport};
pub use listen::{Listener, is_listening};
pub use record::Recorder;
