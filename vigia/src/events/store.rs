//! The table of events, in SQLite or PostgreSQL: written, listed page by page, made shorter.
//!
//! All SQL is here, in the words that both databases know; `sqlite` and `postgres` only carry it there.

pub(super) mod postgres;
pub(super) mod sqlite;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::SystemTime;

use super::query::{Cursor, Query};
use super::record::Record;

/// The layout of the tables; a store with a higher one was written by a newer vigia.
const LAYOUT: i64 = 1;

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Int(i64),
    Text(Option<String>),
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(Some(text.into()))
    }
}

/// Rows of cells.
pub(super) type Rows = Vec<Vec<Cell>>;

/// Why the store did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// It cannot be reached, is full, or is damaged. What was asked for may be possible later.
    #[error("{0}")]
    Unavailable(String),
    /// It will never take this.
    #[error("{0}")]
    Refused(String),
}

/// What a database has to know.
pub(super) trait Database: Send {
    /// Runs one statement with `$1`, `$2`, ... in the order of `values`; the rows that come of it.
    fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Rows, StoreError>;
    /// Runs statements without values.
    fn run(&mut self, sql: &str) -> Result<(), StoreError>;
    /// What makes the tables where there are none, within a transaction.
    fn layout(&self) -> String;
    /// What begins a transaction that writes.
    fn begin(&self) -> &'static str;
    /// Gives room that is not used any more back, now and then.
    fn tidy(&mut self) -> Result<(), StoreError>;
}

/// The events that there are.
pub(super) struct Store {
    database: Box<dyn Database>,
    id: String,
}

/// What there is, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// An event as it is found to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) id: String,
    pub(super) ended_at: i64,
    pub(super) size: u64,
    pub(super) snapshot: Option<String>,
}

/// An event's picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// There is no such event.
    NoEvent,
    /// It has none.
    None,
    /// By its name.
    Named(String),
}

/// A page of events, as JSON each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) events: Vec<String>,
    pub(super) next: Option<Cursor>,
}

impl Store {
    /// Opens what the database holds; makes the tables where there are none. Generations of a new store begin at the
    /// seconds since 1970: ids of one that was there before it, and is gone, are not given again.
    pub(super) fn open(database: Box<dyn Database>) -> Result<Self, StoreError> {
        let mut store = Self { database, id: String::new() };
        let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let begins = i64::try_from(seconds).unwrap_or_default();
        let random = (RandomState::new().build_hasher().finish() >> 1).cast_signed();
        let layout = store.database.layout();
        store.transaction(|store| {
            store.database.run(&layout)?;
            let set = "INSERT INTO vigia_meta (name, number) VALUES ('layout', $1), ('generation', $2), ('store', $3) \
                       ON CONFLICT (name) DO NOTHING";
            store.database.query(set, &[Cell::Int(LAYOUT), Cell::Int(begins), Cell::Int(random)])?;
            let found = store.number("layout")?;
            if found > LAYOUT {
                let why = format!("it was written by a newer vigia (layout {found}, this one knows {LAYOUT})");
                return Err(StoreError::Refused(why));
            }
            store.id = format!("{:016x}", store.number("store")?);
            Ok(())
        })?;
        Ok(store)
    }

    /// What no other store has: 16 hexadecimal digits.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Leaves a transaction that whoever began it did not come to end.
    pub(super) fn abandon(&mut self) {
        let _none = self.database.run("ROLLBACK");
    }

    /// Writes all or none. An id that another event has is changed; what was written already, by an attempt of which
    /// nobody learnt how it ended, is not written again.
    pub(super) fn insert(&mut self, records: &mut [Record]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.transaction(|store| {
            let mut wanted: Vec<usize> = (0..records.len()).collect();
            store.put(records, &mut wanted)?;
            // An id that no other event can have.
            for &at in &wanted {
                records[at].rename();
            }
            store.put(records, &mut wanted)?;
            if !wanted.is_empty() {
                return Err(StoreError::Refused("its id is taken, and the one that is only its own, too".to_owned()));
            }
            let newest = records.iter().map(|record| record.generation).max().unwrap_or_default();
            let newest = Cell::Int(i64::try_from(newest).unwrap_or(i64::MAX));
            store
                .database
                .query("UPDATE vigia_meta SET number = $1 WHERE name = 'generation' AND number < $1", &[newest])?;
            Ok(())
        })
    }

    /// Writes those of the `wanted` records whose ids are free; leaves those whose ids are another event's.
    fn put(&mut self, records: &[Record], wanted: &mut Vec<usize>) -> Result<(), StoreError> {
        const COLUMNS: usize = 9;
        if wanted.is_empty() {
            return Ok(());
        }
        let mut sql =
            "INSERT INTO vigia_events (id, item, stream, generation, class, ended_at, size, snapshot, body) VALUES "
                .to_owned();
        let mut values = Vec::with_capacity(wanted.len() * COLUMNS);
        for (row, &at) in wanted.iter().enumerate() {
            sql.push_str(if row == 0 { "(" } else { "), (" });
            placeholders(&mut sql, row * COLUMNS, COLUMNS);
            let record = &records[at];
            let body = record.json();
            values.extend([
                Cell::text(&record.event.id),
                Cell::text(&record.key),
                Cell::text(&record.event.stream),
                Cell::Int(i64::try_from(record.generation).unwrap_or(i64::MAX)),
                Cell::text(&record.event.class),
                Cell::Int(record.ended_at),
                Cell::Int(record.size(&body)),
                Cell::Text(record.snapshot.as_ref().map(|snapshot| snapshot.name.clone())),
                Cell::text(body),
            ]);
        }
        sql.push_str(") ON CONFLICT (id) DO NOTHING RETURNING item");
        let rows = self.database.query(&sql, &values)?;
        let written: BTreeSet<_> =
            rows.into_iter().map(|row| text(row.into_iter().next())).collect::<Result<_, _>>()?;
        wanted.retain(|&at| !written.contains(&records[at].key));
        if !wanted.is_empty() {
            let there = self.keys(wanted.iter().map(|&at| records[at].event.id.as_str()))?;
            wanted.retain(|&at| there.get(&records[at].event.id) != Some(&records[at].key));
        }
        Ok(())
    }

    /// Whose these ids are, where they are there.
    fn keys<'a>(&mut self, ids: impl Iterator<Item = &'a str>) -> Result<BTreeMap<String, String>, StoreError> {
        let values: Vec<Cell> = ids.map(Cell::text).collect();
        let mut sql = "SELECT id, item FROM vigia_events WHERE id IN (".to_owned();
        placeholders(&mut sql, 0, values.len());
        sql.push(')');
        let pair = |row: Vec<Cell>| {
            let mut row = row.into_iter();
            Ok((text(row.next())?, text(row.next())?))
        };
        self.database.query(&sql, &values)?.into_iter().map(pair).collect()
    }

    /// The events that a query asks for, the newest first.
    pub(super) fn list(&mut self, query: &Query) -> Result<Found, StoreError> {
        let Query { streams, classes, from, to, limit, cursor } = query;
        let (mut sql, mut values) = ("SELECT ended_at, id, body FROM vigia_events".to_owned(), Vec::new());
        let mut joint = " WHERE ";
        for (column, names) in [("stream", streams), ("class", classes)] {
            if !names.is_empty() {
                let _fits = write!(sql, "{joint}{column} IN (");
                placeholders(&mut sql, values.len(), names.len());
                sql.push(')');
                values.extend(names.iter().map(Cell::text));
                joint = " AND ";
            }
        }
        for (test, bound) in [(">=", from), ("<", to)] {
            if let Some(bound) = bound {
                let _fits = write!(sql, "{joint}ended_at {test} ${}", values.len() + 1);
                values.push(Cell::Int(*bound));
                joint = " AND ";
            }
        }
        if let Some(Cursor { ended_at, id }) = cursor {
            let at = values.len();
            let _fits = write!(sql, "{joint}(ended_at, id) < (${}, ${})", at + 1, at + 2);
            values.extend([Cell::Int(*ended_at), Cell::text(id)]);
        }
        // One more says whether there is a next page.
        let _fits = write!(sql, " ORDER BY ended_at DESC, id DESC LIMIT {}", limit + 1);
        let rows = self.database.query(&sql, &values)?;
        let (more, mut found, mut last) = (rows.len() > *limit, Found::default(), None);
        for row in rows.into_iter().take(*limit) {
            let mut row = row.into_iter();
            last = Some(Cursor { ended_at: int(row.next().as_ref())?, id: text(row.next())? });
            found.events.push(text(row.next())?);
        }
        found.next = last.filter(|_| more);
        Ok(found)
    }

    /// One event, as JSON.
    pub(super) fn get(&mut self, id: &str) -> Result<Option<String>, StoreError> {
        let rows = self.database.query("SELECT body FROM vigia_events WHERE id = $1", &[Cell::text(id)])?;
        rows.into_iter().next().map(|row| text(row.into_iter().next())).transpose()
    }

    /// Where an event's picture is.
    pub(super) fn snapshot(&mut self, id: &str) -> Result<Picture, StoreError> {
        let rows = self.database.query("SELECT snapshot FROM vigia_events WHERE id = $1", &[Cell::text(id)])?;
        let Some(row) = rows.into_iter().next() else { return Ok(Picture::NoEvent) };
        Ok(optional(row.into_iter().next())?.map_or(Picture::None, Picture::Named))
    }

    /// The highest generation of a stream that an event was ever kept of, or when the store was made, in seconds since
    /// 1970, where that is more.
    pub(super) fn generation(&mut self) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.number("generation")?).unwrap_or_default())
    }

    /// How much there is. Goes through all of it.
    pub(super) fn totals(&mut self) -> Result<Totals, StoreError> {
        let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM vigia_events";
        let row = self.database.query(sql, &[])?.into_iter().next().unwrap_or_default();
        let mut row = row.into_iter();
        Ok(Totals { events: count(row.next().as_ref())?, bytes: count(row.next().as_ref())? })
    }

    /// The events that ended first, at most so many.
    pub(super) fn oldest(&mut self, limit: usize) -> Result<Vec<Old>, StoreError> {
        let sql = format!("SELECT id, ended_at, size, snapshot FROM vigia_events ORDER BY ended_at, id LIMIT {limit}");
        self.database.query(&sql, &[])?.into_iter().map(|row| old(&mut row.into_iter())).collect()
    }

    /// How much there is, and the events that ended first, as of one moment: what another server removes meanwhile is in
    /// both or in neither.
    pub(super) fn oldest_of(&mut self, limit: usize) -> Result<(Totals, Vec<Old>), StoreError> {
        let sql = format!(
            "SELECT id, ended_at, size, snapshot, (SELECT COUNT(*) FROM vigia_events),
                 (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM vigia_events)
             FROM vigia_events ORDER BY ended_at, id LIMIT {limit}"
        );
        let mut totals = Totals::default();
        let mut oldest = Vec::new();
        for row in self.database.query(&sql, &[])? {
            let mut row = row.into_iter();
            oldest.push(old(&mut row)?);
            totals = Totals { events: count(row.next().as_ref())?, bytes: count(row.next().as_ref())? };
        }
        Ok((totals, oldest))
    }

    /// Forgets events; how much that was: what another server has removed already is not in it.
    pub(super) fn remove(&mut self, ids: &[String]) -> Result<Totals, StoreError> {
        if ids.is_empty() {
            return Ok(Totals::default());
        }
        let values: Vec<Cell> = ids.iter().map(Cell::text).collect();
        let mut sql = "DELETE FROM vigia_events WHERE id IN (".to_owned();
        placeholders(&mut sql, 0, values.len());
        sql.push_str(") RETURNING size");
        let mut removed = Totals::default();
        for row in self.database.query(&sql, &values)? {
            removed.events += 1;
            removed.bytes += count(row.first())?;
        }
        Ok(removed)
    }

    /// Those of these pictures that belong to an event.
    pub(super) fn known(&mut self, snapshots: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let mut known = BTreeSet::new();
        for some in snapshots.chunks(1000) {
            let values: Vec<Cell> = some.iter().map(Cell::text).collect();
            let mut sql = "SELECT snapshot FROM vigia_events WHERE snapshot IN (".to_owned();
            placeholders(&mut sql, 0, values.len());
            sql.push(')');
            for row in self.database.query(&sql, &values)? {
                known.insert(text(row.into_iter().next())?);
            }
        }
        Ok(known)
    }

    /// Gives room that is not used any more back.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        self.database.tidy()
    }

    fn number(&mut self, name: &str) -> Result<i64, StoreError> {
        let rows = self.database.query("SELECT number FROM vigia_meta WHERE name = $1", &[Cell::text(name)])?;
        int(rows.first().and_then(|row| row.first()))
    }

    fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.database.run(self.database.begin())?;
        let done = work(self).and_then(|done| self.database.run("COMMIT").map(|()| done));
        if done.is_err() {
            // Where the connection is gone, so is the transaction.
            let _gone = self.database.run("ROLLBACK");
        }
        done
    }
}

/// `$3, $4, $5` after two values.
fn placeholders(sql: &mut String, before: usize, count: usize) {
    for n in before..before + count {
        let comma = if n == before { "" } else { ", " };
        let _fits = write!(sql, "{comma}${}", n + 1);
    }
}

fn strange() -> StoreError {
    StoreError::Unavailable("the table of events holds something else than expected".to_owned())
}

fn text(cell: Option<Cell>) -> Result<String, StoreError> {
    optional(cell)?.ok_or_else(strange)
}

fn optional(cell: Option<Cell>) -> Result<Option<String>, StoreError> {
    match cell {
        Some(Cell::Text(text)) => Ok(text),
        _ => Err(strange()),
    }
}

fn int(cell: Option<&Cell>) -> Result<i64, StoreError> {
    let Some(&Cell::Int(number)) = cell else { return Err(strange()) };
    Ok(number)
}

fn count(cell: Option<&Cell>) -> Result<u64, StoreError> {
    Ok(u64::try_from(int(cell)?).unwrap_or_default())
}

fn old(row: &mut impl Iterator<Item = Cell>) -> Result<Old, StoreError> {
    Ok(Old {
        id: text(row.next())?,
        ended_at: int(row.next().as_ref())?,
        size: count(row.next().as_ref())?,
        snapshot: optional(row.next())?,
    })
}
