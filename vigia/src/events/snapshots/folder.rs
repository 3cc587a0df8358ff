//! Pictures in a folder, one folder for each day.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use super::{Found, Snapshot};

/// A folder that only its owner can look into, where vigia makes it.
#[derive(Debug)]
pub(in super::super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let this = Self { path };
        make(&this.path).map_err(|error| this.failed("", &error))?;
        Ok(this)
    }

    fn failed(&self, name: &str, error: &io::Error) -> String {
        format!("{}: {error}", self.path.join(name).display())
    }

    pub(super) fn write(&self, snapshots: &[&Snapshot]) -> Vec<Result<(), String>> {
        let written: Vec<_> = snapshots.iter().map(|snapshot| self.put(snapshot)).collect();
        // Their names are in their folders only once these are written, too.
        let days: BTreeSet<&Path> =
            snapshots.iter().filter_map(|snapshot| Path::new(&snapshot.name).parent()).collect();
        let kept = days.into_iter().try_for_each(|day| File::open(self.path.join(day))?.sync_all());
        let kept = kept.map_err(|error| self.failed("", &error));
        written.into_iter().map(|one| one.and_then(|()| kept.clone())).collect()
    }

    fn put(&self, snapshot: &Snapshot) -> Result<(), String> {
        let path = self.path.join(&snapshot.name);
        let new = path.with_extension("jpg.new");
        let write = || {
            if let Some(day) = path.parent()
                && !day.is_dir()
            {
                make(day)?;
                File::open(&self.path)?.sync_all()?;
            }
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&snapshot.jpeg)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|error: io::Error| {
            // Half of it would only take the room that there may be none of.
            let _not_there = fs::remove_file(&new);
            self.failed(&snapshot.name, &error)
        })
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<Bytes>, String> {
        match fs::read(self.path.join(name)) {
            Ok(jpeg) => Ok(Some(Bytes::from(jpeg))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    pub(super) fn remove(&self, names: &[String]) -> Result<(), String> {
        let mut days = BTreeSet::new();
        for name in names {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(name, &error)),
                _ => days.extend(path.parent().map(Path::to_owned)),
            }
        }
        for day in days {
            // One that is not empty stays.
            let _not_empty = fs::remove_dir(day);
        }
        Ok(())
    }

    pub(super) fn of_day(&self, day: &str, most: usize) -> Result<Vec<Found>, String> {
        let read = || -> io::Result<Vec<Found>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(self.path.join(day))?.take(most) {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let modified = entry.metadata().and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                found.push(Found { name: format!("{day}/{name}"), modified });
            }
            Ok(found)
        };
        match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            found => found.map_err(|error| self.failed(day, &error)),
        }
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
