//! Pictures to a clip as a camera would send it: H.264 main profile without B frames, a key frame each 30 frames, an access
//! unit delimiter and the parameters with each key frame, as an Annex B byte stream.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;

/// Frames from key frame to key frame.
const KEY_INTERVAL: u32 = 30;
/// Pictures that wait for the encoder, at most.
const QUEUE: u64 = 4;
/// How long the encoder may take over what is queued before it counts as stuck.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// Writes a clip. The file is there, under its name, when [`ClipWriter::finish`] has succeeded; until then it has another
/// one, and goes away with the writer. Writing waits while the encoder is behind.
#[derive(Debug)]
pub struct ClipWriter {
    encoder: Encoder,
    /// Of a picture.
    bytes: usize,
    fps: u64,
    written: u64,
    path: PathBuf,
    part: PathBuf,
}

#[derive(Debug)]
enum Encoder {
    /// GStreamer's x264enc.
    Pipeline(gst::Pipeline, gst_app::AppSrc),
    /// The program ffmpeg, with libx264.
    Program(Child),
}

impl ClipWriter {
    /// Starts a clip of pictures of `size`, both sides even, `fps` per second in `bits` per second.
    ///
    /// # Errors
    /// [`SourceError::Library`] where there is neither GStreamer's x264enc nor an ffmpeg that has libx264,
    /// [`SourceError::NotFound`] when the file cannot be written.
    pub fn create(path: &Path, size: Size, fps: u32, bits: u32) -> Result<Self, SourceError> {
        crate::init()?;
        let part = path.with_extension("part");
        std::fs::File::create(&part)
            .map_err(|e| SourceError::NotFound(format!("{} cannot be written: {e}", path.display())))?;
        let encoder = if gst::ElementFactory::find("x264enc").is_some() {
            pipeline(&part, size, fps, bits).map_err(SourceError::Library)
        } else {
            program(&part, size, fps, bits)
        };
        let bytes = size.width as usize * size.height as usize * 3 / 2;
        match encoder {
            Ok(encoder) => Ok(Self { encoder, bytes, fps: fps.into(), written: 0, path: path.to_owned(), part }),
            Err(error) => {
                let _gone = std::fs::remove_file(&part);
                Err(error)
            }
        }
    }

    /// Adds a picture, I420 without padding.
    ///
    /// # Errors
    /// What went wrong with this or an earlier picture.
    pub fn write(&mut self, i420: &[u8]) -> Result<(), SourceError> {
        let (got, needed) = (i420.len(), self.bytes);
        if got != needed {
            return Err(self.failure(&format!("a picture of {got} bytes, not {needed}")));
        }
        let written = match &mut self.encoder {
            Encoder::Pipeline(pipeline, source) => {
                let mut buffer = gst::Buffer::from_slice(i420.to_vec());
                let pts = gst::ClockTime::SECOND.mul_div_floor(self.written, self.fps);
                buffer.make_mut().set_pts(pts);
                let why = |flow: gst::FlowError| said(pipeline, gst::ClockTime::SECOND).unwrap_or(flow.to_string());
                source.push_buffer(buffer).map(drop).map_err(why)
            }
            Encoder::Program(child) => {
                let pipe = child.stdin.as_mut().ok_or_else(|| "it was closed".to_owned());
                pipe.and_then(|pipe| pipe.write_all(i420).map_err(|e| e.to_string())).map_err(|e| complaint(child, e))
            }
        };
        self.written += 1;
        written.map_err(|why| self.failure(&why))
    }

    /// Writes what is queued and gives the file its name.
    ///
    /// # Errors
    /// What went wrong with the last pictures or the file.
    pub fn finish(mut self) -> Result<(), SourceError> {
        let finished = match &mut self.encoder {
            Encoder::Pipeline(pipeline, source) => match source.end_of_stream() {
                Ok(_) => said(pipeline, PATIENCE).map_or(Ok(()), Err),
                Err(flow) => Err(flow.to_string()),
            },
            Encoder::Program(child) => {
                drop(child.stdin.take());
                match child.wait() {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(complaint(child, format!("ffmpeg ended with {status}"))),
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        finished.map_err(|why| self.failure(&why))?;
        std::fs::rename(&self.part, &self.path).map_err(|e| self.failure(&e.to_string()))
    }

    fn failure(&self, why: &str) -> SourceError {
        SourceError::Library(format!("{} cannot be written: {why}", self.path.display()))
    }
}

impl Drop for ClipWriter {
    fn drop(&mut self) {
        match &mut self.encoder {
            Encoder::Pipeline(pipeline, _) => {
                if pipeline.set_state(gst::State::Null).is_err() {
                    tracing::warn!(path = %self.path.display(), "the encoder of a clip did not stop cleanly");
                }
            }
            // Ended already after `finish`, which makes both of these fail.
            Encoder::Program(child) => {
                let _ended = child.kill();
                let _reaped = child.wait();
            }
        }
        let _gone = std::fs::remove_file(&self.part);
    }
}

fn pipeline(part: &Path, size: Size, fps: u32, bits: u32) -> Result<Encoder, String> {
    let text = |e: gst::glib::BoolError| e.to_string();
    let rate = gst::Fraction::new(i32::try_from(fps).unwrap_or(i32::MAX), 1);
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.width, size.height).fps(rate);
    let caps = info.build().and_then(|info| info.to_caps()).map_err(text)?;
    let source =
        gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).max_buffers(QUEUE).block(true).build();
    let encoder = gst::ElementFactory::make("x264enc")
        .property("bitrate", bits / 1000)
        // A second's worth, in milliseconds.
        .property("vbv-buf-capacity", 1000u32)
        .property("key-int-max", KEY_INTERVAL)
        .property("bframes", 0u32)
        .property("aud", true)
        .property("byte-stream", true)
        .property_from_str("speed-preset", "fast")
        .property("option-string", "scenecut=0:repeat-headers=1")
        .build()
        .map_err(text)?;
    let profile: gst::Caps =
        "video/x-h264,profile=main,stream-format=byte-stream,alignment=au".parse().map_err(text)?;
    let profile = gst::ElementFactory::make("capsfilter").property("caps", profile).build().map_err(text)?;
    let file = gst::ElementFactory::make("filesink").property("location", part).build().map_err(text)?;
    let pipeline = gst::Pipeline::new();
    let chain = [source.upcast_ref(), &encoder, &profile, &file];
    pipeline.add_many(chain).and_then(|()| gst::Element::link_many(chain)).map_err(text)?;
    if pipeline.set_state(gst::State::Playing).is_err() {
        return Err(said(&pipeline, gst::ClockTime::ZERO).unwrap_or_else(|| "x264enc does not start".to_owned()));
    }
    Ok(Encoder::Pipeline(pipeline, source))
}

/// Waits for the end or for an error, which is given.
fn said(pipeline: &gst::Pipeline, patience: gst::ClockTime) -> Option<String> {
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().and_then(|bus| bus.timed_pop_filtered(patience, &kinds));
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Some(error.error().to_string()),
        Some(_) => None,
        None => Some("the encoder is stuck".to_owned()),
    }
}

fn program(part: &Path, size: Size, fps: u32, bits: u32) -> Result<Encoder, SourceError> {
    let (bits, key) = (bits.to_string(), KEY_INTERVAL.to_string());
    let child = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"])
        .args(["-video_size", &size.to_string(), "-framerate", &fps.to_string(), "-i", "pipe:0"])
        .args(["-c:v", "libx264", "-preset", "fast", "-profile:v", "main", "-bf", "0", "-g", &key])
        .args(["-sc_threshold", "0", "-b:v", &bits, "-maxrate", &bits, "-bufsize", &bits])
        .args(["-x264-params", "aud=1:repeat-headers=1", "-f", "h264"])
        .arg(part)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    child.map(Encoder::Program).map_err(|e| {
        tracing::debug!(%e, "ffmpeg does not start");
        let what = "making a clip takes GStreamer's element \"x264enc\" or the program \"ffmpeg\"; Debian has them in \
                    gstreamer1.0-plugins-ugly and ffmpeg";
        SourceError::Library(what.to_owned())
    })
}

/// What the program says about its failure, else `otherwise`.
fn complaint(child: &mut Child, otherwise: String) -> String {
    drop(child.stdin.take());
    let mut text = String::new();
    let read = child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut text));
    match (read, text.trim()) {
        (Some(Ok(_)), said) if !said.is_empty() => format!("ffmpeg: {}", said.replace('\n', ", ")),
        _ => otherwise,
    }
}
