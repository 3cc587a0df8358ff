//! The section `events`: where events and their pictures are kept, and for how long.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{self, within, written};

/// The keys whose values are no secret.
pub(super) const OPEN: [&str; 3] = ["keep", "max_size", "max_events"];

/// What addresses of pictures begin with that are no folders.
const CLOUDS: [&str; 3] = ["s3://", "gs://", "az://"];

/// Where events and their pictures are kept, and for how long.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// A PostgreSQL database that keeps the events. Null: the file `events.db` in the data folder.
    #[schemars(example = "postgres://vigia:secret@db.example.org/vigia")]
    pub store: Option<String>,
    /// What keeps their pictures: a folder, or a bucket as `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or
    /// `az://CONTAINER/PREFIX`, whose credentials come from the usual variables of the environment. Null: the folder
    /// `snapshots` in the data folder.
    #[schemars(example = "s3://cameras/vigia")]
    pub snapshots: Option<String>,
    /// Events that ended longer ago are removed; from 1m to 36500d.
    #[serde(with = "units::duration")]
    #[schemars(with = "units::Span")]
    pub keep: Duration,
    /// Bytes of events and their pictures, all together; the oldest are removed for newer ones. At least 1MB.
    #[serde(deserialize_with = "units::bytes")]
    #[schemars(with = "units::Bytes")]
    pub max_size: u64,
    /// Events that are kept; the oldest are removed for newer ones. From 1 to 1 G.
    #[serde(deserialize_with = "units::count")]
    #[schemars(with = "units::Count")]
    pub max_events: u64,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            store: None,
            snapshots: None,
            keep: Duration::from_hours(30 * 24),
            max_size: 2_000_000_000,
            max_events: 1_000_000,
        }
    }
}

/// Without the password.
impl fmt::Debug for EventsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, snapshots, keep, max_size, max_events } = self;
        let shown = |address: &Option<String>| address.as_deref().map(super::hidden);
        f.debug_struct("EventsConfig")
            .field("store", &shown(store))
            .field("snapshots", &shown(snapshots))
            .field("keep", keep)
            .field("max_size", max_size)
            .field("max_events", max_events)
            .finish()
    }
}

/// Where pictures are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum SnapshotPlace {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket and what the environment says of how to get in.
    Bucket {
        /// As configured.
        url: String,
        /// Names in lower case, as `aws_region`, and values.
        options: Vec<(String, String)>,
    },
}

impl EventsConfig {
    pub(super) fn validate(&self) -> Result<(), String> {
        if let Some(store) = &self.store {
            crate::events::check_store(store).map_err(|why| format!("store: {why}"))?;
        }
        if let Some(snapshots) = &self.snapshots {
            check_snapshots(snapshots).map_err(|why| format!("snapshots: {why}"))?;
        }
        within("keep", self.keep, Duration::from_mins(1), Duration::from_hours(36_500 * 24), written)?;
        within("max_size", self.max_size, 1_000_000, i64::MAX as u64, u64::to_string)?;
        within("max_events", self.max_events, 1, 1_000_000_000, u64::to_string)
    }

    /// Where pictures are kept; `data` is the data folder.
    pub fn snapshot_place(&self, data: &Path) -> SnapshotPlace {
        match &self.snapshots {
            None => SnapshotPlace::Folder(data.join("snapshots")),
            Some(url) if is_cloud(url) => SnapshotPlace::Bucket { url: url.clone(), options: cloud_variables() },
            Some(folder) => SnapshotPlace::Folder(PathBuf::from(folder)),
        }
    }
}

fn is_cloud(text: &str) -> bool {
    CLOUDS.iter().any(|scheme| text.starts_with(scheme))
}

/// Never says what was given: there may be a password in it.
fn check_snapshots(text: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX";
    let Some((_, rest)) = text.split_once("://") else {
        return if text.trim().is_empty() { Err(EXPECTED) } else { Ok(()) };
    };
    if !is_cloud(text) {
        return Err(EXPECTED);
    }
    let bucket = rest.split('/').next().unwrap_or_default();
    if rest.contains('@') || rest.contains(['?', '#']) {
        return Err(
            "credentials do not stand in the address: they are taken from the environment, as AWS_ACCESS_KEY_ID",
        );
    }
    if bucket.is_empty() || bucket.contains(char::is_whitespace) {
        return Err("there is no bucket behind the scheme: write for example s3://cameras/vigia");
    }
    Ok(())
}

/// The variables by which programs of the three clouds get in.
fn cloud_variables() -> Vec<(String, String)> {
    let is_theirs = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|start| name.starts_with(start));
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let all = env::vars_os().filter_map(text).filter(|(name, value)| is_theirs(name) && !value.is_empty());
    all.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(store: Option<&str>, snapshots: Option<&str>) -> EventsConfig {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        EventsConfig { store: owned(store), snapshots: owned(snapshots), ..EventsConfig::default() }
    }

    #[test]
    fn stores_are_told_from_what_is_none() {
        for good in [
            "postgres://vigia:secret@db.example.org/vigia",
            "postgresql://vigia@localhost:5433/vigia?sslmode=disable",
            "postgres:///vigia?host=/var/run/postgresql",
            "postgres://db/vigia?sslmode=verify-full&sslrootcert=/etc/ca.pem&user=vigia",
        ] {
            assert_eq!(with(Some(good), None).validate(), Ok(()), "{good}");
        }
        for bad in [
            "",
            "events.db",
            "mysql://vigia:secret@db/vigia",
            "vigia:secret@db/vigia",
            "postgres://vigia:secret@db:port/vigia",
            "postgres://vigia:secret@db/vigia?secret=secret",
            "postgres://vigia:secret@db/vigia?sslmode=secret",
            "postgres://vigia:secret@db/vigia?connect_timeout=secret",
        ] {
            let error = with(Some(bad), None).validate().expect_err(bad);
            assert!(error.starts_with("store: ") && error.contains("postgres") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn places_of_pictures_are_told_apart() {
        let place = |text: &str| with(None, Some(text)).snapshot_place(Path::new("data"));
        let bucket = |text: &str| matches!(place(text), SnapshotPlace::Bucket { url, .. } if url == text);
        assert!(bucket("s3://cameras/vigia") && bucket("gs://cameras") && bucket("az://cameras/a/b"));
        assert!(place("/mnt/pictures") == SnapshotPlace::Folder("/mnt/pictures".into()));
        let usual = EventsConfig::default().snapshot_place(Path::new("data"));
        assert!(usual == SnapshotPlace::Folder("data/snapshots".into()));
        for good in ["/mnt/a b", "pictures", "s3://cameras", "az://cameras/vigia/"] {
            assert_eq!(with(None, Some(good)).validate(), Ok(()), "{good}");
        }
        for bad in ["", " ", "ftp://a/b", "s3://", "s3:///a", "s3://key:secret@cameras", "s3://cameras?secret=secret"] {
            let error = with(None, Some(bad)).validate().expect_err(bad);
            assert!(error.starts_with("snapshots: ") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn bounds_have_bounds() {
        for (bad, key) in [
            (EventsConfig { keep: Duration::from_secs(59), ..EventsConfig::default() }, "keep"),
            (EventsConfig { max_size: 999_999, ..EventsConfig::default() }, "max_size"),
            (EventsConfig { max_events: 0, ..EventsConfig::default() }, "max_events"),
        ] {
            let error = bad.validate().expect_err(key);
            assert!(error.starts_with(key), "{error}");
        }
    }
}
