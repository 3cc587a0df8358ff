//! An RTSP camera that is set to another size goes on, over TCP and UDP.

use std::sync::Arc;

use vigia_core::geometry::Size;
use vigia_core::source::SourceError;
use vigia_media::cameras::{CameraOptions, Cameras};
use vigia_media::{IngestOptions, Transport};

use crate::support::{LONG, Told, ffmpeg, start};

/// A second of H.264 in this size.
fn clip(folder: &std::path::Path, size: &str) -> Option<Vec<u8>> {
    let path = folder.join("clip.h264");
    let input = format!("-f lavfi -i testsrc=size={size}:rate=25:duration=1");
    ffmpeg(&format!("{input} -c:v libx264 -bf 0 -g 10 -x264-params aud=1 -f h264 {}", path.display()))?;
    Some(std::fs::read(path).expect("a clip"))
}

/// The sizes that are seen, up to the third change; absent when nothing comes.
fn sizes(address: &str, transport: Transport) -> Option<Vec<Size>> {
    let (_handle, receiver) =
        start(address, IngestOptions { transport, ..IngestOptions::default() }, 100).expect("a source");
    let (mut sizes, mut last) = (Vec::new(), None);
    while sizes.len() < 4 {
        let frame = match receiver.recv_timeout(LONG).expect("a word") {
            Told::Frame(frame) => frame,
            Told::End(Err(SourceError::Unreachable(_))) if last.is_none() => return None,
            other => panic!("{address} over {transport:?}: {other:?} after {sizes:?}"),
        };
        assert!(frame.pts > last, "{:?} after {last:?}", frame.pts);
        last = frame.pts;
        if sizes.last() != Some(&frame.image.size()) {
            sizes.push(frame.image.size());
        }
    }
    Some(sizes)
}

#[test]
fn size() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(small) = clip(folder.path(), "160x120") else { return };
    let Some(large) = clip(folder.path(), "320x240") else { return };
    let options = CameraOptions { port: 0, count: 1, fps: 25.0 };
    let cameras = Arc::new(Cameras::listen(options, [small, large].concat()).expect("a camera"));
    let threads = [(); 2].map(|()| Arc::clone(&cameras));
    let [serving, playing] = threads;
    let serving = std::thread::spawn(move || serving.serve());
    let playing = std::thread::spawn(move || playing.play(|_, _, _| {}));
    for transport in [Transport::Tcp, Transport::Udp] {
        let address = format!("rtsp://127.0.0.1:{}/0", cameras.port());
        // GStreamer's server now and then sends nothing to its first viewer on a busy machine; whoever owns a source asks
        // again, too.
        let changes = (0..5).find_map(|_| sizes(&address, transport)).expect("a camera that answers");
        let mut expected = [Size::new(160, 120), Size::new(320, 240)];
        if changes.first() == expected.last() {
            expected.reverse();
        }
        assert_eq!(changes, expected.repeat(2), "{transport:?}");
    }
    cameras.stop();
    assert!(serving.join().is_ok() && playing.join().is_ok());
}
