//! One frame after the other, drawn on the thread of the element that asks for them.

use std::path::PathBuf;
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;

use super::still::{Decoding, Still};
use super::{Options, Slides, motion};
use crate::ingest::allocation;
use crate::ingest::pump::Pump;

/// How long a picture is waited for before a look at whether the source is to stop.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(20);

/// Why there is no frame.
enum NoFrame {
    /// The source is being stopped.
    Stopped,
    /// There will never be one.
    Over(String),
}

/// The pictures of a folder, one after the other, without end.
pub(super) struct Show {
    pictures: Vec<Picture>,
    options: Options,
    info: gst_video::VideoInfo,
    pool: gst_video::VideoBufferPool,
    live: bool,
    pump: Arc<Pump>,
    /// What is seen.
    now: Option<Shown>,
    /// What is decoded meanwhile.
    next: Upcoming,
    /// Pictures that could not be shown since the last one that could.
    failures: usize,
    /// Number of the next frame; its time is this many frames.
    frame: u64,
}

struct Picture {
    path: PathBuf,
    /// It could not be shown, and this was said.
    is_bad: bool,
}

/// A picture that is seen.
struct Shown {
    still: Still,
    /// Its place in the list.
    number: usize,
    /// The frame at which it was first seen.
    since: u64,
}

/// The picture after the one that is seen.
struct Upcoming {
    /// Its place in the list.
    number: usize,
    state: State,
}

enum State {
    Waiting,
    Decoding(Decoding),
    Ready(Still),
}

impl Show {
    /// Starts with the first picture once a frame is asked for.
    pub(super) fn new(
        slides: &Slides,
        info: gst_video::VideoInfo,
        live: bool,
        pump: Arc<Pump>,
    ) -> Result<Self, SourceError> {
        let library = |why: &str| SourceError::Library(format!("{}: {why}", pump.address.shown));
        let caps = info.to_caps().map_err(|e| library(&e.to_string()))?;
        let (pool, _) = allocation::pool(Some(&caps)).ok_or_else(|| library("no pool for frames"))?;
        pool.set_active(true).map_err(|e| library(&e.to_string()))?;
        Ok(Self {
            pictures: slides.pictures.iter().map(|path| Picture { path: path.clone(), is_bad: false }).collect(),
            options: slides.options,
            info,
            pool,
            live,
            pump,
            now: None,
            next: Upcoming { number: 0, state: State::Waiting },
            failures: 0,
            frame: 0,
        })
    }

    /// Hands one frame to the element that asks, or tells it that there are no more.
    pub(super) fn frame_wanted(&mut self, source: &gst_app::AppSrc) {
        match self.draw(source) {
            // Refused only while the element is being stopped.
            Ok(buffer) => drop(source.push_buffer(buffer)),
            Err(NoFrame::Stopped) => {}
            Err(NoFrame::Over(why)) => gst::element_error!(source, gst::StreamError::Decode, ("{}", why)),
        }
    }

    fn draw(&mut self, source: &gst_app::AppSrc) -> Result<gst::Buffer, NoFrame> {
        self.look_after_next();
        let whole = self.options.frames_per_picture().get();
        let mut frame = self.due(source);
        if self.now.as_ref().is_none_or(|shown| frame >= shown.since + whole) && !self.must_last() {
            let (number, still) = self.wait_for_next()?;
            frame = self.due(source);
            self.now = Some(Shown { still, number, since: frame });
            self.look_after_next();
        }
        let shown = self.now.as_ref().ok_or(NoFrame::Stopped)?;
        self.frame = frame + 1;
        self.window(shown, frame, whole).map_err(NoFrame::Over)
    }

    /// True where the picture that is seen stays, at the end of its way, because the next one is still being decoded:
    /// a camera does not wait.
    fn must_last(&self) -> bool {
        let comes = !matches!(self.next.state, State::Ready(_)) && self.failures < self.pictures.len();
        self.live && self.now.is_some() && comes
    }

    /// The number of the next frame: what is live leaves out those whose time is over.
    fn due(&self, source: &gst_app::AppSrc) -> u64 {
        let passed = source.current_running_time().filter(|_| self.live);
        let passed = passed.map_or(0, |time| time.nseconds() * u64::from(self.options.fps.get()) / 1_000_000_000);
        self.frame.max(passed)
    }

    /// Time of a frame since the first.
    fn time(&self, frame: u64) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(frame * 1_000_000_000 / u64::from(self.options.fps.get()))
    }

    /// Draws the window on a picture.
    fn window(&self, shown: &Shown, frame: u64, whole: u64) -> Result<gst::Buffer, String> {
        let text = |e: gst::glib::BoolError| e.to_string();
        let done = (frame - shown.since) as f64 / whole as f64;
        let shape = Size::new(self.info.width(), self.info.height());
        let window = motion::window(shown.still.size(), shape, shown.number, done);
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_src_x(window.x as i32);
        config.set_src_y(window.y as i32);
        config.set_src_width(Some(window.size.width as i32));
        config.set_src_height(Some(window.size.height as i32));
        config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
        // Made anew for each frame, in a tenth of a millisecond: its window is fixed.
        let converter = gst_video::VideoConverter::new(&shown.still.info, &self.info, Some(config)).map_err(text)?;
        let still = gst_video::VideoFrameRef::from_buffer_ref_readable(&shown.still.buffer, &shown.still.info);
        let mut buffer = self.pool.acquire_buffer(None).map_err(|e| format!("no memory for a frame: {e}"))?;
        let target = buffer.get_mut().ok_or("a new buffer is shared")?;
        target.set_pts(self.time(frame));
        target.set_duration(self.time(frame + 1) - self.time(frame));
        let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(target, &self.info).map_err(text)?;
        converter.frame_ref(&still.map_err(text)?, &mut target);
        drop(target);
        Ok(buffer)
    }

    /// The next picture that can be shown, and its place in the list.
    fn wait_for_next(&mut self) -> Result<(usize, Still), NoFrame> {
        loop {
            if self.pump.is_stopping() {
                return Err(NoFrame::Stopped);
            }
            if self.failures >= self.pictures.len() {
                return Err(NoFrame::Over(match self.pictures.as_slice() {
                    [_] => "the only picture in this folder cannot be shown".to_owned(),
                    all => format!("none of the {} pictures in this folder can be shown", all.len()),
                }));
            }
            let number = self.next.number;
            match std::mem::replace(&mut self.next.state, State::Waiting) {
                State::Ready(still) => {
                    self.next.number = (number + 1) % self.pictures.len();
                    return Ok((number, still));
                }
                state => {
                    self.next.state = state;
                    self.go_on(TICK);
                }
            }
        }
    }

    /// Lets the next picture be decoded, and its decoder go when it is done.
    fn look_after_next(&mut self) {
        if self.failures < self.pictures.len() {
            self.go_on(gst::ClockTime::ZERO);
        }
    }

    /// One step on the way to the next picture; a bad one is left out.
    fn go_on(&mut self, patience: gst::ClockTime) {
        let outcome = match &self.next.state {
            State::Ready(_) => return,
            State::Waiting => match Decoding::start(&self.pictures[self.next.number].path, &self.info) {
                Ok(decoding) => {
                    self.next.state = State::Decoding(decoding);
                    return;
                }
                Err(why) => Err(why),
            },
            State::Decoding(decoding) => match decoding.outcome(patience) {
                None => return,
                Some(outcome) => outcome,
            },
        };
        let picture = &mut self.pictures[self.next.number];
        match outcome {
            Ok(still) => {
                (self.failures, picture.is_bad) = (0, false);
                self.next.state = State::Ready(still);
            }
            Err(why) => {
                // Once, not on every round.
                if !std::mem::replace(&mut picture.is_bad, true) {
                    let source = &self.pump.address.shown;
                    tracing::warn!(source, picture = %picture.path.display(), why, "a picture is left out");
                }
                self.failures += 1;
                self.next = Upcoming { number: (self.next.number + 1) % self.pictures.len(), state: State::Waiting };
            }
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        // Frames that are still held give their memory back when they are let go.
        if let Err(error) = self.pool.set_active(false) {
            tracing::debug!(%error, "a pool does not close");
        }
    }
}
