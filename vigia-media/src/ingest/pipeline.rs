//! The pipeline of a source, and the settings of the elements that GStreamer picks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use vigia_core::source::SourceError;

use super::pump::{Puller, Pump};
use super::{IngestOptions, MediaSource, Pace, Transport, allocation};
use crate::address::{Kind, Url};
use crate::{caps, elements};

/// What copies pictures out of a hardware decoder's memory, by the feature that its caps show.
const DOWNLOADS: [(&str, &str); 6] = [
    ("memory:CUDAMemory", "cudadownload"),
    ("memory:GLMemory", "gldownload"),
    ("memory:VAMemory", "vapostproc"),
    ("memory:DMABuf", "vapostproc"),
    ("memory:VASurface", "vaapipostproc"),
    ("memory:NVMM", "nvvideoconvert"),
];

/// GStreamer's orientation tags, and what `videoflip` calls the way back.
const ORIENTATIONS: [(&str, &str); 7] = [
    ("rotate-90", "90r"),
    ("rotate-180", "180"),
    ("rotate-270", "90l"),
    ("flip-rotate-0", "horiz"),
    ("flip-rotate-90", "ul-lr"),
    ("flip-rotate-180", "vert"),
    ("flip-rotate-270", "ur-ll"),
];

/// Builds the pipeline; nothing runs yet.
pub(super) fn build(source: &MediaSource, pump: &Arc<Pump>) -> Result<gst::Pipeline, SourceError> {
    let pipeline = gst::Pipeline::new();
    let convert = elements::make("videoconvert")?;
    let sink = sink(source, pump);
    add(&pipeline, &[&convert, sink.upcast_ref()])?;
    let threads = source.options.decode_threads;
    let live = match &source.address.kind {
        Kind::File(_) => false,
        Kind::Url(url) => url.is_live() != Some(false),
        Kind::Test(_) | Kind::Slides(..) => source.options.pace == Pace::Live,
    };
    pipeline.connect_deep_element_added(move |_, _, element| set_decoder_threads(element, threads, live));
    match &source.address.kind {
        Kind::Test(_) => {
            let pattern = source.pattern.as_ref().ok_or_else(|| SourceError::Library("no pattern".to_owned()))?;
            let [picture, filter] = pattern.elements(live)?;
            add(&pipeline, &[&picture, &filter])?;
            link(&[&picture, &filter, &convert, sink.upcast_ref()])?;
        }
        Kind::Slides(..) => {
            let slides = source.slides.as_ref().ok_or_else(|| SourceError::Library("no slides".to_owned()))?;
            let pictures = slides.element(live, pump)?;
            add(&pipeline, &[&pictures])?;
            link(&[&pictures, &convert, sink.upcast_ref()])?;
        }
        Kind::File(path) => {
            let uri = std::path::absolute(path)
                .map_err(|e| e.to_string())
                .and_then(|path| glib::filename_to_uri(path, None).map_err(|e| e.to_string()))
                .map_err(|e| SourceError::NotFound(format!("{}: {e}", source.address.shown)))?;
            decode(&pipeline, &uri, None, source, pump, &(convert, sink))?;
        }
        Kind::Url(url) => decode(&pipeline, &url.uri, Some(url), source, pump, &(convert, sink))?,
    }
    Ok(pipeline)
}

/// The pipeline's end: hands frames over, keeps none.
fn sink(source: &MediaSource, pump: &Arc<Pump>) -> gst_app::AppSink {
    let paced = source.options.pace == Pace::Live && !matches!(source.address.kind, Kind::Url(_));
    let mut puller = Puller::new(source, Arc::clone(pump));
    let sink = gst_app::AppSink::builder()
        .caps(&caps::accepted())
        .sync(paced)
        .max_buffers(1)
        .enable_last_sample(false)
        .callbacks(gst_app::AppSinkCallbacks::builder().new_sample(move |sink| puller.pull(sink)).build())
        .build();
    allocation::answer_for(&sink);
    if let Some(pad) = sink.static_pad("sink").filter(|_| paced) {
        let pump = Arc::clone(pump);
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            // The end waits as well, until the last picture has been there for its time.
            if info.buffer().is_some() || info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
                pump.activity.wait();
            }
            gst::PadProbeReturn::Ok
        });
    }
    sink
}

/// Adds what opens and decodes an address; it is linked when the decoder's first picture is there.
fn decode(
    pipeline: &gst::Pipeline,
    uri: &str,
    url: Option<&Url>,
    source: &MediaSource,
    pump: &Arc<Pump>,
    tail: &(gst::Element, gst_app::AppSink),
) -> Result<(), SourceError> {
    let decoder = elements::make("uridecodebin")?;
    decoder.set_property("uri", uri);
    // Only video is decoded; whatever else is in it is thrown away before a decoder is made for it.
    let wanted = gst::Caps::builder("video/x-raw").any_features().build();
    decoder.set_property("caps", wanted);
    decoder.set_property("expose-all-streams", false);
    let seen = Arc::clone(pump);
    decoder.connect("autoplug-continue", false, move |args| {
        if let Some(Ok(caps)) = args.get(2).map(glib::Value::get::<gst::Caps>) {
            seen.seen.media_type(&caps);
        }
        Some(true.to_value())
    });
    let (login, options) = (url.cloned(), source.options.clone());
    let activity = Arc::clone(pump);
    decoder.connect("source-setup", false, move |args| {
        if let Some(Ok(element)) = args.get(1).map(glib::Value::get::<gst::Element>) {
            set_up_source(&element, login.as_ref(), &options);
            watch_for_data(&element, &activity);
        }
        None
    });
    let weak = (pipeline.downgrade(), tail.0.downgrade(), tail.1.downgrade());
    decoder.connect_pad_added(move |decoder, pad| {
        let (Some(pipeline), Some(convert), Some(sink)) = (weak.0.upgrade(), weak.1.upgrade(), weak.2.upgrade()) else {
            return;
        };
        if let Err(error) = attach(&pipeline, decoder, pad, &convert, sink.upcast_ref()) {
            gst::element_error!(decoder, gst::CoreError::Negotiation, ("{}", error));
        }
    });
    add(pipeline, &[&decoder])
}

/// Links the first video stream to the pipeline's end, and the next one when the first is over: a stream whose codec
/// changes is another one to the demuxer.
fn attach(
    pipeline: &gst::Pipeline,
    decoder: &gst::Element,
    pad: &gst::Pad,
    convert: &gst::Element,
    sink: &gst::Element,
) -> Result<(), SourceError> {
    let Some(caps) = pad.current_caps().or_else(|| Some(pad.query_caps(None))) else { return Ok(()) };
    let is_video = caps.structure(0).is_some_and(|s| s.name() == "video/x-raw");
    if is_video {
        remove_idle_download(pipeline, convert)?;
    }
    let entry = convert.static_pad("sink").filter(|entry| is_video && !entry.is_linked());
    let Some(mut entry) = entry else { return Ok(()) };
    let download =
        caps.features(0).and_then(|features| DOWNLOADS.iter().find(|(memory, _)| features.contains(*memory)));
    if let Some((_, factory)) = download {
        let download = elements::make(factory)?;
        add(pipeline, &[&download])?;
        link(&[&download, convert])?;
        download.sync_state_with_parent().map_err(|e| SourceError::Library(e.to_string()))?;
        entry = download.static_pad("sink").unwrap_or(entry);
    }
    let is_linked = convert.static_pad("src").is_some_and(|pad| pad.is_linked());
    match orientation(decoder) {
        _ if is_linked => {}
        Some(direction) => {
            let flip = elements::make("videoflip")?;
            flip.set_property_from_str("video-direction", direction);
            add(pipeline, &[&flip])?;
            link(&[convert, &flip, sink])?;
            flip.sync_state_with_parent().map_err(|e| SourceError::Library(e.to_string()))?;
        }
        None => link(&[convert, sink])?,
    }
    pad.link(&entry).map_err(|e| SourceError::Undecodable(format!("pictures of the format {caps}: {e}")))?;
    Ok(())
}

/// Takes out what copied pictures from a decoder that is gone.
fn remove_idle_download(pipeline: &gst::Pipeline, convert: &gst::Element) -> Result<(), SourceError> {
    let before = convert.static_pad("sink").and_then(|pad| pad.peer()).and_then(|pad| pad.parent_element());
    let idle = before.filter(|element| element.static_pad("sink").is_some_and(|pad| !pad.is_linked()));
    let Some(download) = idle else { return Ok(()) };
    let library = |e: glib::BoolError| SourceError::Library(e.to_string());
    pipeline.remove(&download).map_err(library)?;
    download.set_state(gst::State::Null).map_err(|e| SourceError::Library(e.to_string()))?;
    Ok(())
}

/// How the pictures must be turned, by the tags that have come into the decoder; `None` for upright ones.
fn orientation(decoder: &gst::Element) -> Option<&'static str> {
    let bin = decoder.downcast_ref::<gst::Bin>()?;
    let mut found = None;
    for element in bin.iterate_recurse().into_iter().flatten() {
        for pad in element.sink_pads() {
            let tags = (0..).map_while(|index| pad.sticky_event::<gst::event::Tag>(index));
            for event in tags {
                let tag = event.tag().get::<gst::tags::ImageOrientation>();
                found = tag.map(|value| value.get().to_owned()).or(found);
            }
        }
    }
    let found = found?;
    ORIENTATIONS.iter().find(|(tag, _)| *tag == found).map(|(_, direction)| *direction)
}

/// Settings of the element that opens the address.
fn set_up_source(element: &gst::Element, url: Option<&Url>, options: &IngestOptions) {
    let has = |name: &str| element.find_property(name).is_some();
    if let Some((Some(user), password)) = url.map(|url| (&url.user, &url.password)) {
        // rtspsrc and souphttpsrc have the first names, rtmp2src the others.
        for (user_key, password_key) in [("user-id", "user-pw"), ("username", "password")] {
            if has(user_key) && has(password_key) {
                element.set_property(user_key, user);
                element.set_property(password_key, password.as_deref().unwrap_or_default());
            }
        }
    }
    match element.factory().map(|factory| factory.name().to_string()).as_deref() {
        Some("rtspsrc") => set_up_rtsp(element, options),
        Some("souphttpsrc") => {
            let longest = options.connect_timeout.max(options.inactivity_timeout);
            element.set_property("timeout", u32::try_from(longest.as_secs() + 1).unwrap_or(u32::MAX));
            // Whether to try again is the owner's decision.
            element.set_property("retries", 1_i32);
        }
        _ => {}
    }
}

fn set_up_rtsp(element: &gst::Element, options: &IngestOptions) {
    let (protocols, reorder) = match options.transport {
        // Over TCP nothing comes out of order, so there is nothing to wait for.
        Transport::Tcp => ("tcp", Duration::ZERO),
        Transport::Udp => ("udp+udp-mcast", Duration::from_millis(100)),
        Transport::Auto => ("tcp+udp-mcast+udp", Duration::from_millis(100)),
    };
    element.set_property_from_str("protocols", protocols);
    element.set_property("latency", reorder.as_millis() as u32);
    element.set_property("timeout", options.connect_timeout.as_micros() as u64);
    element.set_property("tcp-timeout", options.connect_timeout.as_micros() as u64);
    // The first video stream alone: sound and metadata are not even sent. A second attempt asks again.
    let video = AtomicU32::new(u32::MAX);
    element.connect("select-stream", false, move |args| {
        let number = args.get(1)?.get::<u32>().ok()?;
        let caps = args.get(2)?.get::<gst::Caps>().ok()?;
        let media = caps.structure(0).and_then(|s| s.get::<String>("media").ok());
        let wanted = media.as_deref() == Some("video")
            && match video.compare_exchange(u32::MAX, number, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => true,
                Err(first) => first == number,
            };
        Some(wanted.to_value())
    });
}

/// Notes when the other side sends its first data.
fn watch_for_data(element: &gst::Element, pump: &Arc<Pump>) {
    let watch = |pad: &gst::Pad, pump: &Arc<Pump>| {
        let pump = Arc::clone(pump);
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
            pump.activity.connect();
            gst::PadProbeReturn::Remove
        });
    };
    for pad in element.src_pads() {
        watch(&pad, pump);
        let pump = Arc::clone(pump);
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
                pump.activity.finish();
            }
            gst::PadProbeReturn::Ok
        });
    }
    let pump = Arc::clone(pump);
    element.connect_pad_added(move |_, pad| {
        if pad.direction() == gst::PadDirection::Src {
            watch(pad, &pump);
        }
    });
}

/// Sets the number of threads where libav decodes.
fn set_decoder_threads(element: &gst::Element, threads: Option<u32>, live: bool) {
    let is_libav = element.factory().is_some_and(|factory| factory.name().starts_with("avdec_"));
    if !is_libav || element.find_property("max-threads").is_none() {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let auto = if live { 2 } else { (processors / 2).clamp(1, 4) as u32 };
    let threads = threads.unwrap_or(auto).clamp(1, 64);
    element.set_property("max-threads", threads as i32);
    // Threads on whole pictures hold back as many pictures as there are threads.
    if element.find_property("thread-type").is_some() {
        element.set_property_from_str("thread-type", if live { "slice" } else { "frame" });
    }
}

fn add(pipeline: &gst::Pipeline, elements: &[&gst::Element]) -> Result<(), SourceError> {
    pipeline.add_many(elements.iter().copied()).map_err(|e| SourceError::Library(e.to_string()))
}

fn link(elements: &[&gst::Element]) -> Result<(), SourceError> {
    gst::Element::link_many(elements.iter().copied()).map_err(|e| SourceError::Library(e.to_string()))
}
