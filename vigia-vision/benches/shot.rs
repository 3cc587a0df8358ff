//! What it costs to judge and to keep a shot, on one thread: `cargo bench -p vigia-vision --bench shot`.
//!
//! Prints the median and the best of many runs in microseconds, for boxes of several sizes in a picture of 1280 × 720.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use vigia_core::frame::{Colour, Image, PixelBuffer, PixelFormat};
use vigia_core::geometry::{BBox, Size};
use vigia_vision::shot;

struct Planes([Vec<u8>; 3]);

impl PixelBuffer for Planes {
    fn plane(&self, index: usize) -> &[u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }
}

const SIZE: Size = Size::new(1280, 720);

fn image(format: PixelFormat) -> Image {
    let (mut planes, mut strides) = ([const { Vec::new() }; 3], [0; 3]);
    for index in 0..format.planes() {
        let (row, rows) = format.plane_size(index, SIZE);
        strides[index] = row;
        planes[index] = (0..row * rows).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    }
    Image::new(format, SIZE, strides, Colour::default(), Arc::new(Planes(planes))).expect("the planes are made for it")
}

fn measure(name: &str, mut run: impl FnMut()) {
    let mut times: Vec<f64> = (0..400)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e6
        })
        .skip(50)
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:34} {:8.1} {:8.1}", times[times.len() / 2], times[0]);
}

fn main() {
    println!("{:34} {:>8} {:>8}", "microseconds per shot", "median", "best");
    for (name, format) in [("I420", PixelFormat::I420), ("RGB", PixelFormat::Rgb)] {
        let image = image(format);
        for side in [40.0, 100.0, 250.0, 700.0] {
            let bbox = BBox { x1: 10.0, y1: 10.0, x2: 10.0 + side, y2: 10.0 + side };
            measure(&format!("sharpness, {name} {side}"), || {
                black_box(shot::sharpness(&image, black_box(&bbox)));
            });
            measure(&format!("cut to 320, {name} {side}"), || {
                black_box(shot::cut(&image, black_box(&bbox), 0.2, 320));
            });
        }
    }
}
