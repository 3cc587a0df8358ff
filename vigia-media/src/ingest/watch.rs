//! A source's own thread: reads the bus, watches the time, takes the pipeline down, tells the sink how it ended.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use vigia_core::id::StreamRef;
use vigia_core::source::{FrameSink, SourceError, SourceHandle};

use super::pump::{Pump, wake};
use super::{IngestOptions, MediaSource, pipeline, truncation};
use crate::address::{Kind, redact};
use crate::bus;

/// What the thread reacts to.
const MESSAGES: [gst::MessageType; 4] =
    [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Element, gst::MessageType::Application];

/// How long the decoder may go without a frame, after a file was found broken or a client has gone, before what it still
/// holds is given up.
const DRAIN: Duration = Duration::from_secs(1);

/// A running source. Dropping it stops the source and waits for its threads.
pub(super) struct Running {
    pipeline: gst::Pipeline,
    pump: Arc<Pump>,
    watcher: Option<thread::JoinHandle<()>>,
}

impl SourceHandle for Running {}

impl Running {
    /// Builds the pipeline, starts it and its watcher.
    pub(super) fn start(source: &MediaSource, sink: Box<dyn FrameSink>) -> Result<Self, SourceError> {
        let watcher = Watcher::start(source, sink)?;
        let (pipeline, pump) = (watcher.pipeline.clone(), Arc::clone(&watcher.pump));
        let thread = named_thread(&source.stream, move || watcher.run())?;
        Ok(Self { pipeline, pump, watcher: Some(thread) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pump.stop();
        let Some(watcher) = self.watcher.take() else { return };
        wake(&self.pipeline);
        // A sink may drop its source in `end`, which runs on the thread that would be waited for.
        if watcher.thread().id() != thread::current().id() && watcher.join().is_err() {
            tracing::error!(source = self.pump.address.shown, "the thread of a source panicked");
        }
    }
}

/// Looks after a running pipeline, which ends with it.
pub(super) struct Watcher {
    pub(super) pipeline: gst::Pipeline,
    bus: gst::Bus,
    pub(super) pump: Arc<Pump>,
    options: IngestOptions,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        stop(&self.pipeline);
    }
}

impl Watcher {
    /// Builds the pipeline and starts it.
    pub(super) fn start(source: &MediaSource, sink: Box<dyn FrameSink>) -> Result<Self, SourceError> {
        let pump = Arc::new(Pump::new(source.address.clone(), source.info.clone(), sink));
        let pipeline = pipeline::build(source, &pump)?;
        let bus = pipeline.bus().ok_or_else(|| SourceError::Library("a pipeline without a bus".to_owned()))?;
        let this = Self { pipeline, bus, pump, options: source.options.clone() };
        if this.pipeline.set_state(gst::State::Playing).is_ok() {
            return Ok(this);
        }
        let message = this.bus.pop_filtered(&[gst::MessageType::Error]);
        Err(match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => bus::source_error(&this.pump.address, error, &this.pump.seen),
            _ => SourceError::Library(format!("{}: the pipeline does not start", this.pump.address.shown)),
        })
    }

    fn run(self) {
        let outcome = self.outcome();
        self.pump.stop();
        stop(&self.pipeline);
        self.pump.end(outcome);
    }

    /// Waits for the end, whatever kind it is.
    pub(super) fn outcome(&self) -> Result<(), SourceError> {
        let is_client = self.is_client();
        let (remote, file) = match &self.pump.address.kind {
            Kind::Url(_) => (true, false),
            // Whoever writes into a pipe may take their time.
            Kind::File(path) => (false, path.is_file()),
            Kind::Test(_) | Kind::Slides(..) => (false, false),
        };
        let shortest = self.options.connect_timeout.min(self.options.inactivity_timeout);
        let tick = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_millis(250));
        let tick = gst::ClockTime::try_from(tick).ok();
        let mut dead = false;
        loop {
            if self.pump.is_stopping() {
                return Ok(());
            }
            let timed = remote || file || self.pump.delivered().0 == 0;
            let Some(message) = self.bus.timed_pop_filtered(tick.filter(|_| timed), &MESSAGES) else {
                if remote {
                    // A demuxer that found no stream passes no end on.
                    if is_client && self.pump.activity.is_over() && self.pump.activity.idle() > DRAIN {
                        return self.at_end();
                    }
                    self.in_time()?;
                } else {
                    // Twice, lest the first frame came just now.
                    let was_dead = std::mem::replace(&mut dead, self.is_dead());
                    if dead && was_dead {
                        return self.at_end();
                    }
                    if file {
                        self.makes_progress()?;
                    }
                }
                continue;
            };
            match message.view() {
                gst::MessageView::Eos(_) => return self.at_end(),
                gst::MessageView::Error(error) => {
                    let error = bus::source_error(&self.pump.address, error, &self.pump.seen);
                    self.drain();
                    // An element's complaint about being stopped is no failure of the source.
                    return if self.pump.is_stopping() { Ok(()) } else { Err(error) };
                }
                gst::MessageView::Element(element) => self.pump.seen.element_message(element),
                // A wake-up: the loop's head sees why. Also keeps the time where messages come in quick succession.
                _ => {}
            }
        }
    }

    /// True where the other side has connected to us.
    fn is_client(&self) -> bool {
        matches!(&self.pump.address.kind, Kind::Url(url) if url.is_connection())
    }

    /// True where no thread reads a file any more although nothing has come: decodebin swallows the error of a demuxer
    /// that fails while it is being plugged in.
    fn is_dead(&self) -> bool {
        let running =
            |element: &gst::Element| element.pads().iter().any(|pad| pad.task_state() == gst::TaskState::Started);
        self.pump.delivered().0 == 0 && !self.pipeline.iterate_recurse().into_iter().flatten().any(|e| running(&e))
    }

    /// Nothing to say while there is a sign of life from the other side.
    fn in_time(&self) -> Result<(), SourceError> {
        let (shown, idle) = (&self.pump.address.shown, self.pump.activity.idle());
        let IngestOptions { connect_timeout, inactivity_timeout, .. } = self.options;
        if !self.pump.activity.is_connected() && idle > connect_timeout {
            return Err(SourceError::Unreachable(format!("{shown}: no answer within {connect_timeout:?}")));
        }
        // The first picture may be some way behind the first data.
        let first = self.pump.delivered().0 == 0;
        let limit = if first { inactivity_timeout.max(connect_timeout) } else { inactivity_timeout };
        let silence = || format!("{shown}: no picture for {limit:?}");
        match (idle > limit, first) {
            (true, true) => Err(SourceError::Unreachable(silence())),
            (true, false) => Err(SourceError::Stalled(silence())),
            (false, _) => Ok(()),
        }
    }

    /// Nothing to say while pictures come out of a file: some demuxers turn in circles on some files.
    fn makes_progress(&self) -> Result<(), SourceError> {
        let shown = &self.pump.address.shown;
        let IngestOptions { connect_timeout, inactivity_timeout, .. } = self.options;
        let first = self.pump.delivered().0 == 0;
        let limit = if first { inactivity_timeout.max(connect_timeout) } else { inactivity_timeout };
        if self.pump.activity.without_picture() <= limit {
            return Ok(());
        }
        Err(SourceError::Undecodable(format!(
            "{shown}: no new picture for {limit:?}, and no end: the file is damaged or its format is not handled"
        )))
    }

    /// Lets the decoder hand over what it had from before a file's damage.
    fn drain(&self) {
        if !matches!(self.pump.address.kind, Kind::File(_)) || self.pump.delivered().0 == 0 {
            return;
        }
        let tick = gst::ClockTime::from_mseconds(100);
        while !self.pump.is_stopping() && self.pump.activity.idle() < DRAIN {
            let end = [gst::MessageType::Eos, gst::MessageType::Application];
            if let Some(message) = self.bus.timed_pop_filtered(tick, &end)
                && message.type_() == gst::MessageType::Eos
            {
                return;
            }
        }
    }

    /// True for a camera, whose end is a broken connection: what is live and has no duration.
    fn is_endless(&self) -> bool {
        match &self.pump.address.kind {
            Kind::Url(url) => {
                let camera = (url.is_live() == Some(true) && !url.is_connection())
                    || self.pump.seen.holds("multipart/x-mixed-replace");
                camera && self.pump.info.duration().is_none()
            }
            Kind::File(_) | Kind::Test(_) | Kind::Slides(..) => false,
        }
    }

    /// The end of the data; is it the end of the video?
    fn at_end(&self) -> Result<(), SourceError> {
        let (shown, (frames, until)) = (&self.pump.address.shown, self.pump.delivered());
        let cut = match &self.pump.address.kind {
            Kind::File(path) => truncation::is_cut(path),
            Kind::Url(_) | Kind::Test(_) | Kind::Slides(..) => false,
        };
        let why = if cut { ": the file is truncated" } else { "" };
        if frames == 0 && self.is_client() {
            return Err(SourceError::Undecodable(format!("{shown} sent no picture that can be decoded")));
        }
        if frames == 0 {
            return Err(SourceError::Undecodable(format!("no picture could be decoded from {shown}{why}")));
        }
        if self.is_endless() {
            return Err(SourceError::Unreachable(format!("{shown}: the other side has ended the stream")));
        }
        let until = until.as_secs_f64();
        match self.pump.info.duration().map(|whole| whole.as_secs_f64()) {
            // The last frame's length is often a little off.
            Some(whole) if cut && until + 0.1 < whole => {
                Err(SourceError::Undecodable(format!("{shown} ends after {until:.1} s of {whole:.1} s{why}")))
            }
            None if cut => Err(SourceError::Undecodable(format!("{shown} ends after {until:.1} s{why}"))),
            _ => Ok(()),
        }
    }
}

/// A thread of a source, named after its stream. The source's handle joins it.
///
/// Not a thread of the engine's: the engine knows neither a bus nor a socket to wait on.
pub(crate) fn named_thread(
    stream: &StreamRef,
    run: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, SourceError> {
    thread::Builder::new()
        .name(thread_name(&stream.id.to_string()))
        .spawn(run)
        .map_err(|e| SourceError::Library(format!("no thread for a source: {e}")))
}

/// A name to find the thread by. Operators see it, and a stream may be named after its address.
fn thread_name(stream: &str) -> String {
    format!("media-{}", redact(stream).replace('\0', ""))
}

/// Stops every thread of the pipeline.
fn stop(pipeline: &gst::Pipeline) {
    if pipeline.set_state(gst::State::Null).is_err() {
        tracing::warn!("a pipeline did not stop cleanly");
    }
}

#[cfg(test)]
mod tests;
