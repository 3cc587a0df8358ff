//! The real program on real files.

mod broken;
mod commands;
mod faces;
mod golden;
mod support;
mod video;
