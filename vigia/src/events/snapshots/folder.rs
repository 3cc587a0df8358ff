//! Pictures in a folder, one folder for each day.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

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

    /// Where a picture of this name is: in the folder of a day, and nowhere else.
    fn file(&self, name: &str) -> Result<PathBuf, String> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0']);
        match name.split_once('/') {
            Some((day, file)) if is_plain(day) && is_plain(file) => Ok(self.path.join(day).join(file)),
            _ => Err(format!("{}: not the name of a picture in it", self.path.display())),
        }
    }

    pub(super) fn write(&self, snapshots: &[&Snapshot], until: Instant) -> Vec<Result<(), String>> {
        let put = |snapshot: &&Snapshot| {
            if Instant::now() >= until { Err(self.failed("", &late())) } else { self.put(snapshot) }
        };
        let written: Vec<_> = snapshots.iter().map(put).collect();
        // Their names are in their folders only once these are written, too.
        let days: BTreeSet<&Path> =
            snapshots.iter().filter_map(|snapshot| Path::new(&snapshot.name).parent()).collect();
        let kept = days.into_iter().try_for_each(|day| File::open(self.path.join(day))?.sync_all());
        let kept = kept.map_err(|error| self.failed("", &error));
        written.into_iter().map(|one| one.and_then(|()| kept.clone())).collect()
    }

    fn put(&self, snapshot: &Snapshot) -> Result<(), String> {
        let path = self.file(&snapshot.name)?;
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
        match fs::read(self.file(name)?) {
            Ok(jpeg) => Ok(Some(Bytes::from(jpeg))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    pub(super) fn remove(&self, names: &[String], until: Instant) -> Option<(u64, String)> {
        let (mut days, mut failed) = (BTreeSet::new(), None);
        let remove = |path: &Path| if Instant::now() >= until { Err(late()) } else { fs::remove_file(path) };
        for name in names {
            let why = match self.file(name).map(|path| (remove(&path), path)) {
                Ok((Err(error), _)) if error.kind() != ErrorKind::NotFound => self.failed(name, &error),
                Ok((_, path)) => {
                    days.extend(path.parent().map(Path::to_owned));
                    continue;
                }
                Err(why) => why,
            };
            failed = Some((failed.map_or(1, |(count, _)| count + 1), why));
        }
        for day in days {
            // One that is not empty stays.
            let _not_empty = fs::remove_dir(day);
        }
        failed
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

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no time was left")
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let pictures = Folder::open(folder.path().join("pictures")).expect("made");
        fs::write(folder.path().join("x"), "mine").expect("written");
        let soon = Instant::now() + std::time::Duration::from_hours(1);
        for bad in ["../x", "x", "a/../../x", "/x", "a/", "./x", "..", ""] {
            assert!(pictures.read(bad).is_err(), "{bad}");
            assert!(pictures.remove(&[bad.to_owned()], soon).is_some(), "{bad}");
        }
        assert!(folder.path().join("x").exists());
        assert_eq!(pictures.read("2026-11-21/x.jpg"), Ok(None));
    }

    #[test]
    fn one_that_cannot_be_removed_holds_up_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let pictures = Folder::open(folder.path().to_owned()).expect("made");
        make(&folder.path().join("day/a.jpg")).expect("a folder where a file should be");
        fs::write(folder.path().join("day/b.jpg"), "").expect("written");
        let names = ["day/a.jpg", "day/b.jpg", "day/c.jpg"].map(str::to_owned);
        let failed = pictures.remove(&names, Instant::now() + std::time::Duration::from_hours(1));
        assert!(failed.is_some_and(|(count, why)| count == 1 && why.contains("a.jpg")));
        assert!(!folder.path().join("day/b.jpg").exists());
        assert_eq!(pictures.remove(&names, Instant::now()).map(|(count, _)| count), Some(3), "no time was left");
    }
}
