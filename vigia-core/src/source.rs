//! Who hands frames over.

use crate::frame::Frame;

/// Whether the source should go on after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Send the next one.
    Continue,
    /// Nobody wants more; the source ends.
    Stop,
}

/// Takes a source's frames, on the source's own thread.
///
/// [`FrameSink::frame`] may block: a file is then read no faster than it is worked on. A sink for a live source must
/// not block.
pub trait FrameSink: Send {
    /// One decoded frame, in order.
    fn frame(&mut self, frame: Frame) -> Flow;

    /// The source is over: at its end (`Ok`) or by an error. Called once, as the last call.
    fn end(&mut self, outcome: Result<(), SourceError>);
}

/// Why a source gave up. The variants say what the owner can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The address itself is wrong: a missing file, an unknown scheme. Trying again does not help.
    #[error("{0}")]
    NotFound(String),
    /// What came is no video that can be decoded here.
    #[error("{0}")]
    Undecodable(String),
    /// The other side wants a (different) name and password.
    #[error("{0}")]
    Unauthorized(String),
    /// The connection could not be made, or broke; it may work later.
    #[error("{0}")]
    Unreachable(String),
    /// The media library itself failed: a missing plug-in, a broken installation.
    #[error("{0}")]
    Library(String),
}

/// A running source; dropping it stops the source and waits until its threads are done.
pub trait SourceHandle: Send {}

/// Something that can be started and then pushes frames.
pub trait Source: Send {
    /// Starts; frames go to `sink` from the source's own thread until the end or until the handle is dropped.
    ///
    /// # Errors
    /// What is wrong before the first byte is read: a missing file, an address that cannot be used.
    fn start(self: Box<Self>, sink: Box<dyn FrameSink>) -> Result<Box<dyn SourceHandle>, SourceError>;
}
