//! `GET /v1/events`, one event, its best shot: filters, pages, and what is wrong with a question.

use serde_json::{Value, json};
use vigia::config::EventsConfig;
use vigia::events::Events;
use vigia_testkit::{boxes_by_frame, finds};

use crate::support::{GUARD, Server, Setup, one_box, pushed_body, wait_until};
use crate::tracks::{bare, decoded, ended};

/// A server that keeps ten events: `door-1-0` is the newest, and each is a minute older than the one before.
fn server() -> Server {
    let server = Server::plain();
    for n in 0..10 {
        let stream = ["door", "yard"][usize::from(n >= 5)];
        let class = ["face", "dog", "cat"][n as usize % 3];
        server.app.events().record(ended(stream, 1, n, n * 60), class.to_owned());
    }
    wait_until("all are kept", || ids(&server, "").len() == 10);
    server
}

fn page(server: &Server, query: &str) -> Value {
    let answer = server.client().get(&format!("/v1/events{query}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{}", answer.text());
    answer.json()
}

fn ids(server: &Server, query: &str) -> Vec<String> {
    let page = page(server, query);
    let id = |event: &Value| event["id"].as_str().expect("an id").to_owned();
    page["events"].as_array().expect("a list").iter().map(id).collect()
}

#[test]
fn nothing_is_a_page_too() {
    assert_eq!(page(&Server::plain(), ""), json!({"events": [], "next": null}));
}

#[test]
fn the_newest_come_first_and_each_can_be_looked_at() {
    let server = server();
    let client = server.client();
    let all = page(&server, "");
    assert_eq!(all["next"], Value::Null);
    for (n, event) in all["events"].as_array().expect("a list").iter().enumerate() {
        assert_eq!(event["track_id"], n);
        let address = format!("/v1/events/{}", event["id"].as_str().expect("an id"));
        assert_eq!(client.get(&address).json(), *event);
        let picture = client.get(event["snapshot"].as_str().expect("an address"));
        assert_eq!((picture.status, picture.header("content-type")), (200, "image/jpeg"));
        assert_eq!(picture.header("cache-control"), "private, max-age=86400, immutable");
        assert_eq!(decoded(&picture.body), (48, 40));
        for path in [address, event["snapshot"].as_str().expect("an address").to_owned()] {
            let head = client.send("HEAD", &path, &[], &[]);
            assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        }
    }
    assert_eq!(client.send("HEAD", "/v1/events", &[], &[]).status, 200);
}

#[test]
fn filters_go_together() {
    let server = server();
    let count = |query: &str| ids(&server, query).len();
    assert_eq!(count("?stream=door"), 5);
    assert_eq!(count("?stream=door,yard"), 10);
    assert_eq!(count("?stream=door&stream=%20yard"), 10);
    assert_eq!(count("?stream=nobody"), 0);
    assert_eq!(ids(&server, "?class=face"), ["door-1-0", "door-1-3", "yard-1-6", "yard-1-9"]);
    assert_eq!(ids(&server, "?class=dog,cat&stream=yard"), ["yard-1-5", "yard-1-7", "yard-1-8"]);
    assert_eq!(ids(&server, "?limit=2"), ["door-1-0", "door-1-1"]);
    let moment = page(&server, "?stream=yard&limit=1")["events"][0]["ended_at"].as_str().expect("a time").to_owned();
    assert_eq!(ids(&server, &format!("?from={moment}")).len(), 6, "then or later");
    assert_eq!(ids(&server, &format!("?to={moment}")).len(), 4, "before that");
    assert_eq!(ids(&server, &format!("?from={moment}&to={moment}")).len(), 0);
    let local = format!("{}+00:00", moment.trim_end_matches('Z'));
    assert_eq!(count(&format!("?from={local}")), 6, "a zone, and a plus that was not encoded");
}

#[test]
fn pages_follow_each_other() {
    let server = server();
    for limit in [1, 3, 10] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = page(&server, &format!("?limit={limit}{cursor}"));
            seen.extend(page["events"].as_array().expect("a list").iter().map(|event| event["track_id"].clone()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, (0..10).map(Value::from).collect::<Vec<_>>());
    }
}

#[test]
fn a_question_that_is_none_is_named() {
    let server = Server::plain();
    let client = server.client();
    for (query, field, expected) in [
        ("limit=0", "limit", "from 1 to 500"),
        ("limit=501", "limit", "from 1 to 500"),
        ("limit=x", "limit", "from 1 to 500"),
        ("limit=1&limit=2", "limit", "twice"),
        ("from=yesterday", "from", "RFC 3339"),
        ("to=2026-11-21", "to", "RFC 3339"),
        ("to=2026-11-21T12:00:00", "to", "RFC 3339"),
        ("cursor=", "cursor", "next of an earlier answer"),
        ("cursor=door-1-7", "cursor", "next of an earlier answer"),
        ("stream=", "stream", "no name of a stream"),
        ("stream=a,,b", "stream", "no name of a stream"),
        ("stream=a/b", "stream", "no name of a stream"),
        ("class=", "class", "no name of a class"),
        ("class=%00", "class", "no name of a class"),
        ("streams=a", "streams", "there are stream, class, from, to, limit, cursor"),
        (&format!("stream={}", vec!["a"; 101].join(",")), "stream", "at most 100"),
    ] {
        let detail = client.get(&format!("/v1/events?{query}")).problem(422, "invalid-parameter");
        assert!(detail.starts_with(&format!("{field}: ")) && detail.contains(expected), "{query}: {detail}");
    }
    for id in ["door-1-7", "x", "%ff", "a%00b", "..%2f..%2fetc", &"a".repeat(2000)] {
        client.get(&format!("/v1/events/{id}")).problem(404, "unknown-event");
        client.get(&format!("/v1/events/{id}/best.jpg")).problem(404, "unknown-event");
    }
    server.app.events().record(bare("door", 1, 7, 1), "face".to_owned());
    wait_until("it is kept", || client.get("/v1/events/door-1-7").status == 200);
    client.get("/v1/events/door-1-7/best.jpg").problem(404, "no-snapshot");
    client.post_json("/v1/events", &json!({})).problem(405, "method-not-allowed");
}

#[test]
fn they_are_there_after_a_restart_and_ids_go_on_above() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = || {
        let mut setup = Setup::new(boxes_by_frame());
        setup.events = Some(Events::open(&EventsConfig::default(), folder.path(), GUARD).expect("opens"));
        setup.start()
    };
    let mut last = 0;
    for run in 1..=3 {
        let server = start();
        assert_eq!(ids(&server, "").len(), run - 1);
        server.add(&pushed_body("door"));
        let generation = server.app.streams.get("door").expect("there").outputs().generation();
        assert!(generation > last, "{generation}");
        server.app.events().record(bare("door", generation, 1, 1), "face".to_owned());
        wait_until("it is kept", || ids(&server, "").len() == run);
        last = generation;
    }
}

#[test]
fn what_is_counted_is_shown() {
    let server = Setup::new(finds(one_box())).start();
    let metrics = || server.client().get("/metrics").text();
    for line in [
        "vigia_events_stored_total 0",
        "vigia_events_dropped_total{reason=\"queue-full\"} 0",
        "vigia_events_dropped_total{reason=\"refused\"} 0",
        "vigia_events_dropped_total{reason=\"shutdown\"} 0",
        "vigia_events_waiting 0",
        "vigia_events_store_errors_total 0",
        "vigia_events_store_failing 0",
        "vigia_events_snapshot_errors_total 0",
        "vigia_events_snapshot_bytes_total 0",
        "vigia_events_without_snapshot_total 0",
        "vigia_events_removed_total 0",
        "vigia_events_kept 0",
        "vigia_events_kept_bytes 0",
    ] {
        assert!(metrics().lines().any(|shown| shown == line), "{line}");
    }
    server.app.events().record(ended("door", 1, 7, 1), "face".to_owned());
    wait_until("it is counted", || metrics().contains("vigia_events_kept 1\n"));
    let metrics = metrics();
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).expect("a number")
    };
    assert_eq!(value("vigia_events_stored_total"), 1);
    assert!(value("vigia_events_kept_bytes") > value("vigia_events_snapshot_bytes_total"));
    assert!(value("vigia_events_snapshot_bytes_total") > 100);
}
