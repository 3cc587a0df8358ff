//! `model`, `pipeline`, `conf`, `iou` and `annotate` do what they say.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use vigia_core::detection::Thresholds;
use vigia_core::geometry::Size;
use vigia_testkit::{Script, finds, spec};
use vigia_vision::picture::{PictureDecoder, PictureLimits, RgbImage, to_rgb};

use crate::pictures::{MULTIPART, SIZE, good_jpeg, multipart};
use crate::support::{GUARD, Server, Setup, one_box};

/// A script that tells the thresholds of each picture.
fn telling() -> (Script, Receiver<Thresholds>) {
    let (told, thresholds) = sync_channel(16);
    let find = finds(one_box());
    let script: Script = Arc::new(move |batch| {
        for request in batch {
            told.send(request.thresholds).expect("the test listens");
        }
        find(batch)
    });
    (script, thresholds)
}

#[test]
fn thresholds_are_the_requests_else_the_models() {
    let (script, told) = telling();
    let server = Setup::new(script).start();
    let cases = [
        ("", (0.5, 0.5)),
        ("?conf=0.25", (0.25, 0.5)),
        ("?iou=0.75", (0.5, 0.75)),
        ("?conf=0&iou=1", (0.0, 1.0)),
        ("?iou=0.125&pipeline=plain&conf=1e-1", (0.1, 0.125)),
    ];
    for (query, (confidence, iou)) in cases {
        for path in ["/predict/", "/v1/predict"] {
            let body = multipart(&[("file", &good_jpeg())]);
            let answer = server.client().post(&format!("{path}{query}"), MULTIPART, &body);
            assert_eq!(answer.status, 200, "{query}: {}", answer.text());
            let seen = told.recv_timeout(GUARD).expect("it ran");
            assert_eq!(seen, Thresholds { confidence, iou }, "{query}");
        }
    }
}

#[test]
fn model_and_pipeline_choose_who_answers() {
    let setup = Setup::new(finds(one_box()))
        .model(&spec("other", 1), finds(Vec::new()))
        .second_stage("points")
        .pipeline("named other", "other", None)
        .pipeline("both", "finder", Some("points"));
    let server = setup.start();
    // The model, and whether a second stage was there.
    let cases = [
        ("", "finder", false),
        ("?model=finder", "finder", false),
        ("?model=other", "other", false),
        ("?pipeline=plain", "finder", false),
        ("?pipeline=named%20other", "other", false),
        ("?pipeline=named+other", "other", false),
        ("?pipeline=both", "finder", true),
    ];
    for (query, model, staged) in cases {
        let answer = server.client().post(&format!("/v1/predict{query}"), "image/jpeg", &good_jpeg());
        let result = answer.json();
        assert_eq!(result["model"], model, "{query}: {result}");
        assert_eq!(result["detections"][0].get("landmarks").is_some(), staged, "{query}: {result}");
    }
}

#[test]
fn annotate_answers_the_drawn_picture() {
    let server = Server::plain();
    let answer = server.client().post("/predict/?annotate=jpeg", "image/jpeg", &good_jpeg());
    assert_eq!((answer.status, answer.header("content-type")), (200, "image/jpeg"));
    let decoder = PictureDecoder::new(PictureLimits::default());
    let decoded = |bytes: &[u8]| {
        let mut rgb = RgbImage::default();
        to_rgb(&decoder.decode(bytes, None).expect("a picture"), &mut rgb);
        rgb
    };
    let (drawn, plain) = (decoded(&answer.body), decoded(&good_jpeg()));
    assert_eq!(drawn.size(), Size::new(SIZE.0, SIZE.1));
    let changed = drawn.bytes().iter().zip(plain.bytes()).filter(|(a, b)| a.abs_diff(**b) > 60).count();
    assert!(changed > 100, "only {changed} samples differ: nothing was drawn");
}
