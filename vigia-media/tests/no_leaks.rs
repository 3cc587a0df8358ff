//! Sources that were started and stopped leave no thread and no open file behind.

#[path = "ingest/support.rs"]
#[expect(dead_code, clippy::print_stderr, reason = "the other test uses more of it")]
mod support;

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::mpsc::sync_channel;

use vigia_core::id::StreamRef;
use vigia_media::{IngestOptions, Listener};

/// Threads and open files of this process.
fn held() -> Option<(usize, usize)> {
    let count = |folder: &str| std::fs::read_dir(folder).ok().map(Iterator::count);
    Some((count("/proc/self/task")?, count("/proc/self/fd")?))
}

#[test]
fn a_hundred_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = support::clip(folder.path(), "clip.mov", 30, "width=96,height=64");
    let pictures = folder.path().join("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    for name in ["a.jpg", "b.jpg"] {
        support::launch(&format!(
            "videotestsrc num-buffers=1 ! video/x-raw,width=96,height=64 ! jpegenc ! filesink location=\"{}\"",
            pictures.join(name).display()
        ));
    }
    let slides = format!("slides:{}?width=64&height=48", support::text(&pictures));
    let cycle = |address: &str| {
        let (handle, receiver) = support::start(address, IngestOptions::default(), 1).expect("a source");
        assert!(matches!(receiver.recv_timeout(support::LONG), Ok(support::Told::Frame(_))));
        drop(receiver);
        drop(handle);
    };
    let transport = folder.path().join("clip.ts");
    support::launch(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,width=96,height=64 ! openh264enc ! h264parse ! mpegtsmux ! \
         filesink location=\"{}\"",
        transport.display()
    ));
    let transport = std::fs::read(transport).expect("a clip");
    let listen = || {
        let listener = Listener::bind("tcp-listen://127.0.0.1:0").expect("a port");
        let stream = StreamRef { id: "test".into(), generation: 1 };
        let (sender, receiver) = sync_channel(100);
        let source = listener.source(stream, IngestOptions::default()).expect("a source");
        let _handle = source.start(Box::new(support::ChannelSink(sender))).expect("a start");
        for _ in 0..2 {
            let mut client = TcpStream::connect(listener.url().trim_start_matches("tcp://")).expect("a connection");
            client.write_all(&transport).expect("a listener");
            assert!(matches!(receiver.recv_timeout(support::LONG), Ok(support::Told::Frame(_))));
        }
    };
    // GStreamer keeps a few threads in a pool.
    let cycles = |count: u32| {
        for _ in 0..count {
            cycle("test://?width=64&height=48");
            cycle(support::text(&file));
            cycle(&slides);
            listen();
        }
    };
    cycles(10);
    let Some(before) = held() else {
        eprintln!("skipped: there is no /proc here");
        return;
    };
    cycles(50);
    let after = held().expect("/proc is there");
    assert!(after.0 <= before.0 + 2 && after.1 <= before.1 + 2, "{before:?} before, {after:?} after");
}
