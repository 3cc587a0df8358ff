//! Pictures in a bucket of S3, with credentials from the environment: the same as in a folder.
//!
//! Variables are those of a process, so each case runs in this program started again.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use vigia::config::EventsConfig;
use vigia::error::Code;
use vigia::events::Events;

use crate::every_event_is_kept::everything;
use crate::server::Bucket;
use crate::support::{Kept, ended, id, refused, wait_until};

/// Where the program that is started again finds what it is to do.
const FOLDER: &str = "VIGIA_TEST_BUCKET";
/// The secret, which is to be seen nowhere.
const SECRET: &str = "hunter2hunter2hunter2";

fn config() -> EventsConfig {
    EventsConfig { snapshots: Some("s3://cameras/vigia/best".to_owned()), ..EventsConfig::default() }
}

/// Runs a test of this file in this program again, with the variables that lead to the bucket.
fn again(url: &str, folder: &Path, test: &str) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", &format!("bucket::{test}"), "--nocapture"]).env(FOLDER, folder);
    command.env("AWS_ENDPOINT_URL", url).env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "vigia").env("AWS_SECRET_ACCESS_KEY", SECRET);
    let output = command.output().expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}

fn folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

#[test]
fn as_in_a_folder_started_again() {
    let Some(folder) = folder() else { return };
    everything(&|| Kept::open(&config(), &folder), true);
}

#[test]
fn as_in_a_folder() {
    let Some(bucket) = Bucket::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    again(&bucket.url(), folder.path(), "as_in_a_folder_started_again");
    let names = bucket.names();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("vigia/best/2") && name.contains("/door-1-7.")), "{names:?}");
    assert!(!folder.path().join("snapshots").exists());
}

#[test]
fn what_goes_takes_its_picture_along_started_again() {
    let Some(folder) = folder() else { return };
    let kept = Kept::open(&config(), &folder);
    let mut news = kept.news();
    (0..30).for_each(|n| kept.record(ended("door", 1, n, n * 10)));
    (0..30).for_each(|_| assert!(kept.picture(&id(&news.next())).is_ok()));
    drop(kept);
    let kept = Kept::open(&EventsConfig { keep: Duration::from_mins(1), ..config() }, &folder);
    wait_until("only a minute is left", || kept.ids().len() <= 6);
    assert!(kept.ids().iter().all(|id| kept.picture(id).is_ok()));
}

#[test]
fn what_goes_takes_its_picture_along() {
    let Some(bucket) = Bucket::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    again(&bucket.url(), folder.path(), "what_goes_takes_its_picture_along_started_again");
    assert!((1..=6).contains(&bucket.names().len()), "{:?}", bucket.names());
}

#[test]
fn a_bucket_that_is_away_costs_no_event_started_again() {
    let Some(folder) = folder() else { return };
    let kept = Kept::open(&config(), &folder);
    let mut news = kept.news();
    (0..40).for_each(|n| kept.record(ended("door", 1, n, 1)));
    (0..40).for_each(|_| assert!(news.next().get("snapshot").is_none()));
    assert_eq!(kept.metric("vigia_events_without_snapshot_total"), 40);
    refused(kept.picture("door-1-1"), Code::NoSnapshot);
}

#[test]
fn a_bucket_that_is_away_costs_no_event() {
    let Some(mut bucket) = Bucket::start() else { return };
    bucket.end();
    let folder = tempfile::tempdir().expect("a folder");
    again(&bucket.url(), folder.path(), "a_bucket_that_is_away_costs_no_event_started_again");
}

#[test]
fn a_bucket_that_does_not_answer_does_not_hold_the_end_up_started_again() {
    let Some(folder) = folder() else { return };
    let events = Events::open(&config(), &folder, Duration::ZERO).expect("opens");
    (0..40).for_each(|n| events.record(ended("door", 1, n, 1), "face".to_owned()));
    let began = Instant::now();
    drop(events);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let kept = Kept::open(&config(), &folder);
    assert_eq!(kept.ids().len(), 40, "without their pictures");
    assert!(kept.all().iter().all(|event| event.get("snapshot").is_none()));
}

#[test]
fn a_bucket_that_does_not_answer_does_not_hold_the_end_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("http://127.0.0.1:{port}");
    again(&url, folder.path(), "a_bucket_that_does_not_answer_does_not_hold_the_end_up_started_again");
    drop(listener);
}
