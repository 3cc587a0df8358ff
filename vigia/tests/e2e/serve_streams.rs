//! Streams of the configuration, end to end: a source, the models, results and pictures over HTTP.

use std::io::{BufRead as _, BufReader};

use serde_json::{Value, json};

use crate::serve::{Serve, agent};
use crate::support::is_set_up;

/// The results of a stream as they come.
fn results(server: &Serve, stream: &str) -> impl Iterator<Item = Value> + use<> {
    let response = agent().get(server.url(&format!("/v1/streams/{stream}/results"))).call().expect("an answer");
    let lines = BufReader::new(response.into_body().into_reader()).lines();
    lines.filter_map(|line| {
        let line = line.expect("no broken answer");
        Some(serde_json::from_str(line.strip_prefix("data: ")?).expect("JSON"))
    })
}

#[test]
fn a_generated_stream_gets_online_and_gives_results_in_order() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = "streams: {moving: {source: \"test://?width=320&height=240&fps=30\", every: 2}}";
    let server = Serve::configured(folder.path(), config);
    let ids: Vec<u64> = results(&server, "moving").take(5).filter_map(|result| result["frame_id"].as_u64()).collect();
    assert!(ids.len() == 5 && ids.is_sorted_by(|a, b| a < b) && ids.iter().all(|id| id % 2 == 0), "{ids:?}");
    let stream = server.get("/v1/streams/moving");
    assert_eq!((&stream["state"], &stream["pipeline"]), (&json!("online"), &json!("faces")));
    assert_eq!((&stream["width"], &stream["height"]), (&json!(320), &json!(240)));
    let frames = &stream["frames"];
    let number = |value: &Value| value.as_u64().expect("a number");
    let dropped: u64 = frames["dropped"].as_object().expect("by reason").values().map(number).sum();
    assert_eq!(number(&frames["received"]), number(&frames["inferred"]) + number(&frames["pending"]) + dropped);
    server.assert_ends_in_order();
}

#[test]
fn moving_pictures_show_their_faces() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Serve::configured(folder.path(), "streams: {show: {source: \"slides:.vigia/samples\"}}");
    let mut results = results(&server, "show");
    let face = results.find_map(|result| result["detections"].as_array().and_then(|found| found.first().cloned()));
    let face = face.expect("a face");
    // Nobody waits for landmarks: they come with a later frame.
    assert_eq!((&face["class"], &face["landmarks_source"]), (&json!("face"), &json!("none")));
    let later = results.find_map(|result| {
        let faces = result["detections"].as_array()?;
        faces.iter().find(|face| face["landmarks_source"] == "model").cloned()
    });
    let later = later.expect("landmarks");
    assert_eq!(later["landmarks"].as_array().map(Vec::len), Some(68));
    assert!(later["landmarks_event_id"].as_u64() < later["event_id"].as_u64(), "{later}");
    let url = server.url("/v1/streams/show/snapshot.jpg?annotate=1");
    let picture = agent().get(url).call().expect("an answer").body_mut().read_to_vec().expect("whole");
    assert!(picture.starts_with(&[0xff, 0xd8]) && picture.ends_with(&[0xff, 0xd9]));
    // The end does not wait for whoever still listens.
    server.assert_ends_in_order();
}

#[test]
fn a_stream_that_cannot_work_says_why_and_leaves_the_others_alone() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = "streams:\n  good: {source: \"test://?width=320&height=240\"}\n  \
                  missing: {source: nowhere.mp4}\n  \
                  unreachable: {source: \"rtsp://user:secret@127.0.0.1:1/a\"}\n";
    let server = Serve::configured(folder.path(), config);
    let missing = server.wait_for("/v1/streams/missing", "it has failed", |stream| stream["state"] == "failed");
    assert!(missing["last_error"].as_str().is_some_and(|error| error.contains("nowhere.mp4")), "{missing}");
    let path = "/v1/streams/unreachable";
    let unreachable = server.wait_for(path, "it tries again", |stream| stream["state"] == "retrying");
    assert!(unreachable["last_error"].is_string() && !unreachable.to_string().contains("secret"), "{unreachable}");
    server.wait_for("/v1/streams/good", "it has results", |stream| stream["frames"]["inferred"].as_u64() > Some(0));
    server.terminate();
    let ended = server.ended();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}
