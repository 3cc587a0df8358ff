//! The store by itself, in SQLite. What holds for PostgreSQL, too, is in `vigia/tests/events`.

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use vigia_core::event::EndedTrack;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::track::TrackId;

use super::super::query::{Cursor, Query};
use super::super::record::{Record, Snapshot, is_of};
use super::sqlite::Sqlite;
use super::{Cell, Database, Rows, Store, StoreError, Totals};

/// An event of `stream` that ended so many milliseconds after 1970.
fn record(stream: &str, generation: u64, track: u64, ended: u64, key: &str) -> Record {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(ended);
    let ended = EndedTrack {
        stream: StreamRef { id: StreamId::new(stream), generation },
        track: TrackId(track),
        class_id: 0,
        started_at: at,
        ended_at: at,
        detections: 3,
        path: Vec::new(),
        best: None,
    };
    Record::new(&ended, "face", key.to_owned())
}

fn memory() -> Store {
    Store::open(Box::new(Sqlite::memory().expect("memory"))).expect("opens")
}

fn file(path: &Path) -> Store {
    Store::open(Box::new(Sqlite::open(path).expect("a file"))).expect("opens")
}

fn ids(store: &mut Store) -> Vec<String> {
    let found = store.list(&Query { limit: 500, ..Query::default() }).expect("listed");
    let id = |json: &String| {
        serde_json::from_str::<serde_json::Value>(json).expect("JSON")["id"].as_str().map(str::to_owned)
    };
    found.events.iter().filter_map(id).collect()
}

#[test]
fn an_id_that_is_taken_loses_neither() {
    let mut store = memory();
    store.insert(&mut [record("door", 1, 7, 1000, "a-1")]).expect("written");
    let mut again =
        [record("door", 1, 7, 2000, "b-1"), record("door", 1, 8, 1500, "b-2"), record("door", 1, 7, 1700, "b-3")];
    store.insert(&mut again).expect("written");
    assert_eq!(again[0].event.id, "door-1-7-xb-1", "whoever tells of it tells its new id");
    assert_eq!(ids(&mut store), ["door-1-7-xb-1", "door-1-7-xb-3", "door-1-8", "door-1-7"]);
    // The text that is kept has the new id, too.
    assert!(store.get("door-1-7-xb-1").expect("read").is_some_and(|json| json.contains("\"id\":\"door-1-7-xb-1\"")));
}

#[test]
fn what_was_written_already_is_not_written_again() {
    let mut store = memory();
    let mut batch = [record("door", 1, 7, 1000, "a-1"), record("door", 1, 8, 1000, "a-2")];
    store.insert(&mut batch).expect("written");
    // As a writer does that did not learn that it had worked.
    let mut again = [batch[0].clone(), batch[1].clone(), record("door", 1, 9, 1000, "a-3")];
    store.insert(&mut again).expect("written");
    assert_eq!(ids(&mut store), ["door-1-9", "door-1-8", "door-1-7"]);
    assert_eq!(again[0].event.id, "door-1-7");
}

#[test]
fn generations_only_grow() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    let mut store = file(&path);
    let first = store.generation().expect("read");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs();
    assert!((now - 60..=now).contains(&first), "ids of a store that was there before it are not given again: {first}");
    let mut batch = [record("door", first + 7, 1, 1000, "a-1"), record("yard", first + 3, 1, 1000, "a-2")];
    store.insert(&mut batch).expect("written");
    store.insert(&mut [record("door", first + 5, 2, 1000, "a-3")]).expect("written");
    let all = ids(&mut store);
    store.remove(&all).expect("removed");
    drop(store);
    assert_eq!(file(&path).generation(), Ok(first + 7), "also of what is no longer there");
}

#[test]
fn a_store_knows_its_own_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    let id = file(&path).id().to_owned();
    assert_eq!((file(&path).id(), id.len()), (id.as_str(), 16), "it stays");
    assert_ne!(memory().id(), id);
    for ours in [format!("2026-11-21/a.b-1-7.{id}-0a1b2c3d-f.jpg"), format!("2026-11-21/a-1-7.{id}-0a-f.jpg.new")] {
        assert!(is_of(&id, &ours), "{ours}");
    }
    let theirs = memory().id().to_owned();
    for other in [
        format!("2026-11-21/a-1-7.{theirs}-0a1b2c3d-f.jpg"),
        format!("2026-11-21/a-1-7.{id}-0a1b2c3d.jpg"),
        format!("2026-11-21/a-1-7.{id}-0a1b2c3d-f-x.jpg"),
        format!("2026-11-21/a-1-7.{id}-0a1b2c3d-.jpg"),
        format!("2026-11-21/a-1-7.{id}-0a1b2c3d-f.png"),
        "2026-11-21/a-1-7.0a1b2c3d-f.jpg".to_owned(),
        "2026-11-21/holiday.jpg".to_owned(),
    ] {
        assert!(!is_of(&id, &other), "{other}");
    }
}

#[test]
fn what_another_server_removed_is_not_removed_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    let (mut one, mut other) = (file(&path), file(&path));
    let mut batch: Vec<Record> = (0..5).map(|n| record("door", 1, n, n, &format!("a-{n}"))).collect();
    one.insert(&mut batch).expect("written");
    let (totals, oldest) = other.oldest_of(2).expect("read");
    assert_eq!((totals, oldest.len()), (one.totals().expect("read"), 2));
    let ids: Vec<String> = oldest.iter().map(|old| old.id.clone()).collect();
    let removed = one.remove(&ids).expect("removed");
    assert_eq!((removed.events, removed.bytes), (2, oldest.iter().map(|old| old.size).sum()));
    assert_eq!(other.remove(&ids), Ok(Totals::default()));
    assert_eq!(other.oldest_of(9).map(|(totals, oldest)| (totals.events, oldest.len())), Ok((3, 3)));
}

/// A database that panics the first time that an event is written.
struct Panics(Sqlite, bool);

impl Database for Panics {
    fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Rows, StoreError> {
        assert!(!(std::mem::take(&mut self.1) && sql.starts_with("INSERT INTO vigia_events")), "on purpose");
        self.0.query(sql, values)
    }

    fn run(&mut self, sql: &str) -> Result<(), StoreError> {
        self.0.run(sql)
    }

    fn layout(&self) -> String {
        self.0.layout()
    }

    fn begin(&self) -> &'static str {
        self.0.begin()
    }

    fn tidy(&mut self) -> Result<(), StoreError> {
        self.0.tidy()
    }
}

#[test]
fn a_transaction_that_panicked_can_be_left() {
    let mut sqlite = Sqlite::memory().expect("memory");
    let layout = sqlite.layout();
    sqlite.run(&layout).expect("made");
    let mut store = Store { database: Box::new(Panics(sqlite, true)), id: String::new() };
    let mut batch = [record("door", 1, 7, 1000, "a-1")];
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.insert(&mut batch)));
    assert!(panicked.is_err());
    store.abandon();
    store.insert(&mut batch).expect("written");
    assert_eq!(ids(&mut store), ["door-1-7"]);
}

#[test]
fn totals_and_the_oldest_go_together() {
    let mut store = memory();
    assert_eq!(store.totals(), Ok(Totals::default()));
    let mut batch: Vec<Record> = (0..5).map(|n| record("door", 1, n, 5000 - n * 1000, &format!("a-{n}"))).collect();
    batch[0].snapshot = Some(Snapshot { name: "day/a.jpg".to_owned(), jpeg: Bytes::from_static(&[0; 1000]) });
    store.insert(&mut batch).expect("written");
    let old = store.oldest(500).expect("listed");
    let ended: Vec<_> = old.iter().map(|old| old.ended_at).collect();
    assert_eq!(ended, [1000, 2000, 3000, 4000, 5000]);
    assert_eq!(store.oldest(2).expect("listed"), old[..2]);
    let bytes = old.iter().map(|old| old.size).sum();
    assert!(bytes > 1000);
    assert_eq!(store.totals(), Ok(Totals { events: 5, bytes }));
    assert_eq!(old[4].snapshot.as_deref(), Some("day/a.jpg"));
    let known = store.known(&["day/a.jpg".to_owned(), "day/b.jpg".to_owned()]).expect("read");
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["day/a.jpg"]);
    store.remove(&[old[0].id.clone(), "no-such".to_owned()]).expect("removed");
    assert_eq!(store.totals().map(|totals| totals.events), Ok(4));
}

#[test]
fn a_full_disk_takes_all_of_a_batch_or_nothing_and_is_not_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    drop(file(&path));
    let mut sqlite = Sqlite::open(&path).expect("opens");
    // As many pages as there are: nothing more fits.
    sqlite.pragma("max_page_count = 1").expect("a bound");
    let mut store = Store { database: Box::new(sqlite), id: String::new() };
    let mut batch: Vec<Record> = (0..200).map(|n| record("door", 1, n, n, &format!("a-{n}"))).collect();
    let Err(StoreError::Unavailable(why)) = store.insert(&mut batch) else { unreachable!("it is full") };
    assert!(why.contains("full") && why.contains("make room"), "{why}");
    assert_eq!(ids(&mut store), [""; 0]);
    store.database.run("PRAGMA max_page_count = 100000").expect("a bound");
    store.insert(&mut batch).expect("written");
    assert_eq!(ids(&mut store).len(), 200);
}

#[test]
fn a_store_of_a_newer_vigia_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    file(&path).database.run("UPDATE vigia_meta SET number = 2 WHERE name = 'layout'").expect("written");
    let Err(error) = Store::open(Box::new(Sqlite::open(&path).expect("a file"))) else { unreachable!("it is newer") };
    assert!(error.to_string().contains("newer vigia"), "{error}");
}

#[test]
fn a_page_goes_on_where_the_last_one_ended() {
    let mut store = memory();
    // Many end at the same moment.
    let mut batch: Vec<Record> = (0..100).map(|n| record("door", 1, n, n / 7 * 1000, &format!("a-{n}"))).collect();
    store.insert(&mut batch).expect("written");
    let all = ids(&mut store);
    for limit in [1, 2, 3, 7, 99, 100, 101] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let found = store.list(&Query { limit, cursor, ..Query::default() }).expect("listed");
            assert!(found.events.len() <= limit);
            seen.extend(found.events);
            match found.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let id = |json: &String| {
            serde_json::from_str::<serde_json::Value>(json).expect("JSON")["id"].as_str().map(str::to_owned)
        };
        assert_eq!(seen.iter().filter_map(id).collect::<Vec<_>>(), all, "pages of {limit}");
    }
    let beyond = Cursor { ended_at: 0, id: "a".to_owned() };
    assert_eq!(store.list(&Query { cursor: Some(beyond), ..Query::default() }).expect("listed").events, [""; 0]);
}
