//! Pictures for people to look at: a frame as JPEG, with or without what was found in it.

use bytes::Bytes;
use parking_lot::Mutex;
use vigia_core::model::ModelSpec;
use vigia_core::result::FrameResult;
use vigia_vision::draw;
use vigia_vision::picture::{PictureError, RgbImage, encode_jpeg_into, to_rgb};

/// JPEG quality of live pictures and snapshots.
const QUALITY: u8 = 85;

/// Largest picture whose memory is kept: that of a 4K camera. Larger ones are posted now and then.
const KEPT_PIXELS: u64 = 3840 * 2160;

/// Paints in memory that is kept: a full-size RGB picture is too dear to be made anew for each frame.
#[derive(Debug, Default)]
pub struct Painter {
    easels: Mutex<Vec<Easel>>,
}

/// What painting one picture takes.
#[derive(Debug, Default)]
struct Easel {
    canvas: RgbImage,
    jpeg: Vec<u8>,
}

impl Painter {
    /// The frame of a result as JPEG; with boxes, labels and points where `annotated`.
    ///
    /// The frame has to be there at full size: detections are in its pixels.
    ///
    /// # Errors
    /// When the codec cannot work.
    pub fn jpeg(&self, result: &FrameResult, spec: &ModelSpec, annotated: bool) -> Result<Bytes, PictureError> {
        let mut easel = self.easels.lock().pop().unwrap_or_default();
        let Easel { canvas, jpeg } = &mut easel;
        to_rgb(&result.frame.image, canvas);
        if annotated {
            draw::annotate(canvas, &result.detections, &|id| spec.label(id));
        }
        // The encoder wants room for the worst picture; what is kept and sent is as long as it has to be.
        let encoded = encode_jpeg_into(canvas, QUALITY, jpeg).map(|()| Bytes::copy_from_slice(jpeg));
        if canvas.size().pixels() <= KEPT_PIXELS {
            self.easels.lock().push(easel);
        }
        encoded
    }
}
