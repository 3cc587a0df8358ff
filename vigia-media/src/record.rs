//! Pictures to a video file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use parking_lot::{Condvar, Mutex};
use vigia_core::geometry::Size;
use vigia_core::source::SourceError;

use crate::elements;

/// Pictures that wait for the encoder, at most.
const QUEUE: u64 = 4;

/// How long the encoder may take over what is queued, or to finish the file, before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Encoders, the preferred one first; each with its parser, its container and the container's file name extension.
const CODECS: [Codec; 5] = [
    Codec { encoder: "nvh264enc", parser: Some("h264parse"), muxer: "mp4mux", extension: "mp4" },
    Codec { encoder: "vah264enc", parser: Some("h264parse"), muxer: "mp4mux", extension: "mp4" },
    Codec { encoder: "x264enc", parser: Some("h264parse"), muxer: "mp4mux", extension: "mp4" },
    Codec { encoder: "openh264enc", parser: Some("h264parse"), muxer: "mp4mux", extension: "mp4" },
    Codec { encoder: "vp8enc", parser: None, muxer: "webmmux", extension: "webm" },
];

#[derive(Clone, Copy, Debug)]
struct Codec {
    encoder: &'static str,
    parser: Option<&'static str>,
    muxer: &'static str,
    extension: &'static str,
}

impl Codec {
    /// The best codec whose encoder is installed and opens its device.
    fn choose() -> Result<Self, SourceError> {
        let works = |codec: &&Self| {
            let Ok(encoder) = gst::ElementFactory::make(codec.encoder).build() else { return false };
            let ready = encoder.set_state(gst::State::Ready).is_ok();
            encoder.set_state(gst::State::Null).is_ok() && ready
        };
        CODECS.iter().find(works).copied().ok_or_else(|| {
            SourceError::Library(
                "GStreamer has no encoder for H.264 or VP8; Debian has them in gstreamer1.0-plugins-bad and \
                 gstreamer1.0-plugins-good"
                    .to_owned(),
            )
        })
    }
}

/// Writes pictures as a video: H.264 in MP4 where an encoder for it is installed, else VP8 in WebM.
///
/// The file appears under its name when [`Recorder::finish`] has succeeded; until then it is a hidden file beside it,
/// which goes away with the recorder. A picture is encoded on GStreamer's threads; [`Recorder::write_rgb`] waits while
/// four pictures are queued. One thread uses the recorder at a time.
#[derive(Debug)]
pub struct Recorder {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    shared: Arc<Shared>,
    size: Size,
    info: gst_video::VideoInfo,
    frame: Duration,
    last: Option<Duration>,
    path: PathBuf,
    part: PathBuf,
}

/// What the encoder's threads tell the writer.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    full: bool,
    finished: bool,
    error: Option<String>,
}

impl Shared {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    /// Waits until `done`; an error of the pipeline ends the wait.
    fn wait(&self, done: impl Fn(&State) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        loop {
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            if done(&state) {
                return Ok(());
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err("the encoder is stuck".to_owned());
            }
        }
    }
}

impl Recorder {
    /// The file name extension of what this machine writes, without a dot: `mp4` or `webm`.
    ///
    /// # Errors
    /// [`SourceError::Library`] where there is no encoder.
    pub fn extension() -> Result<&'static str, SourceError> {
        crate::init()?;
        Ok(Codec::choose()?.extension)
    }

    /// Starts a video of pictures of `size` pixels and `fps` frames per so many seconds. The extension of `path` is replaced by
    /// the right one; see [`Recorder::path`]. Of an odd width or height the last column or row is left out: H.264
    /// halves the colours' resolution.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] when the file cannot be written, [`SourceError::Library`] where there is no encoder or
    /// it does not take pictures of this size.
    pub fn create(path: &Path, size: Size, fps: (i32, i32)) -> Result<Self, SourceError> {
        crate::init()?;
        let codec = Codec::choose()?;
        let path = path.with_extension(codec.extension);
        let part = part_of(&path)?;
        if size.width < 16 || size.height < 16 {
            return Err(SourceError::Library(format!("a video of {size} pixels: encoders take no less than 16x16")));
        }
        let rate = if fps.0 > 0 && fps.1 > 0 { gst::Fraction::new(fps.0, fps.1) } else { gst::Fraction::new(25, 1) };
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, size.width & !1, size.height & !1)
            .fps(rate)
            .build()
            .map_err(|e| SourceError::Library(format!("a video of {size} pixels: {e}")))?;
        // GStreamer would say the same less clearly, and later.
        std::fs::File::create(&part)
            .map_err(|e| SourceError::NotFound(format!("{} cannot be written: {e}", path.display())))?;
        let frame = Duration::from_secs_f64(f64::from(rate.denom()) / f64::from(rate.numer()));
        let shared = Arc::new(Shared::default());
        let (pipeline, source) = pipeline(codec, &info, &part, &shared)?;
        let this = Self { pipeline, source, shared, size, info, frame, last: None, path, part };
        if this.pipeline.set_state(gst::State::Playing).is_err() {
            let why = this.shared.state.lock().error.clone().unwrap_or_else(|| "the encoder does not start".to_owned());
            return Err(this.failure(&why));
        }
        Ok(this)
    }

    /// Where the video will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a picture: `rgb` holds `height` rows of `width` × 3 bytes, `pts` is its time from the video's start. Waits
    /// while the encoder is behind. A picture that is not later than the one before is moved to one frame after it.
    ///
    /// # Errors
    /// What went wrong with this or an earlier picture: a full disk, a picture of another size.
    pub fn write_rgb(&mut self, rgb: &[u8], pts: Duration) -> Result<(), SourceError> {
        let row = self.size.width as usize * 3;
        if rgb.len() != row * self.size.height as usize {
            let (got, size) = (rgb.len(), self.size);
            return Err(self.failure(&format!("a picture of {got} bytes is no {size} RGB picture")));
        }
        self.shared.wait(|state| !state.full).map_err(|why| self.failure(&why))?;
        let pts = match self.last {
            Some(last) if pts <= last => last + self.frame,
            _ => pts,
        };
        self.last = Some(pts);
        let buffer = self.buffer(rgb, row, pts).map_err(|why| self.failure(&why))?;
        match self.source.push_buffer(buffer) {
            Ok(_) => Ok(()),
            // The reason is on its way, or there already.
            Err(flow) => match self.shared.wait(|state| state.finished) {
                Err(why) => Err(self.failure(&why)),
                Ok(()) => Err(self.failure(&flow.to_string())),
            },
        }
    }

    fn buffer(&self, rgb: &[u8], row: usize, pts: Duration) -> Result<gst::Buffer, String> {
        let mut buffer = gst::Buffer::with_size(self.info.size()).map_err(|e| e.to_string())?;
        let stride = self.info.stride().first().and_then(|&s| usize::try_from(s).ok()).unwrap_or(row);
        let used = self.info.width() as usize * 3;
        let writable = buffer.make_mut();
        writable.set_pts(gst::ClockTime::try_from(pts).map_err(|e| e.to_string())?);
        writable.set_duration(gst::ClockTime::try_from(self.frame).map_err(|e| e.to_string())?);
        let mut map = writable.map_writable().map_err(|e| e.to_string())?;
        for (to, from) in map.as_mut_slice().chunks_exact_mut(stride).zip(rgb.chunks_exact(row)) {
            to[..used].copy_from_slice(&from[..used]);
        }
        drop(map);
        Ok(buffer)
    }

    /// Writes what is queued, closes the file and gives it its name, which is returned.
    ///
    /// # Errors
    /// What went wrong with the last pictures or the file.
    pub fn finish(self) -> Result<PathBuf, SourceError> {
        if self.last.is_none() {
            return Err(self.failure("there was no picture"));
        }
        if self.source.end_of_stream().is_ok() {
            self.shared.wait(|state| state.finished).map_err(|why| self.failure(&why))?;
        } else {
            let why = self.shared.state.lock().error.clone();
            return Err(self.failure(&why.unwrap_or_else(|| "the encoder has stopped".to_owned())));
        }
        self.stop();
        std::fs::rename(&self.part, &self.path).map_err(|e| self.failure(&e.to_string()))?;
        Ok(self.path.clone())
    }

    fn failure(&self, why: &str) -> SourceError {
        SourceError::Library(format!("{} cannot be written: {why}", self.path.display()))
    }

    fn stop(&self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(path = %self.path.display(), "a recorder did not stop cleanly");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
        // Gone already after `finish`.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// `.name.part` beside `path`.
fn part_of(path: &Path) -> Result<PathBuf, SourceError> {
    let name =
        path.file_name().ok_or_else(|| SourceError::NotFound(format!("{} is no name for a file", path.display())))?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(".part");
    Ok(path.with_file_name(part))
}

fn pipeline(
    codec: Codec,
    info: &gst_video::VideoInfo,
    part: &Path,
    shared: &Arc<Shared>,
) -> Result<(gst::Pipeline, gst_app::AppSrc), SourceError> {
    let library = |e: gst::glib::BoolError| SourceError::Library(e.to_string());
    let pipeline = gst::Pipeline::new();
    let caps = info.to_caps().map_err(library)?;
    let (need, enough) = (Arc::clone(shared), Arc::clone(shared));
    let source = gst_app::AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .max_buffers(QUEUE)
        .max_bytes(0)
        .callbacks(
            gst_app::AppSrcCallbacks::builder()
                .need_data(move |_, _| need.set(|state| state.full = false))
                .enough_data(move |_| enough.set(|state| state.full = true))
                .build(),
        )
        .build();
    let convert = elements::make("videoconvert")?;
    let encoder = elements::make(codec.encoder)?;
    set_up_encoder(&encoder, codec.encoder, info);
    let mut chain = vec![source.clone().upcast(), convert, encoder];
    if let Some(parser) = codec.parser {
        chain.push(elements::make(parser)?);
    }
    chain.push(elements::make(codec.muxer)?);
    let file = elements::make("filesink")?;
    file.set_property("location", part);
    chain.push(file);
    pipeline.add_many(&chain).map_err(library)?;
    gst::Element::link_many(&chain).map_err(library)?;
    let bus = pipeline.bus().ok_or_else(|| SourceError::Library("a pipeline without a bus".to_owned()))?;
    let shared = Arc::clone(shared);
    // Errors must wake a waiting writer at once; nobody reads this bus.
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Eos(_) => shared.set(|state| state.finished = true),
            gst::MessageView::Error(error) => shared.set(|state| {
                state.error.get_or_insert_with(|| error.error().message().to_owned());
            }),
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
    Ok((pipeline, source))
}

/// Good pictures at little work: they are for looking at, not for keeping.
fn set_up_encoder(encoder: &gst::Element, name: &str, info: &gst_video::VideoInfo) {
    let fps = f64::from(info.fps().numer()) / f64::from(info.fps().denom()).max(1.0);
    let pixels = f64::from(info.width()) * f64::from(info.height());
    // A tenth of a bit per pixel is about what keeps drawn lines and text clear.
    let bits = (pixels * fps * 0.1).clamp(200_000.0, 40_000_000.0) as u32;
    match name {
        "x264enc" => {
            encoder.set_property_from_str("speed-preset", "veryfast");
            encoder.set_property_from_str("pass", "qual");
            encoder.set_property_from_str("quantizer", "23");
        }
        "openh264enc" => {
            encoder.set_property("bitrate", bits);
            encoder.set_property_from_str("complexity", "low");
        }
        "vp8enc" => {
            encoder.set_property_from_str("target-bitrate", &bits.to_string());
            // Microseconds per picture; 1 is "as fast as possible".
            encoder.set_property_from_str("deadline", "1");
            encoder.set_property_from_str("cpu-used", "4");
        }
        _ => encoder.set_property_from_str("bitrate", &(bits / 1000).max(1).to_string()),
    }
}
