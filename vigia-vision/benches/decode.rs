//! What it costs to turn outputs into detections: `cargo bench -p vigia-vision --bench decode`.
//!
//! Prints the median and the 99th percentile of many runs per case. In "quiet" about ten objects are in the picture; in
//! "flood" every place is above the threshold and no two boxes overlap; in "crowd" every place is, too, of one class
//! on 290 spots, so that suppression has the most to compare.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::time::Instant;

use vigia_core::detection::Thresholds;
use vigia_core::geometry::{Mapping, Size};
use vigia_core::model::Family;
use vigia_vision::decode::{DeclaredOutput, Head, TensorView};

const RUNS: usize = 400;

struct Output {
    name: String,
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// Pseudo-random numbers 0..1 (a linear congruential generator), the same in every run.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 12_345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    (0..len).map(|_| next()).collect()
}

fn output(name: &str, shape: &[usize], value: impl Fn(usize, f32) -> f32) -> Output {
    let data = noise(shape.iter().product());
    let data = data.into_iter().enumerate().map(|(i, r)| value(i, r)).collect();
    Output { name: name.to_owned(), shape: shape.to_vec(), data }
}

#[derive(Clone, Copy, PartialEq)]
enum Load {
    Quiet,
    Flood,
    Crowd,
}

/// Boxes of 8 pixels on a raster of 9, so that no two overlap, on as many spots as the load has.
fn raster(load: Load, place: usize, axis: usize) -> f32 {
    let place = if load == Load::Crowd { place % 290 } else { place };
    match axis {
        0 => (place % 71) as f32 * 9.0 + 4.5,
        1 => (place / 71 % 71) as f32 * 9.0 + 4.5,
        _ => 8.0,
    }
}

fn v8(load: Load) -> Output {
    let n = 8400;
    output("output0", &[1, 84, n], |i, r| match (i / n, i % n) {
        (axis @ 0..4, place) => raster(load, place, axis),
        (row, _) if row > 4 && load == Load::Crowd => 0.0,
        (_, place) if load != Load::Quiet || place % 840 == 0 => 0.3 + 0.6 * r,
        _ => 0.1 * r,
    })
}

fn rows(n: usize, load: Load, logarithmic: bool) -> Output {
    output("output", &[1, n, 85], |i, r| match (i / 85, i % 85) {
        (_, 2 | 3) if logarithmic => -1.0,
        (_, 0 | 1) if logarithmic => r,
        (place, axis @ 0..4) => raster(load, place, axis),
        (place, 4) => {
            if load != Load::Quiet || place % (n / 10) == 0 {
                0.95
            } else {
                0.1 * r
            }
        }
        (_, 5) if load == Load::Crowd => 0.5 + 0.5 * r,
        _ if load == Load::Crowd => 0.0,
        _ => 0.5 + 0.5 * r,
    })
}

fn yunet(load: Load) -> Vec<Output> {
    let mut all = Vec::new();
    for s in [8, 16, 32] {
        let n = (640 / s) * (640 / s);
        let score =
            |i: usize, r: f32| if load != Load::Quiet || i.is_multiple_of(n / 4) { 0.7 + 0.3 * r } else { 0.3 * r };
        all.push(output(&format!("cls_{s}"), &[1, n, 1], score));
        all.push(output(&format!("obj_{s}"), &[1, n, 1], score));
        all.push(output(&format!("bbox_{s}"), &[1, n, 4], |i, r| if i % 4 < 2 { r } else { -1.0 }));
        all.push(output(&format!("kps_{s}"), &[1, n, 10], |_, r| r));
    }
    all
}

fn measure(label: &str, family: Family, side: u32, outputs: &[Output]) {
    let size = Size::new(side, side);
    let declared: Vec<DeclaredOutput> =
        outputs.iter().map(|o| (o.name.clone(), o.shape.iter().map(|&n| Some(n)).collect())).collect();
    let mut head = match Head::new(family, size, &declared) {
        Ok(head) => head,
        Err(error) => return println!("{label}: {error}"),
    };
    let views: Vec<_> = outputs.iter().map(|o| TensorView { name: &o.name, shape: &o.shape, data: &o.data }).collect();
    let mapping = Mapping { scale_x: 2.0, scale_y: 2.0, offset_x: 0.0, offset_y: 0.0 };
    let picture = Size::new(2 * side, 2 * side);
    let thresholds: Thresholds = Head::default_thresholds(family);
    let mut found = Vec::new();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            let done = head.detections(black_box(&views), 0, &mapping, picture, thresholds, &mut found);
            let time = start.elapsed().as_secs_f64() * 1e3;
            if let Err(error) = done {
                println!("{label}: {error}");
            }
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{label:28} {:8.4} {:8.4} {:6}", times[RUNS / 2], times[RUNS * 99 / 100], found.len());
}

fn main() {
    println!("{:28} {:>8} {:>8} {:>6}", "case", "p50 ms", "p99 ms", "found");
    for (label, load) in [("quiet", Load::Quiet), ("flood", Load::Flood), ("crowd", Load::Crowd)] {
        measure(&format!("yolov8 84x8400 {label}"), Family::YoloV8, 640, &[v8(load)]);
        measure(&format!("yolov5 25200x85 {label}"), Family::YoloV5, 640, &[rows(25_200, load, false)]);
        if load == Load::Crowd {
            continue;
        }
        measure(&format!("yolox 3549x85 {label}"), Family::YoloX, 416, &[rows(3549, load, true)]);
        measure(&format!("yunet 640 {label}"), Family::YuNet, 640, &yunet(load));
        let cells = 169;
        let tiny = output("boxes", &[1, 25, 13, 13], |i, r| match (i / cells % 5, i % cells) {
            (4, cell) => {
                if load != Load::Quiet || cell % 80 == 0 {
                    2.0
                } else {
                    -3.0 * r
                }
            }
            _ => r - 2.0,
        });
        measure(&format!("tiny-face 416 {label}"), Family::TinyFace, 416, &[tiny]);
        let cells = 484;
        let fast = output("758", &[1, 85, 22, 22], |i, r| match (i / cells, i % cells) {
            (0, cell) => {
                if load != Load::Quiet || cell % 48 == 0 {
                    0.9
                } else {
                    0.1 * r
                }
            }
            (3 | 4, _) => -3.0,
            _ => r,
        });
        measure(&format!("fastestdet 352 {label}"), Family::FastestDet, 352, &[fast]);
    }
}
