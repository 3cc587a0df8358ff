//! However a source is stopped, its sink hears the end once, and the handle's drop has waited for it.

use std::sync::mpsc::sync_channel;

use vigia_core::frame::Frame;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source as _, SourceError};
use vigia_media::IngestOptions;

use crate::support::{LONG, Told, open, start};

struct StopAfter(u64, std::sync::mpsc::SyncSender<(u64, Result<(), SourceError>)>, u64);

impl FrameSink for StopAfter {
    fn frame(&mut self, _: Frame) -> Flow {
        self.2 += 1;
        if self.2 == self.0 { Flow::Stop } else { Flow::Continue }
    }

    fn picture(&mut self, _: EncodedPicture) -> Flow {
        Flow::Stop
    }

    fn trouble(&mut self, error: &SourceError) {
        panic!("{error}");
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        self.1.send((self.2, outcome)).expect("the test listens");
    }
}

#[test]
fn by_the_sink() {
    let (sender, receiver) = sync_channel(2);
    let source = Box::new(open("test://?width=64&height=48", IngestOptions::default()).expect("a source"));
    let handle = source.start(Box::new(StopAfter(7, sender, 0))).expect("a start");
    assert_eq!(receiver.recv_timeout(LONG), Ok((7, Ok(()))));
    drop(handle);
    assert!(receiver.recv().is_err());
}

#[test]
fn by_the_handle() {
    let (handle, receiver) = start("test://?width=64&height=48", IngestOptions::default(), 1000).expect("a source");
    assert!(matches!(receiver.recv_timeout(LONG), Ok(Told::Frame(_))));
    // Whoever owns the receiver lets go of it first: that wakes a sink that waits for room.
    let listener = std::thread::spawn(move || receiver.iter().filter(|told| matches!(told, Told::End(Ok(())))).count());
    drop(handle);
    assert_eq!(listener.join().ok(), Some(1));
}

#[test]
fn by_the_handle_while_the_sink_waits() {
    let (handle, receiver) = start("test://?width=64&height=48", IngestOptions::default(), 0).expect("a source");
    assert!(matches!(receiver.recv_timeout(LONG), Ok(Told::Frame(_))));
    drop(receiver);
    drop(handle);
}

struct Clumsy(std::sync::mpsc::SyncSender<Result<(), SourceError>>);

impl FrameSink for Clumsy {
    fn frame(&mut self, _: Frame) -> Flow {
        panic!("a mistake in a sink (this message is part of the test)");
    }

    fn picture(&mut self, _: EncodedPicture) -> Flow {
        Flow::Stop
    }

    fn trouble(&mut self, error: &SourceError) {
        panic!("{error}");
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        self.0.send(outcome).expect("the test listens");
    }
}

#[test]
fn by_a_sink_that_panics() {
    let (sender, receiver) = sync_channel(2);
    let source = Box::new(open("test://?width=64&height=48", IngestOptions::default()).expect("a source"));
    let handle = source.start(Box::new(Clumsy(sender))).expect("a start");
    let outcome = receiver.recv_timeout(LONG).expect("an end");
    assert!(matches!(outcome, Err(SourceError::Library(_))), "{outcome:?}");
    drop(handle);
    assert!(receiver.recv().is_err());
}
