//! A WebSocket's client.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Error, Message, WebSocket};

/// What a server says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// A text message, which is JSON.
    Json(Value),
    /// Goodbye, and why.
    Closed(u16, String),
    /// Nothing: the connection is gone.
    Gone,
}

/// A socket that is open.
pub(crate) struct Socket(pub(crate) WebSocket<Steady>);

/// A frame's message: its number, then the picture.
pub(crate) fn frame(frame_id: u64, picture: &[u8]) -> Vec<u8> {
    [frame_id.to_be_bytes().as_slice(), picture].concat()
}

/// A connection that goes on where it was when the process was stopped for a while.
pub(crate) struct Steady(pub(crate) TcpStream);

fn steadily<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

impl Read for Steady {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        steadily(|| self.0.read(into))
    }
}

impl Write for Steady {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        steadily(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Socket {
    /// Opens a socket; `guard` is the longest that anything may take.
    pub(crate) fn open(address: &str, path: &str, guard: Duration) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(guard)).expect("a time");
        stream.set_write_timeout(Some(guard)).expect("a time");
        // What is written is to be under way, not to wait for more of it.
        stream.set_nodelay(true).expect("a socket");
        let address = format!("ws://{address}{path}");
        let (socket, _response) = tungstenite::client(address, Steady(stream)).expect("a WebSocket");
        Self(socket)
    }

    /// Sends a message; says whether the other side is still there.
    pub(crate) fn try_send(&mut self, message: Message) -> bool {
        self.0.send(message).is_ok()
    }

    /// Sends a frame.
    pub(crate) fn push(&mut self, frame_id: u64, picture: &[u8]) {
        assert!(self.try_send(Message::Binary(Bytes::from(frame(frame_id, picture)))), "the server is gone");
    }

    /// What the server says next. What it only asks (pings) is answered.
    pub(crate) fn next(&mut self) -> Said {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Said::Json(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
                    return Said::Closed(code.into(), reason.as_str().to_owned());
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Ok(other) => unreachable!("the server does not say {other:?}"),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    unreachable!("the server says nothing")
                }
                Err(_gone) => return Said::Gone,
            }
        }
    }

    /// The next message, which has to be JSON.
    pub(crate) fn json(&mut self) -> Value {
        match self.next() {
            Said::Json(value) => value,
            other => unreachable!("expected a message, not {other:?}"),
        }
    }

    /// What the server says up to its goodbye, and why that is said.
    pub(crate) fn rest(&mut self) -> (Vec<Value>, u16) {
        let mut said = Vec::new();
        loop {
            match self.next() {
                Said::Json(value) => said.push(value),
                Said::Closed(code, _) => return (said, code),
                Said::Gone => unreachable!("no goodbye after {said:?}"),
            }
        }
    }

    /// Says goodbye and waits until the server does.
    pub(crate) fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "enough".into() };
        self.0.close(Some(frame)).expect("open");
        while self.0.read().is_ok() {}
    }
}
