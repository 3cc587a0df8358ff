//! A frame's way through detector and second stage, with scripted models.

use std::sync::Arc;
use std::time::Instant;

use vigia_core::backend::{InferError, Output, Region, Request};
use vigia_core::cascade::StagePolicy;
use vigia_core::detection::{Detection, Keypoint, Thresholds};
use vigia_core::geometry::{Affine, BBox, Point};
use vigia_core::landmarks::LandmarksSource;
use vigia_core::model::{Family, ModelSpec};
use vigia_core::result::FrameResult;
use vigia_engine::batcher::{Batcher, Picture};
use vigia_engine::metrics::{ModelMetrics, StageMetrics};
use vigia_engine::pipeline::{Align, Pipeline, Stage, receiver};
use vigia_testkit::{Script, batcher_with, boxes_by_frame, corner_landmarks, frame, spec};

fn batcher(name: &str, script: Script) -> Arc<Batcher> {
    Arc::new(vigia_testkit::batcher(name, 8, 64, 1, script))
}

fn stage(script: Script) -> Stage {
    Stage {
        batcher: batcher("landmarks", script),
        policy: StagePolicy::default(),
        align: None,
        metrics: StageMetrics::default(),
    }
}

fn run(pipeline: &Pipeline, frame_id: u64) -> Result<FrameResult, InferError> {
    let (deliver, receiver) = receiver();
    let thresholds = Thresholds { confidence: 0.5, iou: 0.5 };
    pipeline.submit(Picture::Frame(frame("a", frame_id)), thresholds, Instant::now(), deliver);
    receiver.blocking_recv().expect("answered")
}

/// Three faces: a large one with a keypoint, a small one, and one that is cut by the border.
fn three_faces() -> Script {
    Arc::new(|batch| {
        let face = |x1, y1, x2, y2| Detection::new(0, 0.9, BBox { x1, y1, x2, y2 });
        let mut large = face(4.0, 5.0, 40.0, 41.0);
        large.keypoints.push(Keypoint { point: Point { x: 9.0, y: 9.0 }, confidence: None });
        let faces = vec![large, face(0.0, 0.0, 5.0, 5.0), face(30.0, 10.0, 90.0, 48.0)];
        Ok(batch.iter().map(|_| Ok(Output::Detections(faces.clone()))).collect())
    })
}

fn sources(result: &FrameResult) -> Vec<Option<LandmarksSource>> {
    result.detections.iter().map(|d| d.landmarks.as_ref().map(|l| l.source)).collect()
}

#[test]
fn without_a_second_stage_only_keypoints_speak() {
    let pipeline = Pipeline::new(batcher("faces", three_faces()), Vec::new());
    let result = run(&pipeline, 0).expect("a result");
    assert_eq!(sources(&result), [Some(LandmarksSource::Detector), None, None]);
}

#[test]
fn crops_that_are_turned_upright_come_after_the_points_to_do_it_by() {
    // One point is enough for this one: it says where the object is.
    let by_one: Align = |points, _size| match points {
        [point] => Some(Affine { x: [1.0, 0.0, point.x], y: [0.0, 1.0, point.y] }),
        _ => None,
    };
    let turned: Script = Arc::new(|batch: &[Request]| {
        let origin = |request: &Request| match request.roi {
            Some(Region::Aligned(affine)) => Ok(Output::Embedding(vec![affine.x[2], affine.y[2]])),
            _ => Err(InferError::EmptyCrop),
        };
        Ok(batch.iter().map(origin).collect())
    });
    let points = ModelSpec { family: Family::FaceLandmarks68, ..spec("points", 8) };
    let points = Arc::new(batcher_with(&points, 64, 1, corner_landmarks(), ModelMetrics::default()));
    let stage =
        |batcher, align| Stage { batcher, policy: StagePolicy::default(), align, metrics: StageMetrics::default() };
    // In this order, too: who needs points is asked last.
    let stages = vec![stage(batcher("turned", turned), Some(by_one)), stage(points, None)];
    let pipeline = Pipeline::new(batcher("faces", boxes_by_frame()), stages);
    let result = run(&pipeline, 7).expect("a result");
    let face = &result.detections[0];
    assert_eq!(face.landmarks.as_ref().map(|l| l.landmarks.points[0]), Some(Point { x: 7.0, y: 0.0 }));
    let said: Vec<_> = face.attributes.iter().map(|a| (a.model.as_str(), &a.output)).collect();
    assert_eq!(said, [("turned", &Output::Embedding(vec![7.0, 0.0]))]);
}

#[test]
fn each_crop_gets_its_own_landmarks() {
    let pipeline = Pipeline::new(batcher("faces", three_faces()), vec![stage(corner_landmarks())]);
    let result = run(&pipeline, 0).expect("a result");
    let expected = [LandmarksSource::Model, LandmarksSource::None, LandmarksSource::Model].map(Some);
    assert_eq!(sources(&result), expected);
    let corner = |i: usize| result.detections[i].landmarks.as_ref().map(|l| l.landmarks.points[0]);
    assert_eq!(corner(0), Some(Point { x: 4.0, y: 5.0 }));
    assert_eq!(corner(2), Some(Point { x: 30.0, y: 10.0 }));
    assert_eq!(result.model.as_str(), "faces");
}

#[test]
fn a_stage_that_fails_falls_back_and_loses_nothing_else() {
    let failing: Script =
        Arc::new(|_| Err(InferError::Failed { model: "landmarks".to_owned(), reason: "on purpose".to_owned() }));
    let pipeline = Pipeline::new(batcher("faces", three_faces()), vec![stage(failing)]);
    let result = run(&pipeline, 0).expect("a result");
    let expected = [LandmarksSource::Detector, LandmarksSource::None, LandmarksSource::None].map(Some);
    assert_eq!(sources(&result), expected);
}

#[test]
fn a_landmark_model_in_the_detectors_place_is_named() {
    let pipeline = Pipeline::new(batcher("landmarks", corner_landmarks()), Vec::new());
    let error = run(&pipeline, 0).expect_err("no detections").to_string();
    assert!(error.contains("landmarks") && error.contains("stages"), "{error}");
}

#[test]
fn many_frames_keep_their_results_apart() {
    let pipeline = Pipeline::new(batcher("faces", boxes_by_frame()), vec![stage(corner_landmarks())]);
    let thresholds = Thresholds { confidence: 0.5, iou: 0.5 };
    let receivers: Vec<_> = (0..30)
        .map(|n| {
            let (deliver, receiver) = receiver();
            pipeline.submit(Picture::Frame(frame("a", n)), thresholds, Instant::now(), deliver);
            receiver
        })
        .collect();
    for (n, receiver) in receivers.into_iter().enumerate() {
        let result = receiver.blocking_recv().expect("answered").expect("a result");
        assert_eq!(result.frame.frame_id, n as u64);
        assert!((result.detections[0].bbox.x1 - n as f32).abs() < 1e-6);
    }
}
