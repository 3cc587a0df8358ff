//! The end of a client is no end of the source; who comes meanwhile waits.

use std::io::Write as _;
use std::time::Duration;

use vigia_media::IngestOptions;

use crate::sources::{Told, ffmpeg_runs};
use crate::support::{jpeg, listen, start};

#[test]
fn numbers_and_times_go_on() {
    let source = listen(IngestOptions::default());
    let mut last = None;
    for round in 0..3 {
        let sender = ffmpeg_runs(&format!(
            "-f lavfi -i testsrc=size=160x120:rate=25:duration=0.4 -c:v libx264 -bf 0 -f mpegts {}",
            source.listener.url()
        ));
        let Some(sender) = sender else { return };
        for n in 0..10 {
            let frame = source.frame();
            assert_eq!(frame.frame_id, round * 10 + n);
            assert!(frame.pts > last, "{:?} after {last:?}", frame.pts);
            last = frame.pts;
        }
        sender.finish();
        // Another kind of client between them.
        let mut client = source.connect();
        client.write_all(&jpeg(1, 1)).expect("a listener");
        assert_eq!(source.picture().bytes, jpeg(1, 1));
    }
    source.stop();
}

#[test]
fn the_second_waits_for_the_first() {
    let source = listen(IngestOptions::default());
    let mut first = source.connect();
    first.write_all(&jpeg(1, 1)).expect("a listener");
    assert_eq!(source.picture().bytes, jpeg(1, 1));
    let mut second = source.connect();
    second.write_all(&jpeg(2, 1)).expect("a listener");
    assert!(source.told.recv_timeout(Duration::from_millis(300)).is_err());
    first.write_all(&jpeg(3, 1)).expect("a listener");
    assert_eq!(source.picture().bytes, jpeg(3, 1));
    drop(first);
    assert_eq!(source.picture().bytes, jpeg(2, 1));
    source.stop();
}

#[test]
fn clients_outlive_a_source() {
    let source = listen(IngestOptions::default());
    let listener = source.listener.clone();
    source.stop();
    let source = start(listener.clone(), IngestOptions::default());
    let stream = vigia_core::id::StreamRef { id: "other".into(), generation: 1 };
    let other = listener.source(stream, IngestOptions::default()).expect("a source");
    let (sender, _told) = std::sync::mpsc::sync_channel(1);
    assert!(other.start(Box::new(crate::sources::ChannelSink(sender))).is_err(), "two of them at a time");
    source.stop();
    // Comes while nobody is there.
    let mut client = std::net::TcpStream::connect(listener.url().trim_start_matches("tcp://")).expect("a connection");
    client.write_all(&jpeg(1, 1)).expect("a listener");
    let source = start(listener, IngestOptions::default());
    assert!(matches!(source.next(), Told::Picture(_)));
    source.stop();
}
