//! The sink's answer to decoders that ask how they may lay out their pictures: as they like, in memory of this pool.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

/// Answers for a sink that does not answer by itself: appsink of 1.22 does not.
///
/// Without the answer, libav's decoders copy each picture into rows without padding. Without the pool they still copy
/// where the coded picture is higher than the visible one, as 1080 rows of H.264 always are (coded as 1088).
pub(super) fn answer_for(sink: &impl IsA<gst::Element>) {
    let Some(pad) = sink.static_pad("sink") else { return };
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        let Some(gst::QueryViewMut::Allocation(query)) = info.query_mut().map(gst::QueryRef::view_mut) else {
            return gst::PadProbeReturn::Ok;
        };
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        if let Some((pool, size)) = pool(query.get().0) {
            // No limit: whoever keeps frames must not stop the decoder.
            query.add_allocation_pool(Some(&pool), size, 0, 0);
        }
        gst::PadProbeReturn::Handled
    });
}

/// A pool for pictures of these caps, and their size in bytes.
pub(super) fn pool(caps: Option<&gst::CapsRef>) -> Option<(gst_video::VideoBufferPool, u32)> {
    let caps = caps?;
    let size = u32::try_from(gst_video::VideoInfo::from_caps(caps).ok()?.size()).ok()?;
    let pool = gst_video::VideoBufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&caps.to_owned()), size, 0, 0);
    pool.set_config(config).ok()?;
    Some((pool, size))
}
