//! Whatever a graph declares and a run gives: an answer or an error, and answers keep their promises.

use proptest::prelude::*;
use vigia_core::backend::Output;
use vigia_core::detection::Thresholds;
use vigia_core::geometry::{Mapping, Size};
use vigia_core::model::Family;
use vigia_vision::decode::{DeclaredOutput, Head, MAX_DETECTIONS, TensorView};

fn any_family() -> impl Strategy<Value = Family> {
    prop::sample::select(Family::ALL.to_vec())
}

/// Numbers as networks give them, and as they should not.
fn any_number() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => -4.0f32..4.0,
        4 => 0.0f32..1.0,
        2 => -1000.0f32..1000.0,
        1 => prop::num::f32::ANY,
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0]),
    ]
}

fn any_size() -> impl Strategy<Value = Size> {
    prop_oneof![
        4 => (1u32..4, 1u32..4).prop_map(|(w, h)| Size::new(w * 32, h * 32)),
        4 => (1u32..4).prop_map(|n| Size::new(n * 32, n * 32)),
        1 => (0u32..200, 0u32..200).prop_map(|(w, h)| Size::new(w, h)),
        1 => Just(Size::new(u32::MAX - 31, u32::MAX - 31)),
    ]
}

fn any_mapping() -> impl Strategy<Value = Mapping> {
    let plain = (0.1f32..10.0, 0.1f32..10.0, -100.0f32..100.0, -100.0f32..100.0);
    let wild = (any_number(), any_number(), any_number(), any_number());
    prop_oneof![4 => plain.boxed(), 1 => wild.boxed()].prop_map(|(scale_x, scale_y, offset_x, offset_y)| Mapping {
        scale_x,
        scale_y,
        offset_x,
        offset_y,
    })
}

/// Shapes that a family has for an input of this size, with a few classes.
fn right_shapes(family: Family, size: Size, batch: usize, classes: usize) -> Vec<(String, Vec<usize>)> {
    let cells = |s: u32| (size.width / s) as usize * (size.height / s) as usize;
    let all = cells(8) + cells(16) + cells(32);
    let one = |dims: &[usize]| vec![("out".to_owned(), [&[batch], dims].concat())];
    let side = |s: u32| ((size.height / s) as usize, (size.width / s) as usize);
    match family {
        Family::TinyFace => one(&[25, side(32).0, side(32).1]),
        Family::FastestDet => one(&[5 + classes, side(16).0, side(16).1]),
        Family::YoloX => one(&[all, 5 + classes]),
        Family::YoloV5 => one(&[3 * all, 5 + classes]),
        Family::YoloV8 => one(&[4 + classes, all]),
        Family::YoloNms => one(&[17, 6]),
        Family::FaceLandmarks68 => one(&[136]),
        Family::FaceExpression => one(&[7]),
        Family::FaceRecognition => one(&[128]),
        Family::AgeGender => vec![("age".to_owned(), vec![batch, 1]), ("gender".to_owned(), vec![batch, 2])],
        Family::YuNet => [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)]
            .into_iter()
            .flat_map(|(kind, n)| [8, 16, 32].map(|s| (format!("{kind}_{s}"), vec![batch, cells(s), n])))
            .collect(),
    }
}

/// Asks a head everything and checks what it says.
fn ask(
    head: &mut Head,
    outputs: &[TensorView<'_>],
    index: usize,
    mapping: &Mapping,
    thresholds: Thresholds,
) -> Result<(), TestCaseError> {
    let picture = Size::new(320, 200);
    let mut out = Vec::new();
    if let Ok(landmarks) = head.landmarks(outputs, index, mapping) {
        prop_assert!(landmarks.points.iter().all(|p| p.x.is_finite() && p.y.is_finite()));
    }
    match head.output(outputs, index, mapping, picture, thresholds) {
        Ok(Output::Classes(classes)) => {
            prop_assert!(classes.windows(2).all(|w| w[0].confidence >= w[1].confidence));
            prop_assert!(classes.iter().all(|c| (0.0..=1.0).contains(&c.confidence)));
        }
        Ok(Output::AgeGender(both)) => prop_assert!(both.age.is_finite() && both.gender.class_id < 2),
        Ok(Output::Embedding(numbers)) => prop_assert!(numbers.iter().all(|n| n.is_finite())),
        Ok(Output::Detections(_) | Output::Landmarks(_)) | Err(_) => {}
    }
    if head.detections(outputs, index, mapping, picture, thresholds, &mut out).is_ok() {
        prop_assert!(out.len() <= MAX_DETECTIONS);
        prop_assert!(out.windows(2).all(|w| w[0].confidence >= w[1].confidence));
        for d in &out {
            prop_assert!(d.bbox.is_proper());
            // Something of it is inside the picture; Ultralytics' families clip to it.
            prop_assert!(d.bbox.clipped(picture).is_proper());
            let clips = matches!(head.family(), Family::YoloV5 | Family::YoloV8 | Family::YoloNms);
            prop_assert!(!clips || d.bbox.clipped(picture) == d.bbox);
            prop_assert!(d.confidence <= 1.0 && (d.confidence >= thresholds.confidence || thresholds.confidence > 1.0));
            prop_assert!(head.class_count().is_none_or(|n| (d.class_id as usize) < n));
            prop_assert!(d.keypoints.iter().all(|k| k.point.x.is_finite() && k.point.y.is_finite()));
        }
    } else {
        prop_assert!(out.is_empty());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn with_the_right_shapes(
        family in any_family(),
        (w, h) in (1u32..4, 1u32..4),
        batch in 1usize..3,
        classes in 1usize..9,
        index in 0usize..3,
        pool in prop::collection::vec(any_number(), 1..97),
        mapping in any_mapping(),
        thresholds in (any_number(), any_number()).prop_map(|(confidence, iou)| Thresholds { confidence, iou }),
    ) {
        let size = if family == Family::TinyFace { Size::new(32 * w, 32 * w) } else { Size::new(32 * w, 32 * h) };
        let shapes = right_shapes(family, size, batch, classes);
        let declared: Vec<DeclaredOutput> =
            shapes.iter().map(|(n, dims)| (n.clone(), dims.iter().map(|&d| Some(d)).collect())).collect();
        let made = Head::new(family, size, &declared);
        // A head of as many classes as cells is refused for YOLOv8.
        prop_assume!(made.is_ok() || family == Family::YoloV8);
        let Ok(mut head) = made else { return Ok(()) };
        let mut numbers = pool.iter().copied().cycle();
        let data: Vec<Vec<f32>> =
            shapes.iter().map(|(_, dims)| numbers.by_ref().take(dims.iter().product()).collect()).collect();
        let outputs: Vec<_> = shapes
            .iter()
            .zip(&data)
            .map(|((name, shape), data)| TensorView { name, shape, data })
            .collect();
        ask(&mut head, &outputs, index, &mapping, thresholds)?;
        ask(&mut head, &outputs, index, &mapping, Head::default_thresholds(family))?;
    }

    #[test]
    fn with_any_shapes(
        family in any_family(),
        size in any_size(),
        declared in prop::collection::vec(prop::collection::vec(prop::option::of(0usize..200), 0..5), 0..4),
        nearly in any::<bool>(),
        shapes in prop::collection::vec(prop::collection::vec(prop_oneof![6 => 0usize..200, 1 => Just(usize::MAX)], 0..5), 0..4),
        pool in prop::collection::vec(any_number(), 0..3000),
        index in 0usize..3,
        mapping in any_mapping(),
    ) {
        let free: Vec<DeclaredOutput> = if nearly && size.width < 200 {
            // What the family has, with one more dimension set free from output to output.
            right_shapes(family, size, 1, 3)
                .into_iter()
                .enumerate()
                .map(|(i, (n, dims))| (n, dims.iter().enumerate().map(|(j, &d)| (j != i % 3).then_some(d)).collect()))
                .collect()
        } else {
            declared.into_iter().enumerate().map(|(i, dims)| (format!("out{i}"), dims)).collect()
        };
        for any in Family::ALL {
            // Recognising must not panic either.
            let _: bool = Head::matches(any, size, &free);
        }
        if let Ok(mut head) = Head::new(family, size, &free) {
            let thresholds = Head::default_thresholds(family);
            let names: Vec<String> = free.iter().map(|(n, _)| n.clone()).collect();
            let outputs: Vec<_> = names
                .iter()
                .zip(&shapes)
                .map(|(name, shape)| TensorView { name, shape, data: &pool })
                .collect();
            ask(&mut head, &outputs, index, &mapping, thresholds)?;
        }
    }
}
