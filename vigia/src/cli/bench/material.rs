//! What the full path is measured with.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vigia_core::frame::Frame;
use vigia_core::geometry::Size;
use vigia_core::model::ModelSpec;
use vigia_engine::offline::Input;
use vigia_vision::picture::{Cover, PictureDecoder, RgbImage, encode_jpeg};

use crate::config::Config;
use crate::inputs::{self, Kind};

/// A picture in memory, or a video by its address.
pub(super) struct Material {
    name: Arc<str>,
    content: Content,
}

enum Content {
    Picture {
        bytes: Arc<[u8]>,
        decoder: Arc<PictureDecoder>,
        cover: Cover,
    },
    #[cfg(feature = "gstreamer")]
    Video,
}

impl Material {
    /// The input of this name, or a generated picture.
    pub(super) fn open(input: Option<&str>, config: &Config, spec: &ModelSpec) -> Result<Self, String> {
        let Some(input) = input else {
            let jpeg = generated_jpeg()?;
            return Ok(Self::picture("generated 1280x720 JPEG", jpeg, config, spec));
        };
        let found = inputs::find(&[OsString::from(input)]).into_iter().next();
        match found.filter(|named| named.name.as_ref() == input).map(|named| named.kind) {
            Some(Kind::Picture(path)) => {
                let bytes = read(&path)?;
                Ok(Self::picture(&inputs::shown(input), bytes, config, spec))
            }
            #[cfg(feature = "gstreamer")]
            Some(Kind::Video(_) | Kind::Address) => Ok(Self { name: Arc::from(input), content: Content::Video }),
            #[cfg(not(feature = "gstreamer"))]
            Some(Kind::Video(_) | Kind::Address) => {
                Err(format!("{input}: this vigia was built without GStreamer and reads pictures only"))
            }
            Some(Kind::Unusable(reason)) => Err(format!("{}: {reason}", inputs::shown(input))),
            None => Err(format!("{}: a folder; give one picture or video", inputs::shown(input))),
        }
    }

    fn picture(name: &str, bytes: Vec<u8>, config: &Config, spec: &ModelSpec) -> Self {
        let cover = Cover::of(&spec.input);
        let decoder = Arc::new(PictureDecoder::new(config.limits.pictures()));
        Self { name: Arc::from(name), content: Content::Picture { bytes: bytes.into(), decoder, cover } }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Processor time to decode one picture or frame.
    pub(super) fn decode_cost(&self, time: Duration) -> Result<Duration, String> {
        match &self.content {
            Content::Picture { bytes, decoder, cover } => {
                decoder.decode(bytes, Some(*cover)).map_err(|e| e.to_string())?;
                let (started, mut runs) = (Instant::now(), 0u32);
                while started.elapsed() < time / 2 || runs == 0 {
                    decoder.decode(bytes, Some(*cover)).map_err(|e| e.to_string())?;
                    runs += 1;
                }
                Ok(started.elapsed() / runs)
            }
            #[cfg(feature = "gstreamer")]
            Content::Video => video::decode_cost(&self.name, time),
        }
    }

    /// One decoded picture or frame.
    pub(super) fn frame(&self) -> Result<Frame, String> {
        match &self.content {
            Content::Picture { bytes, decoder, cover } => decode(&self.name, bytes, decoder, *cover),
            #[cfg(feature = "gstreamer")]
            Content::Video => video::first_frame(&self.name),
        }
    }

    /// The input over and over, without an end.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (Arc<str>, Input)> + Send + use<> {
        let name = self.name.clone();
        let make: Box<dyn Fn() -> Input + Send> = match &self.content {
            Content::Picture { bytes, decoder, cover } => {
                let (name, bytes, decoder, cover) = (name.clone(), bytes.clone(), decoder.clone(), *cover);
                Box::new(move || {
                    let (name, bytes, decoder) = (name.clone(), bytes.clone(), decoder.clone());
                    Input::Picture(Box::new(move || decode(&name, &bytes, &decoder, cover)))
                })
            }
            #[cfg(feature = "gstreamer")]
            Content::Video => {
                let name = name.clone();
                Box::new(move || video::input(name.clone()))
            }
        };
        std::iter::repeat_with(move || (name.clone(), make()))
    }
}

fn decode(name: &Arc<str>, bytes: &[u8], decoder: &PictureDecoder, cover: Cover) -> Result<Frame, String> {
    inputs::decode_picture(name, bytes, decoder, Some(cover), Instant::now())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Soft shapes with some grain: about as hard to decode as a photograph of this size.
pub(super) fn generated_jpeg() -> Result<Vec<u8>, String> {
    let size = Size::new(1280, 720);
    let mut picture = RgbImage::new(size);
    let mut noise = 1u32;
    for (i, pixel) in picture.bytes_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = ((i % 1280) as f32, (i / 1280) as f32);
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 28) as f32 - 8.0;
        let wave = |phase: f32| ((x / 97.0 + phase).sin() + (y / 61.0 + phase * 2.0).cos()) * 50.0 + 128.0 + grain;
        pixel.copy_from_slice(&[wave(0.0) as u8, wave(1.0) as u8, wave(2.0) as u8]);
    }
    encode_jpeg(&picture, 85).map_err(|e| e.to_string())
}

#[cfg(feature = "gstreamer")]
mod video {
    //! Videos: decoded alone, for what that costs.

    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::{Duration, Instant};

    use vigia_core::frame::Frame;
    use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source as _, SourceError};
    use vigia_engine::offline::Input;
    use vigia_media::{IngestOptions, MediaSource};

    use crate::inputs::stream_of;

    /// Sends its first frames on, at last the end.
    struct Sink {
        frames: SyncSender<Result<Frame, SourceError>>,
    }

    impl FrameSink for Sink {
        fn frame(&mut self, frame: Frame) -> Flow {
            if self.frames.send(Ok(frame)).is_ok() { Flow::Continue } else { Flow::Stop }
        }

        /// Nothing that listens is measured here.
        fn picture(&mut self, _picture: EncodedPicture) -> Flow {
            Flow::Stop
        }

        fn trouble(&mut self, error: &SourceError) {
            tracing::warn!(%error, "the source goes on");
        }

        fn end(&mut self, outcome: Result<(), SourceError>) {
            if let Err(error) = outcome
                && self.frames.send(Err(error)).is_err()
            {
                tracing::debug!("nobody waits for the end of the video");
            }
        }
    }

    /// Plays the video until `use_frames` has enough.
    fn play<R>(
        name: &Arc<str>,
        use_frames: impl FnOnce(Receiver<Result<Frame, SourceError>>) -> R,
    ) -> Result<R, String> {
        let source = MediaSource::open(name, stream_of(name), IngestOptions::default()).map_err(|e| e.to_string())?;
        let (frames, receiver) = sync_channel(4);
        let handle = Box::new(source).start(Box::new(Sink { frames })).map_err(|e| e.to_string())?;
        let result = use_frames(receiver);
        drop(handle);
        Ok(result)
    }

    pub(super) fn first_frame(name: &Arc<str>) -> Result<Frame, String> {
        let first = play(name, |frames| frames.recv())?;
        first.map_err(|_ended| "the video has no frame".to_owned())?.map_err(|e| e.to_string())
    }

    /// Processor time of the whole process per frame while nothing but the decoder runs.
    pub(super) fn decode_cost(name: &Arc<str>, time: Duration) -> Result<Duration, String> {
        let counted = play(name, |frames| {
            let mut frames = frames.into_iter();
            // The start of the pipeline is not the decoder's steady cost.
            frames.next().ok_or("the video has no frame")??;
            let (started, before, mut count) = (Instant::now(), processor_time(), 0u32);
            while started.elapsed() < time {
                let Some(frame) = frames.next() else { break };
                frame?;
                count += 1;
            }
            Ok::<_, Error>((processor_time().saturating_sub(before), count))
        })?;
        match counted.map_err(|e| e.0)? {
            (_, 0) => Err("the video has one frame only".to_owned()),
            (spent, count) => Ok(spent / count),
        }
    }

    struct Error(String);

    impl From<&str> for Error {
        fn from(text: &str) -> Self {
            Self(text.to_owned())
        }
    }

    impl From<SourceError> for Error {
        fn from(error: SourceError) -> Self {
            Self(error.to_string())
        }
    }

    /// User and system time of this process, in steps of 10 ms.
    fn processor_time() -> Duration {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field is the program's name, in brackets, and may hold anything.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    pub(super) fn input(name: Arc<str>) -> Input {
        Input::Video(Box::new(move || {
            let source = MediaSource::open(&name, stream_of(&name), IngestOptions::default())?;
            Ok(Box::new(source))
        }))
    }
}
