//! The default pipeline against the npm package that its models come from, run in Node on the same six pictures
//! (`vigia-infer/tests/golden/face_api.mjs` wrote the numbers).

use serde_json::Value;

use crate::support::{iou, is_set_up, numbers, root, vigia, wire_box};

fn reference() -> Value {
    let path = root().join("vigia-infer/tests/golden/face_api.json");
    serde_json::from_slice(&std::fs::read(path).expect("committed")).expect("JSON")
}

#[test]
fn the_same_faces_and_landmarks_as_the_package_itself() {
    if !is_set_up() {
        return;
    }
    let run = vigia(&["detect", ".vigia/samples"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let lines = run.lines();
    let reference = reference();
    let pictures = reference["pictures"].as_array().expect("pictures");
    assert_eq!((lines.len(), pictures.len()), (6, 6));
    let mut faces = 0;
    for (line, picture) in lines.iter().zip(pictures) {
        let file = picture["file"].as_str().expect("a name");
        assert!(line["source"].as_str().is_some_and(|s| s.ends_with(file)), "in order: {}", line["source"]);
        assert_eq!((&line["width"], &line["height"]), (&picture["width"], &picture["height"]));
        let found = line["detections"].as_array().expect("detections");
        let expected = picture["faces"].as_array().expect("faces");
        assert_eq!(found.len(), expected.len(), "{file}");
        for face in expected {
            compare(file, face, found);
            faces += 1;
        }
    }
    assert_eq!(faces, 20);
}

/// IoU at least 0.98, landmarks within 1 % of the face's width.
///
/// On the exact pixels that the package was given, boxes agree to 0.02 pixels (see docs/performance.md). Here the JPEGs are
/// decoded by vigia, whose chroma differs by a level here and there; faces do not feel it, but the box between two faces in
/// sample6.jpg (confidence 0.54, no face at all) gives the landmark network nothing to hold on to.
fn compare(file: &str, face: &Value, found: &[Value]) {
    let expected: [f64; 4] = numbers(&face["box"]).try_into().expect("four numbers");
    let best = found.iter().max_by(|a, b| iou(expected, wire_box(a)).total_cmp(&iou(expected, wire_box(b))));
    let best = best.expect("a face");
    let overlap = iou(expected, wire_box(best));
    assert!(overlap >= 0.98, "{file}: IoU {overlap:.4}");
    let score = face["score"].as_f64().expect("a number") - best["confidence"].as_f64().expect("a number");
    assert!(score.abs() <= 0.01, "{file}: confidence off by {score}");
    assert_eq!((&best["class"], &best["landmarks_source"]), (&Value::from("face"), &Value::from("model")));
    let width = expected[2] - expected[0];
    let points = |v: &Value| v.as_array().expect("points").iter().map(numbers).collect::<Vec<_>>();
    let (theirs, ours) = (points(&face["landmarks"]), points(&best["landmarks"]));
    assert_eq!((theirs.len(), ours.len()), (68, 68));
    let distance = |a: &[f64], b: &[f64]| (a[0] - b[0]).hypot(a[1] - b[1]) / width;
    let mean = theirs.iter().zip(&ours).map(|(a, b)| distance(a, b)).sum::<f64>() / 68.0;
    let limit = if face["score"].as_f64() < Some(0.6) { 0.03 } else { 0.01 };
    assert!(mean <= limit, "{file}: landmarks off by {:.2} % of the width", mean * 100.0);
}

#[test]
fn annotated_copies_have_the_pictures_size_and_show_something() {
    if !is_set_up() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copies = folder.path().join("copies");
    let run = vigia(&["detect", ".vigia/samples/sample1.jpg", "--save", copies.to_str().expect("UTF-8")]);
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    let decoder = vigia_vision::picture::PictureDecoder::new(vigia_vision::picture::PictureLimits::default());
    let decode = |path: std::path::PathBuf| {
        let image = decoder.decode(&std::fs::read(path).expect("there"), None).expect("a picture");
        let mut rgb = vigia_vision::picture::RgbImage::new(image.size());
        vigia_vision::picture::to_rgb(&image, &mut rgb);
        rgb
    };
    let copy = decode(copies.join("sample1.jpg"));
    let original = decode(root().join(".vigia/samples/sample1.jpg"));
    assert_eq!(copy.size(), original.size());
    let changed = copy.bytes().iter().zip(original.bytes()).filter(|(a, b)| a.abs_diff(**b) > 60).count();
    assert!(changed > 3000, "only {changed} samples differ: nothing was drawn");
}
