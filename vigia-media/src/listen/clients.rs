//! Who connects: one client after the other, and what each of them sends.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vigia_core::frame::Frame;
use vigia_core::id::StreamRef;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, SourceError};

use super::first_bytes::{Kind, LONGEST, kind};
use super::jpeg::JpegEnd;
use super::multipart::Multipart;
use super::pictures::{self, Form, is_tick};
use super::{Socket, TICK};
use crate::ingest::{Connection, IngestOptions, Numbering, Stopper};

/// Once its first byte is there, a client that sends video has sent enough to tell which kind in this time.
const FIRST_BYTES: Duration = Duration::from_secs(2);
/// How often a look is taken at first bytes that are too few.
const LOOK: Duration = Duration::from_millis(10);

/// How a client left that did nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It closed the connection.
    Gone,
    /// The source is to stop.
    Stopped,
}

/// What the source's thread, GStreamer's threads and the handle share.
pub(super) struct Shared {
    stopping: AtomicBool,
    sink: Mutex<Option<Box<dyn FrameSink>>>,
    /// Ends the pipeline that decodes for the client of the moment.
    pipeline: Mutex<Option<Stopper>>,
}

impl Shared {
    pub(super) fn new(sink: Box<dyn FrameSink>) -> Self {
        Self { stopping: AtomicBool::new(false), sink: Mutex::new(Some(sink)), pipeline: Mutex::new(None) }
    }

    /// Hands over nothing more; the thread ends soon.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(pipeline) = &*self.pipeline.lock() {
            pipeline.stop();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells the sink that it is over.
    pub(super) fn end(&self, outcome: Result<(), SourceError>) {
        let sink = self.sink.lock().take();
        if let Some(mut sink) = sink {
            sink.end(outcome);
        }
    }

    /// Hands something to the sink, which may want no more.
    fn hand_over(&self, something: impl FnOnce(&mut dyn FrameSink) -> Flow) -> Flow {
        let flow = match &mut *self.sink.lock() {
            Some(sink) if !self.is_stopping() => something(&mut **sink),
            _ => Flow::Stop,
        };
        if flow == Flow::Stop {
            self.stopping.store(true, Ordering::Release);
        }
        flow
    }

    fn trouble(&self, error: &SourceError) {
        if let Some(sink) = self.sink.lock().as_mut().filter(|_| !self.is_stopping()) {
            sink.trouble(error);
        }
    }
}

/// Passes a decoder's frames on.
struct Through(Arc<Shared>);

impl FrameSink for Through {
    fn frame(&mut self, frame: Frame) -> Flow {
        self.0.hand_over(|sink| sink.frame(frame))
    }

    fn picture(&mut self, picture: EncodedPicture) -> Flow {
        self.0.hand_over(|sink| sink.picture(picture))
    }

    fn trouble(&mut self, error: &SourceError) {
        self.0.trouble(error);
    }

    fn end(&mut self, _: Result<(), SourceError>) {}
}

/// Takes clients in.
pub(super) struct Door {
    pub(super) socket: Arc<Socket>,
    pub(super) shared: Arc<Shared>,
    pub(super) stream: StreamRef,
    pub(super) options: IngestOptions,
    /// Goes on from one client to the next.
    pub(super) numbering: Arc<Mutex<Numbering>>,
}

impl Door {
    /// Serves one client after the other until the stop. The others wait in the socket's queue.
    pub(super) fn serve(&self) -> Result<(), SourceError> {
        while !self.shared.is_stopping() {
            let (socket, peer) = match self.socket.listener.accept() {
                Ok(client) => client,
                Err(error) if is_tick(&error) || error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    return Err(SourceError::Unreachable(format!("{}: no client can be let in: {error}", self.socket)));
                }
            };
            tracing::debug!(at = %self.socket, %peer, "a client has connected");
            let client = Client { door: self, socket, name: format!("{}: {peer}", self.socket), peer };
            match client.serve() {
                Ok(left) => tracing::debug!(at = %self.socket, %peer, ?left, "a client is gone"),
                Err(error) => self.shared.trouble(&error),
            }
        }
        Ok(())
    }
}

/// One that has connected. Dropping it closes the connection.
pub(super) struct Client<'a> {
    door: &'a Door,
    socket: TcpStream,
    peer: SocketAddr,
    /// Where it has connected, and who it is.
    name: String,
}

impl Client<'_> {
    pub(super) fn options(&self) -> &IngestOptions {
        &self.door.options
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.door.shared.is_stopping()
    }

    pub(super) fn picture(&self, picture: EncodedPicture) -> Flow {
        self.door.shared.hand_over(|sink| sink.picture(picture))
    }

    pub(super) fn trouble(&self, error: &SourceError) {
        self.door.shared.trouble(error);
    }

    /// It sent, or did, something that is no video.
    pub(super) fn undecodable(&self, what: &str) -> SourceError {
        SourceError::Undecodable(format!("{} {what}", self.name))
    }

    /// The connection is broken.
    pub(super) fn broken(&self, error: &std::io::Error) -> SourceError {
        SourceError::Unreachable(format!("{}: the connection broke: {error}", self.name))
    }

    /// It keeps others waiting.
    pub(super) fn silent(&self, patience: Duration, had_pictures: bool) -> SourceError {
        let what = format!("{} sent no {}picture for {patience:?}", self.name, if had_pictures { "new " } else { "" });
        if had_pictures { SourceError::Stalled(what) } else { SourceError::Unreachable(what) }
    }

    fn serve(&self) -> Result<Left, SourceError> {
        self.socket.set_read_timeout(Some(TICK)).map_err(|e| self.broken(&e))?;
        let limit = usize::try_from(self.options().picture_limit).unwrap_or(usize::MAX);
        match self.first_bytes()? {
            First::Left(left) => Ok(left),
            First::Is(Kind::Jpeg) => pictures::read(self, Form::Plain(JpegEnd::default())),
            First::Is(Kind::Multipart) => pictures::read(self, Form::Parts(Multipart::new(limit))),
            First::Is(Kind::MpegTs) => self.transport_stream(),
            First::Is(Kind::Unclear | Kind::Other) => {
                let (at, peer) = (&self.door.socket, self.peer);
                Err(SourceError::Undecodable(format!(
                    "{at}: {peer} sent neither MPEG-TS nor MJPEG; send H.264 or H.265 in MPEG-TS (ffmpeg -re -i VIDEO \
                     -c copy -f mpegts tcp://{at}) or JPEG pictures (ffmpeg -re -i VIDEO -f mpjpeg tcp://{at})"
                )))
            }
        }
    }

    /// Waits until the first bytes tell what comes; they stay in the socket.
    fn first_bytes(&self) -> Result<First, SourceError> {
        let (connected, patience) = (Instant::now(), self.options().inactivity_timeout);
        let (mut head, mut began) = ([0; LONGEST], None);
        loop {
            if self.is_stopping() {
                return Ok(First::Left(Left::Stopped));
            }
            match self.socket.peek(&mut head) {
                Ok(0) => return Ok(First::Left(Left::Gone)),
                Ok(length) => match kind(&head[..length]) {
                    Kind::Unclear if began.get_or_insert_with(Instant::now).elapsed() < FIRST_BYTES.min(patience) => {
                        // What is there already would end a wait for more at once.
                        thread::sleep(LOOK);
                    }
                    kind => return Ok(First::Is(kind)),
                },
                Err(error) if is_tick(&error) => {
                    if connected.elapsed() > patience {
                        let what = format!("{} has connected and sent nothing for {patience:?}", self.name);
                        return Err(SourceError::Unreachable(what));
                    }
                }
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// GStreamer reads the connection itself.
    fn transport_stream(&self) -> Result<Left, SourceError> {
        let Door { shared, stream, options, numbering, .. } = self.door;
        self.socket.set_read_timeout(None).map_err(|e| self.broken(&e))?;
        let sink = Box::new(Through(Arc::clone(shared)));
        let connection =
            Connection::open(&self.socket, &self.name, stream.clone(), options.clone(), Arc::clone(numbering), sink)?;
        *shared.pipeline.lock() = Some(connection.stopper());
        let outcome = if shared.is_stopping() { Ok(()) } else { connection.read() };
        *shared.pipeline.lock() = None;
        outcome.map(|()| if shared.is_stopping() { Left::Stopped } else { Left::Gone })
    }
}

/// What became of waiting for the first bytes.
enum First {
    Is(Kind),
    Left(Left),
}
