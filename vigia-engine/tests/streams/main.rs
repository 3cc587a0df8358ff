//! Live streams and their dictionary, with scripted sources and models: no engine, no GStreamer, no waiting for a clock.

mod ending;
mod following;
mod listening;
mod memory;
mod options;
mod pulled;
mod pushed;
mod registry;
mod storm;
mod support;
mod waiters;
