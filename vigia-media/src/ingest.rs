//! Addresses to frames.
//!
//! The pipeline is `uridecodebin ! [download] ! videoconvert ! [videoflip] ! appsink`. videoconvert passes buffers
//! through untouched for every format that the kernel reads, so a frame borrows the decoder's own memory. The sink is
//! called on the decoder's thread; one more thread per source, `media-<stream>`, reads the bus, watches the time, and ends
//! the source.
//!
//! `uridecodebin`, not `uridecodebin3`: the latter was still being repaired throughout the 1.22 series, adds a queue to
//! RTSP streams, and decodes no faster.

mod allocation;
mod connection;
mod pattern;
mod pipeline;
mod pump;
mod slides;
mod timeline;
mod truncation;
mod watch;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use vigia_core::geometry::Size;
use vigia_core::id::StreamRef;
use vigia_core::source::{FrameSink, Source, SourceError, SourceHandle};

use crate::address::{Address, Kind};
pub(crate) use connection::{Connection, Stopper};
use pattern::Pattern;
pub(crate) use pump::Numbering;
use slides::Slides;
pub(crate) use watch::named_thread;

/// How fast pictures are handed over that are already there: files, test pictures and slides. What is live comes as it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the sink takes them.
    #[default]
    AsFast,
    /// At the speed at which they were recorded; a test picture and slides then behave like a camera.
    Live,
}

/// What carries an RTSP stream's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// The RTSP connection itself: passes firewalls, loses nothing.
    #[default]
    Tcp,
    /// UDP: does not wait for lost packets.
    Udp,
    /// UDP, multicast or TCP, whatever works first.
    Auto,
}

/// How a source is read.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// Speed at which files, test pictures and slides are read.
    pub pace: Pace,
    /// What carries an RTSP stream's packets.
    pub transport: Transport,
    /// How long a server may take until its first data are there.
    pub connect_timeout: Duration,
    /// How long a network source or a file may then stay without a new picture. Time that the sink takes, or that a
    /// picture waits until it is due, does not count. A pipe may take its time.
    pub inactivity_timeout: Duration,
    /// Threads of a software decoder; absent: 2 for live sources, on slices of a picture, so that no picture waits for
    /// the next one; for files 1 up to two processors, else 2 to 4 on whole pictures. A second thread on two
    /// processors takes 25 % more processor time to gain 15 % of speed, and the models need that time.
    pub decode_threads: Option<u32>,
    /// Most bytes of one encoded picture, for sources that listen.
    pub picture_limit: u64,
}

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            transport: Transport::default(),
            connect_timeout: Duration::from_secs(5),
            inactivity_timeout: Duration::from_secs(10),
            decode_threads: None,
            picture_limit: 20_000_000,
        }
    }
}

/// What is known about a running source, once its first frame was handed over. Clones look at the same source.
#[derive(Clone, Debug, Default)]
pub struct MediaInfo(Arc<OnceLock<Facts>>);

/// What the container and the decoder say.
#[derive(Clone, Copy, Debug)]
struct Facts {
    size: Size,
    duration: Option<Duration>,
    /// Frames per so many seconds.
    rate: Option<(u32, u32)>,
}

impl MediaInfo {
    /// Width and height of the pictures; absent before the first one.
    pub fn size(&self) -> Option<Size> {
        self.0.get().map(|facts| facts.size)
    }

    /// The whole duration; absent for what is live.
    pub fn duration(&self) -> Option<Duration> {
        self.0.get()?.duration
    }

    /// Frames per second, on average; absent where the stream does not say.
    pub fn fps(&self) -> Option<f64> {
        self.0.get()?.rate.map(|(frames, seconds)| f64::from(frames) / f64::from(seconds))
    }

    /// About how many frames there are; absent for what is live.
    pub fn frames(&self) -> Option<u64> {
        Some((self.duration()?.as_secs_f64() * self.fps()?).round() as u64)
    }
}

/// A file, camera, URL, test picture or folder of pictures that pushes frames.
///
/// Addresses: a path or `file:`; `http(s)://` (files, HLS, MJPEG); `rtsp(s)://`; `rtmp(s)://`, `srt://`, `v4l2://` where
/// GStreamer's plug-ins for them are installed; and `test://?width=640&height=360&fps=30&frames=100&pattern=ball`, a moving
/// test picture; `slides:FOLDER?width=1280&height=720&fps=15&seconds=6`, a video without end of the folder's pictures
/// (.jpg, .jpeg, .png, by name), each for some seconds while a window of the frame's shape moves over it and zooms. What
/// follows the question mark may be left out. A picture that cannot be shown is left out with a warning; `FOLDER` is a
/// path as it is, and the last question mark ends it. Name and password in a URL are passed on and never shown.
///
/// Only video is decoded, the first video stream; a decoder in hardware is used where GStreamer ranks one first. Frames
/// borrow the decoder's memory: a sink that keeps many frames makes the decoder's pool grow.
///
/// The sink is called on GStreamer's streaming thread and may block there for files, which holds the decoder up. Dropping the
/// handle returns when the sink's running call has returned, so a blocked sink must wake up when its receiver goes away.
/// The handle must not be dropped by the sink itself. `end` is called in every case that [`Source::start`] succeeded
/// in, with `Ok` when the source was stopped.
///
/// What is not live has times that grow from picture to picture: where the container's clock leaps by more than ten
/// minutes, or goes back by more than a second, as in damaged files, the picture comes one frame after the one before.
///
/// Not handled: GIF animations (GStreamer's reader of them never comes to an end; refused by name), pixels that are not square (taken as they are), interlaced pictures (taken as woven frames), changes of
/// orientation in mid-stream.
#[derive(Debug)]
pub struct MediaSource {
    address: Address,
    /// Understood already when the source is opened, so that mistakes show then.
    pattern: Option<Pattern>,
    slides: Option<Slides>,
    stream: StreamRef,
    options: IngestOptions,
    info: MediaInfo,
    /// Where the frames' numbers and times begin.
    numbering: Arc<Mutex<Numbering>>,
}

impl MediaSource {
    /// Understands an address and looks whether a file is there; connects to nothing.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] for a file that is missing, a folder without pictures and an address that is none, [`SourceError::Undecodable`]
    /// for a folder, an empty file and a GIF animation, [`SourceError::Library`] where GStreamer is not installed.
    pub fn open(address: &str, stream: StreamRef, options: IngestOptions) -> Result<Self, SourceError> {
        crate::init()?;
        let address = Address::parse(address)?;
        let (mut pattern, mut slides) = (None, None);
        match &address.kind {
            Kind::Test(query) => {
                let wrong = |why| SourceError::NotFound(format!("{}: {why}", address.shown));
                pattern = Some(Pattern::parse(query).map_err(wrong)?);
            }
            Kind::Slides(folder, query) => slides = Some(Slides::open(folder, query, &address.shown)?),
            Kind::File(_) | Kind::Url(_) => {}
        }
        Ok(Self { address, pattern, slides, stream, options, info: MediaInfo::default(), numbering: Arc::default() })
    }

    /// What will be known about the source once it runs; take it before [`Source::start`].
    pub fn info(&self) -> MediaInfo {
        self.info.clone()
    }
}

impl Source for MediaSource {
    fn start(self: Box<Self>, sink: Box<dyn FrameSink>) -> Result<Box<dyn SourceHandle>, SourceError> {
        Ok(Box::new(watch::Running::start(&self, sink)?))
    }
}
