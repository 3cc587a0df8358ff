//! What the kernel reads comes as the decoder wrote it; what it does not read is converted.

use vigia_core::frame::PixelFormat;
use vigia_media::IngestOptions;

use crate::support::{launch, read, text};

/// The format that a raw clip of GStreamer's `format` arrives in.
fn arrives_as(format: &str) -> PixelFormat {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("raw.mkv");
    launch(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format={format},width=50,height=38 ! matroskamux ! \
         filesink location=\"{}\"",
        path.display()
    ));
    let mut formats = Vec::new();
    let (count, outcome) = read(text(&path), IngestOptions::default(), |frame| formats.push(frame.image.format()));
    assert_eq!((count, outcome), (3, Ok(())), "{format}");
    formats[0]
}

#[test]
fn raw_video() {
    for (format, expected) in [
        ("I420", PixelFormat::I420),
        ("YV12", PixelFormat::I420),
        ("NV12", PixelFormat::Nv12),
        ("Y42B", PixelFormat::Yuv { h: 2, v: 1 }),
        ("Y444", PixelFormat::Yuv { h: 1, v: 1 }),
        ("Y41B", PixelFormat::Yuv { h: 4, v: 1 }),
        ("GRAY8", PixelFormat::Gray),
        ("RGB", PixelFormat::Rgb),
        ("BGR", PixelFormat::Bgr),
    ] {
        assert_eq!(arrives_as(format), expected, "{format}");
    }
}

#[test]
fn what_is_exotic_is_converted() {
    let arrived = arrives_as("I420_10LE");
    assert_eq!(arrived, PixelFormat::I420);
    arrives_as("BGRx");
    arrives_as("UYVY");
}
