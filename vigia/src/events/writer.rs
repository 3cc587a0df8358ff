//! The thread that writes events down: pictures first, then all rows that wait in one transaction, and only then the world
//! is told. So an event that anybody has heard of is kept, whatever happens next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
                    self.write(&pending);
                }
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            if self.has_given_up {
                break;
            }
            if self.shared.queue.closed().is_none() && Instant::now() >= self.care.due() {
                self.care.go(&self.store, &self.shared, &self.runtime, SystemTime::now());
            }
        }
    }

    fn write(&mut self, pending: &[Pending]) {
        let today = day(SystemTime::now());
        let mut records: Vec<Record> = pending.iter().map(|pending| self.record(pending, &today)).collect();
        self.write_pictures(&mut records);
        let mut kept = self.insert(records);
        for record in &mut kept {
            let json = record.json();
            self.care.added(u64::try_from(record.size(&json)).unwrap_or_default());
            self.shared.hub.publish(Notice::track_ended(json.into()));
        }
        self.shared.metrics.stored.inc_by(kept.len() as u64);
        self.care.show(&self.shared.metrics);
    }

    fn record(&mut self, pending: &Pending, today: &str) -> Record {
        self.written += 1;
        let mut record = Record::new(pending, format!("{}{:x}", self.run, self.written));
        if let Err(error) = record.add_picture(&pending.ended, &mut self.easel, today) {
            tracing::warn!(event = record.event.id, %error, "the picture of an event cannot be made");
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
            while !left.is_empty() {
                let snapshots: Vec<&Snapshot> = left.iter().filter_map(|&at| records[at].snapshot.as_ref()).collect();
                let outcomes = self.runtime.block_on(self.shared.snapshots.write(&snapshots));
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
                        self.give_up(records.len(), Lost::Shutdown, &why);
                        return Vec::new();
                    }
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// One of them is refused: the others are not to be lost with it.
    fn insert_singly(&mut self, mut records: Vec<Record>, why: &str) -> Vec<Record> {
        if records.len() <= 1 {
            self.give_up(records.len(), Lost::Refused, why);
            return Vec::new();
        }
        let second = records.split_off(records.len() / 2);
        let mut kept = self.insert(records);
        kept.extend(self.insert(second));
        kept
    }

    fn give_up(&self, events: usize, reason: Lost, why: &str) {
        tracing::error!(events, reason = reason.as_str(), error = why, "events are lost: the store did not take them");
        self.shared.metrics.dropped(reason).inc_by(events as u64);
    }
}

impl Drop for Writer {
    /// Also where the thread panicked.
    fn drop(&mut self) {
        self.shared.queue.close(Instant::now());
        while let Taken::Items(left) = self.shared.queue.take(BATCH, Instant::now()) {
            self.give_up(left.len(), Lost::Shutdown, "the writer has ended");
        }
        self.shared.metrics.waiting(0);
    }
}
