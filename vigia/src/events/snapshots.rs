//! The pictures of events: in a folder of this machine or in a bucket.
//!
//! A picture is there whole or not at all. It is written before the event that points to it, and removed before that, too:
//! what is left over where the process was killed in between is a picture without an event, which `care` finds.

mod bucket;
mod folder;
mod requests;

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use vigia_engine::worker::{Worker, WorkerPool};

use self::bucket::Bucket;
use self::folder::Folder;
use super::record::Snapshot;
use crate::config::SnapshotPlace;

/// Threads that read pictures of a folder, and how many may wait to be read.
const READERS: usize = 2;
const READS: usize = 64;

/// Where pictures are.
#[derive(Debug)]
pub(super) enum Snapshots {
    /// And the threads that read there: a folder may be of another machine, which may not answer.
    Folder(Arc<Folder>, Loose<WorkerPool>),
    Bucket(Bucket),
}

/// What is not waited for when it is dropped: its threads may be where nothing comes back from.
#[derive(Debug)]
pub(super) struct Loose<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Loose<T> {
    pub(super) fn new(it: T) -> Self {
        Self(Some(it))
    }

    pub(super) fn get(&self) -> &T {
        self.0.as_ref().expect("taken only by drop")
    }
}

impl<T: Send + 'static> Drop for Loose<T> {
    fn drop(&mut self) {
        let it = self.0.take();
        // Whoever joined this thread would wait for the others. Without one, dropping waits.
        if let Ok(worker) = Worker::start("events-end", move |_stop| drop(it)) {
            let _left_behind = ManuallyDrop::new(worker);
        }
    }
}

/// A picture that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) modified: SystemTime,
}

impl Snapshots {
    /// Makes the folder; of a bucket nothing is asked yet.
    ///
    /// # Errors
    /// What is wrong, without any credentials.
    pub(super) fn open(place: SnapshotPlace) -> Result<Self, String> {
        match place {
            SnapshotPlace::Folder(path) => {
                let folder = Arc::new(Folder::open(path)?);
                let readers = WorkerPool::start("events-shots", READERS, READS).map_err(|error| error.to_string())?;
                Ok(Self::Folder(folder, Loose::new(readers)))
            }
            SnapshotPlace::Bucket { url, options } => Bucket::open(&url, &options).map(Self::Bucket),
        }
    }

    /// In memory; they are gone with this value.
    pub(super) fn memory() -> Self {
        Self::Bucket(Bucket::memory())
    }

    /// Writes pictures, each by itself, until the time for it is over; adds whether that worked to `done`, in their order.
    /// What is not there when this is dropped may have been written or not.
    pub(super) async fn write(&self, snapshots: &[&Snapshot], until: Instant, done: &mut Vec<Result<(), String>>) {
        match self {
            Self::Folder(folder, _) => done.extend(folder.write(snapshots, until)),
            Self::Bucket(bucket) => bucket.write(snapshots, done).await,
        }
    }

    /// Reads one; `None` where it is not there.
    ///
    /// # Errors
    /// What the system or the bucket says.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, String> {
        match self {
            Self::Folder(folder, readers) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                readers.get().call(move || folder.read(&name)).await.map_err(|error| error.to_string())?
            }
            Self::Bucket(bucket) => bucket.read(name).await,
        }
    }

    /// Removes pictures, each by itself; those that are not there have been removed. Why some could not be, and how many.
    pub(super) async fn remove(&self, names: &[String], until: Instant) -> Option<(u64, String)> {
        match self {
            Self::Folder(folder, _) => folder.remove(names, until),
            Self::Bucket(bucket) => bucket.remove(names).await,
        }
    }

    /// The pictures that were written on this day (`2026-11-21`), at most so many.
    ///
    /// # Errors
    /// What the system or the bucket says.
    pub(super) async fn of_day(&self, day: &str, most: usize) -> Result<Vec<Found>, String> {
        match self {
            Self::Folder(folder, _) => folder.of_day(day, most),
            Self::Bucket(bucket) => bucket.of_day(day, most).await,
        }
    }
}
