//! Annotated copies of pictures and videos.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vigia_core::geometry::Size;
use vigia_core::result::FrameResult;
use vigia_vision::draw;
use vigia_vision::picture::{RgbImage, encode_jpeg, to_rgb};

use crate::inputs::CopyNames;

/// JPEG quality of annotated pictures.
const QUALITY: u8 = 90;

/// Draws results and writes them into a folder, one file per input.
pub struct Copies {
    folder: PathBuf,
    names: CopyNames,
    canvas: RgbImage,
    #[cfg(feature = "gstreamer")]
    video: Option<Video>,
}

#[cfg(feature = "gstreamer")]
struct Video {
    source: Arc<str>,
    recorder: vigia_media::Recorder,
}

impl Copies {
    /// Copies into `folder`, which is made where it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn into_folder(folder: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|e| format!("the folder {} cannot be made: {e}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            names: CopyNames::default(),
            canvas: RgbImage::new(Size::default()),
            #[cfg(feature = "gstreamer")]
            video: None,
        })
    }

    /// Draws a result and writes it: a picture at once, a frame into its video. `fps` is the video's, where known.
    ///
    /// # Errors
    /// What could not be written, and why.
    pub fn add(
        &mut self,
        source: &Arc<str>,
        result: &FrameResult,
        label: &dyn Fn(u32) -> String,
        fps: Option<f64>,
    ) -> Result<(), String> {
        to_rgb(&result.frame.image, &mut self.canvas);
        draw::annotate(&mut self.canvas, &result.detections, label);
        match result.frame.pts {
            None => self.picture(source),
            Some(pts) => self.frame(source, pts, fps),
        }
    }

    fn picture(&mut self, source: &str) -> Result<(), String> {
        let path = self.folder.join(format!("{}.jpg", self.names.next(source)));
        let jpeg = encode_jpeg(&self.canvas, QUALITY).map_err(|e| e.to_string())?;
        std::fs::write(&path, jpeg).map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }

    #[cfg(feature = "gstreamer")]
    fn frame(&mut self, source: &Arc<str>, pts: std::time::Duration, fps: Option<f64>) -> Result<(), String> {
        let video = match &mut self.video {
            Some(video) if video.source == *source => video,
            other => {
                let path = self.folder.join(self.names.next(source)).with_added_extension("mp4");
                // Thousandths keep 29.97 apart from 30.
                let rate = ((fps.unwrap_or(25.0).clamp(1.0, 240.0) * 1000.0).round() as i32, 1000);
                let recorder = vigia_media::Recorder::create(&path, self.canvas.size(), rate)
                    .map_err(|e| format!("no annotated copy: {e}"))?;
                other.insert(Video { source: source.clone(), recorder })
            }
        };
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
        #[cfg(feature = "gstreamer")]
        if let Some(video) = self.video.take() {
            video.recorder.finish().map_err(|e| format!("the annotated copy could not be finished: {e}"))?;
        }
        Ok(())
    }
}
