//! Live streams and their dictionary, with scripted sources and models: no engine, no GStreamer, no waiting for a clock.

mod pulled;
mod support;
