//! A decoder's buffer as an `Image`: mapped once, never copied, given back when the last user lets go.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use vigia_core::frame::{Image, PixelBuffer};
use vigia_core::geometry::Size;

use crate::caps::Picture;

/// A mapped buffer. The decoder's pool gets the memory back when this is dropped.
struct MappedPlanes {
    frame: gst_video::VideoFrame<gst_video::video_frame::Readable>,
    order: [usize; 3],
    count: usize,
}

impl PixelBuffer for MappedPlanes {
    fn plane(&self, index: usize) -> &[u8] {
        match self.order.get(index) {
            Some(&plane) if index < self.count => self.frame.plane_data(plane as u32).unwrap_or(&[]),
            _ => &[],
        }
    }
}

/// The picture in `buffer`, borrowed.
///
/// # Errors
/// A text that says what is odd about the buffer.
pub(crate) fn image(buffer: gst::Buffer, picture: &Picture) -> Result<Image, String> {
    let Picture { info, layout, colour } = picture;
    let Ok(frame) = gst_video::VideoFrame::from_buffer_readable(buffer, info) else {
        return Err(format!("a buffer that does not hold a {}x{} picture", info.width(), info.height()));
    };
    let count = layout.format.planes();
    let mut strides = [0; 3];
    for (stride, &plane) in strides.iter_mut().zip(&layout.planes).take(count) {
        // Bottom-up pictures have negative strides; their planes cannot be borrowed as slices.
        let bytes = frame.plane_stride().get(plane).copied().unwrap_or(0);
        *stride = usize::try_from(bytes).map_err(|e| format!("rows that lie {bytes} bytes apart: {e}"))?;
    }
    let size = Size::new(frame.width(), frame.height());
    let planes = MappedPlanes { frame, order: layout.planes, count };
    Image::new(layout.format, size, strides, *colour, Arc::new(planes)).map_err(|e| e.to_string())
}
