//! One run of `vigia detect`: what happens with each event, and what is said at the end.

#[cfg(feature = "gstreamer")]
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal as _, LineWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;
#[cfg(feature = "gstreamer")]
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use vigia_core::model::ModelSpec;
use vigia_core::result::FrameResult;
use vigia_core::source::Flow;
use vigia_engine::offline::Event;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::worker::StopFlag;

use super::DetectArgs;
use super::progress::Progress;
use crate::annotate::Copies;
use crate::cli::output::{self, Failure};
use crate::inputs::{self, InputFiles, Named};
use crate::wire::{Origin, ResultLine};

/// Status of a program that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// What is known about the videos that are under way.
#[cfg(feature = "gstreamer")]
#[derive(Clone, Default)]
pub(super) struct Videos(Arc<Mutex<HashMap<Arc<str>, vigia_media::MediaInfo>>>);

#[cfg(feature = "gstreamer")]
impl Videos {
    pub(super) fn add(&self, name: &Arc<str>, info: vigia_media::MediaInfo) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), info);
    }

    fn get(&self, name: &Arc<str>) -> Option<vigia_media::MediaInfo> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// The state of the run.
pub(super) struct Session {
    spec: ModelSpec,
    every: u64,
    json: Option<LineWriter<Box<dyn Write>>>,
    copies: Option<Copies>,
    progress: Progress,
    #[cfg(feature = "gstreamer")]
    videos: Videos,
    interrupted: StopFlag,
    started: Instant,
    inputs: u64,
    results: u64,
    objects: u64,
    failures: u64,
    /// The output itself broke: nothing more can be written.
    broken: Option<String>,
}

impl Session {
    pub(super) fn start(args: &DetectArgs, pipeline: &Pipeline, named: &[Named]) -> Result<Self, Failure> {
        let failed = Failure::Failed;
        let files = InputFiles::of(named);
        let json: Option<Box<dyn Write>> = match args.json.as_deref() {
            Some(path) if path.as_os_str() == "-" => Some(Box::new(io::stdout())),
            Some(path) if files.contains(path) => {
                return Err(Failure::Usage(format!("--json {} would overwrite an input", path.display())));
            }
            Some(path) => {
                let file =
                    File::create(path).map_err(|e| failed(format!("{} cannot be written: {e}", path.display())))?;
                Some(Box::new(file))
            }
            None if args.save.is_none() => Some(Box::new(io::stdout())),
            None => None,
        };
        let copies = args.save.as_deref().map(|folder| Copies::into_folder(folder, files));
        let copies = copies.transpose().map_err(failed)?;
        let interrupted = StopFlag::default();
        let flag = interrupted.clone();
        let handler = move || {
            // The first one closes what is open, the second one does not wait for it.
            if flag.is_set() {
                std::process::exit(i32::from(INTERRUPTED));
            }
            flag.set();
        };
        ctrlc::set_handler(handler).map_err(|e| failed(format!("no handler for Ctrl-C: {e}")))?;
        Ok(Self {
            spec: pipeline.detector().spec().clone(),
            every: args.every,
            json: json.map(LineWriter::new),
            copies,
            progress: Progress::new(named.len()),
            #[cfg(feature = "gstreamer")]
            videos: Videos::default(),
            interrupted,
            started: Instant::now(),
            inputs: 0,
            results: 0,
            objects: 0,
            failures: 0,
            broken: None,
        })
    }

    #[cfg(feature = "gstreamer")]
    pub(super) fn videos(&self) -> Videos {
        self.videos.clone()
    }

    /// Set by Ctrl-C.
    pub(super) fn interrupted(&self) -> StopFlag {
        self.interrupted.clone()
    }

    /// Handles one event and says whether to go on.
    pub(super) fn event(&mut self, name: &Arc<str>, event: Event) -> Flow {
        match event {
            Event::Result(result) => self.result(name, &result),
            Event::Failed(error) => self.failed(name, &error),
            Event::Skipped(frames) => {
                let line = format!(
                    "{}: {frames} frames came while the models were busy and were skipped",
                    inputs::shown(name)
                );
                self.progress.suspend(|| output::error(&line));
            }
            Event::Done => {
                self.inputs += 1;
                if let Some(Err(error)) = self.copies.as_mut().map(Copies::done) {
                    self.failed(name, &error);
                }
                self.progress.input_done(self.inputs);
            }
        }
        if self.broken.is_none() { Flow::Continue } else { Flow::Stop }
    }

    fn result(&mut self, name: &Arc<str>, result: &FrameResult) {
        self.results += 1;
        self.objects += result.detections.len() as u64;
        let spec = &self.spec;
        let label = |class_id| spec.label(class_id);
        if let Some(json) = &mut self.json {
            let shown = inputs::shown(name);
            let line = ResultLine::new(Origin::Source(&shown), result, &label);
            let written = serde_json::to_writer(&mut *json, &line).map_err(io::Error::from);
            if let Err(error) = written.and_then(|()| json.write_all(b"\n")) {
                // Whoever read has enough (`vigia detect … | head`): that is no failure.
                let quiet = error.kind() == io::ErrorKind::BrokenPipe;
                self.broken =
                    Some(if quiet { String::new() } else { format!("the results cannot be written: {error}") });
                return;
            }
        }
        let (frames, fps) = self.video(name);
        if let Some(copies) = &mut self.copies
            && let Err(error) = copies.add(name, result, &label, fps)
        {
            self.failed(name, &error);
        }
        if result.frame.pts.is_some() {
            let frames = frames.map(|n| n.div_ceil(self.every));
            self.progress.frame(&inputs::shown(name), frames);
        }
    }

    /// Frames in this video and how many of those that are looked at come in a second, where known.
    #[cfg(feature = "gstreamer")]
    fn video(&self, name: &Arc<str>) -> (Option<u64>, Option<f64>) {
        let Some(info) = self.videos.get(name) else { return (None, None) };
        (info.frames(), info.fps().map(|fps| fps / self.every as f64))
    }

    #[cfg(not(feature = "gstreamer"))]
    #[expect(clippy::unused_self, reason = "the one that knows has to be the same call")]
    fn video(&self, _name: &Arc<str>) -> (Option<u64>, Option<f64>) {
        (None, None)
    }

    fn failed(&mut self, name: &str, error: &str) {
        self.failures += 1;
        let name = inputs::shown(name);
        // What the media library says names the address already.
        let line = if error.starts_with(&name) { error.to_owned() } else { format!("{name}: {error}") };
        self.progress.suspend(|| output::error(&line));
    }

    /// Closes what is open, and says how it went.
    pub(super) fn finish(mut self) -> Result<ExitCode, Failure> {
        self.progress.finish();
        if let Some(Err(error)) = self.copies.as_mut().map(Copies::done) {
            self.failures += 1;
            output::error(&error);
        }
        if let Some(Err(error)) = self.json.as_mut().map(Write::flush)
            && self.broken.is_none()
        {
            return Err(Failure::Failed(format!("the results cannot be written: {error}")));
        }
        if let Some(error) = self.broken.filter(|e| !e.is_empty()) {
            return Err(Failure::Failed(error));
        }
        if io::stderr().is_terminal() {
            let seconds = self.started.elapsed().as_secs_f64();
            let rate = self.results as f64 / seconds.max(1e-9);
            let (results, objects, failures) = (self.results, self.objects, self.failures);
            output::error(&format!(
                "{results} pictures and frames, {objects} objects, {failures} failures in {seconds:.1} s ({rate:.1} per second)"
            ));
        }
        if self.interrupted.is_set() {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Ok(if self.failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}
