//! What is counted of events, under which name.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Why an event is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// As many waited for the store as may.
    QueueFull,
    /// The store does not take it.
    Refused,
    /// The server ended before the store took it.
    Shutdown,
}

impl Lost {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Refused, Self::Shutdown];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

type Count = Counter<u64, AtomicU64>;

/// All metrics of events. Clones count into the same ones.
#[derive(Clone, Debug, Default)]
pub struct EventMetrics {
    dropped: Family<OfReason, Count>,
    pub(super) stored: Count,
    pub(super) removed: Count,
    pub(super) waiting: Gauge,
    pub(super) store_errors: Count,
    pub(super) store_failing: Gauge,
    pub(super) snapshot_errors: Count,
    pub(super) snapshot_bytes: Count,
    pub(super) without_snapshot: Count,
    pub(super) kept: Gauge,
    pub(super) kept_bytes: Gauge,
}

impl EventMetrics {
    /// Adds all of them to a registry; their names begin with its prefix.
    pub fn register(&self, registry: &mut Registry) {
        for reason in Lost::ALL {
            let _zero = self.dropped(reason).get();
        }
        let r = registry;
        r.register("events_stored", "Tracks that ended and are kept", self.stored.clone());
        r.register("events_dropped", "Tracks that ended and are not kept, by reason", self.dropped.clone());
        r.register("events_removed", "Events that made room for newer ones, or grew too old", self.removed.clone());
        r.register("events_waiting", "Events that wait for the store now", self.waiting.clone());
        r.register("events_store_errors", "Attempts at the store that failed", self.store_errors.clone());
        r.register("events_store_failing", "1 while the store takes no events", self.store_failing.clone());
        let help = "Attempts to write, or remove, a picture of an event that failed";
        r.register("events_snapshot_errors", help, self.snapshot_errors.clone());
        let help = "Pictures of events that were written";
        r.register_with_unit("events_snapshot", help, Unit::Bytes, self.snapshot_bytes.clone());
        let help = "Events that are kept without their picture, which could not be made or written";
        r.register("events_without_snapshot", help, self.without_snapshot.clone());
        r.register("events_kept", "Events that there are", self.kept.clone());
        let help = "What the events and their pictures take";
        r.register_with_unit("events_kept", help, Unit::Bytes, self.kept_bytes.clone());
    }

    /// Events that were dropped for this reason.
    pub(super) fn dropped(&self, reason: Lost) -> Count {
        self.dropped.get_or_create_owned(&OfReason { reason: reason.as_str() })
    }

    pub(super) fn waiting(&self, events: usize) {
        self.waiting.set(i64::try_from(events).unwrap_or(i64::MAX));
    }
}
