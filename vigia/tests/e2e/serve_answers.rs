//! The server answers what `detect` finds.

use serde_json::{Value, json};

use crate::serve::{Serve, sample};
use crate::support::{is_set_up, vigia};

#[test]
fn without_a_configuration_the_default_models_are_served() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let models = server.get("/v1/models");
    let names: Vec<_> = models["models"].as_array().expect("models").iter().map(|m| m["name"].clone()).collect();
    assert_eq!(names, ["face-landmarks-68", "tiny-face"]);
    let faces = json!({"name": "faces", "detect": "tiny-face", "stages": [{"model": "face-landmarks-68"}]});
    assert_eq!(models["pipelines"], json!([faces]));
    assert_eq!(server.get("/v1/streams"), json!({"streams": []}));
    server.assert_ends_in_order();
}

#[test]
fn a_posted_picture_gets_what_detect_writes() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["detect", ".vigia/samples/sample1.jpg", ".vigia/samples/sample6.jpg"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let server = Serve::start();
    for (n, line) in [1, 6].into_iter().zip(run.lines()) {
        let (status, mut answer) = server.post("/predict/", &sample(n));
        assert_eq!(status, 200, "{answer}");
        let faces = answer["detections"].as_array().expect("detections");
        assert!(!faces.is_empty() && faces.iter().all(|face| face["landmarks"].as_array().map(Vec::len) == Some(68)));
        // All but the name of the file, how long it took, and in which company it ran.
        let mut line = line;
        for value in [&mut line, &mut answer] {
            let fields = value.as_object_mut().expect("an object");
            fields.retain(|field, _| !["source", "timing_ms", "batch"].contains(&field.as_str()));
        }
        assert_eq!(answer, line);
    }
    let (status, answer) = server.post("/predict/?model=tiny-face&conf=0.99", &sample(1));
    assert_eq!((status, &answer["detections"]), (200, &Value::Array(Vec::new())));
    server.assert_ends_in_order();
}

#[test]
fn health_asks_a_running_server() {
    if !is_set_up() {
        return;
    }
    let server = Serve::start();
    let address = server.address.strip_prefix("http://").expect("an address").to_owned();
    let run = vigia(&["health", &address]);
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, "ready\n", ""));
    server.assert_ends_in_order();
    let run = vigia(&["health", &address]);
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains(&address) && run.stderr.contains("not ready"), "{}", run.stderr);
}
