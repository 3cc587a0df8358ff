//! Frames borrow the decoder's memory: buffers come from a pool and go back to it.

use std::collections::BTreeSet;
use std::path::Path;

use vigia_media::IngestOptions;

use crate::support::{open, read, start, text};

/// The decoder's own pictures in flight, the channel's two, one at each end.
const POOL: usize = 24;

#[test]
fn the_same_few_buffers_serve_a_whole_video() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/people.mp4");
    if !path.exists() {
        eprintln!("skipped: there is no {}", path.display());
        return;
    }
    let mut addresses = BTreeSet::new();
    let mut padded = false;
    let (count, _) = read(text(&path), IngestOptions::default(), |frame| {
        let (luma, stride) = frame.image.plane(0);
        addresses.insert(luma.as_ptr() as usize);
        padded |= stride > frame.image.size().width as usize;
    });
    assert_eq!(count, 1394);
    assert!(addresses.len() <= POOL, "{} buffers for 1394 pictures", addresses.len());
    // libav draws beyond the picture's edge; a copy would be without padding.
    assert!(padded, "the decoder's pictures were copied");
}

#[test]
fn a_frame_that_is_kept_keeps_its_pixels() {
    let (handle, receiver) =
        start("test://?width=64&height=48&frames=20&pattern=snow", IngestOptions::default(), 32).expect("a source");
    let frames: Vec<_> = receiver
        .iter()
        .filter_map(|told| match told {
            crate::support::Told::Frame(frame) => Some(frame),
            crate::support::Told::End(_) => None,
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
