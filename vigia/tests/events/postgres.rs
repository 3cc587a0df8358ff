//! Events in PostgreSQL: the same as in a file; and a database that goes away and comes back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vigia::config::EventsConfig;
use vigia::error::Code;
use vigia_engine::worker::Worker;

use crate::every_event_is_kept::everything;
use crate::server::Postgres;
use crate::support::{Kept, bare, ended, id, refused, wait_until};

fn config(server: &Postgres) -> EventsConfig {
    EventsConfig { store: Some(server.url("")), ..EventsConfig::default() }
}

#[test]
fn it_is_as_in_a_file() {
    let Some(server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    everything(&|| Kept::open(&config(&server), folder.path()), true);
    let generation = Kept::open(&config(&server), folder.path()).events.last_generation();
    assert!(generation >= 6, "{generation}");
    let too_old = EventsConfig { keep: Duration::from_mins(1), ..config(&server) };
    let kept = Kept::open(&too_old, folder.path());
    wait_until("what is too old is gone", || kept.ids().iter().all(|id| !id.starts_with("gate-4-")));
}

#[test]
fn what_waits_while_it_is_away_is_written_when_it_is_back() {
    let Some(mut server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::open(&config(&server), folder.path());
    let mut news = kept.news();
    kept.record(bare("door", 1, 1, 1));
    news.next();
    server.end();
    (2..=600).for_each(|n| kept.record(ended("door", 1, n, 1)));
    wait_until("it is noticed", || kept.metric("vigia_events_store_failing") == 1);
    let why = refused(kept.get("door-1-1"), Code::StoreUnavailable);
    assert!(!why.contains("hunter2"), "{why}");
    assert_eq!(kept.metric("vigia_events_stored_total"), 1);
    server.begin();
    let told: Vec<String> = (2..=600).map(|_| id(&news.next())).collect();
    assert_eq!(told, (2..=600).map(|n| format!("door-1-{n}")).collect::<Vec<_>>(), "in their order");
    assert_eq!(kept.ids().len(), 600);
    assert!(kept.metric("vigia_events_store_errors_total") > 0);
    assert_eq!(kept.metric("vigia_events_store_failing"), 0);
    assert_eq!(kept.metric("vigia_events_dropped_total{reason=\"queue-full\"}"), 0);
}

/// A connection that breaks at the wrong moment leaves open whether a transaction was done.
#[test]
fn connections_that_break_lose_nothing_and_double_nothing() {
    let Some(server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::open(&config(&server), folder.path());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vigia'");
            }
        });
        let mut news = kept.news();
        for round in 0..20 {
            (0..50).for_each(|n| kept.record(bare("door", 1, round * 50 + n, 1)));
            (0..50).for_each(|n| assert_eq!(id(&news.next()), format!("door-1-{}", round * 50 + n)));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let mut ids = kept.ids();
    ids.sort();
    let mut expected: Vec<_> = (0..1000).map(|n| format!("door-1-{n}")).collect();
    expected.sort();
    assert_eq!(ids, expected);
}

#[test]
fn two_servers_share_it() {
    let Some(server) = Postgres::start() else { return };
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let start = |folder: &tempfile::TempDir| Kept::open(&config(&server), folder.path());
    let (one, other) = (start(&one), start(&other));
    let recorder = other.events.clone();
    let record = move |_stop: &_| (0..200).for_each(|n| recorder.record(bare("door", 1, n, 1), "face".to_owned()));
    let worker = Worker::start("other", record).expect("a thread");
    (0..200).for_each(|n| one.record(bare("door", 1, n, 1)));
    worker.join();
    wait_until("all are there", || one.ids().len() == 400);
    let mut ids = other.ids();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 400);
}

#[test]
fn connections_are_private_where_that_is_wanted() {
    let Some(mut server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let open = |server: &Postgres, parameters: &str| {
        let config = EventsConfig { store: Some(server.url(parameters)), ..EventsConfig::default() };
        vigia::events::Events::open(&config, folder.path(), crate::support::GUARD).map_err(|error| error.to_string())
    };
    let why = open(&server, "sslmode=require").expect_err("it has no certificate");
    assert!(!why.contains("hunter2"), "{why}");
    assert!(open(&server, "sslmode=disable").is_ok() && open(&server, "").is_ok());
    if !server.certify() {
        return;
    }
    let private = |server: &Postgres| {
        let sql =
            "SELECT 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'vigia'";
        server.run(sql)
    };
    for parameters in ["", "sslmode=require"] {
        let events = open(&server, parameters).expect("any certificate will do");
        assert_eq!(private(&server), 2, "{parameters}");
        drop(events);
        wait_until("it has hung up", || private(&server) == 0);
    }
    let known = format!("sslmode=verify-full&sslrootcert={}", server.path("server.pem").display());
    assert!(open(&server, &known).is_ok());
    let why = open(&server, "sslmode=verify-full").expect_err("nobody knows who signed it");
    assert!(why.contains("certificate") && !why.contains("hunter2"), "{why}");
}

#[test]
fn a_wrong_password_is_said() {
    let Some(server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let store = Some(server.url("").replace("hunter2", "hunter3"));
    let config = EventsConfig { store, ..EventsConfig::default() };
    let error =
        vigia::events::Events::open(&config, folder.path(), crate::support::GUARD).expect_err("another password");
    let said = format!("{error} {error:?}");
    assert!(
        said.contains("password") && said.contains("PostgreSQL at 127.0.0.1") && !said.contains("hunter3"),
        "{said}"
    );
}

/// Connected, but it answers nothing: neither the writer nor a reader may hold the end up.
#[test]
fn one_that_does_not_answer_does_not_hold_the_end_up() {
    let Some(server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let events = vigia::events::Events::open(&config(&server), folder.path(), Duration::ZERO).expect("opens");
    let kept = Kept::of(events);
    let mut news = kept.news();
    kept.record(bare("door", 1, 0, 1));
    news.next();
    drop(news);
    server.freeze(true);
    (1..=300).for_each(|n| kept.record(bare("door", 1, n, 1)));
    refused(kept.get("door-1-0"), Code::StoreUnavailable);
    let shown = Kept::of(kept.events.clone());
    let metrics = shown.events.metrics().clone();
    let began = Instant::now();
    drop((kept, shown));
    let took = began.elapsed();
    server.freeze(false);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    assert!(text.contains("events_dropped_total{reason=\"shutdown\"} 300"), "{text}");
}

#[test]
fn a_lock_that_somebody_forgot_is_noticed() {
    let Some(server) = Postgres::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let kept = Kept::open(&config(&server), folder.path());
    let mut news = kept.news();
    let mut other = server.client().expect("a connection");
    other.batch_execute("BEGIN; LOCK TABLE vigia_events").expect("it is ours");
    kept.record(bare("door", 1, 1, 1));
    wait_until("it is noticed", || kept.metric("vigia_events_store_failing") == 1);
    other.batch_execute("COMMIT").expect("it is free again");
    assert_eq!(id(&news.next()), "door-1-1");
}
