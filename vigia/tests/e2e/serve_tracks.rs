//! Faces that are followed through a moving picture: landmarks that come later, and one event with the best shot for each.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use crate::serve::{Serve, agent};
use crate::support::{is_set_up, shared, text};

/// What an address with server-sent events tells, under these names.
fn told(server: &Serve, path: &str, wanted: &'static str) -> impl Iterator<Item = Value> + use<> {
    let response = agent().get(server.url(path)).call().expect("an answer");
    let mut is_wanted = false;
    let lines = BufReader::new(response.into_body().into_reader()).lines();
    lines.filter_map(move |line| {
        let line = line.expect("no broken answer");
        if let Some(event) = line.strip_prefix("event: ") {
            is_wanted = event == wanted;
        }
        let data = line.strip_prefix("data: ").filter(|_| is_wanted)?;
        Some(serde_json::from_str(data).expect("JSON"))
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

#[test]
fn each_face_that_is_gone_is_told_of_once_with_its_best_shot() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Two seconds for each picture: its faces are gone when the next one is shown.
    let server = Serve::configured(folder.path(), "streams: {}");
    let mut ended = told(&server, "/v1/events/stream", "track_ended");
    server.add(&json!({"id": "show", "source": "slides:.vigia/samples?seconds=2&fps=10"}));
    let first = ended.next().expect("a track");
    let id = first["id"].as_str().expect("an id").to_owned();
    assert_eq!((&first["stream"], &first["class"]), (&json!("show"), &json!("face")));
    assert!(number(&first["detections"]) >= 2 && first["started_at"].as_str() < first["ended_at"].as_str(), "{first}");
    let best = &first["best"];
    assert_eq!((&best["landmarks_source"], best["landmarks"].as_array().map(Vec::len)), (&json!("model"), Some(68)));
    assert!(best["quality"].as_f64() > Some(0.0) && best["confidence"].as_f64() > Some(0.4), "{best}");
    // Told means kept.
    assert_eq!(server.get(&format!("/v1/events/{id}")), first);
    let url = server.url(&format!("/v1/events/{id}/best.jpg"));
    let picture = agent().get(url).call().expect("an answer").body_mut().read_to_vec().expect("whole");
    assert!(picture.starts_with(&[0xff, 0xd8]) && picture.ends_with(&[0xff, 0xd9]));
    // The picture shows the face that it is of.
    let (status, seen) = server.send("POST", "/v1/predict?conf=0.3", "image/jpeg", &picture);
    assert!(status == 200 && !seen["detections"].as_array().expect("a list").is_empty(), "{seen}");
    let others: Vec<Value> = ended.take(3).collect();
    let mut ids: Vec<&str> = others.iter().filter_map(|event| event["id"].as_str()).chain([id.as_str()]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "one each");
    // What is still there when the stream is removed is over, too.
    server.remove("show");
    let stored = server.wait_for("/v1/events?stream=show&limit=500", "all are stored", |events| {
        events["events"].as_array().is_some_and(|events| events.len() >= 4)
    });
    assert!(stored["events"].as_array().expect("a list").iter().all(|event| event["stream"] == "show"));
    server.assert_ends_in_order();
}

#[test]
fn without_a_landmark_model_there_is_the_fallback_only() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = "pipelines: {boxes: {detect: {model: tiny-face}, track: {}, events: {}}}\n\
                  streams: {show: {source: \"slides:.vigia/samples?seconds=2&fps=10\", pipeline: boxes}}";
    let server = Serve::configured(folder.path(), config);
    let tracked = told(&server, "/v1/streams/show/results", "result")
        .find_map(|result| result["detections"].as_array()?.iter().find(|face| face["track_id"].is_u64()).cloned());
    let tracked = tracked.expect("a face");
    assert!(tracked["landmarks"].is_null() && tracked["landmarks_source"].is_null(), "{tracked}");
    assert!(tracked["event_id"].as_u64() > Some(1), "{tracked}");
    let ended = told(&server, "/v1/events/stream", "track_ended").next().expect("a track");
    assert!(ended["best"]["landmarks"].is_null() && ended["best"]["box"].is_object(), "{ended}");
    server.assert_ends_in_order();
}

#[test]
fn other_second_stages_say_what_they_see() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = "pipelines:\n  moods:\n    detect: {model: tiny-face}\n    track: {}\n    stages:\n      \
                  - {model: face-landmarks-68}\n      - {model: face-expression}\n      - {model: age-gender}\n      \
                  - {model: face-recognition, align: true}\n\
                  streams: {show: {source: \"slides:.vigia/samples?seconds=4&fps=10\", pipeline: moods}}";
    let server = Serve::configured(folder.path(), config);
    let face = told(&server, "/v1/streams/show/results", "result").find_map(|result| {
        let whole = |face: &&Value| face["attributes"].as_object().is_some_and(|attributes| attributes.len() == 3);
        result["detections"].as_array()?.iter().find(whole).cloned()
    });
    let face = face.expect("one of which all is known");
    let attributes = &face["attributes"];
    assert_eq!(attributes["face-expression"]["scores"].as_array().map(Vec::len), Some(7), "{attributes}");
    assert!(attributes["face-expression"]["class"].is_string());
    let age = attributes["age-gender"]["age"].as_f64().expect("years");
    assert!((1.0..100.0).contains(&age) && attributes["age-gender"]["gender"].is_string(), "{attributes}");
    assert_eq!(attributes["face-recognition"]["embedding"].as_array().map(Vec::len), Some(128));
    // A posted picture waits for all of it.
    let picture = std::fs::read(crate::support::root().join(".vigia/samples/sample1.jpg")).expect("there");
    let (status, posted) = server.send("POST", "/v1/predict?pipeline=moods", "image/jpeg", &picture);
    let faces = posted["detections"].as_array().expect("a list");
    let is_whole = |face: &Value| face["attributes"].as_object().is_some_and(|attributes| attributes.len() == 3);
    assert!(status == 200 && !faces.is_empty() && faces.iter().all(is_whole), "{posted}");
    assert!(faces.iter().all(|face| face["event_id"].is_null() && face["landmarks_source"] == "model"), "{posted}");
    server.assert_ends_in_order();
}

#[test]
fn people_walk_through_a_room_one_at_a_time() {
    let (Some(video), Some(model)) = (shared("media/people.mp4"), shared("models/yolox_nano.onnx")) else { return };
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        "models: {{people: {{path: {}}}}}\n\
         pipelines: {{people: {{detect: {{model: people}}, track: {{}}, events: {{classes: [person]}}}}}}\n",
        text(&model)
    );
    let server = Serve::configured(folder.path(), &config);
    let mut ended = told(&server, "/v1/events/stream", "track_ended");
    server.add(&json!({"id": "room", "source": text(&video), "pipeline": "people"}));
    let walk = ended.next().expect("the first one");
    assert_eq!(walk["class"], "person");
    let path = walk["path"].as_array().expect("a path");
    let x = |point: Option<&Value>| point.and_then(|point| point["x"].as_f64()).expect("a place");
    assert!(path.len() >= 5 && (x(path.first()) - x(path.last())).abs() > 100.0, "right through: {walk}");
    server.assert_ends_in_order();
}
