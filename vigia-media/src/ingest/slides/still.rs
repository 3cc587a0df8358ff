//! One picture, decoded in the background by a pipeline of its own.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use parking_lot::Mutex;
use vigia_core::geometry::Size;

use super::motion;
use crate::elements;

/// Pictures of more pixels are not decoded: 8192 x 8192.
const MOST_PIXELS: u64 = 1 << 26;

/// Shorter sides are not shown.
const LEAST_SIDE: u32 = 16;

/// A picture is kept at no more pixels than this, three bytes each.
const MOST_KEPT: f64 = 16e6;

/// How many fitting windows of a long picture are kept side by side, around its middle: beyond it, the window would race.
const LONGEST: f64 = 2.0;

/// A picture, decoded and scaled such that its nearest window has about as many pixels as a frame. A window's edges are
/// then never further than half a pixel of the frame from their way, however small the picture was.
pub(super) struct Still {
    /// Y444, so that windows may begin at any pixel.
    pub(super) buffer: gst::Buffer,
    pub(super) info: gst_video::VideoInfo,
}

impl Still {
    pub(super) fn size(&self) -> Size {
        Size::new(self.info.width(), self.info.height())
    }

    /// Scales what the decoder hands over.
    fn new(sample: &gst::Sample, output: &gst_video::VideoInfo) -> Result<Self, String> {
        let text = |e: gst::glib::BoolError| e.to_string();
        let (Some(buffer), Some(caps)) = (sample.buffer(), sample.caps()) else {
            return Err("the decoder hands over nothing".to_owned());
        };
        let info = gst_video::VideoInfo::from_caps(caps).map_err(text)?;
        let (size, shape) = (Size::new(info.width(), info.height()), Size::new(output.width(), output.height()));
        let (part, kept) = kept(size, shape);
        let from = gst_video::VideoInfo::builder_from_info(&info)
            .fps(output.fps())
            .interlace_mode(output.interlace_mode())
            .build()
            .map_err(text)?;
        let to = gst_video::VideoInfo::builder(gst_video::VideoFormat::Y444, kept.width, kept.height)
            .fps(output.fps())
            .colorimetry(&output.colorimetry())
            .build()
            .map_err(text)?;
        let mut config = gst_video::VideoConverterConfig::new();
        // Divisible by 8, so that the chroma's columns are even in every format: see `motion::Window`.
        config.set_src_x((((size.width - part.width) / 2) & !7) as i32);
        config.set_src_y(((size.height - part.height) / 2) as i32);
        config.set_src_width(Some(part.width as i32));
        config.set_src_height(Some(part.height as i32));
        config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
        let converter = gst_video::VideoConverter::new(&from, &to, Some(config)).map_err(text)?;
        let source = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).map_err(text)?;
        let mut buffer = gst::Buffer::with_size(to.size()).map_err(text)?;
        let target = buffer.get_mut().ok_or("a new buffer is shared")?;
        let mut target = gst_video::VideoFrameRef::from_buffer_ref_writable(target, &to).map_err(text)?;
        converter.frame_ref(&source, &mut target);
        drop(target);
        Ok(Self { buffer, info: to })
    }
}

/// The part of a picture, around its middle, that is kept for frames of this shape, and the size at which it is.
fn kept(picture: Size, shape: Size) -> (Size, Size) {
    let (width, height) = motion::fitting(picture, shape);
    let part = (f64::from(picture.width).min(width * LONGEST), f64::from(picture.height).min(height * LONGEST));
    let wanted = f64::from(shape.width) / (width * motion::NEAREST);
    let scale = wanted.min((MOST_KEPT / (part.0 * part.1)).sqrt());
    let whole = |value: f64| (value.round() as u32).max(1);
    let kept = Size::new(whole(part.0 * scale).max(LEAST_SIDE), whole(part.1 * scale).max(LEAST_SIDE));
    (Size::new(whole(part.0).min(picture.width), whole(part.1).min(picture.height)), kept)
}

/// Bytes that are read at once: pictures of usual size come whole. Whenever a block has come, the parser looks at all
/// that there is.
const BLOCK: u32 = 16 << 20;

/// What a pipeline leaves for who waits for it.
type Slot = Arc<Mutex<Option<Result<Still, String>>>>;

/// A picture on its way. Dropping it stops the decoder and waits for it.
pub(super) struct Decoding {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    slot: Slot,
}

impl Decoding {
    /// Starts to decode a picture for frames of this format.
    pub(super) fn start(path: &Path, output: &gst_video::VideoInfo) -> Result<Self, String> {
        let [parser, decoder] = elements_for(path)?;
        let make = |name| elements::make(name).map_err(|e| e.to_string());
        let (file, parser, decoder) = (make("filesrc")?, make(parser)?, make(decoder)?);
        let (convert, flip) = (make("videoconvert")?, make("videoflip")?);
        file.set_property("location", path);
        file.set_property("blocksize", BLOCK);
        push_only(&file);
        flip.set_property_from_str("video-direction", "auto");
        let slot = Slot::default();
        watch_size(&parser, &slot);
        let sink = sink(&slot, output);
        let pipeline = gst::Pipeline::new();
        let chain = [&file, &parser, &decoder, &convert, &flip, sink.upcast_ref()];
        let text = |e: gst::glib::BoolError| e.to_string();
        pipeline.add_many(chain).map_err(text)?;
        gst::Element::link_many(chain).map_err(text)?;
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        let this = Self { pipeline, bus, slot };
        // What is wrong, if anything, is a message.
        if this.pipeline.set_state(gst::State::Playing).is_err() && !this.bus.have_pending() {
            return Err("the decoder does not start".to_owned());
        }
        Ok(this)
    }

    /// What has become of it; waits for it this long. To be dropped as soon as there is something.
    pub(super) fn outcome(&self, patience: gst::ClockTime) -> Option<Result<Still, String>> {
        let end = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = self.bus.timed_pop_filtered(patience, &end);
        if let Some(outcome) = self.slot.lock().take() {
            return Some(outcome);
        }
        match message?.view() {
            gst::MessageView::Error(error) => Some(Err(format!("it cannot be decoded: {}", error.error().message()))),
            _ => Some(Err("there is no picture in it".to_owned())),
        }
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("a pipeline did not stop cleanly");
        }
    }
}

/// Parser and decoder for a file, by how it begins: names are often wrong.
fn elements_for(path: &Path) -> Result<[&'static str; 2], String> {
    // Opening a pipe would wait for whoever writes into it.
    if !path.metadata().map_err(|e| e.to_string())?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut head = Vec::with_capacity(26);
    File::open(path).and_then(|file| file.take(26).read_to_end(&mut head)).map_err(|e| e.to_string())?;
    if head.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return Ok(["jpegparse", "jpegdec"]);
    }
    if !head.starts_with(b"\x89PNG\r\n\x1A\n") {
        return Err("it is neither JPEG nor PNG".to_owned());
    }
    match head[8..] {
        // Signature, length, name, width, height; then bits and kind of colour (PNG, 11.2.2).
        [_, _, _, _, b'I', b'H', b'D', b'R', _, _, _, _, _, _, _, _, 16, 2] => {
            Err("GStreamer 1.22 shows the colours of PNGs with 3 x 16 bits per pixel wrongly".to_owned())
        }
        _ => Ok(["pngparse", "pngdec"]),
    }
}

/// Makes a file's reader hand over blocks. A parser that may read for itself reads the file's beginning again for every
/// 64 KiB: 7 s for a PNG of 40 MB.
fn push_only(file: &gst::Element) {
    let Some(pad) = file.static_pad("src") else { return };
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM, |_, info| match info.query().map(gst::QueryRef::type_) {
        Some(gst::QueryType::Scheduling) => gst::PadProbeReturn::Drop,
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Keeps pictures from the decoder that are too large or too small.
fn watch_size(parser: &gst::Element, slot: &Slot) {
    let Some(pad) = parser.static_pad("src") else { return };
    let slot = Arc::clone(slot);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps();
        let side = |name| caps.as_ref().and_then(|caps| caps.structure(0)?.get::<i32>(name).ok()?.try_into().ok());
        let size = side("width").zip(side("height")).map(|(width, height)| Size::new(width, height));
        match size.ok_or_else(|| "its header cannot be read".to_owned()).and_then(check_size) {
            Ok(()) => gst::PadProbeReturn::Ok,
            Err(why) => {
                slot.lock().get_or_insert(Err(why));
                info.flow_res = Err(gst::FlowError::Eos);
                gst::PadProbeReturn::Handled
            }
        }
    });
}

fn check_size(size: Size) -> Result<(), String> {
    let Size { width, height } = size;
    if width.min(height) < LEAST_SIDE {
        return Err(format!("it has {width} x {height} pixels, and {LEAST_SIDE} x {LEAST_SIDE} are the least"));
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        let most = MOST_PIXELS / 1_000_000;
        return Err(format!("it has {width} x {height} pixels, and {most} million are the most"));
    }
    Ok(())
}

/// The pipeline's end: scales the first picture, on the decoder's thread, and keeps nothing else.
fn sink(slot: &Slot, output: &gst_video::VideoInfo) -> gst_app::AppSink {
    let (slot, output) = (Arc::clone(slot), output.clone());
    let take = move |sink: &gst_app::AppSink| {
        let Ok(sample) = sink.pull_sample() else { return Err(gst::FlowError::Eos) };
        if slot.lock().is_none() {
            let still = Still::new(&sample, &output);
            *slot.lock() = Some(still);
        }
        // A file may hold more of them, such as a small one.
        Err(gst::FlowError::Eos)
    };
    gst_app::AppSink::builder()
        .caps(&gst::Caps::new_empty_simple("video/x-raw"))
        .sync(false)
        .max_buffers(1)
        .enable_last_sample(false)
        .callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Size = Size::new(1280, 720);

    #[test]
    fn the_nearest_window_has_a_frames_pixels() {
        for picture in [Size::new(1920, 1280), Size::new(200, 150), Size::new(8660, 5773), Size::new(1000, 1400)] {
            let (part, kept) = kept(picture, SHAPE);
            assert!(part.width <= picture.width && part.height <= picture.height);
            let (width, _) = motion::fitting(kept, SHAPE);
            assert!((width * motion::NEAREST - 1280.0).abs() < 2.0, "{picture:?} is kept as {kept:?}");
            let (wide, high) =
                (f64::from(kept.width) / f64::from(part.width), f64::from(kept.height) / f64::from(part.height));
            assert!((wide / high - 1.0).abs() < 0.01, "{picture:?} is kept as {kept:?}");
        }
    }

    #[test]
    fn long_pictures_and_large_frames_take_no_more_memory() {
        let (part, kept_size) = kept(Size::new(30_000, 1000), SHAPE);
        assert_eq!(part, Size::new(3556, 1000));
        assert!(f64::from(kept_size.width) * f64::from(kept_size.height) <= MOST_KEPT);
        let (_, large) = kept(Size::new(6000, 4000), Size::new(4096, 4096));
        assert!(f64::from(large.width) * f64::from(large.height) <= MOST_KEPT * 1.01, "{large:?}");
    }

    #[test]
    fn sizes_have_bounds() {
        assert_eq!(check_size(Size::new(16, 16)), Ok(()));
        assert_eq!(check_size(Size::new(8660, 5774)), Ok(()));
        assert!(check_size(Size::new(15, 600)).is_err());
        assert!(check_size(Size::new(65_535, 65_535)).is_err());
    }
}
