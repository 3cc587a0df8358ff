//! A server that cannot keep events says so at its start: where, why, and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use vigia::config::EventsConfig;
use vigia::events::Events;

use crate::support::{GUARD, Kept, bare, ended, free_port};

fn why(config: &EventsConfig, folder: &Path) -> String {
    match Events::open(config, folder, GUARD) {
        Ok(_) => unreachable!("it cannot be used"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_file_that_is_something_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    fs::write(&path, "this is no database, and it is longer than the head of one would be ".repeat(100))
        .expect("written");
    let why = why(&EventsConfig::default(), folder.path());
    assert!(why.contains(path.to_str().expect("text")) && why.contains("move it away"), "{why}");
    assert!(fs::read_to_string(&path).expect("there").starts_with("this is no"), "it is left alone");
}

#[test]
fn a_file_that_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::in_folder(folder.path());
    (0..500).for_each(|n| kept.record(bare("door", 1, n, 1)));
    drop(kept);
    let path = folder.path().join("events.db");
    let mut bytes = fs::read(&path).expect("read");
    // All but the first page, which says that it is a database.
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).expect("written");
    let why = why(&EventsConfig::default(), folder.path());
    assert!(why.contains("events.db") && why.contains("malformed") && why.contains("move it away"), "{why}");
}

#[test]
fn a_folder_that_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    fs::write(&data, "").expect("written");
    let said = why(&EventsConfig::default(), &data);
    assert!(said.contains("data/events.db"), "{said}");
    let config = EventsConfig { snapshots: Some(data.display().to_string()), ..EventsConfig::default() };
    let said = why(&config, folder.path());
    assert!(said.contains("events.snapshots") && said.contains("data"), "{said}");
}

#[test]
fn a_folder_that_nobody_may_write() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).expect("set");
    if fs::write(folder.path().join("x"), "").is_ok() {
        // Root may write everywhere.
        eprintln!("skipped: whoever runs this may write everywhere");
        return;
    }
    let said = why(&EventsConfig::default(), folder.path());
    assert!(said.contains("events.db") && said.contains("denied"), "{said}");
}

#[test]
fn pictures_that_cannot_be_written_cost_no_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::in_folder(folder.path());
    // A file where the day's folder would be: also root cannot write there.
    let day = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    fs::write(folder.path().join("snapshots").join(&day[..10]), "").expect("written");
    let mut news = kept.news();
    kept.record(ended("door", 1, 1, 1));
    let told = news.next();
    assert!(told.get("snapshot").is_none() && told.get("best").is_some(), "{told}");
    assert_eq!(kept.metric("vigia_events_without_snapshot_total"), 1);
    assert!(kept.metric("vigia_events_snapshot_errors_total") >= 1);
}

#[test]
fn a_database_that_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Some(format!("postgres://vigia:secret@127.0.0.1:{}/vigia", free_port()));
    let said = why(&EventsConfig { store, ..EventsConfig::default() }, folder.path());
    assert!(said.contains("PostgreSQL at 127.0.0.1") && said.contains("refused") && !said.contains("secret"), "{said}");
    let missing = folder.path().join("ca.pem");
    let store =
        Some(format!("postgres://vigia:secret@127.0.0.1/vigia?sslmode=verify-full&sslrootcert={}", missing.display()));
    let said = why(&EventsConfig { store, ..EventsConfig::default() }, folder.path());
    assert!(said.contains("ca.pem") && !said.contains("secret"), "{said}");
}

/// As a folder of another machine that is away: whoever asks for a picture waits, and nobody else does.
#[test]
fn a_folder_that_does_not_answer_holds_nothing_else_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::in_folder(folder.path());
    let mut news = kept.news();
    kept.record(ended("door", 1, 1, 1));
    news.next();
    drop(news);
    let day = fs::read_dir(folder.path().join("snapshots")).expect("a folder").next().expect("a day").expect("a day");
    let picture = fs::read_dir(day.path()).expect("a folder").next().expect("a picture").expect("a picture").path();
    // What opens it waits for somebody to write.
    fs::remove_file(&picture).expect("removed");
    assert!(std::process::Command::new("mkfifo").arg(&picture).status().expect("it runs").success());
    let events = kept.events.clone();
    let looked = async {
        let others = async {
            for _ in 0..20 {
                assert!(events.get("door-1-1").await.is_ok());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            picture = events.picture("door-1-1") => unreachable!("{picture:?}"),
            () = others => (),
        }
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(looked);
    let began = Instant::now();
    drop((events, kept));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // The thread that still waits ends.
    fs::write(&picture, "").expect("written");
}
