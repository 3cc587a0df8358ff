//! A socket that listens, and those who send to it.

use std::net::TcpStream;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use vigia_core::frame::Frame;
use vigia_core::id::StreamRef;
use vigia_core::source::{EncodedPicture, SourceError, SourceHandle};
use vigia_media::{IngestOptions, Listener};

use crate::sources::{ChannelSink, LONG, Told};

/// A source that runs, and what it tells.
pub(crate) struct Listening {
    pub(crate) listener: Listener,
    pub(crate) told: Receiver<Told>,
    pub(crate) handle: Box<dyn SourceHandle>,
}

/// Room for everything that a test's source says.
const ROOM: usize = 10_000;

pub(crate) fn listen(options: IngestOptions) -> Listening {
    let listener = Listener::bind("tcp-listen://127.0.0.1:0").expect("a port");
    start(listener, options)
}

pub(crate) fn start(listener: Listener, options: IngestOptions) -> Listening {
    let stream = StreamRef { id: "test".into(), generation: 1 };
    let source = listener.source(stream, options).expect("a source");
    let (sender, told) = sync_channel(ROOM);
    let handle = source.start(Box::new(ChannelSink(sender))).expect("a start");
    Listening { listener, told, handle }
}

/// With this much patience for silence.
pub(crate) fn patience(time: Duration) -> IngestOptions {
    IngestOptions { inactivity_timeout: time, connect_timeout: time, ..IngestOptions::default() }
}

impl Listening {
    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listener.url().trim_start_matches("tcp://")).expect("a connection")
    }

    pub(crate) fn next(&self) -> Told {
        self.told.recv_timeout(LONG).expect("the source says something")
    }

    pub(crate) fn frame(&self) -> Frame {
        match self.next() {
            Told::Frame(frame) => frame,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn picture(&self) -> EncodedPicture {
        match self.next() {
            Told::Picture(picture) => picture,
            other => panic!("{other:?}"),
        }
    }

    /// What went wrong with a client; what it sent before that does not matter.
    pub(crate) fn trouble(&self) -> SourceError {
        loop {
            match self.next() {
                Told::Trouble(error) => return error,
                Told::End(outcome) => panic!("{outcome:?}"),
                Told::Frame(_) | Told::Picture(_) => {}
            }
        }
    }

    /// Stops the source; nothing but an orderly end may be left to say.
    pub(crate) fn stop(self) {
        drop(self.handle);
        let left: Vec<_> = self.told.try_iter().collect();
        assert!(matches!(left[..], [Told::End(Ok(()))]), "{left:?}");
    }
}

/// The smallest thing that is cut out as a picture; its number tells it from others.
pub(crate) fn jpeg(number: u8, samples: usize) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xDA, 0, 2, number];
    bytes.resize(bytes.len() + samples, 7);
    bytes.extend([0xFF, 0xD9]);
    bytes
}
