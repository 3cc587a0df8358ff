//! From the decoder's thread to the sink: buffers become frames, and what happens is written down for the watcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use parking_lot::Mutex;
use vigia_core::frame::Frame;
use vigia_core::geometry::Size;
use vigia_core::id::StreamRef;
use vigia_core::source::{Flow, FrameSink, SourceError};

use super::timeline::Timeline;
use super::{Facts, MediaInfo, MediaSource, Pace};
use crate::address::{Address, Kind};
use crate::bus::Seen;
use crate::caps::Picture;
use crate::planes;

/// What the decoder's thread, the watcher and the handle of one source share.
pub(super) struct Pump {
    pub(super) address: Address,
    pub(super) seen: Seen,
    pub(super) info: MediaInfo,
    pub(super) activity: Activity,
    /// Set once; no frame is handed over after that.
    stopping: AtomicBool,
    sink: Mutex<Option<Box<dyn FrameSink>>>,
    /// End of the newest frame, nanoseconds from the first one's start.
    delivered_until: AtomicU64,
    delivered: AtomicU64,
}

/// When the last sign of life was.
pub(super) struct Activity {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
    connected: AtomicBool,
    /// The other side has sent its last byte.
    over: AtomicBool,
    in_sink: AtomicBool,
    /// A picture, or the end, waits until it is due.
    waits: AtomicBool,
}

impl Activity {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            over: AtomicBool::new(false),
            in_sink: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        }
    }

    fn touch(&self) {
        self.last.store(self.start.elapsed().as_millis() as u64, Ordering::Release);
    }

    /// The other side has sent something.
    pub(super) fn connect(&self) {
        if !self.connected.swap(true, Ordering::AcqRel) {
            self.touch();
        }
    }

    /// True after [`Self::connect`].
    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// The other side has sent its last byte.
    pub(super) fn finish(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// True after [`Self::finish`].
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Time since the connection was made or the last frame handed over; none while the sink works on a frame.
    pub(super) fn idle(&self) -> Duration {
        if self.in_sink.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Acquire)))
    }

    /// A decoded picture is there, or the end, and waits until it is due, at a live pace.
    pub(super) fn wait(&self) {
        self.waits.store(true, Ordering::Release);
    }

    /// [`Self::idle`], but none either while a picture waits until it is due.
    pub(super) fn without_picture(&self) -> Duration {
        if self.waits.load(Ordering::Acquire) { Duration::ZERO } else { self.idle() }
    }
}

/// Marks the time in which the sink has a frame, also when the sink panics.
struct InSink<'a>(&'a Activity);

impl<'a> InSink<'a> {
    fn enter(activity: &'a Activity) -> Self {
        activity.in_sink.store(true, Ordering::Release);
        Self(activity)
    }
}

impl Drop for InSink<'_> {
    fn drop(&mut self) {
        self.0.touch();
        self.0.waits.store(false, Ordering::Release);
        self.0.in_sink.store(false, Ordering::Release);
    }
}

impl Pump {
    pub(super) fn new(address: Address, info: MediaInfo, sink: Box<dyn FrameSink>) -> Self {
        Self {
            address,
            seen: Seen::default(),
            info,
            activity: Activity::new(),
            stopping: AtomicBool::new(false),
            sink: Mutex::new(Some(sink)),
            delivered_until: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    /// Hands over no more frames.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// True after [`Self::stop`].
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Number of frames handed over, and the last one's end counted from the first one's start.
    pub(super) fn delivered(&self) -> (u64, Duration) {
        let until = Duration::from_nanos(self.delivered_until.load(Ordering::Acquire));
        (self.delivered.load(Ordering::Acquire), until)
    }

    /// Tells the sink that it is over. The decoder's thread must be gone.
    pub(super) fn end(&self, outcome: Result<(), SourceError>) {
        let sink = self.sink.lock().take();
        if let Some(mut sink) = sink {
            sink.end(outcome);
        }
    }

    fn deliver(&self, frame: Frame, until: Duration) -> Flow {
        let _in_sink = InSink::enter(&self.activity);
        let mut sink = self.sink.lock();
        let Some(sink) = sink.as_mut().filter(|_| !self.is_stopping()) else {
            return Flow::Stop;
        };
        self.delivered.fetch_add(1, Ordering::AcqRel);
        self.delivered_until.store(until.as_nanos() as u64, Ordering::Release);
        sink.frame(frame)
    }
}

/// Numbers and times of a stream's frames; they go on where one connection follows another.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    next_id: u64,
    timeline: Timeline,
    /// When the first frame came.
    began: Option<Instant>,
}

impl Numbering {
    /// A new connection begins.
    pub(super) fn connect(&mut self) {
        self.timeline.begin_anew();
    }
}

/// Numbers and dates frames; lives on the decoder's thread.
pub(super) struct Puller {
    pump: Arc<Pump>,
    stream: StreamRef,
    pace: Pace,
    /// Duration to fall back on where the pipeline does not know it.
    duration: Option<Duration>,
    numbering: Arc<Mutex<Numbering>>,
    /// What the first frame decides: pictures come as they are taken.
    live: Option<bool>,
    format: Option<(gst::Caps, Picture)>,
}

impl Puller {
    pub(super) fn new(source: &MediaSource, pump: Arc<Pump>) -> Self {
        Self {
            pump,
            stream: source.stream.clone(),
            pace: source.options.pace,
            duration: source.pattern.as_ref().and_then(super::pattern::Pattern::duration),
            numbering: Arc::clone(&source.numbering),
            live: None,
            format: None,
        }
    }

    /// Takes the newest sample out of the sink element and hands it over.
    pub(super) fn pull(&mut self, element: &gst_app::AppSink) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Ok(sample) = element.pull_sample() else { return Err(gst::FlowError::Eos) };
        let (frame, until) = self.frame(element, &sample).map_err(|what| {
            gst::element_error!(element, gst::StreamError::Format, ("The decoder hands over {}", what));
            gst::FlowError::Error
        })?;
        // The sample keeps the buffer from going back to its pool.
        drop(sample);
        match self.pump.deliver(frame, until) {
            Flow::Continue => Ok(gst::FlowSuccess::Ok),
            Flow::Stop => {
                self.pump.stop();
                wake(element);
                Err(gst::FlowError::Eos)
            }
        }
    }

    fn frame(&mut self, element: &gst_app::AppSink, sample: &gst::Sample) -> Result<(Frame, Duration), String> {
        let picture = self.picture(sample)?;
        let buffer = sample.buffer_owned().ok_or("a sample without a buffer")?;
        let running_time = sample
            .segment()
            .and_then(|segment| segment.downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?))
            .map(Duration::from);
        let live = match self.live {
            Some(live) => live,
            None => *self.live.insert(self.look_at_first(element, &picture.info)),
        };
        let length = buffer.duration().map(Duration::from);
        let step = frame_step(&picture.info);
        let mut numbering = self.numbering.lock();
        let Numbering { next_id, timeline, began } = &mut *numbering;
        let pts = if live {
            timeline.next_live(running_time, step, began.get_or_insert_with(Instant::now).elapsed())
        } else {
            timeline.next(running_time, step)
        };
        let frame = Frame {
            stream: self.stream.clone(),
            frame_id: *next_id,
            captured_at: live.then(SystemTime::now),
            pts: Some(pts),
            image: planes::image(buffer, &picture)?,
            decode: None,
        };
        *next_id += 1;
        Ok((frame, pts + length.unwrap_or(step)))
    }

    /// The caps of the sample, understood; they are the same for nearly every frame.
    fn picture(&mut self, sample: &gst::Sample) -> Result<Picture, String> {
        let caps = sample.caps_owned().ok_or("a sample without a format")?;
        match &self.format {
            Some((known, picture)) if *known == caps => Ok(picture.clone()),
            _ => {
                let picture = Picture::from_caps(&caps)?;
                tracing::debug!(source = self.pump.address.shown, %caps, "picture format");
                self.format = Some((caps, picture.clone()));
                Ok(picture)
            }
        }
    }

    /// Notes the facts, and tells whether pictures come as they are taken.
    fn look_at_first(&self, element: &gst_app::AppSink, info: &gst_video::VideoInfo) -> bool {
        let live = match &self.pump.address.kind {
            Kind::File(_) => Some(false),
            Kind::Test(_) | Kind::Slides(..) => Some(self.pace == Pace::Live),
            Kind::Url(url) => url.is_live(),
        };
        let duration = || element.query_duration::<gst::ClockTime>().map(Duration::from).or(self.duration);
        let duration = duration().filter(|d| !d.is_zero());
        let rate = match (u32::try_from(info.fps().numer()), u32::try_from(info.fps().denom())) {
            (Ok(frames @ 1..), Ok(seconds @ 1..)) => Some((frames, seconds)),
            _ => None,
        };
        let size = Size::new(info.width(), info.height());
        // A source is started once, so there is nothing there yet.
        let _ = self.pump.info.0.set(Facts { size, duration, rate });
        // Over HTTP come files, which have a duration, and cameras, which have none.
        live.unwrap_or(duration.is_none())
    }
}

/// Time from frame to frame as the stream states it; 40 ms where it does not.
fn frame_step(info: &gst_video::VideoInfo) -> Duration {
    match (u32::try_from(info.fps().numer()), u64::try_from(info.fps().denom())) {
        (Ok(frames @ 1..), Ok(seconds @ 1..)) => Duration::from_nanos(seconds * 1_000_000_000 / u64::from(frames)),
        _ => Duration::from_millis(40),
    }
}

/// Makes the watcher look at the source.
pub(super) fn wake(element: &impl IsA<gst::Element>) {
    let note = gst::Structure::new_empty("vigia-wake");
    // Refused only once the pipeline is being taken down, when the watcher is awake.
    let _ = element.post_message(gst::message::Application::new(note));
}
