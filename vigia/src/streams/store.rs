//! The file that keeps the streams that were added over the API.
//!
//! It is written whole and put in place in one step, so that a server that dies leaves the old one or the new one. It holds
//! the sources' credentials, and only its owner may read it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::config::StreamConfig;

/// The streams that were added, and where they are kept.
#[derive(Debug)]
pub(super) struct Store {
    path: Option<PathBuf>,
    streams: Mutex<BTreeMap<String, StreamConfig>>,
}

impl Store {
    /// A store in this file; without one, nothing outlives the server.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, streams: Mutex::default() }
    }

    /// What is kept. A file that cannot be read is put aside, so that nothing in it is lost.
    pub(super) fn load(&self) -> BTreeMap<String, StreamConfig> {
        let Some(path) = &self.path else { return BTreeMap::new() };
        let streams = match read(path) {
            Ok(streams) => streams,
            Err(error) => {
                let aside = path.with_extension("json.unreadable");
                let kept = fs::rename(path, &aside);
                tracing::error!(file = %path.display(), %error, aside = %aside.display(), ?kept,
                    "the streams that were added over the API cannot be read; the file was put aside");
                BTreeMap::new()
            }
        };
        self.streams.lock().clone_from(&streams);
        streams
    }

    /// Keeps a stream, or forgets it.
    pub(super) fn put(&self, id: &str, config: Option<&StreamConfig>) {
        let mut streams = self.streams.lock();
        match config {
            Some(config) => streams.insert(id.to_owned(), config.clone()),
            None => streams.remove(id),
        };
        let Some(path) = &self.path else { return };
        // Under the lock: files are written in the order of the changes.
        if let Err(error) = write(path, &streams) {
            tracing::error!(file = %path.display(), %error, "the streams that were added cannot be written down");
        }
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<String, StreamConfig>> {
    match fs::read(path) {
        // The text of an error could show what stands in the file.
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| io::Error::other(format!("line {}, column {}", error.line(), error.column()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, streams: &BTreeMap<String, StreamConfig>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("json.new");
    // One that was left over might be readable by others.
    let _nothing_there = fs::remove_file(&new);
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec_pretty(streams)?)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_kept_is_there_the_next_time_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data").join("streams.json");
        let camera = StreamConfig::at("rtsp://user:secret@camera/1");
        let store = Store::new(Some(path.clone()));
        assert!(store.load().is_empty());
        store.put("door", Some(&camera));
        store.put("yard", Some(&StreamConfig::at("push")));
        store.put("yard", None);
        let again = Store::new(Some(path.clone())).load();
        assert_eq!(again, BTreeMap::from([("door".to_owned(), camera)]));
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("streams.json");
        fs::write(&path, "{\"door\": {\"source\": \"rtsp://user:sec").expect("written");
        assert!(Store::new(Some(path.clone())).load().is_empty());
        assert!(!path.exists() && folder.path().join("streams.json.unreadable").exists());
    }
}
