//! Keeping the store within its bounds: what is too old or too much goes, the oldest first; and so does what belongs to
//! nobody. A little at a time, now and then, by the writer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use super::metrics::EventMetrics;
use super::record::{day, millis};
use super::snapshots::Found;
use super::store::{Old, Store, StoreError, Totals};
use super::writer::Shared;
use crate::config::EventsConfig;

/// How often this is done, at least; and after so many events.
const EVERY: Duration = Duration::from_mins(1);
const AFTER: u64 = 256;
/// Events that are removed in one go.
const MOST: usize = 1000;
/// How often it is counted what there is, and looked for pictures without an event: another process may have written.
const RECOUNT: Duration = Duration::from_hours(1);
/// A younger picture may be one whose event is about to be written.
const YOUNG: Duration = Duration::from_hours(1);
/// Pictures of one day that are looked at.
const LOOKED_AT: usize = 100_000;
const DAY: Duration = Duration::from_hours(24);

/// Bounds, and what there is.
#[derive(Debug)]
pub(super) struct Care {
    keep: Duration,
    max_size: u64,
    max_events: u64,
    totals: Totals,
    since: u64,
    due: Instant,
    recount: Instant,
}

impl Care {
    pub(super) fn new(config: &EventsConfig, totals: Totals) -> Self {
        let now = Instant::now();
        let EventsConfig { store: _, snapshots: _, keep, max_size, max_events } = *config;
        Self { keep, max_size, max_events, totals, since: 0, due: now, recount: now }
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// An event of this size was written.
    pub(super) fn added(&mut self, bytes: u64) {
        self.totals.events += 1;
        self.totals.bytes += bytes;
        self.since += 1;
        if self.since >= AFTER {
            self.due = Instant::now();
        }
    }

    pub(super) fn show(&self, metrics: &EventMetrics) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        metrics.kept.set(number(self.totals.events));
        metrics.kept_bytes.set(number(self.totals.bytes));
    }

    /// Does what is due.
    pub(super) fn go(&mut self, store: &Arc<Mutex<Store>>, shared: &Shared, runtime: &Runtime, now: SystemTime) {
        self.since = 0;
        self.due = Instant::now() + EVERY;
        if let Err(why) = self.remove_old(store, shared, runtime, now) {
            shared.metrics.store_errors.inc();
            tracing::warn!(error = why, "old events cannot be removed; this is tried again");
        }
        if Instant::now() >= self.recount {
            self.recount = Instant::now() + RECOUNT;
            if let Err(why) = self.look_around(store, shared, runtime, now) {
                tracing::warn!(error = why, "the events that there are cannot be looked at; this is tried again");
            }
        }
        self.show(&shared.metrics);
    }

    fn remove_old(
        &mut self,
        store: &Mutex<Store>,
        shared: &Shared,
        runtime: &Runtime,
        now: SystemTime,
    ) -> Result<(), String> {
        let said = |error: StoreError| error.to_string();
        let oldest = store.lock().oldest(MOST).map_err(said)?;
        let too_old = millis(now.checked_sub(self.keep).unwrap_or(SystemTime::UNIX_EPOCH));
        let (mut left, mut leaving) = (self.totals, Vec::new());
        for old in &oldest {
            let is_too_much = left.bytes > self.max_size || left.events > self.max_events;
            if old.ended_at >= too_old && !is_too_much {
                break;
            }
            left.events = left.events.saturating_sub(1);
            left.bytes = left.bytes.saturating_sub(old.size);
            leaving.push(old);
        }
        if leaving.is_empty() {
            return Ok(());
        }
        let snapshots: Vec<String> = leaving.iter().filter_map(|old: &&Old| old.snapshot.clone()).collect();
        // First: an event without its picture is removed the next time, a picture without its event is only found.
        if let Err(error) = runtime.block_on(shared.snapshots.remove(&snapshots)) {
            shared.metrics.snapshot_errors.inc();
            return Err(error);
        }
        let ids: Vec<String> = leaving.iter().map(|old| old.id.clone()).collect();
        store.lock().remove(&ids).map_err(said)?;
        self.totals = left;
        shared.metrics.removed.inc_by(ids.len() as u64);
        tracing::debug!(events = ids.len(), "old events were removed");
        if ids.len() == MOST {
            // There may be more; what waits goes first.
            self.due = Instant::now();
        }
        store.lock().tidy().map_err(said)
    }

    /// Counts what there is, and removes pictures of the last days that no event points to: those of a process that was
    /// killed between the two.
    fn look_around(
        &mut self,
        store: &Mutex<Store>,
        shared: &Shared,
        runtime: &Runtime,
        now: SystemTime,
    ) -> Result<(), String> {
        let said = |error: StoreError| error.to_string();
        self.totals = store.lock().totals().map_err(said)?;
        for days in 0..3 {
            let day = day(now.checked_sub(DAY * days).unwrap_or(SystemTime::UNIX_EPOCH));
            let found = runtime.block_on(shared.snapshots.of_day(&day, LOOKED_AT))?;
            let is_old = |found: &Found| now.duration_since(found.modified).is_ok_and(|age| age >= YOUNG);
            let old: Vec<String> = found.into_iter().filter(is_old).map(|found| found.name).collect();
            let known = store.lock().known(&old).map_err(said)?;
            let lost: Vec<String> = old.into_iter().filter(|name| !known.contains(name)).collect();
            if !lost.is_empty() {
                runtime.block_on(shared.snapshots.remove(&lost))?;
                tracing::info!(pictures = lost.len(), day, "pictures without an event were removed");
            }
        }
        Ok(())
    }
}
