//! A stop does not wait for clients, and leaves no thread and no open file behind.

use std::io::Write as _;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use vigia_core::frame::Frame;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, SourceError};
use vigia_media::{IngestOptions, Listener};

use crate::sources::{LONG, Told, ffmpeg_runs};
use crate::support::{jpeg, listen};

/// Far below any timeout of a source.
const QUICK: Duration = Duration::from_secs(2);

#[test]
fn whatever_it_waits_for() {
    let heads: [&[u8]; 5] = [b"", b"G", b"--a\r\n", &[0xFF, 0xD8, 0xFF], &[0x47; 1000]];
    let stop = |source: crate::support::Listening| {
        let start = Instant::now();
        drop(source.handle);
        assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
        let last = source.told.try_iter().last();
        assert!(matches!(last, Some(Told::End(Ok(())))), "{last:?}");
    };
    stop(listen(IngestOptions::default()));
    for head in heads {
        let source = listen(IngestOptions::default());
        let mut client = source.connect();
        client.write_all(head).expect("a listener");
        std::thread::sleep(Duration::from_millis(100));
        stop(source);
    }
    let source = listen(IngestOptions::default());
    let clip = "-re -f lavfi -i testsrc=size=160x120:rate=25 -c:v libx264 -tune zerolatency -f mpegts";
    let Some(_sender) = ffmpeg_runs(&format!("{clip} {}", source.listener.url())) else { return };
    drop(source.frame());
    stop(source);
}

struct Wants(u64, std::sync::mpsc::SyncSender<Result<(), SourceError>>);

impl Wants {
    fn next(&mut self) -> Flow {
        self.0 -= 1;
        if self.0 == 0 { Flow::Stop } else { Flow::Continue }
    }
}

impl FrameSink for Wants {
    fn frame(&mut self, _: Frame) -> Flow {
        self.next()
    }

    fn picture(&mut self, picture: EncodedPicture) -> Flow {
        assert!(picture.bytes.len() < 100, "a mistake in a sink (this message is part of the test)");
        self.next()
    }

    fn trouble(&mut self, error: &SourceError) {
        panic!("{error}");
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        self.1.send(outcome).expect("the test listens");
    }
}

fn start(
    wants: u64,
) -> (Listener, Box<dyn vigia_core::source::SourceHandle>, std::sync::mpsc::Receiver<Result<(), SourceError>>) {
    let listener = Listener::bind("tcp-listen://127.0.0.1:0").expect("a port");
    let stream = vigia_core::id::StreamRef { id: "test".into(), generation: 1 };
    let (sender, ends) = sync_channel(2);
    let source = listener.source(stream, IngestOptions::default()).expect("a source");
    let handle = source.start(Box::new(Wants(wants, sender))).expect("a start");
    (listener, handle, ends)
}

fn connect(listener: &Listener) -> std::net::TcpStream {
    std::net::TcpStream::connect(listener.url().trim_start_matches("tcp://")).expect("a connection")
}

#[test]
fn by_the_sink() {
    let (listener, handle, ends) = start(3);
    connect(&listener).write_all(&jpeg(1, 1).repeat(10)).expect("a listener");
    assert_eq!(ends.recv_timeout(LONG), Ok(Ok(())));
    drop(handle);
    assert!(ends.recv().is_err());
    let (listener, _handle, ends) = start(3);
    let clip = "-f lavfi -i testsrc=size=160x120:rate=25 -c:v libx264 -tune zerolatency -f mpegts";
    let Some(_sender) = ffmpeg_runs(&format!("{clip} {}", listener.url())) else { return };
    assert_eq!(ends.recv_timeout(LONG), Ok(Ok(())));
}

#[test]
fn by_a_sink_that_panics() {
    let (listener, handle, ends) = start(3);
    connect(&listener).write_all(&jpeg(1, 1000)).expect("a listener");
    let outcome = ends.recv_timeout(LONG).expect("an end");
    assert!(matches!(outcome, Err(SourceError::Library(_))), "{outcome:?}");
    drop(handle);
}
