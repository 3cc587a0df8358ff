//! SQLite: one file, in which everything stays that was said to be written, also when the process is killed or the power
//! fails (write-ahead log, synchronised at each commit).
//!
//! Several processes may use one file; SQLite has them take turns, by locks that the system drops all together as soon as
//! the process closes any descriptor of the file: nothing but SQLite ever opens one that is there.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, ErrorCode};

use super::{Cell, Database, Rows, StoreError};

/// How long another process may write before ours is told that it cannot.
const BUSY: Duration = Duration::from_secs(2);

/// Largest file that is looked through when it is opened: a fraction of a second.
const CHECKED: u64 = 64_000_000;
const DAMAGED: &str = ": move it away, and a new one is made; `sqlite3 FILE .recover` may save what is in it";

/// A file of events, or a place in memory.
pub(in super::super) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens the file, with the folder around it where that is not there. Only its owner can read what is new.
    pub(in super::super) fn open(path: &Path) -> Result<Self, StoreError> {
        let system = |error: std::io::Error| StoreError::Unavailable(error.to_string());
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(system)?;
        }
        // SQLite would make it readable for everybody; what it makes beside it is as the file is.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(system(error)),
            _ => {}
        }
        let mut this = Self::new(Connection::open(path).map_err(|error| explain(&error))?)?;
        if fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED) {
            this.check()?;
        }
        Ok(this)
    }

    /// Looks through all pages.
    fn check(&mut self) -> Result<(), StoreError> {
        match self.query("PRAGMA quick_check(1)", &[])?.first().and_then(|row| row.first()) {
            Some(Cell::Text(Some(verdict))) if verdict == "ok" => Ok(()),
            Some(Cell::Text(Some(verdict))) => {
                Err(StoreError::Unavailable(format!("the file is malformed ({}){DAMAGED}", verdict.trim())))
            }
            _ => Err(super::strange()),
        }
    }

    /// In memory; it is gone with this value.
    pub(in super::super) fn memory() -> Result<Self, StoreError> {
        Self::new(Connection::open_in_memory().map_err(|error| explain(&error))?)
    }

    fn new(connection: Connection) -> Result<Self, StoreError> {
        let mut this = Self { connection };
        this.connection.busy_timeout(BUSY).map_err(|error| explain(&error))?;
        this.run(
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA foreign_keys = OFF;",
        )?;
        Ok(this)
    }

    /// For tests: what is to go wrong.
    #[cfg(test)]
    pub(super) fn pragma(&mut self, pragma: &str) -> Result<(), StoreError> {
        self.run(&format!("PRAGMA {pragma};"))
    }
}

impl Database for Sqlite {
    fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Rows, StoreError> {
        let query = || {
            let mut statement = self.connection.prepare(sql)?;
            let columns = statement.column_count();
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            let mut found = Rows::new();
            while let Some(row) = rows.next()? {
                let cell = |at| match row.get_ref(at)? {
                    ValueRef::Integer(number) => Ok(Cell::Int(number)),
                    ValueRef::Null => Ok(Cell::Text(None)),
                    ValueRef::Text(_) => Ok(Cell::Text(row.get(at)?)),
                    ValueRef::Real(_) | ValueRef::Blob(_) => Err(Error::InvalidQuery),
                };
                found.push((0..columns).map(cell).collect::<Result<_, Error>>()?);
            }
            Ok(found)
        };
        query().map_err(|error: Error| explain(&error))
    }

    fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(|error| explain(&error))
    }

    fn layout(&self) -> String {
        "CREATE TABLE IF NOT EXISTS vigia_meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
         CREATE TABLE IF NOT EXISTS vigia_events (
             id TEXT PRIMARY KEY, item TEXT NOT NULL, stream TEXT NOT NULL, generation INTEGER NOT NULL,
             class TEXT NOT NULL, ended_at INTEGER NOT NULL, size INTEGER NOT NULL, snapshot TEXT, body TEXT NOT NULL
         ) STRICT;
         CREATE INDEX IF NOT EXISTS vigia_events_time ON vigia_events (ended_at, id, size);
         CREATE INDEX IF NOT EXISTS vigia_events_stream ON vigia_events (stream, ended_at, id);
         CREATE INDEX IF NOT EXISTS vigia_events_class ON vigia_events (class, ended_at, id);
         CREATE INDEX IF NOT EXISTS vigia_events_snapshot ON vigia_events (snapshot);"
            .to_owned()
    }

    fn begin(&self) -> &'static str {
        "BEGIN IMMEDIATE"
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        self.run("PRAGMA incremental_vacuum(1000);")
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(Some(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Text(None) => ToSqlOutput::Owned(Value::Null),
        })
    }
}

fn explain(error: &Error) -> StoreError {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            return StoreError::Refused(error.to_string());
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => DAMAGED,
        Some(ErrorCode::DiskFull) => ": make room there",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            ": vigia needs the right to write the file and its folder, or another data_dir"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ": another program holds it",
        _ => "",
    };
    StoreError::Unavailable(format!("{error}{advice}"))
}
