//! vigia, a real-time video inference server: the product around the engine.
//!
//! [`cli`] is what a user types; [`config`] what they write into `vigia.yaml`; [`paths`] where libraries and models are
//! looked for; [`pipelines`] brings models up. `detect`: [`inputs`] turns arguments into pictures and videos, [`annotate`]
//! writes the drawn ones. `serve`: [`server`] says in which order things come up and go down, [`app`] is what is served,
//! [`streams`] the dictionary of live streams, which it keeps over a restart, [`live`] one of them and what it publishes,
//! `sources` where its frames come from, [`events`] the tracks that ended, [`news`] what is told of both as it happens,
//! [`http`] the interface, [`error`] what callers are told when something is wrong, [`fetch`] pictures by URL, [`drain`]
//! ending in order. Both: [`wire`] is how results are written, [`paint`] a frame as
//! JPEG.
#![forbid(unsafe_code)]

#[cfg(feature = "onnx")]
pub mod annotate;
pub mod app;
pub mod cli;
pub mod config;
pub mod drain;
pub mod error;
pub mod events;
pub mod fetch;
pub mod http;
#[cfg(feature = "onnx")]
pub mod inputs;
pub mod live;
pub mod news;
pub mod paint;
pub mod paths;
#[cfg(feature = "onnx")]
pub mod pipelines;
pub mod server;
pub mod shots;
#[cfg(feature = "gstreamer")]
pub mod sources;
pub mod streams;
pub mod wire;
