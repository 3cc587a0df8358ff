//! The states of a live stream.

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamState {
    /// Its source is being opened; no frame came yet.
    Connecting,
    /// Frames come.
    Online,
    /// Frames came, and then none for too long; the source is being given up.
    Stalled,
    /// The source broke off; it will be opened again.
    Retrying,
    /// The source came to its end.
    Ended,
    /// The source cannot be used; it is not tried again.
    Failed,
}

impl StreamState {
    /// True where nothing more will come.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }

    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Stalled => "stalled",
            Self::Retrying => "retrying",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}
