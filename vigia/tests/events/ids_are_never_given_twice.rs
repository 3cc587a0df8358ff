//! Streams of a later run have higher generations than any of which an event was ever kept.

use vigia::config::EventsConfig;
use vigia::events::Events;

use crate::support::{Kept, bare, wait_until};

#[test]
fn a_later_run_goes_on_above() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut highest = Kept::in_folder(folder.path()).events.last_generation();
    for run in 1..=3_u64 {
        let kept = Kept::in_folder(folder.path());
        assert_eq!(kept.events.last_generation(), highest);
        let mut news = kept.news();
        kept.record(bare("door", highest + run, 1, 5));
        kept.record(bare("yard", highest + 1, 1, 5));
        (0..2).for_each(|_| drop(news.next()));
        highest += run;
    }
}

#[test]
fn also_where_nothing_is_left_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::in_folder(folder.path());
    let mut news = kept.news();
    let long_ago = 10 * 365 * 86_400;
    let generation = kept.events.last_generation() + 9;
    kept.record(bare("door", generation, 1, long_ago));
    news.next();
    drop(kept);
    let kept = Kept::in_folder(folder.path());
    wait_until("it is too old", || kept.ids().is_empty());
    assert_eq!(kept.events.last_generation(), generation);
    drop(kept);
    assert_eq!(Kept::open(&EventsConfig::default(), folder.path()).events.last_generation(), generation);
}

/// Pictures may be kept for a day by those who looked at them, under the ids of events.
#[test]
fn also_where_the_store_is_a_new_one() {
    let seconds = || std::time::UNIX_EPOCH.elapsed().expect("later").as_secs();
    let before = seconds();
    let folder = tempfile::tempdir().expect("a folder");
    for kept in
        [Kept::in_folder(folder.path()), Kept::of(Events::in_memory(&EventsConfig::default()).expect("threads"))]
    {
        let first = kept.events.last_generation();
        assert!((before..=seconds()).contains(&first), "{first}");
    }
}

#[test]
fn two_that_share_a_place_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (Kept::in_folder(folder.path()), Kept::in_folder(folder.path()));
    let (mut first, mut second) = (one.news(), other.news());
    for track in 0..50 {
        one.record(bare("door", 1, track, 1));
        other.record(bare("door", 1, track, 1));
    }
    let mut told: Vec<String> = Vec::new();
    for _ in 0..50 {
        told.extend([crate::support::id(&first.next()), crate::support::id(&second.next())]);
    }
    told.sort();
    let mut kept = one.ids();
    kept.sort();
    assert_eq!(kept, told);
    told.dedup();
    assert_eq!(told.len(), 100);
}
