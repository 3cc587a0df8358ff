//! The same picture in every form that a client may send it gives the same answer.

use serde_json::json;
use vigia_core::detection::Detection;
use vigia_core::geometry::BBox;
use vigia_testkit::finds;

use crate::client::Answer;
use crate::pictures::{MULTIPART, SIZE, base64, good, good_jpeg, multipart};
use crate::support::{Server, Setup};

#[track_caller]
fn assert_found(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let mut result = answer.json();
    let timing = result["timing_ms"].take();
    for step in ["decode", "queue", "preprocess", "inference", "postprocess", "total"] {
        assert!(timing[step].as_f64().is_some_and(|ms| ms >= 0.0), "{step}: {timing}");
    }
    let expected = json!({
        "width": SIZE.0, "height": SIZE.1, "model": "finder", "timing_ms": null,
        "detections": [{"class": "thing", "class_id": 0, "confidence": 0.9,
                        "box": {"x1": 10.0, "y1": 5.0, "x2": 40.0, "y2": 35.0}}],
        "batch": {"size": 1, "position": 1},
    });
    assert_eq!(result, expected);
}

const PATHS: [&str; 3] = ["/predict/", "/predict", "/v1/predict"];

#[test]
fn multipart_with_and_without_the_slash() {
    let server = Server::plain();
    for path in PATHS {
        assert_found(&server.client().post(path, MULTIPART, &multipart(&[("file", &good_jpeg())])));
    }
}

#[test]
fn the_picture_itself_in_every_format() {
    let server = Server::plain();
    let formats = [
        ("image/jpeg", good_jpeg()),
        ("image/png", good(image::ImageFormat::Png)),
        ("image/webp", good(image::ImageFormat::WebP)),
        ("image/bmp", good(image::ImageFormat::Bmp)),
    ];
    for (kind, bytes) in &formats {
        for path in PATHS {
            assert_found(&server.client().post(path, kind, bytes));
        }
        // What the bytes are counts, not what they are called.
        assert_found(&server.client().post("/v1/predict", "application/octet-stream", bytes));
        assert_found(&server.client().post("/v1/predict", "IMAGE/JPEG; charset=binary", bytes));
    }
    assert_found(&server.client().send("POST", "/v1/predict", &[], &formats[0].1));
}

#[test]
fn base64_in_json_with_and_without_a_data_url() {
    let server = Server::plain();
    let text = base64(&good_jpeg());
    let data_url = format!("data:image/jpeg;base64,{text}");
    for text in [text, data_url] {
        for path in PATHS {
            assert_found(&server.client().post_json(path, &json!({ "base64": text })));
        }
        let body = json!({ "base64": text }).to_string();
        assert_found(&server.client().post("/v1/predict", "application/json; charset=utf-8", body.as_bytes()));
    }
}

#[test]
fn a_second_stage_adds_its_points() {
    let faces = [10.0, 60.0].map(|x1| Detection::new(0, 0.9, BBox { x1, y1: 5.0, x2: x1 + 30.0, y2: 35.0 }));
    let setup = Setup::new(finds(faces.to_vec())).second_stage("points").pipeline("both", "finder", Some("points"));
    let server = setup.start();
    let answer = server.client().post("/v1/predict?pipeline=both", "image/jpeg", &good_jpeg());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = &answer.json()["detections"];
    for (index, x1) in [10.0, 60.0].into_iter().enumerate() {
        assert_eq!(found[index]["landmarks"], json!([[x1, 5.0]]), "each its own: {found}");
        assert_eq!(found[index]["landmarks_source"], "model");
    }
}
