//! A WebSocket's client.

use std::io::ErrorKind;
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
pub(crate) struct Socket(pub(crate) WebSocket<TcpStream>);

/// A frame's message: its number, then the picture.
pub(crate) fn frame(frame_id: u64, picture: &[u8]) -> Vec<u8> {
    [frame_id.to_be_bytes().as_slice(), picture].concat()
}

/// A process that was stopped for a while has to go on where it was.
fn was_interrupted(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::Interrupted)
}

impl Socket {
    /// Opens a socket; `guard` is the longest that anything may take.
    pub(crate) fn open(address: &str, path: &str, guard: Duration) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(guard)).expect("a time");
        stream.set_write_timeout(Some(guard)).expect("a time");
        // What is written is to be under way, not to wait for more of it.
        stream.set_nodelay(true).expect("a socket");
        let (socket, _response) = tungstenite::client(format!("ws://{address}{path}"), stream).expect("a WebSocket");
        Self(socket)
    }

    /// Sends a message; says whether the other side is still there.
    pub(crate) fn try_send(&mut self, message: Message) -> bool {
        let mut sent = self.0.send(message);
        while sent.as_ref().is_err_and(was_interrupted) {
            sent = self.0.flush();
        }
        sent.is_ok()
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
                Err(error) if was_interrupted(&error) => {}
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
