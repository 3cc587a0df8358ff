//! Cameras for measurements: RTSP streams on loopback that play one H.264 clip over and over.
//!
//! `rtsp://127.0.0.1:PORT/0` to `/N-1` hand over the clip's access units as they are, nothing is encoded anew, so that N
//! cameras cost next to nothing. Camera k sends its frames k/N of the frame interval after camera 0: they do not all come at
//! once. All clients of a camera see the same frames. `cameras/units.rs` cuts the clip, `cameras/clip.rs` makes one.

mod clip;
mod units;

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as gst_rtsp;
use gstreamer_rtsp_server::gio;
use gstreamer_rtsp_server::prelude::*;

use parking_lot::Mutex;
use vigia_core::source::SourceError;

use crate::elements;
pub use clip::ClipWriter;
pub use units::access_units;

/// Elements that a camera consists of.
const ELEMENTS: [&str; 3] = ["appsrc", "h264parse", "rtph264pay"];
/// Frames that wait for a client that does not read, at most; the oldest ones are dropped.
const QUEUE: u32 = 60;
/// How soon a stop or a client is noticed.
const NOTICE: Duration = Duration::from_millis(20);

/// The version of GStreamer that runs, as in `1.22.0`.
pub fn version() -> String {
    let (major, minor, micro, _nano) = gst::version();
    format!("{major}.{minor}.{micro}")
}

/// What the cameras are to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraOptions {
    /// Where they listen on 127.0.0.1; 0 takes a free port.
    pub port: u16,
    /// How many there are, at least 1.
    pub count: usize,
    /// Frames per second of each, above 0.
    pub fps: f64,
}

/// Cameras that listen. [`Cameras::serve`] lets clients in and [`Cameras::play`] sends frames; each blocks its caller's
/// thread until [`Cameras::stop`].
#[derive(Debug)]
pub struct Cameras {
    server: gst_rtsp::RTSPServer,
    listener: TcpListener,
    options: CameraOptions,
    clip: Arc<[u8]>,
    units: Vec<Range<usize>>,
    watched: Watched,
    stopped: AtomicBool,
}

/// By camera: where its frames go and which one is next, while somebody watches.
type Watched = Arc<Mutex<Vec<Option<(gst_app::AppSrc, usize)>>>>;

/// One access unit of the shared clip.
struct Unit {
    clip: Arc<[u8]>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Unit {
    fn as_ref(&self) -> &[u8] {
        &self.clip[self.range.clone()]
    }
}

impl Cameras {
    /// Listens; `clip` is H.264 as an Annex B byte stream with an access unit delimiter before each picture.
    ///
    /// # Errors
    /// [`SourceError::Undecodable`] for a clip that has no access units, [`SourceError::Library`] where GStreamer lacks
    /// something, [`SourceError::Unreachable`] when the port is taken.
    pub fn listen(options: CameraOptions, clip: Vec<u8>) -> Result<Self, SourceError> {
        crate::init()?;
        elements::require(&ELEMENTS)?;
        let units = access_units(&clip);
        if units.is_empty() {
            let what = "the clip has no access unit delimiters: it must be H.264 as an Annex B byte stream (aud=1)";
            return Err(SourceError::Undecodable(what.to_owned()));
        }
        let library = |e: glib::BoolError| SourceError::Library(e.to_string());
        let refused = |e: std::io::Error| {
            SourceError::Unreachable(format!("the cameras cannot listen on 127.0.0.1:{}: {e}", options.port))
        };
        let listener = TcpListener::bind(("127.0.0.1", options.port)).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let server = gst_rtsp::RTSPServer::new();
        let mounts = server.mount_points().ok_or_else(|| SourceError::Library("no mount points".to_owned()))?;
        let watched: Watched = Arc::new(Mutex::new(vec![None; options.count]));
        for camera in 0..options.count {
            mounts.add_factory(&format!("/{camera}"), factory(camera, options.fps, &watched).map_err(library)?);
        }
        Ok(Self { server, listener, options, clip: clip.into(), units, watched, stopped: AtomicBool::new(false) })
    }

    /// Where they listen.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().map_or(self.options.port, |address| address.port())
    }

    /// How many frames the clip has.
    pub fn frames(&self) -> usize {
        self.units.len()
    }

    /// Lets clients in until the stop.
    pub fn serve(&self) {
        while !self.stopped.load(Ordering::Relaxed) {
            let welcomed = match self.listener.accept() {
                Ok((client, address)) => self.welcome(client, &address.ip().to_string(), address.port().into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(NOTICE);
                    continue;
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = welcomed {
                tracing::warn!(error, "a client was not let in");
                // What is missing may be there again later: a file descriptor, say.
                std::thread::sleep(NOTICE);
            }
        }
    }

    fn welcome(&self, client: TcpStream, ip: &str, port: i32) -> Result<(), String> {
        // GStreamer's server leaves Nagle's algorithm on: the end of a frame then waits, now and then, for the receiver's
        // delayed acknowledgement, 40 ms.
        client.set_nodelay(true).map_err(|e| e.to_string())?;
        let socket = gio::Socket::from_fd(OwnedFd::from(client)).map_err(|e| e.to_string())?;
        self.server.transfer_connection(socket, ip, port, None).map_err(|e| e.to_string())
    }

    /// Sends frames in time until the stop. `sends` is told each frame's camera, its number within the clip and how late
    /// it is, right before it is handed over.
    pub fn play(&self, mut sends: impl FnMut(usize, usize, Duration)) {
        let start = Instant::now();
        let rate = self.options.fps * self.options.count as f64;
        for tick in 0u64.. {
            let due = start + Duration::try_from_secs_f64(tick as f64 / rate).unwrap_or_default();
            while let Some(wait) = due.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
                if self.stopped.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(wait.min(NOTICE));
            }
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let camera = (tick % self.options.count as u64) as usize;
            self.send(camera, |number| sends(camera, number, due.elapsed()));
        }
    }

    fn send(&self, camera: usize, sends: impl FnOnce(usize)) {
        let mut watched = self.watched.lock();
        let Some(Some((source, next))) = watched.get_mut(camera) else { return };
        let number = *next;
        *next = (number + 1) % self.units.len();
        let source = source.clone();
        drop(watched);
        let unit = Unit { clip: self.clip.clone(), range: self.units[number].clone() };
        let buffer = gst::Buffer::from_slice(unit);
        sends(number);
        // Whoever watched has just gone: nobody misses it.
        if let Err(flow) = source.push_buffer(buffer) {
            tracing::debug!(camera, ?flow, "a frame was not taken");
        }
    }

    /// Ends [`Cameras::serve`] and [`Cameras::play`], which then return soon.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// One camera's side of the server.
fn factory(camera: usize, fps: f64, watched: &Watched) -> Result<gst_rtsp::RTSPMediaFactory, glib::BoolError> {
    let rate = gst::Fraction::approximate_f64(fps).ok_or_else(|| glib::bool_error!("{fps} frames per second"))?;
    let factory = gst_rtsp::RTSPMediaFactory::new();
    factory.set_shared(true);
    factory.set_launch(&format!(
        "( appsrc name=src is-live=true do-timestamp=true format=time max-buffers={QUEUE} leaky-type=downstream \
         caps=video/x-h264,stream-format=byte-stream,alignment=au,framerate={rate} \
         ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    ));
    let watched = watched.clone();
    factory.connect_media_configure(move |_, media| {
        let source = media.element().downcast::<gst::Bin>().ok().and_then(|bin| bin.by_name("src"));
        let Some(source) = source.and_then(|source| source.downcast::<gst_app::AppSrc>().ok()) else { return };
        watch(&watched, camera, Some((source, 0)));
        let watched = watched.clone();
        media.connect_unprepared(move |_| watch(&watched, camera, None));
    });
    Ok(factory)
}

fn watch(watched: &Watched, camera: usize, by: Option<(gst_app::AppSrc, usize)>) {
    if let Some(slot) = watched.lock().get_mut(camera) {
        *slot = by;
    }
}

#[cfg(test)]
mod tests;
