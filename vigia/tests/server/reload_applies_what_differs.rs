//! `POST /v1/reload`: what differs in the streams of the file is applied, everything else goes on; a file with a mistake
//! changes nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vigia::config::{Config, StreamConfig};
use vigia_testkit::boxes_by_frame;

use crate::client::Answer;
use crate::sources::Sinks;
use crate::support::{Server, Setup, camera, opened, push_through, pushed_body, wait_until, with};

/// A server whose configuration file holds some cameras.
struct Reloaded {
    server: Server,
    /// As the file has it.
    config: Config,
    file: PathBuf,
    sinks: Vec<Sinks>,
    _folder: tempfile::TempDir,
}

impl Reloaded {
    fn start(cameras: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("vigia.yaml");
        let mut setup = Setup::new(boxes_by_frame());
        let sinks = cameras.iter().map(|id| setup.stream(id, camera(id))).collect();
        setup.config_file = Some(file.clone());
        let config = setup.config.clone();
        write(&file, &config);
        Self { server: setup.start(), config, file, sinks, _folder: folder }
    }

    /// Writes the file anew and has it read.
    fn reload(&self) -> Answer {
        write(&self.file, &self.config);
        self.read_again()
    }

    fn read_again(&self) -> Answer {
        self.server.client().send("POST", "/v1/reload", &[], &[])
    }

    /// What was done, which has to be nothing but what is told.
    #[track_caller]
    fn assert_done(&self, told: &Value) {
        let answer = self.reload();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut expected = json!({"added": [], "changed": [], "removed": [], "failed": [], "restart_needed": []});
        let all = expected.as_object_mut().expect("an object");
        all.extend(told.as_object().expect("an object").clone());
        assert_eq!(answer.json(), expected);
    }

    fn generation(&self, id: &str) -> u64 {
        self.server.app.streams.get(id).expect("there").outputs().generation()
    }

    fn ids(&self) -> Vec<String> {
        self.server.app.streams.list().iter().map(|stream| stream.id().to_owned()).collect()
    }
}

/// JSON is YAML.
fn write(file: &Path, config: &Config) {
    std::fs::write(file, serde_json::to_string_pretty(config).expect("JSON")).expect("written");
}

#[test]
fn added_changed_and_removed() {
    let mut all = Reloaded::start(&["changes", "goes", "moves", "stays"]);
    let mut lives: Vec<_> = all.sinks.iter().map(opened).collect();
    for (id, sink) in ["changes", "goes", "moves", "stays"].into_iter().zip(&mut lives) {
        push_through(&all.server, id, sink);
    }
    let [changes, moves, stays] = ["changes", "moves", "stays"].map(|id| all.generation(id));
    all.config.streams.remove("goes");
    all.config.streams.insert("comes".to_owned(), camera("comes"));
    all.config.streams.insert("changes".to_owned(), StreamConfig { every: 2, ..camera("changes") });
    all.config.streams.insert("moves".to_owned(), camera("elsewhere"));
    all.assert_done(&json!({"added": ["comes"], "changed": ["changes", "moves"], "removed": ["goes"]}));
    assert_eq!(all.ids(), ["changes", "comes", "moves", "stays"]);
    // What need not start anew did not, and what was not touched least of all.
    assert_eq!((all.generation("changes"), all.generation("stays")), (changes, stays));
    for id in ["changes", "stays"] {
        assert_eq!(all.server.frames(id)["inferred"], 1, "{id}");
        let index = if id == "changes" { 0 } else { 3 };
        push_through(&all.server, id, &mut lives[index]);
    }
    assert!(all.generation("moves") > moves);
    let moved = all.server.stream("moves");
    assert_eq!((&moved["source"], &moved["frames"]["received"]), (&json!("rtsp://user:***@elsewhere"), &json!(0)));
    // Again: nothing differs any more.
    all.assert_done(&json!({}));
}

#[test]
fn what_was_added_over_the_api_is_left_alone() {
    let mut all = Reloaded::start(&["door"]);
    all.server.add(&pushed_body("yard"));
    assert_eq!(all.server.put("yard", 1, "?wait=result").status, 200);
    all.config.streams.remove("door");
    all.assert_done(&json!({"removed": ["door"]}));
    assert_eq!(all.server.frames("yard")["inferred"], 1);
    // Nor does the file take its id.
    all.config.streams.insert("yard".to_owned(), camera("yard"));
    all.config.streams.insert("door".to_owned(), camera("door"));
    let detail = all.reload().problem(409, "stream-exists");
    assert!(detail.contains("streams.yard") && detail.contains("remove that one first"), "{detail}");
    assert_eq!(all.ids(), ["yard"], "nothing was changed");
    all.server.remove("yard");
    all.assert_done(&json!({"added": ["door", "yard"]}));
}

#[test]
fn what_was_removed_over_the_api_comes_back_and_what_was_changed_does_when_the_file_changes() {
    let mut all = Reloaded::start(&["door", "yard"]);
    all.server.remove("door");
    all.server.change("yard", &json!({"every": 3}));
    all.assert_done(&json!({"added": ["door"]}));
    assert_eq!(all.server.app.streams.get("yard").map(|stream| stream.config().every), Ok(3));
    let changed = |id: &str| StreamConfig { every: 2, ..camera(id) };
    for id in ["door", "yard"] {
        all.config.streams.insert(id.to_owned(), changed(id));
    }
    all.assert_done(&json!({"changed": ["door", "yard"]}));
    assert_eq!(all.server.app.streams.get("yard").map(|stream| stream.config()), Ok(changed("yard")));
}

#[test]
fn the_id_of_one_that_was_added_and_has_ended_is_the_files() {
    let mut all = Reloaded::start(&[]);
    all.server.add(&with(pushed_body("yard"), json!({"timeout": "100ms"})));
    wait_until("it has ended", || all.server.stream("yard")["state"] == "ended");
    all.config.streams.insert("yard".to_owned(), camera("yard"));
    all.assert_done(&json!({"changed": ["yard"]}));
    assert_eq!(all.server.stream("yard")["source"], "rtsp://user:***@yard");
    // From now on the file says what becomes of it.
    all.config.streams.insert("yard".to_owned(), StreamConfig { every: 2, ..camera("yard") });
    all.assert_done(&json!({"changed": ["yard"]}));
    all.config.streams.clear();
    all.assert_done(&json!({"removed": ["yard"]}));
}

#[test]
fn a_file_with_a_mistake_is_refused_whole() {
    let all = Reloaded::start(&["door"]);
    let cases: [(&str, &[&str]); 5] = [
        ("streams:\n  yard: {source: push, pipelin: plain}\n", &["line 2", "pipelin", "did you mean `pipeline`"]),
        ("streams:\n  yard: {source: push, every: 0}\n", &["streams.yard", "every"]),
        ("streams: {yard: {source: push, pipeline: nothing}}\n", &["streams.yard", "nothing"]),
        ("streams:\n  yard: {source: \"rtsp://user:secret@a\", timeout: soon}\n", &["line 2", "soon"]),
        ("streams: [", &["line 1"]),
    ];
    for (text, words) in cases {
        std::fs::write(&all.file, text).expect("written");
        let answer = all.read_again();
        assert_eq!((answer.status, answer.json()["code"].clone()), (422, json!("invalid-config")), "{}", answer.text());
        let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
        assert!(words.iter().all(|word| detail.contains(word)), "{words:?}: {detail}");
        assert!(detail.contains("vigia.yaml") && !detail.contains("secret"), "{detail}");
        assert_eq!(all.ids(), ["door"], "{text}");
    }
    std::fs::remove_file(&all.file).expect("it is there");
    let detail = all.read_again().problem(422, "invalid-config");
    assert!(detail.contains("vigia.yaml"), "{detail}");
    assert_eq!(all.ids(), ["door"]);
}

#[test]
fn a_pipeline_that_is_not_served_is_one() {
    let mut all = Reloaded::start(&["door"]);
    // The file has it; it would be served by a server that starts anew.
    let faces = all.config.pipelines["plain"].clone();
    all.config.pipelines.insert("new".to_owned(), faces);
    all.config.streams.insert("yard".to_owned(), StreamConfig { pipeline: "new".to_owned(), ..camera("yard") });
    all.config.streams.remove("door");
    let detail = all.reload().problem(422, "invalid-stream");
    assert!(detail.contains("streams.yard") && detail.contains("\"new\""), "{detail}");
    assert_eq!(all.ids(), ["door"], "nothing was changed");
}

#[test]
fn other_sections_take_effect_when_the_server_starts_anew() {
    let mut all = Reloaded::start(&["door"]);
    all.config.limits.queue += 1;
    all.config.server.grace *= 2;
    all.config.streams.remove("door");
    all.assert_done(&json!({"removed": ["door"], "restart_needed": ["server", "limits"]}));
    assert_ne!(all.server.app.limits.queue, all.config.limits.queue);
    // Still.
    all.assert_done(&json!({"restart_needed": ["server", "limits"]}));
}

#[test]
fn a_source_that_cannot_be_used_shows_what_is_wrong() {
    let mut all = Reloaded::start(&[]);
    let missing = StreamConfig { source: "missing://user:secret@a".to_owned(), ..camera("door") };
    all.config.streams.insert("door".to_owned(), missing);
    all.assert_done(&json!({"added": ["door"]}));
    wait_until("it has failed", || all.server.stream("door")["state"] == "failed");
    let error = all.server.stream("door")["last_error"].as_str().expect("why").to_owned();
    assert!(error.contains("missing://user:***@a"), "{error}");
}

#[test]
fn what_finds_no_room_is_told_and_tried_again_the_next_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vigia.yaml");
    let mut setup = Setup::new(boxes_by_frame());
    setup.config.limits.streams = 1;
    setup.config_file = Some(file.clone());
    let mut config = setup.config.clone();
    let server = setup.start();
    server.add(&pushed_body("yard"));
    config.streams.insert("door".to_owned(), camera("door"));
    write(&file, &config);
    let reload = || server.client().send("POST", "/v1/reload", &[], &[]).json();
    let reloaded = reload();
    assert_eq!((&reloaded["added"], &reloaded["failed"][0]["id"]), (&json!([]), &json!("door")), "{reloaded}");
    let error = reloaded["failed"][0]["error"].as_str().expect("why");
    assert!(error.contains("limits.streams"), "{error}");
    server.remove("yard");
    // It has to end first.
    wait_until("there is room", || reload()["added"] == json!(["door"]));
}

#[test]
fn without_a_file_there_is_nothing_to_read() {
    let server = Server::plain();
    let detail = server.client().send("POST", "/v1/reload", &[], &[]).problem(409, "no-config");
    assert!(detail.contains("--config"), "{detail}");
    assert!(!server.client().get("/v1/reload").problem(405, "method-not-allowed").is_empty());
}
