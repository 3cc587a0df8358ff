//! The last handle that is dropped waits until everything is written; what comes later, or too much at once, is counted.

use std::time::Duration;

use vigia::config::EventsConfig;
use vigia::events::Events;

use crate::support::{Kept, bare, ended};

#[test]
fn everything_that_was_recorded_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::in_folder(folder.path());
    (0..1000).for_each(|n| kept.record(ended("door", 1, n, 1)));
    drop(kept);
    let kept = Kept::in_folder(folder.path());
    assert_eq!(kept.ids().len(), 1000);
    assert!(kept.ids().iter().all(|id| kept.picture(id).is_ok()));
}

#[test]
fn also_when_there_is_no_grace() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = Events::open(&EventsConfig::default(), folder.path(), Duration::ZERO).expect("opens");
    events.ending();
    (0..100).for_each(|n| events.record(bare("door", 1, n, 1), "face".to_owned()));
    drop(events);
    assert_eq!(Kept::in_folder(folder.path()).ids().len(), 100);
}

#[test]
fn what_has_no_room_is_counted_and_nothing_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::in_folder(folder.path());
    // Somebody else holds the file: the writer waits, and recording does not.
    let other = rusqlite::Connection::open(folder.path().join("events.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is ours");
    (0..5000).for_each(|n| kept.record(bare("door", 1, n, 1)));
    let dropped = || kept.metric("vigia_events_dropped_total{reason=\"queue-full\"}");
    assert!((5000 - 1024 - 256..=5000 - 1024).contains(&dropped()), "{}", dropped());
    other.execute_batch("COMMIT").expect("it is free again");
    let events = kept.events.clone();
    let lost = dropped();
    drop((kept, events));
    let kept = Kept::in_folder(folder.path());
    assert_eq!(kept.ids().len() as u64, 5000 - lost, "each is kept or counted");
}

#[test]
fn a_store_that_stays_away_does_not_hold_the_end_up_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = Events::open(&EventsConfig::default(), folder.path(), Duration::ZERO).expect("opens");
    let metrics = Kept::of(events.clone());
    let other = rusqlite::Connection::open(folder.path().join("events.db")).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is ours");
    (0..300).for_each(|n| events.record(bare("door", 1, n, 1), "face".to_owned()));
    let shown = metrics.events.metrics().clone();
    drop((events, metrics));
    let mut registry = prometheus_client::registry::Registry::default();
    shown.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    assert!(text.contains("events_dropped_total{reason=\"shutdown\"} 300"), "{text}");
}
