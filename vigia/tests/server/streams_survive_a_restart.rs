//! What is added over the API is there again in the server's next life, as it was last; what has gone is not.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use vigia::config::StreamConfig;
use vigia::server::Ended;
use vigia_testkit::boxes_by_frame;

use crate::support::{Server, Setup, camera, camera_body, opened, push_through, pushed_body, wait_until, with};

fn setup(file: &Path) -> Setup {
    let mut setup = Setup::new(boxes_by_frame());
    setup.store = Some(file.to_owned());
    setup
}

fn end(server: &Server) {
    server.app.end();
    assert_eq!(server.ended(), Ended::Finished);
}

/// The ids in the file.
fn kept(file: &Path) -> Vec<String> {
    let text = std::fs::read(file).expect("a file");
    let streams: BTreeMap<String, Value> = serde_json::from_slice(&text).expect("JSON");
    streams.into_keys().collect()
}

fn configs(server: &Server) -> BTreeMap<String, StreamConfig> {
    server.app.streams.list().iter().map(|stream| (stream.id().to_owned(), stream.config())).collect()
}

#[test]
fn as_they_were_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("data").join("streams.json");
    let mut first = setup(&file);
    first.stream("m", camera("m"));
    let first = first.start();
    first.add(&camera_body("camera"));
    first.add(&with(pushed_body("door"), json!({"every": 2})));
    first.add(&pushed_body("yard"));
    first.change("door", &json!({"max_fps": 7}));
    first.change("camera", &json!({"source": "rtsp://user:secret@elsewhere"}));
    first.change("m", &json!({"every": 5}));
    first.remove("yard");
    let mut before = configs(&first);
    assert_eq!(kept(&file), ["camera", "door"], "those of the configuration are in its own file");
    end(&first);
    let mut second = setup(&file);
    second.stream("m", camera("m"));
    let second = second.start();
    before.insert("m".to_owned(), camera("m"));
    assert_eq!(configs(&second), before);
    assert_eq!(second.stream("camera")["source"], "rtsp://user:***@elsewhere");
    assert_eq!(second.put("door", 1, "?wait=result").status, 200);
    // They are as much the API's as before.
    second.remove("camera");
    assert_eq!(kept(&file), ["door"]);
    end(&second);
    assert_eq!(configs(&setup(&file).start()).into_keys().collect::<Vec<_>>(), ["door"]);
}

#[test]
fn one_that_ended_by_itself_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("streams.json");
    let server = setup(&file).start();
    server.add(&pushed_body("stays"));
    server.add(&with(pushed_body("goes"), json!({"timeout": "100ms", "linger": "0s"})));
    wait_until("it is gone", || kept(&file) == ["stays"]);
    server.client().get("/v1/streams/goes").problem(404, "unknown-stream");
}

#[test]
fn one_that_could_not_be_added_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("streams.json");
    let server = setup(&file).start();
    server.add(&pushed_body("door"));
    for body in [pushed_body("door"), with(camera_body("yard"), json!({"source": "missing"}))] {
        assert!(server.client().post_json("/v1/streams", &body).status >= 400);
    }
    server.client().patch("door", &json!({"source": "missing"})).problem(422, "source-unusable");
    assert_eq!(kept(&file), ["door"]);
    end(&server);
    assert_eq!(setup(&file).start().stream("door")["source"], "push");
}

#[test]
fn the_configuration_goes_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("streams.json");
    let first = setup(&file).start();
    first.add(&pushed_body("door"));
    end(&first);
    let mut second = setup(&file);
    let sinks = second.stream("door", camera("door"));
    let second = second.start();
    push_through(&second, "door", &mut opened(&sinks));
    assert_eq!(second.stream("door")["source"], "rtsp://user:***@door");
    end(&second);
    // Once the configuration has it no more, it is there again.
    assert_eq!(setup(&file).start().stream("door")["source"], "push");
}

#[test]
fn one_that_cannot_be_started_now_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("streams.json");
    let first = setup(&file).pipeline("other", "finder", None).start();
    first.add(&with(pushed_body("door"), json!({"pipeline": "other"})));
    first.add(&pushed_body("yard"));
    end(&first);
    let second = setup(&file).start();
    second.client().get("/v1/streams/door").problem(404, "unknown-stream");
    second.add(&pushed_body("more"));
    assert_eq!(kept(&file), ["door", "more", "yard"]);
    end(&second);
    let third = setup(&file).pipeline("other", "finder", None).start();
    assert_eq!(third.stream("door")["pipeline"], "other");
}

#[test]
fn a_damaged_file_does_not_stop_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("streams.json");
    std::fs::write(&file, "{\"door\": ").expect("written");
    let server = setup(&file).start();
    assert_eq!(server.client().get("/v1/streams").json(), json!({"streams": []}));
    server.add(&pushed_body("yard"));
    assert_eq!(kept(&file), ["yard"]);
    let aside = std::fs::read_to_string(folder.path().join("streams.json.unreadable")).expect("put aside");
    assert_eq!(aside, "{\"door\": ");
}

#[test]
fn a_file_that_cannot_be_written_does_not_stop_it_either() {
    let folder = tempfile::tempdir().expect("a folder");
    // A folder in the file's place.
    let file = folder.path().join("streams.json");
    std::fs::create_dir_all(file.join("x")).expect("made");
    let server = setup(&file).start();
    server.add(&pushed_body("door"));
    assert_eq!(server.put("door", 1, "?wait=result").status, 200);
    server.remove("door");
}
