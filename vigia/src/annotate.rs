//! Annotated copies of pictures and videos.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vigia_core::geometry::Size;
use vigia_core::result::FrameResult;
use vigia_vision::draw;
use vigia_vision::picture::{RgbImage, encode_jpeg, to_rgb};

use crate::inputs::{CopyNames, InputFiles};

/// JPEG quality of annotated pictures.
const QUALITY: u8 = 90;

/// Draws results and writes them into a folder, one file per input.
pub struct Copies {
    folder: PathBuf,
    names: CopyNames,
    inputs: InputFiles,
    canvas: RgbImage,
    /// The input whose copy failed; nothing more of it is written.
    failed: Option<Arc<str>>,
    #[cfg(feature = "gstreamer")]
    video: Option<Video>,
}

#[cfg(feature = "gstreamer")]
struct Video {
    source: Arc<str>,
    size: Size,
    recorder: vigia_media::Recorder,
}

impl Copies {
    /// Copies into `folder`, which is made where it is not there. None takes the place of an input.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn into_folder(folder: &Path, inputs: InputFiles) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|e| format!("the folder {} cannot be made: {e}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            names: CopyNames::default(),
            inputs,
            failed: None,
            canvas: RgbImage::new(Size::default()),
            #[cfg(feature = "gstreamer")]
            video: None,
        })
    }

    /// Draws a result and writes it: a picture at once, a frame into its video. `fps` is the video's, where known.
    ///
    /// # Errors
    /// What could not be written, and why, once for each input.
    pub fn add(
        &mut self,
        source: &Arc<str>,
        result: &FrameResult,
        label: &dyn Fn(u32) -> String,
        fps: Option<f64>,
    ) -> Result<(), String> {
        if self.failed.as_ref() == Some(source) {
            return Ok(());
        }
        to_rgb(&result.frame.image, &mut self.canvas);
        draw::annotate(&mut self.canvas, &result.detections, label);
        let written = match result.frame.pts {
            None => self.picture(source),
            Some(pts) => self.frame(source, pts, fps),
        };
        if written.is_err() {
            self.failed = Some(source.clone());
        }
        written
    }

    /// A path for the copy of an input that is neither another copy nor an input itself.
    fn path(&mut self, source: &str, extension: &str) -> PathBuf {
        let path = |name: &str| self.folder.join(name).with_added_extension(extension);
        let name = self.names.next(source, |name| !self.inputs.contains(&path(name)));
        path(&name)
    }

    fn picture(&mut self, source: &str) -> Result<(), String> {
        let path = self.path(source, "jpg");
        let jpeg = encode_jpeg(&self.canvas, QUALITY).map_err(|e| e.to_string())?;
        std::fs::write(&path, jpeg).map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }

    #[cfg(feature = "gstreamer")]
    fn frame(&mut self, source: &Arc<str>, pts: std::time::Duration, fps: Option<f64>) -> Result<(), String> {
        let size = self.canvas.size();
        // A stream that changes its size goes on in a file of its own.
        if self.video.as_ref().is_some_and(|video| video.source != *source || video.size != size) {
            self.close_video()?;
        }
        if self.video.is_none() {
            let extension = vigia_media::Recorder::extension().map_err(|e| format!("no annotated copy: {e}"))?;
            let path = self.path(source, extension);
            // Thousandths keep 29.97 apart from 30.
            let rate = ((fps.unwrap_or(25.0).clamp(1.0, 240.0) * 1000.0).round() as i32, 1000);
            let recorder = vigia_media::Recorder::create(&path, size, rate);
            let recorder = recorder.map_err(|e| format!("no annotated copy: {e}"))?;
            self.video = Some(Video { source: source.clone(), size, recorder });
        }
        let Some(video) = &mut self.video else { return Ok(()) };
        video.recorder.write_rgb(self.canvas.bytes(), pts).map_err(|e| format!("the annotated copy broke off: {e}"))
    }

    #[cfg(not(feature = "gstreamer"))]
    #[expect(clippy::unused_self, reason = "the one that writes has to be the same call")]
    fn frame(&mut self, _source: &Arc<str>, _pts: std::time::Duration, _fps: Option<f64>) -> Result<(), String> {
        Err("this vigia was built without GStreamer and writes no videos".to_owned())
    }

    /// An input is over: its video, if it has one, is closed.
    ///
    /// # Errors
    /// When the file could not be finished.
    pub fn done(&mut self) -> Result<(), String> {
        let said_already = self.failed.take().is_some();
        let closed = self.close_video();
        if said_already { Ok(()) } else { closed }
    }

    #[cfg(feature = "gstreamer")]
    fn close_video(&mut self) -> Result<(), String> {
        let Some(video) = self.video.take() else { return Ok(()) };
        video.recorder.finish().map(drop).map_err(|e| format!("the annotated copy could not be finished: {e}"))
    }

    #[cfg(not(feature = "gstreamer"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the one that closes has to be the same call")]
    fn close_video(&mut self) -> Result<(), String> {
        Ok(())
    }
}
