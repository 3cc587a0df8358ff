//! The body of every problem, word for word: `golden/problems.json`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vigia::config::EventsConfig;
use vigia::error::Code;
use vigia::events::Events;
use vigia_core::backend::InferError;
use vigia_testkit::damaged::png_bomb;
use vigia_testkit::{Script, finds, spec};

use crate::client::{Answer, Raw};
use crate::pictures::{MULTIPART, good, good_jpeg, multipart};
use crate::support::{GUARD, Server, Setup, assert_golden, camera, one_box, pushed_body, wait_until, with};
use crate::tracks::bare;

/// Codes that are shown elsewhere, as their details hold numbers of the moment, or that only a mistake of ours brings.
const NOT_HERE: [Code; 5] = [Code::QueueFull, Code::Overloaded, Code::UrlFailed, Code::InvalidConfig, Code::Internal];

fn server(data: &Path) -> Server {
    let panics: Script = Arc::new(|_batch| unreachable!("as the script says"));
    let fails: Script =
        Arc::new(|_batch| Err(InferError::Failed { model: "fails".to_owned(), reason: "as scripted".to_owned() }));
    let mut setup = Setup::new(finds(one_box()))
        .model(&spec("panics", 1), panics)
        .model(&spec("fails", 1), fails)
        .second_stage("points");
    setup.config.limits.body = 100_000;
    setup.config.limits.streams = 3;
    setup.stream("door", camera("door"));
    setup.events = Some(Events::open(&EventsConfig::default(), data, GUARD).expect("opens"));
    setup.start()
}

#[test]
fn are_as_they_were() {
    let data = tempfile::tempdir().expect("a folder");
    let server = server(data.path());
    let jpeg = good_jpeg();
    let client = server.client();
    let post = |query: &str, kind: &str, body: &[u8]| client.post(&format!("/v1/predict{query}"), kind, body);
    let raw_to = |server: &Server, length: usize, ends: bool| {
        let mut raw = Raw::connect(server.address);
        let head = format!("POST /predict/ HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabc");
        raw.send(head.as_bytes());
        if ends {
            raw.say_no_more();
        }
        raw.answer()
    };
    let raw = |length, ends| raw_to(&server, length, ends);
    let mut impatient = Setup::new(finds(one_box()));
    impatient.config.limits.body_timeout = Duration::from_millis(300);
    let impatient = impatient.start();
    let add = |body: &Value| client.post_json("/v1/streams", body);
    let frame = |id: u64, query: &str| server.put("yard", id, query);
    server.add(&pushed_body("yard"));
    server.add(&with(pushed_body("over"), json!({"timeout": "100ms"})));
    wait_until("it has ended", || server.stream("over")["state"] == "ended");
    assert_eq!(frame(7, "?wait=result").status, 200);
    server.change("yard", &json!({"every": 2}));
    assert_eq!(frame(8, "?wait=result").status, 200);
    let mut damaged = good(image::ImageFormat::Png);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    let mut answers: Vec<Answer> = vec![
        post("", MULTIPART, b"--edge\r\nno"),
        post("", "application/json", b"{"),
        raw(1000, true),
        client.get("/nothing"),
        post("?model=x", "image/jpeg", &jpeg),
        post("?pipeline=x", "image/jpeg", &jpeg),
        client.get("/v1/streams/x"),
        client.get("/v1/streams/door/results/latest"),
        client.get("/v1/results"),
        add(&pushed_body("door")),
        add(&pushed_body("more")),
        add(&with(pushed_body("more"), json!({"sourec": "push"}))),
        client.patch("yard", &json!({"source": "missing"})),
        client.send("POST", "/v1/reload", &[], &[]),
        client.send("POST", "/v1/reload", &[("origin", "http://another.example")], &[]),
        server.put("over", 1, ""),
        server.put("door", 1, ""),
        frame(8, ""),
        frame(9, "?wait=result"),
        client.get("/predict/"),
        raw_to(&impatient, 1000, false),
        raw(100_001, false),
        post("", "text/plain", b"x"),
        post("?conf=2", "image/jpeg", &jpeg),
        post("", MULTIPART, b"--edge--\r\n"),
        post("", MULTIPART, &multipart(&[("image", &jpeg)])),
        post("", MULTIPART, &multipart(&[("file", &jpeg), ("file", &jpeg)])),
        post("", "application/json", b"{\"base64\": \"%\"}"),
        post("", "application/json", b"{\"url\": \"http://example.org/a.jpg\"}"),
        post("?model=points", "image/jpeg", &jpeg),
        post("", "image/jpeg", b""),
        post("", "image/jpeg", b"hello"),
        post("", "image/jpeg", &jpeg[..jpeg.len() / 2]),
        post("", "image/jpeg", &damaged),
        post("", "image/gif", b"GIF89a\x01\0\x01\0\x80\0\0"),
        post("", "image/jpeg", &png_bomb()),
        post("?model=fails", "image/jpeg", &jpeg),
        post("?model=panics", "image/jpeg", &jpeg),
        client.get("/v1/events/door-1-7"),
    ];
    server.app.events().record(bare("door", 1, 7, 1), "face".to_owned());
    wait_until("it is kept", || client.get("/v1/events/door-1-7").status == 200);
    answers.push(client.get("/v1/events/door-1-7/best.jpg"));
    let database = rusqlite::Connection::open(data.path().join("events.db")).expect("opens");
    database.execute_batch("DROP TABLE vigia_events").expect("it is gone");
    answers.push(client.get("/v1/events"));
    // Something is under way: the server does not end while it is asked.
    let _held = server.app.drain.begin().expect("not ending yet");
    server.app.end();
    answers.push(post("", "image/jpeg", &jpeg));
    let problems: Vec<Value> = answers.iter().map(shown).collect();
    let seen: BTreeSet<&str> = problems.iter().filter_map(|p| p["code"].as_str()).collect();
    let here = Code::ALL.iter().filter(|code| !NOT_HERE.contains(code));
    let missing: Vec<_> = here.map(|code| code.row().0).filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}: {problems:#?}");
    assert_golden("tests/server/golden/problems.json", &format!("{:#}\n", json!(problems)));
}

fn shown(answer: &Answer) -> Value {
    assert!(answer.status >= 400, "{}", answer.status);
    let problem = answer.json();
    let status = problem["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
    answer.problem(status, problem["code"].as_str().expect("a code"));
    problem
}
