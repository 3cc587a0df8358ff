//! Keeping the store within its bounds: what is too old or too much goes, the oldest first; and so does what belongs to
//! nobody. A little at a time, now and then, by the writer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use super::metrics::EventMetrics;
use super::record::{day, is_of, millis};
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
/// How long pictures may take to be listed or removed, all together: events wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most days that are remembered.
const DOUBTFUL: usize = 100;
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
    /// Days of which a picture could not be removed.
    doubtful: BTreeSet<String>,
}

impl Care {
    pub(super) fn new(config: &EventsConfig, totals: Totals) -> Self {
        let now = Instant::now();
        let EventsConfig { store: _, snapshots: _, keep, max_size, max_events } = *config;
        Self { keep, max_size, max_events, totals, since: 0, due: now, recount: now, doubtful: BTreeSet::new() }
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
            tracing::warn!(error = %why, "old events cannot be removed; this is tried again");
        }
        if Instant::now() >= self.recount {
            self.recount = Instant::now() + RECOUNT;
            if let Err(why) = self.look_around(store, shared, runtime, now) {
                tracing::warn!(error = why, "the events that there are cannot be looked at; this is tried again");
            }
        }
        self.show(&shared.metrics);
    }

    fn is_too_much(&self, totals: Totals) -> bool {
        totals.bytes > self.max_size || totals.events > self.max_events
    }

    fn remove_old(
        &mut self,
        store: &Mutex<Store>,
        shared: &Shared,
        runtime: &Runtime,
        now: SystemTime,
    ) -> Result<(), StoreError> {
        let oldest = if self.is_too_much(self.totals) {
            // Another server may have made room already.
            let (totals, oldest) = store.lock().oldest_of(MOST)?;
            self.totals = totals;
            oldest
        } else {
            store.lock().oldest(MOST)?
        };
        let too_old = millis(now.checked_sub(self.keep).unwrap_or(SystemTime::UNIX_EPOCH));
        let (mut left, mut leaving) = (self.totals, Vec::new());
        for old in &oldest {
            if old.ended_at >= too_old && !self.is_too_much(left) {
                break;
            }
            left.events = left.events.saturating_sub(1);
            left.bytes = left.bytes.saturating_sub(old.size);
            leaving.push(old);
        }
        if leaving.is_empty() {
            return Ok(());
        }
        // First: an event without its picture is removed the next time, a picture without its event is only found.
        let snapshots: Vec<String> = leaving.iter().filter_map(|old: &&Old| old.snapshot.clone()).collect();
        self.remove_pictures(&snapshots, shared, runtime);
        let ids: Vec<String> = leaving.iter().map(|old| old.id.clone()).collect();
        let removed = store.lock().remove(&ids)?;
        self.totals.events = self.totals.events.saturating_sub(removed.events);
        self.totals.bytes = self.totals.bytes.saturating_sub(removed.bytes);
        shared.metrics.removed.inc_by(removed.events);
        tracing::debug!(events = removed.events, "old events were removed");
        if ids.len() == MOST {
            // There may be more; what waits goes first.
            self.due = Instant::now();
        }
        store.lock().tidy()
    }

    /// Removes pictures, as far as that works: one that stays holds up nothing, and is looked for later.
    fn remove_pictures(&mut self, names: &[String], shared: &Shared, runtime: &Runtime) {
        let until = Instant::now() + PATIENCE;
        let removed = shared.within(runtime, until, shared.snapshots.remove(names, until));
        let late = || Some((names.len() as u64, "it takes too long".to_owned()));
        if let Some((pictures, error)) = removed.unwrap_or_else(late) {
            shared.metrics.snapshot_errors.inc_by(pictures);
            tracing::warn!(pictures, error, "pictures of old events cannot be removed; they are looked for later");
            let days = names.iter().filter_map(|name| Some(name.split_once('/')?.0.to_owned()));
            self.doubtful.extend(days);
            while self.doubtful.len() > DOUBTFUL {
                self.doubtful.pop_first();
            }
        }
    }

    /// Counts what there is, and removes pictures of this store, of the last days and of those where one could not be
    /// removed, that no event points to: those of a process that was killed between the two.
    fn look_around(
        &mut self,
        store: &Mutex<Store>,
        shared: &Shared,
        runtime: &Runtime,
        now: SystemTime,
    ) -> Result<(), String> {
        let said = |error: StoreError| error.to_string();
        self.totals = store.lock().totals().map_err(said)?;
        let mut days = std::mem::take(&mut self.doubtful);
        days.extend((0..3).map(|days| day(now.checked_sub(DAY * days).unwrap_or(SystemTime::UNIX_EPOCH))));
        let until = Instant::now() + PATIENCE;
        while let Some(day) = days.pop_last() {
            let found = shared.within(runtime, until, shared.snapshots.of_day(&day, LOOKED_AT));
            let found = match found.unwrap_or_else(|| Err("it takes too long".to_owned())) {
                Ok(found) => found,
                Err(why) => {
                    days.insert(day);
                    self.doubtful.extend(days);
                    return Err(why);
                }
            };
            let id = store.lock().id().to_owned();
            let is_ours = |found: &Found| {
                is_of(&id, &found.name) && now.duration_since(found.modified).is_ok_and(|age| age >= YOUNG)
            };
            let old: Vec<String> = found.into_iter().filter(is_ours).map(|found| found.name).collect();
            let known = match store.lock().known(&old) {
                Ok(known) => known,
                Err(error) => {
                    days.insert(day);
                    self.doubtful.extend(days);
                    return Err(error.to_string());
                }
            };
            let lost: Vec<String> = old.into_iter().filter(|name| !known.contains(name)).collect();
            if !lost.is_empty() {
                self.remove_pictures(&lost, shared, runtime);
                tracing::info!(pictures = lost.len(), day, "pictures without an event were removed");
            }
        }
        Ok(())
    }
}
