//! What is too old or too much goes, the oldest first, its picture with it; and so do pictures that belong to nobody.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use vigia::config::EventsConfig;
use vigia::error::Code;

use crate::support::{Kept, bare, ended, refused, wait_until};

/// The pictures in a folder.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let inside = |folder: PathBuf| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect()
    };
    inside(folder.join("snapshots")).into_iter().flat_map(inside).collect()
}

fn record_all(config: &EventsConfig, folder: &Path, events: impl Iterator<Item = vigia_core::event::EndedTrack>) {
    let kept = Kept::open(config, folder);
    let mut news = kept.news();
    let count = events.map(|event| kept.record(event)).count();
    (0..count).for_each(|_| drop(news.next()));
}

#[test]
fn what_is_too_old_goes_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    record_all(&EventsConfig::default(), folder.path(), (0..20).map(|n| ended("door", 1, n, n * 60)));
    assert_eq!(pictures(folder.path()).len(), 20);
    let config = EventsConfig { keep: Duration::from_mins(10), ..EventsConfig::default() };
    let kept = Kept::open(&config, folder.path());
    wait_until("only ten minutes are left", || kept.ids().len() <= 10 && pictures(folder.path()).len() <= 10);
    assert_eq!(kept.ids()[0], "door-1-0");
    refused(kept.get("door-1-19"), Code::UnknownEvent);
    wait_until("it is counted", || kept.metric("vigia_events_removed_total") == 20 - kept.ids().len() as u64);
}

#[test]
fn too_many_make_room_for_newer_ones_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = EventsConfig { max_events: 100, ..EventsConfig::default() };
    let kept = Kept::open(&config, folder.path());
    let mut news = kept.news();
    // As many as are written between two looks, and more.
    for n in 0..2000 {
        kept.record(bare("door", 1, n, 5000 - n));
        news.next();
    }
    wait_until("there are fewer", || kept.ids().len() < 500);
    assert_eq!(kept.ids()[0], "door-1-1999");
    drop(kept);
    let kept = Kept::open(&config, folder.path());
    wait_until("as many as may be are left", || kept.ids().len() == 100);
    assert_eq!((kept.ids()[0].as_str(), kept.ids()[99].as_str()), ("door-1-1999", "door-1-1900"));
    wait_until("it is counted", || kept.metric("vigia_events_kept") == 100);
}

#[test]
fn too_large_is_too_much() {
    let folder = tempfile::tempdir().expect("a folder");
    record_all(&EventsConfig::default(), folder.path(), (0..500).map(|n| ended("door", 1, n, 1000 - n)));
    let size = |kept: &Kept| kept.metric("vigia_events_kept_bytes");
    let kept = Kept::in_folder(folder.path());
    wait_until("it is counted", || size(&kept) > 0);
    let all = size(&kept);
    drop(kept);
    assert!(all > 1_000_000, "{all}");
    let config = EventsConfig { max_size: 1_000_000, ..EventsConfig::default() };
    let kept = Kept::open(&config, folder.path());
    wait_until("it fits", || (1..=1_000_000).contains(&size(&kept)) && kept.ids().len() < 500);
    assert!(size(&kept) > 900_000, "no more than has to: {}", size(&kept));
    assert_eq!(kept.ids()[0], "door-1-499");
    wait_until("their pictures are gone", || pictures(folder.path()).len() == kept.ids().len());
}

#[test]
fn an_event_whose_picture_is_gone_is_still_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::in_folder(folder.path());
    let mut news = kept.news();
    kept.record(ended("door", 1, 1, 1));
    news.next();
    std::fs::remove_file(&pictures(folder.path())[0]).expect("removed");
    let why = refused(kept.picture("door-1-1"), Code::NoSnapshot);
    assert!(why.contains("any more"), "{why}");
    drop(kept);
    let config = EventsConfig { keep: Duration::from_mins(1), ..EventsConfig::default() };
    record_all(&config, folder.path(), [bare("door", 2, 1, 1)].into_iter());
}

#[test]
fn pictures_of_nobody_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    record_all(&EventsConfig::default(), folder.path(), (0..3).map(|n| ended("door", 1, n, 1)));
    let theirs = pictures(folder.path());
    let day = theirs[0].parent().expect("a day").to_owned();
    // Of a process that was killed before it wrote the rows: an hour ago, and now.
    let tag =
        theirs[0].file_name().and_then(|name| name.to_str()?.split('.').nth(1)?.split('-').next().map(str::to_owned));
    let tag = tag.expect("the id of the store");
    let other = "0".repeat(16);
    for (name, age) in [
        (format!("door-9-1.{tag}-0a-1.jpg"), 2),
        (format!("door-9-2.{tag}-0a-2.jpg.new"), 2),
        (format!("door-9-3.{tag}-0a-3.jpg"), 0),
        // Another server's, and a user's own.
        (format!("door-9-4.{other}-0a-1.jpg"), 2),
        ("holiday.jpg".to_owned(), 2),
    ] {
        std::fs::write(day.join(&name), "a picture").expect("written");
        let file = File::options().write(true).open(day.join(&name)).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_hours(age)).expect("a time");
    }
    for path in &theirs {
        let file = File::options().write(true).open(path).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_hours(2)).expect("a time");
    }
    let kept = Kept::in_folder(folder.path());
    wait_until("the old ones are gone", || pictures(folder.path()).len() == 6);
    assert!(day.join(format!("door-9-3.{tag}-0a-3.jpg")).exists(), "its event may be about to be written");
    assert!(day.join("holiday.jpg").exists() && day.join(format!("door-9-4.{other}-0a-1.jpg")).exists());
    assert!(kept.ids().iter().all(|id| kept.picture(id).is_ok()));
}

#[test]
fn a_new_store_has_no_pictures_of_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    record_all(&EventsConfig::default(), folder.path(), (0..3).map(|n| ended("door", 1, n, 1)));
    for path in pictures(folder.path()) {
        let file = File::options().write(true).open(path).expect("a file");
        file.set_modified(SystemTime::now() - Duration::from_hours(2)).expect("a time");
    }
    // As after a damage.
    std::fs::rename(folder.path().join("events.db"), folder.path().join("moved.db")).expect("moved");
    let kept = Kept::in_folder(folder.path());
    let mut news = kept.news();
    // By the second, whatever is done at the start has been done.
    for n in 0..2 {
        kept.record(bare("door", 1, n, 1));
        news.next();
    }
    assert_eq!(pictures(folder.path()).len(), 3);
}

#[test]
fn a_picture_that_cannot_be_removed_holds_up_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    record_all(&EventsConfig::default(), folder.path(), (0..20).map(|n| ended("door", 1, n, 600)));
    // A folder in its place: also root cannot remove it as a file.
    let stubborn = pictures(folder.path()).pop().expect("a picture");
    std::fs::remove_file(&stubborn).and_then(|()| std::fs::create_dir(&stubborn)).expect("a folder");
    let config = EventsConfig { keep: Duration::from_mins(1), ..EventsConfig::default() };
    let kept = Kept::open(&config, folder.path());
    wait_until("all are gone", || kept.ids().is_empty() && kept.metric("vigia_events_removed_total") == 20);
    assert_eq!(pictures(folder.path()), [stubborn]);
    assert_eq!(kept.metric("vigia_events_snapshot_errors_total"), 1);
}
