use proptest::prelude::*;
use vigia_core::detection::Keypoint;
use vigia_core::landmarks::{Landmarks, Settled};
use vigia_core::track::TrackId;

use super::*;

fn name(class_id: u32) -> String {
    format!("class {class_id}")
}

fn drawn(size: Size, detections: &[Detection]) -> RgbImage {
    let mut canvas = RgbImage::new(size);
    annotate(&mut canvas, detections, &name);
    canvas
}

fn settled(points: Vec<Point>, source: LandmarksSource) -> Settled {
    Settled { landmarks: Landmarks { points }, source, event: None }
}

fn pixel(image: &RgbImage, x: u32, y: u32) -> [u8; 3] {
    image.bytes().as_chunks().0[(y * image.size().width + x) as usize]
}

#[test]
fn a_box_is_drawn_on_its_edge_and_not_inside() {
    let bbox = BBox { x1: 40.0, y1: 60.0, x2: 240.0, y2: 200.0 };
    let canvas = drawn(Size::new(320, 240), &[Detection::new(0, 0.5, bbox)]);
    assert_eq!(pixel(&canvas, 40, 150), colour::strong(0));
    assert_eq!(pixel(&canvas, 240, 150), colour::strong(0));
    assert_eq!(pixel(&canvas, 100, 60), colour::strong(0));
    assert_eq!(pixel(&canvas, 140, 130), [0; 3]);
    // The label's ground, left of its first letter.
    assert_eq!(pixel(&canvas, 42, 52), colour::strong(0));
}

#[test]
fn a_track_has_its_number_and_its_colour() {
    let face = Detection::new(0, 0.934, BBox { x1: 40.0, y1: 60.0, x2: 240.0, y2: 200.0 });
    assert_eq!(caption(&face, &name), "class 0 93%");
    let tracked = Detection { track: Some(TrackId(7)), ..face };
    assert_eq!(caption(&tracked, &name), "class 0 93% #7");
    let canvas = drawn(Size::new(320, 240), &[tracked]);
    assert_eq!(pixel(&canvas, 40, 150), colour::strong(7));
    assert_ne!(colour::strong(7), colour::strong(0));
}

#[test]
fn points_of_a_small_face_stay_apart() {
    let bbox = BBox { x1: 0.0, y1: 0.0, x2: 60.0, y2: 60.0 };
    assert!(radius(&bbox, 68, 4) <= 1.0);
    assert!(radius(&bbox, 5, 4) > 2.0);
    assert!(radius(&BBox { x1: f32::NAN, ..bbox }, 5, 4) > 0.0);
}

#[test]
fn keypoints_that_are_landmarks_or_not_believed_in_are_not_drawn() {
    let mut detection = Detection::new(0, 0.5, BBox { x1: 10.0, y1: 10.0, x2: 90.0, y2: 90.0 });
    let point = |x| Point { x, y: 50.5 };
    detection.keypoints = vec![
        Keypoint { point: point(30.5), confidence: Some(0.9) },
        Keypoint { point: point(60.5), confidence: Some(0.1) },
    ];
    let canvas = drawn(Size::new(100, 100), &[detection.clone()]);
    assert_ne!(pixel(&canvas, 30, 50), [0; 3]);
    assert_eq!(pixel(&canvas, 60, 50), [0; 3]);
    detection.landmarks = Some(settled(vec![point(60.5)], LandmarksSource::Detector));
    let canvas = drawn(Size::new(100, 100), &[detection]);
    assert_eq!(pixel(&canvas, 30, 50), [0; 3]);
    assert_ne!(pixel(&canvas, 60, 50), [0; 3]);
}

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -300.0f32..900.0,
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(f32::MAX), Just(f32::MIN)],
    ]
}

fn detection() -> impl Strategy<Value = Detection> {
    let numbers = || (number(), number());
    let track = prop::option::of(any::<u64>().prop_map(TrackId));
    let points = prop::collection::vec((number(), number()), 0..6);
    (numbers(), numbers(), number(), any::<u32>(), points, track).prop_map(
        |((x1, y1), (x2, y2), confidence, class, points, track)| {
            let points: Vec<Point> = points.into_iter().map(|(x, y)| Point { x, y }).collect();
            let mut detection = Detection::new(class, confidence, BBox { x1, y1, x2, y2 });
            detection.track = track;
            detection.keypoints = points.iter().map(|&point| Keypoint { point, confidence: None }).collect();
            detection.landmarks = Some(settled(points, LandmarksSource::Model));
            detection
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn nothing_panics(
        width in prop_oneof![Just(1u32), Just(2), 3u32..700],
        height in prop_oneof![Just(1u32), Just(2), 3u32..500],
        detections in prop::collection::vec(detection(), 0..8),
        text in "\\PC{0,20}",
    ) {
        let mut canvas = RgbImage::new(Size::new(width, height));
        annotate(&mut canvas, &detections, &|_| text.clone());
        prop_assert_eq!(canvas.bytes().len(), (width * height * 3) as usize);
    }
}

#[test]
fn an_empty_canvas_stays_empty() {
    assert!(drawn(Size::new(0, 0), &[Detection::new(0, 0.5, BBox::default())]).bytes().is_empty());
}
