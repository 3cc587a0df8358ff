//! What the cameras play: a clip that is given, or one of the sample pictures with the number of each frame painted in.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use clap::Args;
use parking_lot::{Condvar, Mutex};
use vigia_core::frame::{Frame, Image, PixelFormat};
use vigia_core::geometry::Size;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source as _, SourceError};
use vigia_media::cameras::{ClipWriter, access_units};
use vigia_media::{IngestOptions, MediaSource};

use super::number;
use crate::cli::output::{self, Failure};
use crate::config::Config;
use crate::paths;

/// Frames of a clip that is made: 60 s at 15 frames per second.
const FRAMES: usize = 900;
/// Seconds that a clip must last at least: no frame may be under way for as long as it takes until its number comes again.
const SHORTEST: usize = 5;
/// Bits per second of a clip of 1280x720; other sizes in proportion to their pixels.
const BITS: u64 = 2_000_000;

/// A clip in a file.
#[derive(Debug)]
pub(super) struct Clip {
    pub(super) path: PathBuf,
    /// Access units.
    pub(super) frames: usize,
    /// Frames per second at which it is played.
    pub(super) fps: u32,
    /// Bits per second at this speed.
    pub(super) bits: u64,
}

impl Clip {
    /// A clip that is there.
    pub(super) fn open(path: &Path, fps: u32) -> Result<Self, String> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|e| format!("{shown}: {e}"))?;
        let frames = access_units(&bytes).len();
        let least = SHORTEST * fps as usize;
        match frames {
            0 => Err(format!(
                "{shown}: no access unit delimiters: a clip is H.264 as an Annex B byte stream, made with aud=1"
            )),
            _ if frames > number::NUMBERS => {
                Err(format!("{shown}: {frames} frames, and only {} numbers to tell them apart", number::NUMBERS))
            }
            _ if frames < least => {
                Err(format!("{shown}: {frames} frames; at {fps} per second it takes {least} to tell them apart"))
            }
            _ => {
                let bits = bytes.len() as u64 * 8 * u64::from(fps) / frames as u64;
                Ok(Self { path: path.to_owned(), frames, fps, bits })
            }
        }
    }

    /// A clip of the samples that set-up left, or of a test picture where there are none; made once and kept with what
    /// vigia remembers. `progress` is told how many frames are made, of how many.
    pub(super) fn make(
        config: &Config,
        size: Size,
        fps: u32,
        progress: impl FnMut(usize, usize),
    ) -> Result<Self, String> {
        let folder = paths::tuning_file(config).with_file_name("bench");
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let kind = if paths::samples().is_some() { "samples" } else { "pattern" };
        let path = folder.join(format!("{kind}-{size}-{fps}fps.h264"));
        if !path.exists() {
            make_apart(&path, size, fps, progress)?;
        }
        Self::open(&path, fps)
    }
}

/// Has a clip made by a process of its own, whose memory does not stay in this one.
fn make_apart(path: &Path, size: Size, fps: u32, mut progress: impl FnMut(usize, usize)) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("the clip cannot be made: {e}");
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["bench", "clip", "--size", &size.to_string(), "--fps", &fps.to_string()])
        .arg("--to")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let lines = child.stdout.take().map(|pipe| BufReader::new(pipe).lines());
    for line in lines.into_iter().flatten().map_while(Result::ok) {
        progress(line.parse().unwrap_or(0), FRAMES);
    }
    let mut said = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_string(&mut said).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let said = said.trim().strip_prefix("vigia: ").unwrap_or(said.trim());
    Err(format!("the clip cannot be made: {}", if said.is_empty() { status.to_string() } else { said.to_owned() }))
}

/// The arguments of `vigia bench clip`.
#[derive(Debug, Args)]
pub(in crate::cli::bench) struct ClipArgs {
    /// Where it is written
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Width and height
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = super::size)]
    size: Size,
    /// Frames per second
    #[arg(long, value_name = "FPS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,
}

/// Makes a clip and says now and then how many frames it has.
pub(in crate::cli::bench) fn make(args: &ClipArgs) -> Result<ExitCode, Failure> {
    let address = pictures(paths::samples(), args.size, args.fps);
    let progress = |made: usize| {
        if made.is_multiple_of(10) && output::print(&made.to_string()).is_err() {
            tracing::debug!("nobody wants to know how far it is");
        }
    };
    let written = write(&address, &args.to, args.size, args.fps, FRAMES, progress);
    written.map_err(|e| Failure::Failed(e.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// The address of what is shown in a clip.
fn pictures(samples: Option<PathBuf>, Size { width, height }: Size, fps: u32) -> String {
    let options = format!("width={width}&height={height}&fps={fps}");
    match samples {
        Some(folder) => format!("slides:{}?{options}&seconds=6", folder.display()),
        None => format!("test://?{options}&pattern=ball"),
    }
}

fn write(
    address: &str,
    path: &Path,
    size: Size,
    fps: u32,
    frames: usize,
    progress: impl FnMut(usize) + Send + 'static,
) -> Result<(), SourceError> {
    let bits = BITS * u64::from(size.width) * u64::from(size.height) / (1280 * 720);
    let writer = ClipWriter::create(path, size, fps, u32::try_from(bits).unwrap_or(u32::MAX))?;
    let stream = StreamRef { id: StreamId::new("clip"), generation: 0 };
    let source = MediaSource::open(address, stream, IngestOptions::default())?;
    let over = Arc::new(Over::default());
    let sink = Painter { writer: Some(writer), size, frames, made: 0, progress, failure: None, over: over.clone() };
    let handle = Box::new(source).start(Box::new(sink))?;
    let outcome = over.wait();
    drop(handle);
    outcome
}

/// How it ended.
#[derive(Default)]
struct Over {
    outcome: Mutex<Option<Result<(), SourceError>>>,
    changed: Condvar,
}

impl Over {
    fn wait(&self) -> Result<(), SourceError> {
        let mut outcome = self.outcome.lock();
        loop {
            if let Some(outcome) = outcome.take() {
                return outcome;
            }
            self.changed.wait(&mut outcome);
        }
    }
}

/// Paints each frame's number into it and has it encoded.
struct Painter<P> {
    /// None once the clip is written.
    writer: Option<ClipWriter>,
    size: Size,
    /// How many there will be.
    frames: usize,
    made: usize,
    progress: P,
    failure: Option<SourceError>,
    over: Arc<Over>,
}

impl<P: FnMut(usize) + Send> Painter<P> {
    fn add(&mut self, image: &Image) -> Result<Flow, SourceError> {
        let Some(writer) = &mut self.writer else { return Ok(Flow::Stop) };
        let mut picture = i420(image, self.size).ok_or_else(|| {
            SourceError::Undecodable(format!("pictures of {} in {:?} make no clip", image.size(), image.format()))
        })?;
        number::paint(&mut picture, self.size, self.made);
        writer.write(&picture)?;
        self.made += 1;
        (self.progress)(self.made);
        if self.made < self.frames {
            return Ok(Flow::Continue);
        }
        self.writer.take().map_or(Ok(()), ClipWriter::finish)?;
        Ok(Flow::Stop)
    }
}

impl<P: FnMut(usize) + Send> FrameSink for Painter<P> {
    fn frame(&mut self, frame: Frame) -> Flow {
        self.add(&frame.image).unwrap_or_else(|error| {
            self.failure = Some(error);
            Flow::Stop
        })
    }

    fn picture(&mut self, _picture: EncodedPicture) -> Flow {
        Flow::Continue
    }

    fn trouble(&mut self, error: &SourceError) {
        tracing::warn!(%error, "the pictures of a clip");
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        let outcome = match (self.failure.take(), outcome) {
            (Some(error), _) | (None, Err(error)) => Err(error),
            (None, Ok(())) if self.writer.is_some() => Err(SourceError::Undecodable(format!(
                "there were {} pictures for a clip of {}",
                self.made, self.frames
            ))),
            (None, Ok(())) => Ok(()),
        };
        *self.over.outcome.lock() = Some(outcome);
        self.over.changed.notify_all();
    }
}

/// A picture's planes without padding.
fn i420(image: &Image, size: Size) -> Option<Vec<u8>> {
    if image.size() != size || image.format() != PixelFormat::I420 {
        return None;
    }
    let mut bytes = Vec::with_capacity(size.width as usize * size.height as usize * 3 / 2);
    for plane in 0..3 {
        let (pixels, stride) = image.plane(plane);
        let (row, rows) = PixelFormat::I420.plane_size(plane, size);
        pixels.chunks(stride).take(rows).for_each(|line| bytes.extend_from_slice(&line[..row]));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
