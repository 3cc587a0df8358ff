//! Heads against results that `fixtures/decode.py` worked out from the formulas of the models' authors, and against
//! outputs that are not what they should be.
#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

use serde_json::Value;
use vigia_core::backend::{ClassScore, Output};
use vigia_core::detection::{Detection, Thresholds};
use vigia_core::geometry::{Mapping, Size};
use vigia_core::model::Family;
use vigia_vision::decode::{DeclaredOutput, Head, HeadError, MAX_DETECTIONS, TensorView};

const CASES: &str = include_str!("fixtures/decode.json");
const NUMBERS: &[u8] = include_bytes!("fixtures/decode.bin");
/// Pixels, and units of score.
const TOLERANCE: f64 = 1e-3;

struct Tensor {
    name: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

struct Case {
    family: Family,
    input: Size,
    picture: Size,
    mapping: Mapping,
    thresholds: Thresholds,
    outputs: Vec<Tensor>,
    results: Vec<Value>,
}

impl Case {
    fn views(&self) -> Vec<TensorView<'_>> {
        self.outputs.iter().map(|t| TensorView { name: &t.name, shape: &t.shape, data: &t.data }).collect()
    }

    fn declared(&self) -> Vec<DeclaredOutput> {
        let dims = |t: &Tensor| t.shape.iter().enumerate().map(|(axis, &n)| (axis > 0).then_some(n)).collect();
        self.outputs.iter().map(|t| (t.name.clone(), dims(t))).collect()
    }

    fn head(&self) -> Head {
        Head::new(self.family, self.input, &self.declared()).unwrap()
    }

    fn output(&self, index: usize) -> Result<Output, HeadError> {
        self.head().output(&self.views(), index, &self.mapping, self.picture, self.thresholds)
    }

    fn find(&self, head: &mut Head, outputs: &[TensorView<'_>], index: usize) -> Vec<Detection> {
        let mut out = Vec::new();
        head.detections(outputs, index, &self.mapping, self.picture, self.thresholds, &mut out).unwrap();
        out
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn tensor(spec: &Value) -> Tensor {
    let shape: Vec<usize> = spec["shape"].as_array().unwrap().iter().map(count).collect();
    let len: usize = shape.iter().product();
    let unit = spec["unit"].as_f64().unwrap() as f32;
    let (bytes, _) = NUMBERS[count(&spec["at"])..][..2 * len].as_chunks::<2>();
    let data = bytes.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / unit).collect();
    Tensor { name: spec["name"].as_str().unwrap().to_owned(), shape, data }
}

/// Joins tensors along an axis.
fn join(parts: &[Tensor], axis: usize) -> Tensor {
    let mut shape = parts[0].shape.clone();
    shape[axis] = parts.iter().map(|p| p.shape[axis]).sum();
    let outer: usize = shape[..axis].iter().product();
    let mut data = Vec::new();
    for row in 0..outer {
        for part in parts {
            let width: usize = part.shape[axis..].iter().product();
            data.extend_from_slice(&part.data[row * width..][..width]);
        }
    }
    Tensor { name: parts[0].name.clone(), shape, data }
}

fn cases() -> Vec<Case> {
    let all: Value = serde_json::from_str(CASES).unwrap();
    let case = |c: &Value| {
        let outputs: Vec<Tensor> = c["outputs"].as_array().unwrap().iter().map(tensor).collect();
        let outputs = c.get("join").map(|axis| vec![join(&outputs, count(axis))]).unwrap_or(outputs);
        let size = |key: &str| Size::new(c[key][0].as_u64().unwrap() as u32, c[key][1].as_u64().unwrap() as u32);
        let m = numbers(&c["mapping"]);
        Case {
            family: Family::from_name(c["family"].as_str().unwrap()).unwrap(),
            input: size("input"),
            picture: size("picture"),
            mapping: Mapping {
                scale_x: m[0] as f32,
                scale_y: m[1] as f32,
                offset_x: m[2] as f32,
                offset_y: m[3] as f32,
            },
            thresholds: Thresholds {
                confidence: c["confidence"].as_f64().unwrap() as f32,
                iou: c["iou"].as_f64().unwrap() as f32,
            },
            outputs,
            results: c["results"].as_array().unwrap().clone(),
        }
    };
    all.as_array().unwrap().iter().map(case).collect()
}

fn detectors() -> Vec<Case> {
    cases().into_iter().filter(|c| !c.family.is_second_stage()).collect()
}

fn case_of(family: Family) -> Case {
    cases().into_iter().find(|c| c.family == family).unwrap()
}

/// `[class, confidence, x1, y1, x2, y2, keypoints…]`, as the fixture has it.
fn row(d: &Detection) -> Vec<f64> {
    let b = [d.confidence, d.bbox.x1, d.bbox.y1, d.bbox.x2, d.bbox.y2];
    let points = d.keypoints.iter().flat_map(|k| [k.point.x, k.point.y]);
    std::iter::once(f64::from(d.class_id)).chain(b.into_iter().chain(points).map(f64::from)).collect()
}

fn same(found: &[f64], expected: &[f64]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= TOLERANCE)
}

#[test]
fn every_family_is_in_the_fixture() {
    assert_eq!(cases().iter().map(|c| c.family).collect::<Vec<_>>(), Family::ALL);
}

#[test]
fn detections_are_those_of_the_authors_formulas() {
    for case in detectors() {
        let mut head = case.head();
        for (index, expected) in case.results.iter().enumerate() {
            let found = case.find(&mut head, &case.views(), index);
            let expected: Vec<_> = expected.as_array().unwrap().iter().map(numbers).collect();
            assert_eq!(found.len(), expected.len(), "{} picture {index}", case.family);
            assert_eq!(case.output(index), Ok(Output::Detections(found.clone())));
            for (found, expected) in found.iter().map(row).zip(&expected) {
                assert!(same(&found, expected), "{} picture {index}: {found:?} is not {expected:?}", case.family);
            }
        }
    }
}

#[test]
fn landmarks_are_those_of_the_authors_formulas() {
    let case = case_of(Family::FaceLandmarks68);
    for (index, expected) in case.results.iter().enumerate() {
        let found = case.head().landmarks(&case.views(), index, &case.mapping).unwrap();
        assert_eq!(case.output(index), Ok(Output::Landmarks(found.clone())));
        assert_eq!(found.points.len(), 68);
        for (point, expected) in found.points.iter().zip(expected.as_array().unwrap()) {
            assert!(same(&[f64::from(point.x), f64::from(point.y)], &numbers(expected)));
        }
    }
}

/// What a second stage says, as the fixture has it.
fn said(output: Output) -> Vec<f64> {
    let pair = |c: &ClassScore| [f64::from(c.class_id), f64::from(c.confidence)];
    match output {
        Output::Classes(classes) => classes.iter().flat_map(pair).collect(),
        Output::AgeGender(both) => std::iter::once(f64::from(both.age)).chain(pair(&both.gender)).collect(),
        Output::Embedding(numbers) => numbers.into_iter().map(f64::from).collect(),
        Output::Detections(_) | Output::Landmarks(_) => Vec::new(),
    }
}

#[test]
fn attributes_are_those_of_the_authors_formulas() {
    for family in [Family::FaceExpression, Family::AgeGender, Family::FaceRecognition] {
        let mut case = case_of(family);
        for (index, expected) in case.results.iter().enumerate() {
            let nested = expected.as_array().unwrap().iter().any(Value::is_array);
            let expected: Vec<f64> = if nested {
                expected.as_array().unwrap().iter().flat_map(numbers).collect()
            } else {
                numbers(expected)
            };
            let found = said(case.output(index).unwrap());
            assert!(same(&found, &expected), "{family} crop {index}: {found:?} is not {expected:?}");
        }
        let length = case.outputs[0].shape[1];
        case.outputs[0].data[length] = f32::NAN;
        assert!(case.output(0).is_ok());
        assert_eq!(case.output(1), Err(HeadError::NotFinite { family }));
        assert!(case.head().landmarks(&case.views(), 0, &case.mapping).is_err());
    }
}

#[test]
fn the_order_of_the_outputs_does_not_matter() {
    let case = case_of(Family::YuNet);
    let mut declared = case.declared();
    declared.reverse();
    let mut head = Head::new(case.family, case.input, &declared).unwrap();
    let mut views = case.views();
    views.rotate_left(5);
    assert_eq!(case.find(&mut head, &views, 1), case.find(&mut case.head(), &case.views(), 1));
}

#[test]
fn shapes_tell_the_families_apart() {
    for case in cases() {
        let matching = Family::ALL.map(|f| (f, Head::matches(f, case.input, &case.declared())));
        for (family, matches) in matching {
            assert_eq!(matches, family == case.family, "{} as {family}", case.family);
        }
    }
}

#[test]
fn stock_exports_are_told_apart() {
    let family_of = |side: u32, dims: &[usize]| {
        let input = Size::new(side, side);
        let dims = dims.iter().map(|&n| (n > 0).then_some(n)).collect();
        let outputs = [("output".to_owned(), dims)];
        Family::ALL.into_iter().filter(|&f| Head::matches(f, input, &outputs)).collect::<Vec<_>>()
    };
    assert_eq!(family_of(416, &[1, 3549, 85]), [Family::YoloX]);
    assert_eq!(family_of(640, &[0, 8400, 6]), [Family::YoloX]);
    assert_eq!(family_of(640, &[1, 25200, 85]), [Family::YoloV5]);
    assert_eq!(family_of(640, &[1, 25200, 6]), [Family::YoloV5]);
    assert_eq!(family_of(1280, &[1, 102_000, 85]), [Family::YoloV5], "P6");
    assert_eq!(family_of(640, &[1, 84, 8400]), [Family::YoloV8]);
    assert_eq!(family_of(640, &[0, 84, 0]), [Family::YoloV8], "dynamic");
    assert_eq!(family_of(640, &[1, 5, 34000]), [Family::YoloV8], "P2, one class");
    assert_eq!(family_of(640, &[1, 300, 6]), [Family::YoloNms]);
    assert_eq!(family_of(352, &[1, 85, 22, 22]), [Family::FastestDet]);
    assert_eq!(family_of(416, &[0, 25, 13, 13]), [Family::TinyFace]);
    assert_eq!(family_of(416, &[0, 25, 26, 26]), [Family::FastestDet], "20 classes");
    assert_eq!(family_of(640, &[0, 0, 85]), [], "rows of unknown number");
    assert_eq!(family_of(640, &[1, 300, 84]), []);
    assert_eq!(family_of(64, &[1, 84, 84]), [Family::YoloX], "as many numbers as cells");
}

#[test]
fn free_dimensions_do_for_a_family_that_is_told() {
    let case = case_of(Family::YoloX);
    let declared = [("output".to_owned(), vec![None, None, Some(11)])];
    assert!(!Head::matches(Family::YoloX, case.input, &declared));
    let mut head = Head::new(Family::YoloX, case.input, &declared).unwrap();
    assert_eq!(head.class_count(), Some(6));
    assert_eq!(case.find(&mut head, &case.views(), 0), case.find(&mut case.head(), &case.views(), 0));
}

#[test]
fn errors_say_what_is_wrong() {
    let input = Size::new(640, 640);
    let declared = |dims: &[usize]| [("output0".to_owned(), dims.iter().map(|&n| Some(n)).collect::<Vec<_>>())];
    let message = |family, input, dims: &[usize]| Head::new(family, input, &declared(dims)).unwrap_err().to_string();
    assert_eq!(
        message(Family::YoloV8, input, &[1, 84, 8000]),
        "output `output0` of yolov8 must be [batch, 4 + classes, 8400], the model has [?, 84, 8000]"
    );
    assert_eq!(
        message(Family::YoloX, input, &[1, 84, 8400]),
        "output `output0` of yolox must be [batch, 8400, 5 + classes], the model has [1, 84, 8400]"
    );
    assert_eq!(message(Family::YuNet, input, &[1, 84, 8400]), "yunet has 12 output(s), the model has 1");
    assert_eq!(
        message(Family::TinyFace, Size::new(416, 384), &[1, 25, 13, 12]),
        "tiny-face needs an input whose sides are equal and multiples of 32, not 416x384"
    );
}

#[test]
fn a_run_that_breaks_the_promise_is_an_error() {
    for case in cases() {
        let mut head = case.head();
        let mut ask = |views: &[TensorView<'_>], index| {
            if case.family.is_second_stage() {
                return head.output(views, index, &case.mapping, case.picture, case.thresholds).map(drop);
            }
            head.detections(views, index, &case.mapping, case.picture, case.thresholds, &mut Vec::new())
        };
        let good = case.views();
        let batch = good[0].shape[0];
        assert_eq!(ask(&good, batch), Err(HeadError::BatchIndex { index: batch, batch }));
        assert!(matches!(ask(&[], 0), Err(HeadError::MissingOutput { .. })));
        for broken in 0..good.len() {
            let mut views = good.clone();
            let data = views[broken].data;
            views[broken].data = &data[..data.len() - 1];
            assert!(matches!(ask(&views, 0), Err(HeadError::RunShape { .. })), "{} short", case.family);

            let mut views = good.clone();
            let mut shape = views[broken].shape.to_vec();
            shape[1] += 1;
            views[broken].shape = &shape;
            assert!(matches!(ask(&views, 0), Err(HeadError::RunShape { .. })), "{} other shape", case.family);

            let mut views = good.clone();
            views[broken].shape = &[];
            assert!(matches!(ask(&views, 0), Err(HeadError::RunShape { .. })), "{} no shape", case.family);

            let mut views = good.clone();
            views[broken].name = "other";
            assert!(matches!(ask(&views, 0), Err(HeadError::MissingOutput { .. })), "{} renamed", case.family);
        }
    }
}

#[test]
fn the_wrong_question_is_an_error() {
    let (faces, points) = (case_of(Family::TinyFace), case_of(Family::FaceLandmarks68));
    assert!(matches!(
        faces.head().landmarks(&faces.views(), 0, &faces.mapping),
        Err(HeadError::WrongStage { family: Family::TinyFace, .. })
    ));
    let mut out = Vec::new();
    let wrong =
        points.head().detections(&points.views(), 0, &points.mapping, points.picture, points.thresholds, &mut out);
    assert!(matches!(wrong, Err(HeadError::WrongStage { family: Family::FaceLandmarks68, .. })));
}

#[test]
fn numbers_that_are_not_finite_are_left_out() {
    for mut case in detectors() {
        let mut head = case.head();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for t in &mut case.outputs {
                t.data.iter_mut().step_by(7).for_each(|v| *v = bad);
            }
            let found = case.find(&mut head, &case.views(), 0);
            assert!(found.iter().all(|d| d.confidence.is_finite() && d.bbox.is_proper()), "{} {bad}", case.family);
            for t in &mut case.outputs {
                t.data.fill(bad);
            }
            assert_eq!(case.find(&mut head, &case.views(), 0), [], "{} {bad}", case.family);
        }
    }
    let mut case = case_of(Family::FaceLandmarks68);
    case.outputs[0].data[136 + 5] = f32::NAN;
    assert!(case.head().landmarks(&case.views(), 0, &case.mapping).is_ok());
    assert_eq!(
        case.head().landmarks(&case.views(), 1, &case.mapping),
        Err(HeadError::NotFinite { family: Family::FaceLandmarks68 })
    );
}

#[test]
fn a_flood_is_cut() {
    let rows: Vec<f32> = (0..40_000u16).flat_map(|i| [f32::from(i) / 100.0, 0.0, 600.0, 9.0, 0.9, 1.0]).collect();
    let outputs = [TensorView { name: "output0", shape: &[1, 40_000, 6], data: &rows }];
    let dims = vec![Some(1), None, Some(6)];
    let mut head = Head::new(Family::YoloNms, Size::new(640, 640), &[("output0".into(), dims)]).unwrap();
    let mapping = Mapping { scale_x: 1.0, scale_y: 1.0, offset_x: 0.0, offset_y: 0.0 };
    let mut out = vec![Detection::new(9, 0.1, Size::new(1, 1).whole())];
    head.detections(&outputs, 0, &mapping, Size::new(640, 640), Head::default_thresholds(Family::YoloNms), &mut out)
        .unwrap();
    assert_eq!(out.len(), MAX_DETECTIONS);
}
