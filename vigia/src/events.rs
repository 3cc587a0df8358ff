//! Events: tracks that ended, each with the picture of its best moment. Kept in a database, told as they come.
//!
//! [`Events::record`] is all that a stream does about it, and never waits. A thread of its own (`writer`) makes the picture,
//! writes it (`snapshots`) and the row (`store`), then tells everybody (`crate::news`); now and then it removes what is too
//! old or too much (`care`). HTTP reads through another connection. What an event looks like is in `crate::wire`.

mod care;
mod metrics;
mod query;
mod queue;
mod record;
mod snapshots;
mod store;
mod writer;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::time::timeout;
use vigia_core::event::EndedTrack;
use vigia_engine::hub::{Hub, Subscription};
use vigia_engine::worker::{PoolError, Worker, WorkerPool};

use self::care::Care;
use self::queue::Queue;
use self::record::Pending;
use self::snapshots::{Loose, Snapshots};
use self::store::postgres::{Postgres, Target};
use self::store::sqlite::Sqlite;
use self::store::{Picture, Store, StoreError};
use self::writer::{Shared, Writer};
use crate::config::EventsConfig;
use crate::error::{ApiError, Code, said};
use crate::news::{self, Notice};

pub use metrics::{EventMetrics, Lost};
pub use query::{Cursor, NoCursor, Query};

/// Events that may wait for the store.
const ROOM: usize = 1024;
/// Bytes of pictures that may wait, as they were cut out.
const PICTURES: usize = 64_000_000;
/// Requests that may wait to be read, and how long.
const READS: usize = 64;
const READ: Duration = Duration::from_secs(10);

/// Why there can be no events.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The database.
    #[error("events cannot be kept in {place}: {reason}")]
    Store {
        /// The file, or the server and the database's name.
        place: String,
        /// What is wrong, and what can be done.
        reason: String,
    },
    /// What keeps the pictures.
    #[error("pictures of events cannot be kept (events.snapshots): {0}")]
    Snapshots(String),
    /// No thread.
    #[error("the system refuses what events need: {0}")]
    System(#[from] std::io::Error),
}

/// The events that there are and that come. Clones are handles of the same; the last one that is dropped waits until
/// everything is written, as far as there is time for it.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// Taken when dropped.
    reader: Option<Arc<Mutex<Store>>>,
    readers: Loose<WorkerPool>,
    generation: u64,
    grace: Duration,
    /// When the time for writing is over; absent while the server does not end.
    until: Mutex<Option<Instant>>,
    worker: Mutex<Option<Worker>>,
    /// Ends with the writer.
    writing: Mutex<Receiver<()>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("waiting", &self.0.shared.queue.len()).finish_non_exhaustive()
    }
}

/// Whether this could be the address of a store.
///
/// # Errors
/// What was expected; never what was given.
pub(crate) fn check_store(url: &str) -> Result<(), String> {
    Target::parse(url).map(drop)
}

impl Events {
    /// Opens what `config` says, or makes it; `data` is the data folder. Once the server ends, `grace` is the time for
    /// writing what still waits.
    ///
    /// # Errors
    /// When the database cannot be opened or is damaged, or the folder of pictures cannot be made.
    pub fn open(config: &EventsConfig, data: &Path, grace: Duration) -> Result<Self, EventsError> {
        let (place, database): (String, Box<dyn Fn() -> Result<Store, StoreError>>) = match &config.store {
            None => {
                let path = data.join("events.db");
                (path.display().to_string(), Box::new(move || Store::open(Box::new(Sqlite::open(&path)?))))
            }
            Some(url) => {
                let failed = |reason| EventsError::Store { place: "events.store".to_owned(), reason };
                let target = Target::parse(url).map_err(failed)?;
                (target.shown(), Box::new(move || Store::open(Box::new(Postgres::open(target.clone())?))))
            }
        };
        let open = || database().map(|store| Arc::new(Mutex::new(store)));
        let failed = |error: StoreError| EventsError::Store { place: place.clone(), reason: error.to_string() };
        let (writer, reader) = (open().map_err(failed)?, open().map_err(failed)?);
        let snapshots = Snapshots::open(config.snapshot_place(data)).map_err(EventsError::Snapshots)?;
        Self::start(config, (writer, reader), snapshots, grace).map_err(|error| match error {
            EventsError::Store { reason, .. } => EventsError::Store { place, reason },
            other => other,
        })
    }

    /// In memory, within the bounds of `config`: gone with the last handle.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn in_memory(config: &EventsConfig) -> Result<Self, EventsError> {
        let failed = |error: StoreError| EventsError::Store { place: "memory".to_owned(), reason: error.to_string() };
        let store = Sqlite::memory().and_then(|sqlite| Store::open(Box::new(sqlite))).map_err(failed)?;
        let store = Arc::new(Mutex::new(store));
        Self::start(config, (store.clone(), store), Snapshots::memory(), Duration::ZERO)
    }

    fn start(
        config: &EventsConfig,
        (store, reader): (Arc<Mutex<Store>>, Arc<Mutex<Store>>),
        snapshots: Snapshots,
        grace: Duration,
    ) -> Result<Self, EventsError> {
        let failed = |error: StoreError| EventsError::Store { place: String::new(), reason: error.to_string() };
        let (generation, totals) = {
            let mut store = store.lock();
            (store.generation().map_err(failed)?, store.totals().map_err(failed)?)
        };
        let shared = Arc::new(Shared {
            queue: Queue::new(ROOM, PICTURES),
            hub: news::hub(),
            metrics: EventMetrics::default(),
            snapshots,
            is_full: AtomicBool::new(false),
            in_hand: AtomicU64::new(0),
        });
        // Which run of which server an event is of: two that share a database do not take each other's rows for theirs.
        let run = format!("{:08x}-", RandomState::new().build_hasher().finish() as u32);
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let writer = Writer::new(shared.clone(), store, runtime, Care::new(config, totals), run);
        let (alive, writing) = sync_channel(0);
        let worker = Worker::start("events", move |_stop| {
            writer.work();
            drop(alive);
        })?;
        Ok(Self(Arc::new(Inner {
            shared,
            reader: Some(reader),
            readers: Loose::new(WorkerPool::start("events-read", 1, READS)?),
            generation,
            grace,
            until: Mutex::new(None),
            worker: Mutex::new(Some(worker)),
            writing: Mutex::new(writing),
        })))
    }

    /// Keeps a track that ended, and tells of it once it is kept. Never waits: where too many wait already, this one is
    /// counted and lost; where only its picture has no room, it is kept without.
    #[expect(clippy::needless_pass_by_value, reason = "whoever tells of a track has no use for it any more")]
    pub fn record(&self, ended: EndedTrack, class: String) {
        let Shared { queue, metrics, is_full, .. } = &*self.0.shared;
        let pending = Pending::new(ended, &class);
        let bytes = pending.bytes();
        let lighten = |pending: &mut Pending| {
            if pending.picture.take().is_some() {
                metrics.without_snapshot.inc();
            }
        };
        match queue.offer(pending, bytes, lighten) {
            Ok(waiting) => metrics.waiting(waiting),
            Err(Pending { record, .. }) => {
                let reason = if queue.closed().is_some() { Lost::Shutdown } else { Lost::QueueFull };
                metrics.dropped(reason).inc();
                // Once, until there is room again.
                if !is_full.swap(true, Ordering::Relaxed) {
                    let (stream, reason) = (record.event.stream, reason.as_str());
                    tracing::error!(
                        stream,
                        reason,
                        "an event is lost, as more may be: the store does not keep up, or the server ends"
                    );
                }
            }
        }
    }

    /// The highest generation of a stream that an event was kept of, in this store, before this run: the streams of this
    /// run have higher ones, so that no id is given twice.
    pub fn last_generation(&self) -> u64 {
        self.0.generation
    }

    /// What is counted.
    pub fn metrics(&self) -> &EventMetrics {
        &self.0.shared.metrics
    }

    /// Where tracks that ended are told, as is what the streams do.
    pub(crate) fn hub(&self) -> &Arc<Hub<Notice>> {
        &self.0.shared.hub
    }

    /// News from now on or after those of this number.
    pub fn news(&self, last: Option<u64>) -> Subscription<Notice> {
        self.0.shared.hub.subscribe(last)
    }

    /// A page of events, as it is answered.
    ///
    /// # Errors
    /// When the store cannot be read, or too many wait for it.
    pub async fn list(&self, query: Query) -> Result<Bytes, ApiError> {
        let found = self.read(move |store| store.list(&query)).await?;
        let next = found.next.map(|cursor| cursor.to_string());
        let next = serde_json::to_string(&next).unwrap_or_default();
        Ok(Bytes::from(format!("{{\"events\":[{}],\"next\":{next}}}", found.events.join(","))))
    }

    /// One event, as it is answered.
    ///
    /// # Errors
    /// When there is none of this id, or the store cannot be read.
    pub async fn get(&self, id: &str) -> Result<Bytes, ApiError> {
        let wanted = id.to_owned();
        let found = self.read(move |store| store.get(&wanted)).await?;
        found.map(Bytes::from).ok_or_else(|| unknown(id))
    }

    /// An event's picture, a JPEG.
    ///
    /// # Errors
    /// When there is no event of this id, or no picture of it, or these cannot be read.
    pub async fn picture(&self, id: &str) -> Result<Bytes, ApiError> {
        let wanted = id.to_owned();
        let none = |why: &str| {
            let detail = format!("of event \"{}\" there is no picture{why}", said(id));
            ApiError::new(Code::NoSnapshot, detail)
        };
        let name = match self.read(move |store| store.snapshot(&wanted)).await? {
            Picture::NoEvent => return Err(unknown(id)),
            Picture::None => return Err(none(": none could be cut out, or kept")),
            Picture::Named(name) => name,
        };
        let read = timeout(READ, self.0.shared.snapshots.read(&name)).await;
        let picture = read.unwrap_or_else(|_late| Err("it takes too long".to_owned())).map_err(|error| {
            tracing::error!(event = id, error, "the picture of an event cannot be read");
            ApiError::new(Code::StoreUnavailable, "the picture cannot be read now; try again later")
        })?;
        picture.ok_or_else(|| none(" any more"))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Some(reader) = self.0.reader.clone() else { return Err(unreadable()) };
        let read = self.0.readers.get().call(move || work(&mut reader.lock()));
        let Ok(read) = timeout(READ, read).await else {
            self.metrics().store_errors.inc();
            tracing::error!("events cannot be read: it takes too long");
            return Err(unreadable());
        };
        match read {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                self.metrics().store_errors.inc();
                tracing::error!(%error, "events cannot be read");
                Err(unreadable())
            }
            Err(PoolError::Full) => {
                Err(ApiError::new(Code::Overloaded, "too many requests for events wait already; try again later"))
            }
            Err(PoolError::Panicked) => {
                Err(ApiError::new(Code::Internal, "reading events failed in a way it should not; it is in the log"))
            }
        }
    }

    /// The server begins to end: from now on the time for writing counts. The first time counts.
    pub fn ending(&self) {
        self.0.until.lock().get_or_insert_with(|| Instant::now() + self.0.grace);
    }
}

impl Inner {
    /// How long writing takes at least, where nothing is wrong: what waits is not given up for being late.
    const LEAST: Duration = Duration::from_secs(1);
    /// How long an attempt that began in time may still take.
    const PATIENCE: Duration = Duration::from_secs(1);
}

impl Drop for Inner {
    fn drop(&mut self) {
        let least = Instant::now() + Self::LEAST;
        let until = self.until.lock().map_or(Instant::now() + self.grace, |until| until).max(least);
        self.shared.queue.close(until);
        let longest = (until + Self::PATIENCE).saturating_duration_since(Instant::now());
        let worker = self.worker.lock().take();
        if self.writing.lock().recv_timeout(longest) == Err(RecvTimeoutError::Timeout) {
            // Whatever it waits for, the end does not.
            tracing::error!("the store does not answer: what waits for it is lost");
            self.shared.give_up_waiting(LATE);
            self.shared.give_up(u64::MAX, Lost::Shutdown, LATE);
            drop(Loose::new(worker));
        }
        // A connection to PostgreSQL must not go where tasks run.
        let (reader, (alive, reading)) = (self.reader.take(), sync_channel::<()>(0));
        let drop_there = move || {
            drop(reader);
            drop(alive);
        };
        if self.readers.get().offer(drop_there).is_ok() {
            // Nothing is ever sent: it ends with the reader, or with the time for that.
            let _gone = reading.recv_timeout(Self::PATIENCE);
        }
        self.shared.hub.close();
    }
}

/// Why events are lost whose writer is left behind.
const LATE: &str = "it does not answer";

fn unreadable() -> ApiError {
    ApiError::new(Code::StoreUnavailable, "the store of events cannot be read now; try again later")
}

fn unknown(id: &str) -> ApiError {
    let detail =
        format!("there is no event \"{}\", or it was removed: GET /v1/events lists those that there are", said(id));
    ApiError::new(Code::UnknownEvent, detail)
}
