//! `kill -9` in the middle of 1,000 events, again and again: what anybody was told of is there the next time, whole, with
//! its picture, and the database is sound.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Kept, Running, ended, id};

/// Where the program that is killed finds what it is to do.
const FOLDER: &str = "VIGIA_TEST_KILLED";
/// It takes its time, so that others come in between.
const SLOWLY: &str = "VIGIA_TEST_SLOWLY";
/// What it records.
const EVENTS: u64 = 1000;
/// How often it is killed.
const ROUNDS: u64 = 8;

/// Not a test but what is killed: this program again, which does nothing unless it is asked to.
#[test]
fn the_program_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let kept = Kept::in_folder(Path::new(&folder));
    let generation = kept.events.last_generation() + 1;
    let mut news = kept.news();
    let recording = kept.events.clone();
    let pause = Duration::from_millis(if std::env::var_os(SLOWLY).is_some() { 2 } else { 0 });
    let record = move |_stop: &_| {
        for n in 0..EVENTS {
            recording.record(ended("door", generation, n, 1), "face".to_owned());
            std::thread::sleep(pause);
        }
    };
    let _recorder = vigia_engine::worker::Worker::start("recorder", record).expect("a thread");
    let mut told = std::io::stdout().lock();
    for _ in 0..EVENTS {
        writeln!(told, "told {}", id(&news.next())).expect("somebody reads");
        told.flush().expect("somebody reads");
    }
}

#[test]
fn what_was_told_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Kept::in_folder(folder.path()).events.last_generation();
    let mut told = BTreeSet::new();
    for round in 1..=ROUNDS {
        // Somewhere, and the same in every run of this test; the last one is let alone.
        let until = if round == ROUNDS { EVENTS } else { (round * 389) % 977 + 1 };
        told.extend(kill_after(folder.path(), until, None));
        assert_sound(&folder.path().join("events.db"));
        let kept = Kept::in_folder(folder.path());
        let there: BTreeSet<String> = kept.ids().into_iter().collect();
        let missing: Vec<_> = told.difference(&there).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?}");
        for event in kept.all() {
            let jpeg = kept.picture(&id(&event)).expect("its picture");
            assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]), "it is whole");
        }
        assert_eq!(kept.events.last_generation(), first + round, "whatever a run kept, the next one goes on above it");
    }
    assert!(told.len() as u64 > EVENTS * 2);
}

/// Starts the program and kills it once it has told of so many; the ids of all that it told of.
fn kill_after(folder: &Path, until: u64, on_the_way: Option<&dyn Fn(u64)>) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "killed_at_any_moment::the_program_that_is_killed", "--nocapture"]);
    command.env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::null());
    if on_the_way.is_some() {
        command.env(SLOWLY, "1");
    }
    let mut running = Running::start(&mut command);
    let lines = BufReader::new(running.0.stdout.take().expect("piped")).lines();
    let mut told = Vec::new();
    for line in lines {
        // What it had said when it was killed counts, too.
        if let Some(id) = line.expect("text").split("told ").nth(1) {
            told.push(id.to_owned());
            if let Some(on_the_way) = on_the_way {
                on_the_way(told.len() as u64);
            }
            if told.len() as u64 == until {
                running.kill();
            }
        }
    }
    assert!(told.len() as u64 >= until, "it ended before it was killed: {}", told.len());
    told
}

/// Another process that opens and closes the file takes its log away, where vigia does not hold its locks. Python's SQLite
/// does; the one that is built in here has grown more careful.
#[test]
fn also_when_somebody_else_looked_at_it() {
    const LOOK: &str = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                        print(c.execute('SELECT COUNT(*) FROM vigia_events').fetchone()); c.close()";
    if !Command::new("python3").args(["-c", "import sqlite3"]).status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("VIGIA_TESTS_MUST_RUN").is_none(), "no python3 with sqlite3");
        eprintln!("skipped: no python3 with sqlite3");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    let look = |told: u64| {
        if matches!(told, 50 | 200 | 300) {
            let looked = Command::new("python3").args(["-c", LOOK]).arg(&path).output().expect("it runs");
            assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
        }
    };
    let told: BTreeSet<String> = kill_after(folder.path(), 600, Some(&look)).into_iter().collect();
    assert_sound(&path);
    let there: BTreeSet<String> = Kept::in_folder(folder.path()).ids().into_iter().collect();
    let missing = told.difference(&there).count();
    assert_eq!(missing, 0, "of {}", told.len());
}

fn assert_sound(path: &Path) {
    let database = rusqlite::Connection::open(path).expect("opens");
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(verdict, "ok");
}
