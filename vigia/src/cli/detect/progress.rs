//! The progress bar of `vigia detect`: on a terminal only, on standard error.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Counts pictures, and frames of the video that is under way.
pub(super) struct Progress {
    bar: ProgressBar,
    pictures: u64,
    in_video: bool,
}

impl Progress {
    /// For this many inputs.
    pub(super) fn new(inputs: usize) -> Self {
        let bar = ProgressBar::new(inputs as u64).with_style(style(PICTURES));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, pictures: inputs as u64, in_video: false }
    }

    /// A frame of a video; `frames` is how many it has, where known.
    pub(super) fn frame(&mut self, name: &str, frames: Option<u64>) {
        if !self.in_video {
            self.in_video = true;
            self.bar.reset();
            self.bar.set_message(name.to_owned());
            if let Some(frames) = frames {
                self.bar.set_length(frames);
                self.bar.set_style(style(FRAMES));
            } else {
                self.bar.unset_length();
                self.bar.set_style(style(LIVE));
            }
        }
        self.bar.inc(1);
    }

    /// An input is over; `done` of them are.
    pub(super) fn input_done(&mut self, done: u64) {
        if self.in_video {
            self.in_video = false;
            self.bar.reset();
            self.bar.set_length(self.pictures);
            self.bar.set_style(style(PICTURES));
        }
        self.bar.set_position(done);
    }

    /// Prints above the bar.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

const PICTURES: &str = "{bar:32} {pos}/{len} inputs, {rate} per second, {eta} left";
const FRAMES: &str = "{bar:32} {pos}/{len} frames, {rate} fps, {eta} left  {msg}";
const LIVE: &str = "{spinner} {pos} frames, {rate} fps, {elapsed}  {msg}";

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // A terminal that takes no text is not worth a word.
        let _written = write!(out, "{:.1}", state.per_sec());
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_never| ProgressStyle::default_bar());
    style.with_key("rate", rate)
}
