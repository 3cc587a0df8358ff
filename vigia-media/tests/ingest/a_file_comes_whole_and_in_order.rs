//! Every picture of a file comes, once, in order, with its time, as fast as it is taken.

use std::path::Path;
use std::time::Duration;

use vigia_core::frame::{ColourMatrix, ColourRange, PixelFormat};
use vigia_core::geometry::Size;
use vigia_media::IngestOptions;

use crate::support::{clip, open, read, text};

#[test]
fn a_clip() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "clip with space.mov", 25, "format=I420,width=96,height=64");
    let mut times = Vec::new();
    let (count, outcome) = read(text(&path), IngestOptions::default(), |frame| {
        assert_eq!(frame.captured_at, None);
        assert_eq!((frame.image.size(), frame.image.format()), (Size::new(96, 64), PixelFormat::I420));
        assert_eq!(frame.image.colour().matrix, ColourMatrix::Bt601);
        assert_eq!(frame.image.colour().range, ColourRange::Full);
        times.push(frame.pts.expect("a time"));
    });
    assert_eq!((count, outcome), (25, Ok(())));
    let expected: Vec<Duration> = (0..25).map(|n| Duration::from_millis(n * 100)).collect();
    assert_eq!(times, expected);
}

#[test]
fn a_file_url() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = clip(folder.path(), "a b.mov", 3, "width=96,height=64");
    let url = format!("file://{}", text(&path).replace(' ', "%20"));
    assert_eq!(read(&url, IngestOptions::default(), drop), (3, Ok(())));
}

#[test]
fn a_single_picture_is_a_video_of_one_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("one.jpg");
    crate::support::launch(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,width=96,height=64 ! jpegenc ! filesink location=\"{}\"",
        path.display()
    ));
    assert_eq!(read(text(&path), IngestOptions::default(), drop), (1, Ok(())));
}

/// Sets the highest bits of the times of some pictures of an MPEG transport stream (ISO/IEC 13818-1, 2.4.3.6).
fn damage_times(stream: &mut [u8]) {
    let starts = (0..stream.len()).filter(|at| stream[*at..].starts_with(b"\0\0\x01\xe0")).collect::<Vec<_>>();
    for (number, at) in starts.into_iter().enumerate() {
        let flags = stream[at + 7];
        if (10..14).contains(&number) || number >= 20 {
            stream[at + 9] |= u8::from(flags & 0x80 != 0) * 0x0e;
            stream[at + 14] |= u8::from(flags & 0xc0 == 0xc0) * 0x0e;
        }
    }
}

#[test]
fn damaged_times_are_not_believed() {
    vigia_media::init().expect("GStreamer starts");
    if ["openh264enc", "mpegtsmux", "tsdemux"].iter().any(|name| gstreamer::ElementFactory::find(name).is_none()) {
        eprintln!("skipped: GStreamer cannot write transport streams here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clip.ts");
    crate::support::launch(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,format=I420,framerate=25/1,width=96,height=64 ! openh264enc ! \
         h264parse ! mpegtsmux ! filesink location=\"{}\"",
        path.display()
    ));
    let mut stream = std::fs::read(&path).expect("a clip");
    damage_times(&mut stream);
    std::fs::write(&path, &stream).expect("a clip");
    let mut last = None;
    let (count, outcome) = read(text(&path), IngestOptions::default(), |frame| {
        assert!(frame.pts > last, "frame {} is not later than the one before", frame.frame_id);
        last = frame.pts;
    });
    assert_eq!(outcome, Ok(()));
    assert!(count >= 20 && last < Some(Duration::from_mins(1)), "{count} frames until {last:?}");
}

#[test]
fn real_h264() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/people.mp4");
    if !path.exists() {
        eprintln!("skipped: there is no {}", path.display());
        return;
    }
    let info = open(text(&path), IngestOptions::default()).expect("a video").info();
    assert_eq!(info.frames(), None);
    let mut last = None;
    let (count, outcome) = read(text(&path), IngestOptions::default(), |frame| {
        assert!(frame.pts > last, "frame {} is not later than the one before", frame.frame_id);
        last = frame.pts;
    });
    assert_eq!((count, outcome), (1394, Ok(())));
    assert_eq!(last, Some(Duration::from_millis(139_300)));
}
