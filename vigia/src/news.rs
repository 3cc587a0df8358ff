//! What the server tells of itself as it happens: changes of state, and tracks that ended. All of it goes through one hub,
//! so that a reader that comes back goes on where it was.

use std::sync::Arc;

use bytes::Bytes;
use vigia_engine::hub::Hub;
use vigia_engine::stream::StateChange;

use crate::wire::StateEvent;

/// News that are kept for readers that come back.
const KEPT: usize = 1024;

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its kind, as server-sent events name it.
    pub kind: &'static str,
    /// It, as JSON on one line.
    pub data: Bytes,
}

impl Notice {
    /// A stream's change of state.
    pub const STATE: &'static str = "state";
    /// A track that ended.
    pub const TRACK_ENDED: &'static str = "track_ended";

    /// A stream changed its state.
    pub fn state(change: StateChange) -> Self {
        Self { kind: Self::STATE, data: StateEvent::json(change) }
    }

    /// A track ended; `event` is what `GET /v1/events` has of it.
    pub(crate) fn track_ended(event: Bytes) -> Self {
        Self { kind: Self::TRACK_ENDED, data: event }
    }
}

/// A hub of news.
pub(crate) fn hub() -> Arc<Hub<Notice>> {
    Arc::new(Hub::new(KEPT))
}
