//! Frames borrow the decoder's memory: buffers come from a pool and go back to it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use vigia_core::geometry::Size;
use vigia_media::{IngestOptions, Recorder};

use crate::support::{open, read, start, text};

/// The pictures that the decoder still needs, those of the pools before the last one, the few in the channel.
const POOL: usize = 48;

#[test]
fn the_same_few_buffers_serve_a_whole_video() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/people.mp4");
    if !path.exists() {
        eprintln!("skipped: there is no {}", path.display());
        return;
    }
    let mut addresses = BTreeSet::new();
    let (count, _) = read(text(&path), IngestOptions::default(), |frame| {
        addresses.insert(frame.image.plane(0).0.as_ptr() as usize);
    });
    assert_eq!(count, 1394);
    assert!(addresses.len() <= POOL, "{} buffers for 1394 pictures", addresses.len());
}

#[test]
fn h264_is_decoded_into_the_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let size = Size::new(208, 120);
    let mut recorder = Recorder::create(&folder.path().join("clip"), size, (10, 1)).expect("a recorder");
    for n in 0..10 {
        let picture = vec![90; size.pixels() as usize * 3];
        recorder.write_rgb(&picture, Duration::from_millis(100 * n)).expect("a picture");
    }
    let path = recorder.finish().expect("a clip");
    if path.extension().is_none_or(|extension| extension != "mp4") {
        eprintln!("skipped: there is no H.264 encoder here");
        return;
    }
    let mut strides = Vec::new();
    let (count, _) = read(text(&path), IngestOptions::default(), |frame| strides.push(frame.image.plane(0).1));
    assert_eq!(count, 10);
    // libav wants rows of a multiple of 64 bytes; copies would be without padding.
    // The first one was drawn before anything was agreed upon.
    assert!(strides[1..].iter().all(|stride| stride % 64 == 0), "pictures were copied: {strides:?}");
}

#[test]
fn a_frame_that_is_kept_keeps_its_pixels() {
    let (handle, receiver) =
        start("test://?width=64&height=48&frames=20&pattern=snow", IngestOptions::default(), 32).expect("a source");
    let frames: Vec<_> = receiver
        .iter()
        .filter_map(|told| match told {
            crate::support::Told::Frame(frame) => Some(frame),
            _ => None,
        })
        .collect();
    drop(handle);
    let pictures: BTreeSet<Vec<u8>> = frames.iter().map(|frame| frame.image.plane(0).0.to_vec()).collect();
    assert_eq!(pictures.len(), 20, "noise never repeats");
}

#[test]
fn what_is_known_is_known_after_the_first_frame() {
    let source = open("test://?width=64&height=48&frames=20&fps=10", IngestOptions::default()).expect("a source");
    let info = source.info();
    assert!(info.size().is_none() && info.frames().is_none());
    let (sender, receiver) = std::sync::mpsc::sync_channel(32);
    let handle = vigia_core::source::Source::start(Box::new(source), Box::new(crate::support::ChannelSink(sender)));
    receiver.recv_timeout(crate::support::LONG).expect("a frame");
    assert_eq!((info.frames(), info.fps()), (Some(20), Some(10.0)));
    drop(handle);
}
