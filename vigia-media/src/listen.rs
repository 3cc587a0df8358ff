//! `tcp-listen://HOST:PORT`: a socket of a stream's own. Whoever connects sends video; nobody is asked for a password.
//!
//! ```text
//! clients (one after the other) ─► first_bytes ─► MPEG-TS: ingest::Connection ─► FrameSink::frame
//!                                              └► MJPEG: pictures (jpeg | multipart) ─► FrameSink::picture
//! ```

mod clients;
mod first_bytes;
mod jpeg;
mod multipart;
mod pictures;

use std::fmt;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use vigia_core::id::StreamRef;
use vigia_core::source::{FrameSink, Source, SourceError, SourceHandle};

use crate::address::redact;
use crate::ingest::{IngestOptions, Numbering, named_thread};
use clients::{Door, Shared};

/// The scheme of these addresses.
const SCHEME: &str = "tcp-listen";
/// How soon a stop is noticed, at the latest.
const TICK: Duration = Duration::from_millis(50);

/// True for an address that something connects to, not one that is opened: `tcp-listen://HOST:PORT`.
///
/// ```
/// assert!(vigia_media::is_listening("tcp-listen://0.0.0.0:9000"));
/// assert!(!vigia_media::is_listening("rtsp://camera/1"));
/// ```
pub fn is_listening(address: &str) -> bool {
    rest(address).is_some()
}

/// What follows the scheme.
fn rest(address: &str) -> Option<&str> {
    address.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME)).map(|(_, rest)| rest)
}

/// A socket that listens for whoever sends a stream's video. Clones are the same socket, which is closed when the last
/// clone and the last source are gone.
///
/// While no source runs, clients wait. While a client is connected, others wait. What a client may send: MPEG-TS, decoded
/// as other live sources are; JPEG pictures one after the other; JPEG pictures as the parts of a multipart body, where
/// a part's `X-Frame-Id` is the picture's number. The first bytes tell.
///
/// A frame in MPEG-TS comes up to two frame intervals late, since only the next one's beginning says that it is whole; one
/// with ffmpeg's `-omit_video_pes_length 0`. MJPEG comes at once.
///
/// Not handled: TLS, passwords, MPEG-TS in packets of 192 bytes, a multipart body whose parts are boundaries of another.
#[derive(Clone, Debug)]
pub struct Listener(Arc<Socket>);

#[derive(Debug)]
struct Socket {
    listener: TcpListener,
    /// As it was given; IPv6 in brackets.
    host: String,
    port: u16,
    /// A source of this socket runs.
    taken: AtomicBool,
}

/// `HOST:PORT`, with the port that it is.
impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Listener {
    /// Listens at `tcp-listen://HOST:PORT` from now on. Port 0 picks a free one.
    ///
    /// # Errors
    /// [`SourceError::NotFound`] for an address that is none of this machine's or none at all, [`SourceError::Unreachable`]
    /// for a port that something else listens on: it may be free later.
    pub fn bind(address: &str) -> Result<Self, SourceError> {
        let shown = redact(address);
        let wrong = |why: &str| SourceError::NotFound(format!("{shown}: {why}, as in {SCHEME}://0.0.0.0:9000"));
        let authority = rest(address).ok_or_else(|| wrong("an address to listen at has a host and a port"))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(wrong("only a host and a port can stand here, no name, path or options"));
        }
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let port = port.parse().map_err(|_no_number| wrong("the port must be a number from 0 to 65535"))?;
        let bare = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(inner)) => inner,
            Some(None) => return Err(wrong("the bracket around the host is not closed")),
            None if host.contains(':') => return Err(wrong("an IPv6 address stands in brackets")),
            None => host,
        };
        if bare.is_empty() {
            return Err(wrong("the host is missing"));
        }
        let listener = TcpListener::bind((bare, port)).map_err(|error| not_bound(&shown, host, port, &error))?;
        let library = |e: io::Error| SourceError::Library(format!("{shown}: {e}"));
        let port = listener.local_addr().map_err(library)?.port();
        limit_accept(&listener).map_err(library)?;
        let socket = Socket { listener, host: host.to_owned(), port, taken: AtomicBool::new(false) };
        Ok(Self(Arc::new(socket)))
    }

    /// Where to connect: `tcp://HOST:PORT`, with the host as it was given and the port that it is.
    pub fn url(&self) -> String {
        format!("tcp://{}", self.0)
    }

    /// A source that takes what clients send. One of them can run at a time.
    ///
    /// It ends when it is stopped; a client's end is not its own. What is wrong with a client is
    /// [`FrameSink::trouble`]: it sent something else, its picture was cut off or longer than
    /// [`IngestOptions::picture_limit`], no picture came for [`IngestOptions::inactivity_timeout`]. That client is closed.
    ///
    /// # Errors
    /// [`SourceError::Library`] where GStreamer is not installed.
    pub fn source(&self, stream: StreamRef, options: IngestOptions) -> Result<Box<dyn Source>, SourceError> {
        crate::init()?;
        Ok(Box::new(ListenSource { socket: Arc::clone(&self.0), stream, options }))
    }
}

fn not_bound(shown: &str, host: &str, port: u16, error: &io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::AddrInUse => SourceError::Unreachable(format!(
            "{shown}: something else listens on port {port}; stop it, choose another port, or 0 for any free one"
        )),
        io::ErrorKind::AddrNotAvailable => SourceError::NotFound(format!(
            "{shown}: {host} is no address of this machine; use one of its own, 0.0.0.0 for all, 127.0.0.1 for local clients"
        )),
        io::ErrorKind::PermissionDenied => SourceError::NotFound(format!(
            "{shown}: this user may not listen on port {port}; choose one from 1024 on, or 0 for any free one"
        )),
        _ => SourceError::NotFound(format!("{shown}: cannot listen there: {error}")),
    }
}

/// Makes `accept` give up after a tick: on Linux the time limit of reading counts for it, too (socket(7), `SO_RCVTIMEO`).
fn limit_accept(listener: &TcpListener) -> io::Result<()> {
    TcpStream::from(OwnedFd::from(listener.try_clone()?)).set_read_timeout(Some(TICK))
}

struct ListenSource {
    socket: Arc<Socket>,
    stream: StreamRef,
    options: IngestOptions,
}

impl Source for ListenSource {
    fn start(self: Box<Self>, sink: Box<dyn FrameSink>) -> Result<Box<dyn SourceHandle>, SourceError> {
        let Self { socket, stream, options } = *self;
        if socket.taken.swap(true, Ordering::AcqRel) {
            return Err(SourceError::Unreachable(format!("{socket}: another source takes what clients send here")));
        }
        let taken = Taken(Arc::clone(&socket));
        let shared = Arc::new(Shared::new(sink));
        let numbering = Arc::new(Mutex::new(Numbering::default()));
        let door = Door { socket, shared: Arc::clone(&shared), stream: stream.clone(), options, numbering };
        let thread = named_thread(&stream, move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| door.serve()));
            let outcome = outcome.unwrap_or_else(|_panic| {
                let what = "the sink failed while it took a picture";
                Err(SourceError::Library(format!("{}: {what}", door.socket)))
            });
            // Whoever hears of the end may start the next one at once.
            drop(taken);
            door.shared.end(outcome);
        })?;
        Ok(Box::new(Running { shared, thread: Some(thread) }))
    }
}

/// Lets the next source run when this one is gone.
struct Taken(Arc<Socket>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

struct Running {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SourceHandle for Running {}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
        // A sink may drop its source in `end`, which runs on the thread that would be waited for.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
            && thread.join().is_err()
        {
            tracing::error!("the thread of a listening source panicked");
        }
    }
}

#[cfg(test)]
mod tests;
