//! Streams of a later run have higher generations than any of which an event was ever kept.

use vigia::config::EventsConfig;

use crate::support::{Kept, bare, wait_until};

#[test]
fn a_later_run_goes_on_above() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut highest = 0;
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
    kept.record(bare("door", 9, 1, long_ago));
    news.next();
    drop(kept);
    let kept = Kept::in_folder(folder.path());
    wait_until("it is too old", || kept.ids().is_empty());
    assert_eq!(kept.events.last_generation(), 9);
    drop(kept);
    assert_eq!(Kept::open(&EventsConfig::default(), folder.path()).events.last_generation(), 9);
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
