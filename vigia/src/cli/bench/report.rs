//! The numbers as a table and as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use vigia_core::backend::Cost;
use vigia_core::geometry::Size;
use vigia_core::model::Family;
use vigia_infer::provider::Device;
use vigia_infer::tuning::Measured;

/// What each step of one frame costs on one thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) decode: Duration,
    pub(super) cost: Cost,
}

/// From encoded input to result.
#[derive(Clone, Copy, Debug)]
pub(super) struct FullPath {
    pub(super) images_per_second: f64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) results: u64,
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) file: PathBuf,
    pub(super) family: Family,
    pub(super) input_size: Size,
    pub(super) input: String,
    pub(super) device: Device,
    pub(super) library: String,
    pub(super) cores: usize,
    pub(super) engine: Vec<Measured>,
    pub(super) best: Measured,
    pub(super) steps: Steps,
    pub(super) full_path: FullPath,
    pub(super) limit: f64,
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl Report {
    fn ratio(&self) -> f64 {
        (self.full_path.images_per_second / self.limit * 1000.0).round() / 1000.0
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |l: String| writeln!(text, "{l}").expect("a string takes all");
        let (family, size, device) = (self.family, self.input_size, self.device);
        line(format!(
            "{} ({family}, {size}) on {device}, {} cores, ONNX Runtime {}",
            self.model, self.cores, self.library
        ));
        line(format!("input: {}\n", self.input));
        line("engine alone        pictures/s".to_owned());
        for m in &self.engine {
            let mark = if m.settings == self.best.settings { "  <- best" } else { "" };
            let s = m.settings;
            let way = format!("{} x {} thr, batch {}", s.instances, s.threads, s.batch);
            line(format!("  {way:<19} {:>9.1}{mark}", m.images_per_second));
        }
        line("\none frame, one thread     ms".to_owned());
        let Steps { decode, cost } = self.steps;
        let steps = [
            ("decode", decode),
            ("preprocess", cost.preprocess),
            ("inference", cost.inference),
            ("postprocess", cost.postprocess),
        ];
        for (step, time) in steps {
            line(format!("  {step:<19} {:>9.3}", ms(time)));
        }
        let FullPath { images_per_second, p50, p99, results } = self.full_path;
        line(format!(
            "\nfull path   {images_per_second:>7.1} pictures/s over {results}, p50 {:.1} ms, p99 {:.1} ms",
            ms(p50),
            ms(p99)
        ));
        line(format!("limit       {:>7.1} pictures/s = cores / (cores / engine + decode + 0.4 ms)", self.limit));
        line(format!("ratio       {:>7.3}", self.ratio()));
        let s = self.best.settings;
        line(format!(
            "\nremembered for this machine: instances {}, threads {}, batch {}",
            s.instances, s.threads, s.batch
        ));
        text.trim_end().to_owned()
    }

    /// For machines.
    pub(super) fn json(&self) -> Value {
        let Steps { decode, cost } = self.steps;
        json!({
            "model": self.model, "file": self.file, "family": self.family.as_str(),
            "model_input": [self.input_size.width, self.input_size.height], "input": self.input,
            "device": self.device.as_str(), "onnxruntime": self.library, "cores": self.cores,
            "engine": self.engine, "best": self.best,
            "step_ms": {"decode": ms(decode), "preprocess": ms(cost.preprocess), "inference": ms(cost.inference),
                "postprocess": ms(cost.postprocess)},
            "full_path": {"images_per_second": tenth(self.full_path.images_per_second),
                "p50_ms": ms(self.full_path.p50), "p99_ms": ms(self.full_path.p99), "results": self.full_path.results},
            "limit_images_per_second": tenth(self.limit), "ratio": self.ratio(),
        })
    }
}
