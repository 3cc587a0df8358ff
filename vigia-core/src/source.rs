//! Who hands frames over.

use std::time::SystemTime;

use crate::frame::Frame;

/// Whether the source should go on after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Send the next one.
    Continue,
    /// Nobody wants more; the source ends.
    Stop,
}

/// A picture as it came, still encoded (JPEG, PNG, WebP, BMP): it is decoded only when its turn has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedPicture {
    /// Its number where the sender gave one; numbers grow.
    pub frame_id: Option<u64>,
    /// When it came, or was taken where the sender says so.
    pub captured_at: SystemTime,
    /// The whole file.
    pub bytes: Vec<u8>,
}

/// Takes a source's frames, on the source's own thread.
///
/// [`FrameSink::frame`] may block: a file is then read no faster than it is worked on. A sink for a live source must
/// not block.
pub trait FrameSink: Send {
    /// One decoded frame, in order.
    fn frame(&mut self, frame: Frame) -> Flow;

    /// One encoded picture, in order. Only sources that listen (`tcp-listen`) hand these over.
    fn picture(&mut self, picture: EncodedPicture) -> Flow;

    /// Something went wrong that the source goes on after: whoever had connected sent no video. To be shown.
    fn trouble(&mut self, error: &SourceError);

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
    /// Pictures came, and then none for too long; it may work later.
    #[error("{0}")]
    Stalled(String),
    /// The media library itself failed: a missing plug-in, a broken installation.
    #[error("{0}")]
    Library(String),
}

impl SourceError {
    /// The kind of trouble, as a stable name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not-found",
            Self::Undecodable(_) => "undecodable",
            Self::Unauthorized(_) => "unauthorized",
            Self::Unreachable(_) => "unreachable",
            Self::Stalled(_) => "stalled",
            Self::Library(_) => "library",
        }
    }
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
