//! `auto`: how many instances, threads and pictures in a batch, measured once per model and machine and remembered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use vigia_core::model::ModelSpec;

use crate::provider::Device;
use crate::runtime::Runtime;
use crate::session::OrtSession;

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Sessions side by side, each on its own thread.
    pub instances: usize,
    /// Threads within each session.
    pub threads: usize,
    /// Largest batch.
    pub batch: usize,
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {} threads, batch {}", self.instances, self.threads, self.batch)
    }
}

/// Where settings come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// All of them were given.
    Configured,
    /// Measured on this machine, now or earlier.
    Measured,
    /// Not measured yet: what is usually best.
    Default,
}

/// One measured way to run a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How it was run.
    #[serde(flatten)]
    pub settings: Settings,
    /// Pictures per second through the engine alone.
    pub images_per_second: f64,
}

/// Length of one measurement.
const SLICE: Duration = Duration::from_millis(250);
/// Measurements of each candidate.
const TURNS: usize = 2;
/// End of all of them together; what is not measured by then is left out.
const BUDGET: Duration = Duration::from_secs(4);
/// The usual best is kept unless another is better by this factor: noise must not decide.
const CLEARLY_BETTER: f64 = 1.05;

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What is usually best, before anything is measured: on a CPU one single-threaded session per core without batches
/// (small crops are the exception), on a GPU one session with large batches.
pub(crate) fn usual(spec: &ModelSpec, device: Device) -> Settings {
    let second_stage = spec.family.is_second_stage();
    let (instances, batch) = match (device.is_gpu(), second_stage) {
        (true, true) => (1, 32),
        (true, false) => (1, 16),
        (false, true) => (cores(), 4),
        (false, false) => (cores(), 1),
    };
    Settings { instances, threads: 1, batch: batch.clamp(spec.min_batch, spec.max_batch) }
}

/// The ways worth measuring, the usual one first.
pub fn candidates(spec: &ModelSpec, device: Device) -> Vec<Settings> {
    let usual = usual(spec, device);
    let mut list = vec![usual];
    let batches: &[usize] = if device.is_gpu() { &[1, 4, 8, 16, 32] } else { &[1, 2, 4, 8] };
    for &batch in batches.iter().filter(|b| (spec.min_batch..=spec.max_batch).contains(b)) {
        list.push(Settings { batch, ..usual });
    }
    if !device.is_gpu() && cores() > 1 {
        list.push(Settings { instances: 1, threads: cores(), batch: usual.batch });
    }
    let mut unique = Vec::new();
    for settings in list {
        if !unique.contains(&settings) {
            unique.push(settings);
        }
    }
    unique
}

/// The best of what was measured; the usual way where no other is clearly better.
pub fn choose(spec: &ModelSpec, device: Device, measured: &[Measured]) -> Option<Measured> {
    let usual = usual(spec, device);
    let first = measured.iter().find(|m| m.settings == usual).or_else(|| measured.first())?;
    let better = |best: Measured, next: &Measured| {
        if next.images_per_second > best.images_per_second * CLEARLY_BETTER { *next } else { best }
    };
    Some(measured.iter().fold(*first, better))
}

/// What to measure: a model file and where it runs.
pub(crate) struct Subject<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) path: &'a Path,
    pub(crate) spec: &'a ModelSpec,
    pub(crate) device: Device,
}

impl Subject<'_> {
    /// Pictures per second through the engine alone in this setting; `None` when it cannot run so or `stop` came.
    pub(crate) fn measure(&self, settings: Settings, slice: Duration, stop: &AtomicBool) -> Option<f64> {
        let rows = settings.batch.max(self.spec.min_batch);
        let size = self.spec.input.size;
        let shape = [rows, 3, size.height as usize, size.width as usize];
        // Mid grey as the model sees it: no denormal numbers, which would slow some kernels.
        let grey = (114.0 - self.spec.input.mean[0]) * self.spec.input.scale[0];
        let data = vec![grey; rows * self.spec.input.len()];
        let mut sessions = Vec::new();
        for _ in 0..settings.instances {
            let opened = OrtSession::open(self.runtime, self.path, self.device, settings.threads).ok()?;
            sessions.push(opened.session);
        }
        let rate = |session: &mut OrtSession| -> Option<f64> {
            let warm_up = Instant::now();
            session.run(shape, &data, |_outputs| ()).ok()?;
            if warm_up.elapsed() > slice {
                // A slow model is known well enough from one run, and more would take more than a few seconds.
                return Some(rows as f64 / warm_up.elapsed().as_secs_f64());
            }
            let (started, mut pictures) = (Instant::now(), 0);
            while started.elapsed() < slice {
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                session.run(shape, &data, |_outputs| ()).ok()?;
                pictures += rows;
            }
            Some(pictures as f64 / started.elapsed().as_secs_f64())
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = sessions.iter_mut().map(|session| scope.spawn(|| rate(session))).collect();
            running.into_iter().map(|thread| thread.join().ok().flatten()).sum()
        })
    }

    /// Measures the candidates within a few seconds and names the best; `None` when stopped early.
    ///
    /// The machine may be busy meanwhile: each candidate gets several turns, and its best one counts.
    pub(crate) fn tune(&self, stop: &AtomicBool) -> Option<Measured> {
        let started = Instant::now();
        let candidates = candidates(self.spec, self.device);
        let mut rates = vec![0.0f64; candidates.len()];
        // What a picture takes in one session: a slow model's large batches would not fit into the budget.
        let mut per_picture = 0.0;
        for turn in 0..TURNS {
            for (&settings, rate) in candidates.iter().zip(&mut rates) {
                let expected = SLICE + Duration::from_secs_f64(per_picture * settings.batch as f64);
                if started.elapsed() + expected > BUDGET {
                    continue;
                }
                let measured = self.measure(settings, SLICE, stop);
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                if let Some(measured) = measured.filter(|&m| m > 0.0) {
                    *rate = rate.max(measured);
                    per_picture = settings.instances as f64 / measured;
                }
            }
            tracing::debug!(model = %self.spec.id, turn, ?rates, "measuring");
        }
        let all = candidates.into_iter().zip(rates).filter(|&(_, rate)| rate > 0.0);
        let all: Vec<Measured> =
            all.map(|(settings, images_per_second)| Measured { settings, images_per_second }).collect();
        choose(self.spec, self.device, &all)
    }
}

/// The file that remembers what was measured.
#[derive(Clone, Debug)]
pub struct TuningFile {
    path: PathBuf,
}

/// A file that is damaged or from elsewhere counts as empty: measuring again is all it costs.
type Remembered = BTreeMap<String, Measured>;

impl TuningFile {
    /// Remembers in this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn read(&self) -> Remembered {
        std::fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// What was measured under this key.
    pub(crate) fn get(&self, key: &str) -> Option<Measured> {
        self.read().remove(key)
    }

    /// Remembers a measurement.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn put(&self, key: String, measured: Measured) -> std::io::Result<()> {
        let mut all = self.read();
        all.insert(key, measured);
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_vec_pretty(&all).map_err(std::io::Error::other)?;
        // Another process may do the same: each writes its own file and the last rename wins, whole.
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &self.path)
    }
}

/// Names a model's content, the engine, the device and the machine.
pub(crate) fn key(model: &[u8], runtime: &Runtime, device: Device) -> String {
    let hash = Sha256::digest(model).iter().take(8).fold(0u64, |hash, &byte| hash << 8 | u64::from(byte));
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu =
        info.lines().find_map(|l| l.strip_prefix("model name")).map_or("", |l| l.trim_start_matches([' ', '\t', ':']));
    format!("{hash:016x} | {} | {device} | {} x {} {cpu}", runtime.version(), cores(), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_remembered_and_rubbish_is_not_fatal() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = TuningFile::new(folder.path().join("deep/tuning.json"));
        let settings = Settings { instances: 2, threads: 1, batch: 4 };
        let measured = Measured { settings, images_per_second: 843.0 };
        assert_eq!(file.get("a"), None);
        file.put("a".to_owned(), measured).expect("written");
        file.put("b".to_owned(), Measured { images_per_second: 1.0, ..measured }).expect("written");
        assert_eq!(file.get("a"), Some(measured));
        std::fs::write(folder.path().join("deep/tuning.json"), "{ broken").expect("written");
        assert_eq!(file.get("a"), None);
        file.put("c".to_owned(), measured).expect("written over");
        assert_eq!(file.get("c"), Some(measured));
    }
}
