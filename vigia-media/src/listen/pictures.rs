//! MJPEG as it comes: whole pictures are cut out of what a client sends, and not decoded.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use vigia_core::source::{EncodedPicture, Flow, SourceError};

use super::clients::{Client, Left};
use super::jpeg::JpegEnd;
use super::multipart::Multipart;

/// Bytes read at once, at most.
const PIECE: usize = 64 * 1024;

/// What stands at the beginning of what a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing that is whole; more must come.
    Nothing,
    /// So many bytes around pictures.
    Skip(usize),
    /// A picture of so many bytes.
    Picture {
        /// In bytes.
        length: usize,
        /// The number that the client gave it.
        frame_id: Option<u64>,
    },
}

/// How pictures follow each other.
#[derive(Debug)]
pub(super) enum Form {
    /// One after the other, nothing between them.
    Plain(JpegEnd),
    /// As parts, with header lines.
    Parts(Multipart),
}

impl Form {
    /// What stands at the beginning of `data`; the error is the rest of "the client sent …".
    fn next(&mut self, data: &[u8]) -> Result<Found, String> {
        match self {
            Self::Parts(parts) => parts.next(data),
            Self::Plain(end) => {
                let Some(length) = end.find(data).map_err(|what| what.to_string())? else { return Ok(Found::Nothing) };
                *end = JpegEnd::default();
                Ok(Found::Picture { length, frame_id: None })
            }
        }
    }

    /// True where nothing is missing if no more comes.
    fn may_end(&self, data: &[u8]) -> bool {
        match self {
            Self::Parts(parts) => parts.may_end(data),
            Self::Plain(_) => data.is_empty(),
        }
    }
}

/// Hands over a client's pictures until it goes.
///
/// The connection's reads must time out after a tick of [`super::clients`].
pub(super) fn read(client: &Client<'_>, mut form: Form) -> Result<Left, SourceError> {
    let limit = usize::try_from(client.options().picture_limit).unwrap_or(usize::MAX);
    let patience = client.options().inactivity_timeout;
    let (mut inbox, mut delivered, mut since) = (Inbox::new(), false, Instant::now());
    loop {
        if client.is_stopping() {
            return Ok(Left::Stopped);
        }
        let found = form.next(inbox.data()).map_err(|what| client.undecodable(&format!("sent {what}")))?;
        if let Form::Parts(parts) = &mut form
            && let Some(what) = parts.take_complaint()
        {
            client.trouble(&client.undecodable(&format!("sent {what}")));
        }
        match found {
            Found::Skip(length) => inbox.skip(length),
            Found::Picture { length, .. } if length > limit => return Err(too_big(client, limit)),
            Found::Picture { length, frame_id } => {
                let picture =
                    EncodedPicture { frame_id, captured_at: inbox.began, bytes: inbox.data()[..length].to_vec() };
                inbox.skip(length);
                // What is there of the next one came about now.
                inbox.began = SystemTime::now();
                if client.picture(picture) == Flow::Stop {
                    return Ok(Left::Stopped);
                }
                (delivered, since) = (true, Instant::now());
            }
            Found::Nothing if inbox.data().len() > limit => return Err(too_big(client, limit)),
            Found::Nothing => match inbox.read(client.socket()) {
                Ok(0) if form.may_end(inbox.data()) => return Ok(Left::Gone),
                Ok(0) => return Err(client.undecodable("went away in the middle of a picture")),
                Ok(_) => in_time(client, since, patience, delivered)?,
                Err(error) if is_tick(&error) => in_time(client, since, patience, delivered)?,
                Err(error) => return Err(client.broken(&error)),
            },
        }
    }
}

/// Nothing to say while whole pictures come: one that trickles must not keep the others waiting.
fn in_time(client: &Client<'_>, since: Instant, patience: Duration, delivered: bool) -> Result<(), SourceError> {
    if since.elapsed() <= patience { Ok(()) } else { Err(client.silent(patience, delivered)) }
}

fn too_big(client: &Client<'_>, limit: usize) -> SourceError {
    client.undecodable(&format!("sent a picture of more than {limit} bytes, which is the limit"))
}

/// True where a read came to its time limit, or was interrupted.
pub(super) fn is_tick(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// What a client has sent and nobody has taken yet.
struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// About when the first byte of what is here came.
    began: SystemTime,
}

impl Inbox {
    fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, began: SystemTime::now() }
    }

    fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Forgets the first bytes.
    fn skip(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
    }

    /// Waits for more, as long as the socket's time limit says. Memory once needed is kept for the next picture.
    fn read(&mut self, mut socket: &TcpStream) -> std::io::Result<usize> {
        let is_new = self.start == self.end;
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() < self.end + PIECE {
            self.bytes.resize((self.end + PIECE).max(self.bytes.len() * 3 / 2), 0);
        }
        let length = socket.read(&mut self.bytes[self.end..])?;
        self.end += length;
        if is_new {
            self.began = SystemTime::now();
        }
        Ok(length)
    }
}
