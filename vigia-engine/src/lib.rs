//! Threads, queues and supervision: the only place where vigia does more than one thing at a time.
//!
//! [`batcher`] owns the threads of one model: each has one instance of it, takes a batch when it is free, and answers.
//! [`pipeline`] sends a frame through the detector's batcher and the detections' crops through the second stages'.
//! What feeds it: [`offline`] runs pictures and files, in order, nothing dropped; [`stream`] live sources and what is
//! pushed, the newest frame first; posted pictures go to the pipeline as they are. [`registry`] is the dictionary of
//! streams; [`memory`] bounds what waits. [`hub`] hands what came out to whoever listens; [`metrics`] counts. [`worker`] is
//! the owner of every thread: named, joined, its panics caught. The engine knows traits only; which models and sources
//! there are is the product's business.
#![forbid(unsafe_code)]

pub mod batcher;
pub mod hub;
pub mod memory;
pub mod metrics;
pub mod offline;
pub mod pipeline;
pub mod registry;
pub mod stream;
pub mod worker;
