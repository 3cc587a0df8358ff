//! GStreamer's elements: making them, and saying which package has one that is missing.

use gstreamer as gst;

use vigia_core::source::SourceError;

/// Elements without which nothing works.
const ESSENTIAL: [&str; 4] = ["uridecodebin", "videoconvert", "videotestsrc", "appsink"];

/// Starts GStreamer and looks for the elements that every source needs. Cheap to call again; [`MediaSource::open`] and
/// [`Recorder::create`] do it by themselves.
///
/// [`MediaSource::open`]: crate::MediaSource::open
/// [`Recorder::create`]: crate::Recorder::create
///
/// # Errors
/// [`SourceError::Library`] when GStreamer does not start or has none of its basic plug-ins.
pub fn init() -> Result<(), SourceError> {
    gst::init().map_err(|e| SourceError::Library(format!("GStreamer does not start: {e}")))?;
    require(&ESSENTIAL)
}

/// Nothing to say where all of these are installed.
pub(crate) fn require(factories: &[&str]) -> Result<(), SourceError> {
    match factories.iter().find(|factory| gst::ElementFactory::find(factory).is_none()) {
        Some(factory) => Err(missing(factory)),
        None => Ok(()),
    }
}

/// One new element of this kind.
pub(crate) fn make(factory: &str) -> Result<gst::Element, SourceError> {
    gst::ElementFactory::make(factory).build().map_err(|e| {
        tracing::debug!(%e, factory, "element not made");
        missing(factory)
    })
}

/// The error for an element that is not installed.
fn missing(factory: &str) -> SourceError {
    SourceError::Library(format!(
        "GStreamer's element \"{factory}\" is missing; Debian has it in {}",
        package_of_element(factory)
    ))
}

/// The Debian package that holds an element, as far as this program uses it.
pub(crate) fn package_of_element(factory: &str) -> &'static str {
    match factory {
        "rtspsrc" | "souphttpsrc" | "qtdemux" | "matroskademux" | "multipartdemux" | "jpegdec" | "vp8enc"
        | "vp8dec" | "vp9dec" | "mp4mux" | "webmmux" | "videoflip" | "v4l2src" | "pngdec" => {
            "gstreamer1.0-plugins-good"
        }
        "h264parse" | "h265parse" | "jpegparse" | "pngparse" | "openh264enc" | "srtsrc" | "rtmp2src" | "vapostproc"
        | "cudadownload" => "gstreamer1.0-plugins-bad",
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "gldownload" => "gstreamer1.0-gl",
        name if name.starts_with("avdec_") => "gstreamer1.0-libav",
        _ => "gstreamer1.0-plugins-base",
    }
}

/// The Debian package that can read data of this kind: `what` is GStreamer's word for the kind of plug-in that is
/// missing (`decoder`, `urisource`, `element`), `detail` the media type, scheme or element.
pub(crate) fn package_of_plugin(what: &str, detail: &str) -> &'static str {
    let media = detail.split(',').next().unwrap_or(detail);
    match what {
        "element" => package_of_element(media),
        "urisource" => match media {
            "srt" | "rtmp" | "rtmps" => "gstreamer1.0-plugins-bad",
            _ => "gstreamer1.0-plugins-good",
        },
        _ => match media {
            "video/x-av1" | "application/x-hls" | "application/dash+xml" | "video/mpegts" => "gstreamer1.0-plugins-bad",
            "application/x-rtp" | "video/quicktime" | "video/x-matroska" | "image/jpeg" | "video/x-vp8" => {
                "gstreamer1.0-plugins-good"
            }
            _ => "gstreamer1.0-libav",
        },
    }
}
