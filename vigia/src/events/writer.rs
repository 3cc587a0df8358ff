//! The thread that writes events down: pictures first, then all rows that wait in one transaction, and only then the world
//! is told. So an event that anybody has heard of is kept, whatever happens next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Runtime;
use vigia_engine::hub::Hub;

use super::care::Care;
use super::metrics::{EventMetrics, Lost};
use super::queue::{Queue, Taken};
use super::record::{Easel, Pending, Record, Snapshot, day};
use super::snapshots::Snapshots;
use super::store::{Store, StoreError};
use crate::news::Notice;

/// Events in one transaction.
const BATCH: usize = 256;
/// The first pause before the store is tried again, and the longest; they double.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Pauses before a picture is tried again.
const PICTURE_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];
/// How long the pictures of one batch may take, all together, and what of the time at the end is kept for rows.
const PICTURES: Duration = Duration::from_secs(10);
const FOR_ROWS: Duration = Duration::from_millis(500);
/// Longest pause once the end has begun.
const PAUSE_AT_END: Duration = Duration::from_millis(500);
/// How soon the end is noticed by what waits for a place of pictures.
const TICK: Duration = Duration::from_millis(100);
/// How long no picture is tried after none could be written.
const PICTURE_REST: Duration = Duration::from_secs(10);

/// What the writer and those who give it events share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue<Pending>,
    pub(super) hub: Arc<Hub<Notice>>,
    pub(super) metrics: EventMetrics,
    pub(super) snapshots: Snapshots,
    /// The last event had no room.
    pub(super) is_full: AtomicBool,
    /// Events that the writer has taken, and of which it is not known yet what becomes of them.
    pub(super) in_hand: AtomicU64,
}

impl Shared {
    /// Waits for what is about pictures, until then or until the time for them is over at the end; `None` where it took
    /// longer.
    pub(super) fn within<T>(&self, runtime: &Runtime, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                let end = self.queue.closed().and_then(|closed| closed.checked_sub(FOR_ROWS));
                let left = end.map_or(until, |end| end.min(until)).saturating_duration_since(Instant::now());
                if let Ok(done) = tokio::time::timeout(left.min(TICK), &mut work).await {
                    return Some(done);
                }
                if left <= TICK {
                    return None;
                }
            }
        })
    }

    /// So many of the events in hand are lost.
    pub(super) fn give_up(&self, events: u64, reason: Lost, why: &str) {
        let theirs = self.settle(events);
        if theirs > 0 {
            tracing::error!(
                events = theirs,
                reason = reason.as_str(),
                error = why,
                "events are lost: the store did not take them"
            );
            self.metrics.dropped(reason).inc_by(theirs);
        }
    }

    /// It is known what becomes of so many; less where somebody else has counted them already.
    fn settle(&self, events: u64) -> u64 {
        let left = |held: u64| Some(held.saturating_sub(events));
        let held = self.in_hand.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).unwrap_or_default();
        held.min(events)
    }

    /// What nobody takes any more is lost.
    pub(super) fn give_up_waiting(&self, why: &str) {
        while let Taken::Items(left) = self.queue.take(BATCH, Instant::now()) {
            self.in_hand.fetch_add(left.len() as u64, Ordering::Relaxed);
            self.give_up(left.len() as u64, Lost::Shutdown, why);
        }
        self.metrics.waiting(0);
    }
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    store: Arc<Mutex<Store>>,
    /// For buckets, whose client is made for tasks.
    runtime: Runtime,
    care: Care,
    easel: Easel,
    /// What every key of this run begins with.
    run: String,
    written: u64,
    /// No picture is tried before that.
    pictures_rest: Option<Instant>,
    /// The time for writing was over before the store took something.
    has_given_up: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<Mutex<Store>>,
        runtime: Runtime,
        care: Care,
        run: String,
    ) -> Self {
        Self {
            shared,
            store,
            runtime,
            care,
            easel: Easel::default(),
            run,
            written: 0,
            pictures_rest: None,
            has_given_up: false,
        }
    }

    /// Writes what comes until nothing comes any more, or the time for it is over.
    pub(super) fn work(mut self) {
        loop {
            match self.shared.queue.take(BATCH, self.care.due()) {
                Taken::Items(pending) => {
                    self.shared.is_full.store(false, Ordering::Relaxed);
                    self.shared.metrics.waiting(self.shared.queue.len());
                    self.write_or_lose(pending);
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            if self.has_given_up {
                break;
            }
            if self.shared.queue.closed().is_none() && Instant::now() >= self.care.due() {
                let care = || self.care.go(&self.store, &self.shared, &self.runtime, SystemTime::now());
                if catch_unwind(AssertUnwindSafe(care)).is_err() {
                    tracing::error!("removing old events failed in a way it should not; this is tried again");
                    self.store.lock().abandon();
                }
            }
        }
    }

    /// A panic costs what was under way, and no more.
    fn write_or_lose(&mut self, pending: Vec<Pending>) {
        self.shared.in_hand.store(pending.len() as u64, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(|| self.write(pending))).is_err() {
            self.store.lock().abandon();
            self.shared.give_up(u64::MAX, Lost::Refused, "the writer panicked");
        }
    }

    fn write(&mut self, pending: Vec<Pending>) {
        let today = day(SystemTime::now());
        let store = self.store.lock().id().to_owned();
        // Each picture as it was cut out goes once it is a JPEG.
        let mut records: Vec<Record> =
            pending.into_iter().map(|pending| self.record(pending, &today, &store)).collect();
        self.write_pictures(&mut records);
        let mut kept = self.insert(records);
        for record in &mut kept {
            let json = record.json();
            self.care.added(u64::try_from(record.size(&json)).unwrap_or_default());
            self.shared.hub.publish(Notice::track_ended(json.into()));
        }
        self.shared.settle(kept.len() as u64);
        self.shared.metrics.stored.inc_by(kept.len() as u64);
        self.care.show(&self.shared.metrics);
    }

    fn record(&mut self, pending: Pending, today: &str, store: &str) -> Record {
        self.written += 1;
        let Pending { mut record, picture } = pending;
        record.key = format!("{}{:x}", self.run, self.written);
        let Some(picture) = picture else { return record };
        let add = || record.add_picture(&picture, &mut self.easel, today, store).map_err(|error| error.to_string());
        let added = catch_unwind(AssertUnwindSafe(add)).unwrap_or_else(|_panic| {
            self.easel = Easel::default();
            Err("it panicked".to_owned())
        });
        if let Err(error) = added {
            tracing::warn!(event = record.event.id, error, "the picture of an event cannot be made");
            record.lose_picture();
            self.shared.metrics.without_snapshot.inc();
        }
        record
    }

    /// Writes the pictures; an event whose picture cannot be written goes on without.
    fn write_pictures(&mut self, records: &mut [Record]) {
        let mut left: Vec<usize> = (0..records.len()).filter(|&at| records[at].snapshot.is_some()).collect();
        let mut why = String::new();
        if self.pictures_rest.is_none_or(|until| Instant::now() >= until) {
            let is_known_to_fail = self.pictures_rest.take().is_some();
            let mut pauses = PICTURE_PAUSES.iter().take(if is_known_to_fail { 0 } else { PICTURE_PAUSES.len() });
            let until = Instant::now() + PICTURES;
            while !left.is_empty() {
                let snapshots: Vec<&Snapshot> = left.iter().filter_map(|&at| records[at].snapshot.as_ref()).collect();
                let mut outcomes = Vec::with_capacity(snapshots.len());
                let write = self.shared.snapshots.write(&snapshots, until, &mut outcomes);
                let is_late = self.shared.within(&self.runtime, until, write).is_none();
                outcomes.resize_with(snapshots.len(), || Err("it takes too long".to_owned()));
                let sizes = snapshots.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
                self.shared.metrics.snapshot_bytes.inc_by(sizes.map(|(one, _)| one.jpeg.len() as u64).sum());
                let mut outcomes = outcomes.into_iter();
                left.retain(|_| match outcomes.next() {
                    Some(Err(error)) => {
                        self.shared.metrics.snapshot_errors.inc();
                        why = error;
                        true
                    }
                    _ => false,
                });
                if left.is_empty()
                    || is_late
                    || !pauses.next().is_some_and(|&pause| self.shared.queue.pause(Instant::now() + pause))
                {
                    break;
                }
            }
            if !left.is_empty() {
                tracing::error!(
                    pictures = left.len(),
                    error = why,
                    "pictures of events cannot be written: the events are kept without them"
                );
                self.pictures_rest = Some(Instant::now() + PICTURE_REST);
            }
        }
        self.shared.metrics.without_snapshot.inc_by(left.len() as u64);
        for at in left {
            records[at].lose_picture();
        }
    }

    /// Writes the rows, and tries until that works or the time for it is over; those that are kept.
    fn insert(&mut self, mut records: Vec<Record>) -> Vec<Record> {
        let (mut pause, longest) = PAUSE;
        loop {
            let outcome = self.store.lock().insert(&mut records);
            match outcome {
                Ok(()) => {
                    if self.shared.metrics.store_failing.set(0) != 0 {
                        tracing::info!("events can be written again");
                    }
                    return records;
                }
                Err(StoreError::Refused(why)) => return self.insert_singly(records, &why),
                Err(StoreError::Unavailable(why)) => {
                    self.shared.metrics.store_errors.inc();
                    if self.shared.metrics.store_failing.set(1) == 0 {
                        tracing::error!(
                            error = why,
                            "events cannot be written; this is tried again, and they wait meanwhile"
                        );
                    }
                    if !self.shared.queue.pause(Instant::now() + pause) {
                        self.has_given_up = true;
                        self.shared.give_up(records.len() as u64, Lost::Shutdown, &why);
                        return Vec::new();
                    }
                    let is_ending = self.shared.queue.closed().is_some();
                    pause = (pause * 2).min(if is_ending { PAUSE_AT_END } else { longest });
                }
            }
        }
    }

    /// One of them is refused: the others are not to be lost with it.
    fn insert_singly(&mut self, mut records: Vec<Record>, why: &str) -> Vec<Record> {
        if records.len() <= 1 {
            self.shared.give_up(records.len() as u64, Lost::Refused, why);
            return Vec::new();
        }
        let second = records.split_off(records.len() / 2);
        let mut kept = self.insert(records);
        kept.extend(self.insert(second));
        kept
    }
}

impl Drop for Writer {
    /// Also where the thread panicked.
    fn drop(&mut self) {
        self.shared.queue.close(Instant::now());
        self.shared.give_up_waiting("the writer has ended");
    }
}
