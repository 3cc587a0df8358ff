//! The pictures of events: in a folder of this machine or in a bucket.
//!
//! A picture is there whole or not at all. It is written before the event that points to it, and removed before that, too:
//! what is left over where the process was killed in between is a picture without an event, which `care` finds.

mod bucket;
mod folder;
mod requests;

use std::time::SystemTime;

use bytes::Bytes;

use self::bucket::Bucket;
use self::folder::Folder;
use super::record::Snapshot;
use crate::config::SnapshotPlace;

/// Where pictures are.
#[derive(Debug)]
pub(super) enum Snapshots {
    Folder(Folder),
    Bucket(Bucket),
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
            SnapshotPlace::Folder(path) => Folder::open(path).map(Self::Folder),
            SnapshotPlace::Bucket { url, options } => Bucket::open(&url, &options).map(Self::Bucket),
        }
    }

    /// In memory; they are gone with this value.
    pub(super) fn memory() -> Self {
        Self::Bucket(Bucket::memory())
    }

    /// Writes pictures, each by itself; whether that worked, in their order.
    pub(super) async fn write(&self, snapshots: &[&Snapshot]) -> Vec<Result<(), String>> {
        match self {
            Self::Folder(folder) => folder.write(snapshots),
            Self::Bucket(bucket) => bucket.write(snapshots).await,
        }
    }

    /// Reads one; `None` where it is not there.
    ///
    /// # Errors
    /// What the system or the bucket says.
    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, String> {
        match self {
            // A small file, as a rule still in the system's memory.
            Self::Folder(folder) => folder.read(name),
            Self::Bucket(bucket) => bucket.read(name).await,
        }
    }

    /// Removes pictures; those that are not there have been removed.
    ///
    /// # Errors
    /// The first one that could not be; others may be gone.
    pub(super) async fn remove(&self, names: &[String]) -> Result<(), String> {
        match self {
            Self::Folder(folder) => folder.remove(names),
            Self::Bucket(bucket) => bucket.remove(names).await,
        }
    }

    /// The pictures that were written on this day (`2026-11-21`), at most so many.
    ///
    /// # Errors
    /// What the system or the bucket says.
    pub(super) async fn of_day(&self, day: &str, most: usize) -> Result<Vec<Found>, String> {
        match self {
            Self::Folder(folder) => folder.of_day(day, most),
            Self::Bucket(bucket) => bucket.of_day(day, most).await,
        }
    }
}
