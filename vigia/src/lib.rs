//! vigia, a real-time video inference server: the product around the engine.
//!
//! [`cli`] is what a user types; [`config`] what they write into `vigia.yaml`; [`paths`] where libraries and models are
//! looked for; [`pipelines`] brings models up; [`inputs`] turns arguments into pictures and videos; [`wire`] is how
//! results are written; [`annotate`] how they are drawn.
#![forbid(unsafe_code)]

#[cfg(feature = "onnx")]
pub mod annotate;
pub mod cli;
pub mod config;
#[cfg(feature = "onnx")]
pub mod inputs;
pub mod paths;
#[cfg(feature = "onnx")]
pub mod pipelines;
pub mod wire;
