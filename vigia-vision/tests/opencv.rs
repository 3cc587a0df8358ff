//! The preprocessor against OpenCV: at most one level apart for the same convention.
//!
//! `fixtures/opencv.py` wrote what OpenCV makes of the pictures that [`picture`] repeats here.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a fixture that cannot be read fails the test, and how near it came is worth a line"
)]

use std::sync::Arc;

use serde_json::Value;
use vigia_core::frame::{ChromaSite, Colour, ColourMatrix, ColourRange, Image, PixelBuffer, PixelFormat};
use vigia_core::geometry::{Affine, Mapping, Point, Size};
use vigia_core::model::{Align, Channels, Fit, InputSpec, Scaling};
use vigia_vision::align;
use vigia_vision::preprocess::{Preprocessor, SlotState};

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/opencv.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap().as_bytes();
    let digit = |d: u8| (d as char).to_digit(16).unwrap() as u8;
    hex.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn size(value: &Value) -> Size {
    let sides = numbers(value);
    Size::new(sides[0] as u32, sides[1] as u32)
}

fn cases(fixture: &Value, name: &str) -> Vec<Value> {
    fixture[name].as_array().unwrap().clone()
}

/// The generator's picture.
fn picture(size: Size) -> Image {
    let mut pixels = Vec::new();
    for (y, x) in (0..size.height).flat_map(|y| (0..size.width).map(move |x| (y, x))) {
        pixels.extend((0..3).map(|c| ((3 * x * x + 5 * y * y + 7 * x * y + 11 * x + 41 * c) / 4 % 256) as u8));
    }
    let stride = size.width as usize * 3;
    Image::new(PixelFormat::Rgb, size, [stride, 0, 0], Colour::default(), Arc::new(pixels)).unwrap()
}

fn plain(size: Size, fit: Fit, scaling: Scaling) -> InputSpec {
    InputSpec { size, channels: Channels::Rgb, mean: [0.0; 3], scale: [1.0; 3], fit, scaling }
}

fn fill(spec: &InputSpec, image: &Image) -> (Vec<f32>, Mapping) {
    let mut slot = vec![f32::NAN; spec.len()];
    let mapping = Preprocessor::new(spec.clone()).fill(image, None, &mut slot, &mut SlotState::default());
    (slot, mapping)
}

/// The largest difference between a tensor and interleaved pixels.
fn difference(slot: &[f32], pixels: &[u8]) -> f32 {
    assert_eq!(slot.len(), pixels.len());
    let plane = slot.len() / 3;
    pixels.iter().enumerate().map(|(i, &p)| (slot[i % 3 * plane + i / 3] - f32::from(p)).abs()).fold(0.0, f32::max)
}

fn compare(name: &str, spec: impl Fn(&Value) -> InputSpec) {
    for case in cases(&fixture(), name) {
        let spec = spec(&case);
        let (slot, mapping) = fill(&spec, &picture(size(&case["source"])));
        let apart = difference(&slot, &bytes(&case["pixels"]));
        println!("{name} {} -> {}: {apart:.3}", case["source"], case["target"]);
        assert!(apart <= 1.0, "{name} {} -> {}: {apart} levels apart", case["source"], case["target"]);
        if case["map"].is_array() {
            let want = numbers(&case["map"]);
            let got = [mapping.scale_x, mapping.offset_x, mapping.offset_y];
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-4), "{got:?} {case}");
            assert!((mapping.scale_x - mapping.scale_y).abs() < 1e-6);
        }
    }
}

#[test]
fn bilinear_is_inter_linear() {
    compare("linear", |case| plain(size(&case["target"]), Fit::Stretch, Scaling::Bilinear));
}

#[test]
fn area_is_inter_area() {
    compare("area", |case| plain(size(&case["target"]), Fit::Stretch, Scaling::Area));
}

#[test]
fn top_left_letterbox_is_yolox() {
    let fit = Fit::Letterbox { align: Align::TopLeft, pad: 114.0, enlarge: true };
    compare("top_left", |case| plain(size(&case["target"]), fit, Scaling::Bilinear));
}

#[test]
fn centred_letterbox_is_ultralytics() {
    compare("centred", |case| {
        let enlarge = case["enlarge"].as_bool().unwrap();
        plain(size(&case["target"]), Fit::Letterbox { align: Align::Centre, pad: 114.0, enlarge }, Scaling::Bilinear)
    });
}

fn affine(value: &Value) -> Affine {
    let row = |row: &Value| -> [f32; 3] { numbers(row).try_into().unwrap() };
    Affine { x: row(&value[0]), y: row(&value[1]) }
}

/// But for the picture's last row of pixels, which OpenCV mixes with what is beyond it.
#[test]
fn a_turned_crop_is_warp_affine() {
    for case in cases(&fixture(), "turned") {
        let (source, target, map) = (size(&case["source"]), size(&case["target"]), affine(&case["map"]));
        let spec = plain(target, Fit::Stretch, Scaling::Bilinear);
        let mut slot = vec![f32::NAN; spec.len()];
        Preprocessor::new(spec).fill_aligned(&picture(source), &map, &mut slot, &mut SlotState::default());
        let (mut worst, mut inside) = (0.0f32, 0);
        for (i, &want) in bytes(&case["pixels"]).iter().enumerate() {
            let (pixel, channel) = (i as u32 / 3, i % 3);
            let p = map.point(Point { x: (pixel % target.width) as f32 + 0.5, y: (pixel / target.width) as f32 + 0.5 });
            let within = |v: f32, len: u32| v > 0.501 && v < len as f32 - 0.501;
            let beyond = |v: f32, len: u32| v < -0.501 || v > len as f32 + 0.501;
            if within(p.x, source.width) && within(p.y, source.height) {
                inside += 1;
            } else if !beyond(p.x, source.width) && !beyond(p.y, source.height) {
                continue;
            }
            let got = slot[channel * slot.len() / 3 + pixel as usize];
            worst = worst.max((got - f32::from(want)).abs());
        }
        println!("turned {} -> {}: {worst:.3}", case["source"], case["target"]);
        assert!(worst <= 1.0 && inside > 300, "{worst} levels apart, {inside} pixels inside: {}", case["map"]);
    }
}

#[test]
fn alignment_is_umeyama_s() {
    for case in cases(&fixture(), "arcface") {
        let point = |p: &Value| Point { x: numbers(p)[0], y: numbers(p)[1] };
        let points: Vec<Point> = case["points"].as_array().unwrap().iter().map(point).collect();
        let (got, want) =
            (align::arcface(&points.try_into().unwrap(), Size::new(112, 112)).unwrap(), affine(&case["map"]));
        for (x, y) in [(0.0, 0.0), (112.0, 0.0), (0.0, 112.0), (112.0, 112.0)] {
            let (got, want) = (got.point(Point { x, y }), want.point(Point { x, y }));
            assert!((got.x - want.x).hypot(got.y - want.y) < 0.01, "{got:?} for {want:?}");
        }
    }
}

#[test]
fn normalisation_is_blob_from_image() {
    for case in cases(&fixture(), "blob") {
        let (scale, mean) = (case["scale"].as_f64().unwrap() as f32, numbers(&case["mean"]));
        let swap = case["swap"].as_bool().unwrap();
        let spec = InputSpec {
            // The picture's first channel counts as red; the generator's as blue.
            channels: if swap { Channels::Bgr } else { Channels::Rgb },
            mean: [mean[0], mean[1], mean[2]],
            scale: [scale; 3],
            ..plain(size(&case["target"]), Fit::Stretch, Scaling::Bilinear)
        };
        let (slot, _) = fill(&spec, &picture(size(&case["source"])));
        let want = numbers(&case["values"]);
        assert_eq!(slot.len(), want.len());
        for (got, want) in slot.iter().zip(want) {
            assert!((got - want).abs() <= scale * 1.01, "{got} for {want}");
        }
    }
}

struct Planes([Vec<u8>; 3]);

impl PixelBuffer for Planes {
    fn plane(&self, index: usize) -> &[u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }
}

#[test]
fn colours_are_opencv_s() {
    let fixture = fixture();
    let size = Size::new(2, 2);
    for (name, matrix, range) in [
        ("bt601_limited_i420", ColourMatrix::Bt601, ColourRange::Limited),
        ("bt601_full_jpeg", ColourMatrix::Bt601, ColourRange::Full),
        ("bt709_limited", ColourMatrix::Bt709, ColourRange::Limited),
        ("bt709_full", ColourMatrix::Bt709, ColourRange::Full),
    ] {
        let mut worst = 0.0f32;
        for (yuv, rgb) in bytes(&fixture["colours"]).chunks_exact(3).zip(bytes(&fixture[name]).chunks_exact(3)) {
            if name == "bt601_limited_i420" && yuv[0] < 16 {
                continue; // OpenCV cuts Y below black before the matrix; only colours, which these hardly are, differ.
            }
            let planes = Planes([vec![yuv[0]; 4], vec![yuv[1]], vec![yuv[2]]]);
            let colour = Colour { matrix, range, site: ChromaSite::Left };
            let image = Image::new(PixelFormat::I420, size, [2, 1, 1], colour, Arc::new(planes)).unwrap();
            let (slot, _) = fill(&plain(size, Fit::Stretch, Scaling::Bilinear), &image);
            worst = worst.max(difference(&slot, &rgb.repeat(4)));
        }
        println!("{name}: {worst:.3}");
        assert!(worst <= 1.0, "{name}: {worst} levels apart");
    }
}
