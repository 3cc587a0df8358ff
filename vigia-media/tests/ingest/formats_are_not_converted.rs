//! What the kernel reads comes as the decoder wrote it; what it does not read is converted.

use vigia_core::frame::PixelFormat;
use vigia_core::geometry::Size;
use vigia_media::IngestOptions;

use crate::support::read;

/// The format that pictures of GStreamer's `format` arrive in.
fn arrives_as(format: &str) -> PixelFormat {
    let address = format!("test://?width=50&height=38&frames=3&format={format}");
    let mut formats = Vec::new();
    let (count, outcome) = read(&address, IngestOptions::default(), |frame| {
        assert_eq!(frame.image.size(), Size::new(50, 38));
        formats.push(frame.image.format());
    });
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

#[test]
fn yv12_has_its_colours_the_right_way_round() {
    let chroma = |format: &str| {
        let mut seen = Vec::new();
        let address = format!("test://?width=64&height=48&frames=1&pattern=smpte&format={format}");
        let (_, outcome) = read(&address, IngestOptions::default(), |frame| {
            seen = [1, 2].map(|plane| frame.image.plane(plane).0[..32].to_vec()).to_vec();
        });
        assert_eq!(outcome, Ok(()));
        seen
    };
    assert_eq!(chroma("YV12"), chroma("I420"));
}
