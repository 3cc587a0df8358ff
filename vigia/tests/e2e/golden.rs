//! Each family against its own reference code, by the rules of the golden folder's README.

use std::path::Path;

use serde_json::Value;

use crate::support::{iou, is_set_up, numbers, shared, text, vigia, wire_box};

/// What has to agree.
struct Bounds {
    iou: f64,
    score: f64,
    /// Share of the objects that may be missing, and that may be left over.
    slack: f64,
    /// Keypoints, in pixels.
    keypoints: Option<f64>,
}

const EXACT: Bounds = Bounds { iou: 0.98, score: 0.01, slack: 0.0, keypoints: Some(1.0) };
const RESIZED: Bounds = Bounds { iou: 0.95, score: 0.02, slack: 0.03, keypoints: None };
const FROM_JPEG: Bounds = Bounds { iou: 0.9, score: 0.05, slack: 0.05, keypoints: None };

fn compare(family: &str, pictures: &str, bounds: &Bounds) {
    if !is_set_up() {
        return;
    }
    let (Some(golden), Some(pictures)) = (shared(&format!("golden/{family}.json")), shared(pictures)) else { return };
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).expect("readable")).expect("JSON");
    let model = shared(&format!("models/{}", golden["model"].as_str().expect("a file"))).expect("beside the golden");
    let run = vigia(&["detect", "--model", text(&model), text(&pictures)]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let threshold = golden["score"].as_f64().expect("a number");
    let (mut expected, mut missing, mut left_over, mut seen) = (0usize, 0usize, 0usize, 0usize);
    for line in run.lines() {
        let stem = Path::new(line["source"].as_str().expect("a path")).file_stem().expect("a file");
        let key = format!("{}.jpg", stem.to_string_lossy());
        let Some(objects) = golden["results"][&key].as_array() else { continue };
        seen += 1;
        let mut found: Vec<&Value> = line["detections"].as_array().expect("detections").iter().collect();
        for object in objects {
            // What is that close to the threshold may be there or not.
            let sure = object["confidence"].as_f64().expect("a number") > threshold + bounds.score;
            expected += usize::from(sure);
            match found.iter().position(|f| agrees(object, f, bounds)) {
                Some(i) => drop(found.swap_remove(i)),
                None if sure => {
                    missing += 1;
                    eprintln!("{family} {key}: missing {object}");
                }
                None => {}
            }
        }
        let sure = found.iter().filter(|f| f["confidence"].as_f64().expect("a number") > threshold + bounds.score);
        left_over += sure.count();
    }
    assert_eq!(Some(seen), golden["results"].as_object().map(serde_json::Map::len), "every picture has its line");
    let allowed = (expected as f64 * bounds.slack).floor() as usize;
    assert!(expected > 10);
    eprintln!("{family}, {}: {expected} objects, {missing} missing, {left_over} left over", text(&pictures));
    assert!(missing <= allowed, "{missing} of {expected} missing");
    assert!(left_over <= allowed, "{left_over} left over beside {expected}");
}

fn agrees(object: &Value, found: &Value, bounds: &Bounds) -> bool {
    let expected: [f64; 4] = numbers(&object["box"]).try_into().expect("four numbers");
    let score = object["confidence"].as_f64().expect("a number") - found["confidence"].as_f64().expect("a number");
    let keypoints = bounds.keypoints.is_none_or(|limit| {
        let theirs = object["keypoints"].as_array().expect("keypoints").iter().map(numbers);
        let ours = found["keypoints"].as_array().expect("keypoints").iter();
        let ours = ours.map(|k| [&k["x"], &k["y"]].map(|v| v.as_f64().expect("a number")));
        theirs.zip(ours).all(|(a, b)| (a[0] - b[0]).abs() <= limit && (a[1] - b[1]).abs() <= limit)
    });
    object["class_id"] == found["class_id"]
        && score.abs() <= bounds.score
        && iou(expected, wire_box(found)) >= bounds.iou
        && keypoints
}

#[test]
fn yunet_on_exact_pixels() {
    compare("yunet", "media/pictures_png", &EXACT);
}

#[test]
fn yunet_from_jpegs() {
    compare("yunet", "media/pictures", &FROM_JPEG);
}

#[test]
fn yolox_on_exact_pixels() {
    compare("yolox_nano", "media/pictures_png", &RESIZED);
}

#[test]
fn yolox_from_jpegs() {
    compare("yolox_nano", "media/pictures", &FROM_JPEG);
}

#[test]
fn fastestdet_on_exact_pixels() {
    compare("fastestdet", "media/pictures_png", &RESIZED);
}

#[test]
fn fastestdet_from_jpegs() {
    compare("fastestdet", "media/pictures", &FROM_JPEG);
}
