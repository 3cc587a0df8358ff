//! What it costs to show a frame, on one thread: `cargo bench -p vigia-vision --bench show`.
//!
//! Prints the median and the best of many runs in milliseconds: a picture of each format to RGB, ten faces with 68
//! landmarks each drawn on it, and the result as JPEG at quality 80. Four pictures take turns, so that none is in
//! the second-level cache; they are smooth with a little noise, as a camera's are (noise alone would make the JPEG dear).
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::sync::Arc;
use std::time::Instant;

use vigia_core::detection::Detection;
use vigia_core::frame::{ChromaSite, Colour, ColourMatrix, ColourRange, Image, PixelBuffer, PixelFormat};
use vigia_core::geometry::{BBox, Point, Size};
use vigia_core::landmarks::{Landmarks, LandmarksSource, Settled};
use vigia_vision::draw::annotate;
use vigia_vision::picture::{RgbImage, encode_jpeg_into, to_rgb};

struct Planes([Vec<u8>; 3]);

impl PixelBuffer for Planes {
    fn plane(&self, index: usize) -> &[u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }
}

/// What high definition cameras send.
const VIDEO: Colour = Colour { matrix: ColourMatrix::Bt709, range: ColourRange::Limited, site: ChromaSite::Left };

fn image(format: PixelFormat, size: Size, colour: Colour, seed: usize) -> Image {
    let mut planes = [const { Vec::new() }; 3];
    let mut strides = [0; 3];
    for index in 0..format.planes() {
        let (row, rows) = format.plane_size(index, size);
        strides[index] = row;
        let value = |i: usize| {
            let (x, y) = ((i % row) as f32 / row as f32, (i / row) as f32 / rows as f32);
            let noise = ((i.wrapping_mul(2_654_435_761) >> 13) % 9) as f32;
            let phase = seed as f32 + index as f32;
            (120.0 + 60.0 * (x * 29.0 + phase).sin() * (y * 17.0).cos() + noise) as u8
        };
        planes[index] = (0..row * rows).map(value).collect();
    }
    Image::new(format, size, strides, colour, Arc::new(Planes(planes))).expect("the planes are made for it")
}

/// Ten faces in two rows, with 68 landmarks each.
fn faces(size: Size) -> Vec<Detection> {
    let (w, h) = (size.width as f32, size.height as f32);
    let face = |i: u8| {
        let (x1, y1) = (w * (0.04 + 0.19 * f32::from(i % 5)), h * (0.15 + 0.45 * f32::from(i / 5)));
        let (width, height) = (w * 0.12, h * 0.3);
        let point = |k: u8| {
            let (turn, radius) = (f32::from(k) * 2.4, (f32::from(k) / 68.0).sqrt() * 0.45);
            Point { x: x1 + width * (0.5 + radius * turn.cos()), y: y1 + height * (0.5 + radius * turn.sin()) }
        };
        let bbox = BBox { x1, y1, x2: x1 + width, y2: y1 + height };
        let landmarks = Landmarks { points: (0..68).map(point).collect() };
        let landmarks = Some(Settled { landmarks, source: LandmarksSource::Model, event: None });
        Detection { landmarks, ..Detection::new(0, 0.9, bbox) }
    };
    (0..10).map(face).collect()
}

/// Prints median and best of the runs.
fn measure(name: &str, size: Size, mut run: impl FnMut(usize)) {
    let mut times: Vec<f64> = (0..120)
        .map(|i| {
            let start = Instant::now();
            run(i);
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(20)
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{:34} {:8.3} {:8.3}", format!("{name} {size}"), times[times.len() / 2], times[0]);
}

fn main() {
    const YUV422: PixelFormat = PixelFormat::Yuv { h: 2, v: 1 };
    const YUV444: PixelFormat = PixelFormat::Yuv { h: 1, v: 1 };
    let formats = [
        ("I420 video", PixelFormat::I420, VIDEO),
        ("NV12 video", PixelFormat::Nv12, VIDEO),
        ("4:2:0 JPEG", PixelFormat::I420, Colour::default()),
        ("4:2:2 JPEG", YUV422, Colour::default()),
        ("4:4:4 JPEG", YUV444, Colour::default()),
        ("gray", PixelFormat::Gray, Colour::default()),
        ("RGB", PixelFormat::Rgb, Colour::default()),
        ("BGR", PixelFormat::Bgr, Colour::default()),
    ];
    println!("{:34} {:>8} {:>8}", "ms per picture", "median", "best");
    for size in [Size::new(1280, 720), Size::new(1920, 1080)] {
        let mut canvas = RgbImage::new(size);
        for (name, format, colour) in formats {
            let images: Vec<Image> = (0..4).map(|seed| image(format, size, colour, seed)).collect();
            measure(&format!("to RGB, {name}"), size, |i| to_rgb(&images[i % images.len()], &mut canvas));
        }
        to_rgb(&image(PixelFormat::I420, size, VIDEO, 0), &mut canvas);
        let faces = faces(size);
        measure("annotate, 10 faces x 68", size, |_| annotate(&mut canvas, &faces, &|_| "face".to_owned()));
        let mut jpeg = Vec::new();
        measure("encode JPEG, quality 80", size, |_| {
            encode_jpeg_into(&canvas, 80, &mut jpeg).expect("a good picture");
        });
    }
}
