//! What is being done: on a terminal only, on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar. It goes away when it is dropped.
pub(super) struct Progress(ProgressBar);

/// Of the bar.
const STEPS: u64 = 1000;

impl Progress {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:32} {elapsed}  {msg}");
        let style = style.unwrap_or_else(|_never| ProgressStyle::default_bar());
        let bar = ProgressBar::new(STEPS).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(500));
        Self(bar)
    }

    /// Something of which nobody knows how long it takes.
    pub(super) fn say(&self, what: &str) {
        self.part(what, 0.0);
    }

    /// Something of which a share is done, 0 to 1.
    pub(super) fn part(&self, what: &str, share: f64) {
        self.0.set_message(what.to_owned());
        self.0.set_position((share * STEPS as f64) as u64);
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
