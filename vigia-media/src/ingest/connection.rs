//! MPEG-TS from a client that has connected to us, read by GStreamer.

use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use gstreamer as gst;

use parking_lot::Mutex;
use vigia_core::id::StreamRef;
use vigia_core::source::{FrameSink, SourceError};

use super::pump::{Numbering, Pump, wake};
use super::watch::Watcher;
use super::{IngestOptions, MediaInfo, MediaSource};
use crate::address::{Address, Kind, Url};

/// The pipeline of one connection; runs, and ends with this.
pub(crate) struct Connection<'a> {
    watcher: Watcher,
    /// GStreamer knows only its number: it must stay open until the pipeline is down.
    _socket: &'a TcpStream,
}

impl<'a> Connection<'a> {
    /// Starts to read. `sink` hears of frames alone, never of the end.
    ///
    /// # Errors
    /// [`SourceError::Library`] where GStreamer lacks something.
    pub(crate) fn open(
        socket: &'a TcpStream,
        name: &str,
        stream: StreamRef,
        options: IngestOptions,
        numbering: Arc<Mutex<Numbering>>,
        sink: Box<dyn FrameSink>,
    ) -> Result<Self, SourceError> {
        numbering.lock().connect();
        let kind = Kind::Url(Url::of_connection(socket.as_raw_fd()));
        let address = Address { kind, shown: name.to_owned() };
        let info = MediaInfo::default();
        let source = MediaSource { address, pattern: None, slides: None, stream, options, info, numbering };
        Ok(Self { watcher: Watcher::start(&source, sink)?, _socket: socket })
    }

    /// Something to stop it with from another thread.
    pub(crate) fn stopper(&self) -> Stopper {
        Stopper { pipeline: self.watcher.pipeline.clone(), pump: Arc::clone(&self.watcher.pump) }
    }

    /// Waits until the client goes, or something goes wrong, or it is stopped.
    pub(crate) fn read(self) -> Result<(), SourceError> {
        self.watcher.outcome()
    }
}

/// Ends a connection's reading.
pub(crate) struct Stopper {
    pipeline: gst::Pipeline,
    pump: Arc<Pump>,
}

impl Stopper {
    /// No frame is handed over after the one that may be under way; [`Connection::read`] returns soon.
    pub(crate) fn stop(&self) {
        self.pump.stop();
        wake(&self.pipeline);
    }
}
