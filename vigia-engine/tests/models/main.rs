//! Models' threads and the pipelines over them, with scripted models and sources: no engine, no clock.
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod batcher;
mod closing;
mod encoded;
mod live;
mod offline;
mod panics;
mod pipeline;
