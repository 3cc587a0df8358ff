//! What filling one slot of a batch tensor costs, on one thread: `cargo bench -p vigia-vision --bench preprocess`.
//!
//! Prints the median and the best of many runs in milliseconds, for the best instruction set and for plain code. The
//! padding is known, the geometry stays the same, the picture is not in the first-level cache: what a stream's frames meet.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::sync::Arc;
use std::time::Instant;

use vigia_core::frame::{Colour, Image, PixelBuffer, PixelFormat};
use vigia_core::geometry::{BBox, Size};
use vigia_core::model::{Align, Channels, Fit, InputSpec, Scaling};
use vigia_vision::preprocess::{Preprocessor, SlotState};

struct Planes([Vec<u8>; 3]);

impl PixelBuffer for Planes {
    fn plane(&self, index: usize) -> &[u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }
}

fn image(format: PixelFormat, width: u32, height: u32) -> Image {
    let size = Size::new(width, height);
    let mut planes = [const { Vec::new() }; 3];
    let mut strides = [0; 3];
    for index in 0..format.planes() {
        let (row, rows) = format.plane_size(index, size);
        strides[index] = row;
        planes[index] = (0..row * rows).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect();
    }
    Image::new(format, size, strides, Colour::default(), Arc::new(Planes(planes))).expect("the planes are made for it")
}

fn spec(side: u32, scaling: Scaling, fit: Fit) -> InputSpec {
    InputSpec {
        size: Size::new(side, side),
        channels: Channels::Rgb,
        mean: [0.0; 3],
        scale: [1.0 / 255.0; 3],
        fit,
        scaling,
    }
}

/// Median and best of the runs, in milliseconds.
fn measure(mut preprocessor: Preprocessor, images: &[Image], roi: Option<BBox>) -> (f64, f64) {
    let mut slot = vec![0.0; preprocessor.spec().len()];
    let mut state = SlotState::default();
    let mut times: Vec<f64> = (0..300)
        .map(|i| {
            let image = &images[i % images.len()];
            let start = Instant::now();
            preprocessor.fill(image, roi, &mut slot, &mut state);
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(20)
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn main() {
    use PixelFormat::{Bgr, Nv12, Rgb};
    const I420: PixelFormat = PixelFormat::I420;
    let pad = Fit::Letterbox { align: Align::TopLeft, pad: 114.0, enlarge: true };
    let yuv444 = PixelFormat::Yuv { h: 1, v: 1 };
    let cases = [
        ("I420 640x360 -> 640 letterbox", I420, (640, 360), 640, Scaling::Bilinear, pad),
        ("I420 1280x720 -> 640 letterbox", I420, (1280, 720), 640, Scaling::Bilinear, pad),
        ("I420 1920x1080 -> 640 letterbox", I420, (1920, 1080), 640, Scaling::Bilinear, pad),
        ("I420 960x540 -> 640 letterbox", I420, (960, 540), 640, Scaling::Bilinear, pad),
        ("I420 768x432 -> 416 letterbox", I420, (768, 432), 416, Scaling::Bilinear, pad),
        ("I420 768x432 -> 416 corner", I420, (768, 432), 416, Scaling::BilinearCorner, pad),
        ("NV12 1280x720 -> 640 letterbox", Nv12, (1280, 720), 640, Scaling::Bilinear, pad),
        ("RGB 1280x720 -> 640 letterbox", Rgb, (1280, 720), 640, Scaling::Bilinear, pad),
        ("BGR 640x640 -> 640 identity", Bgr, (640, 640), 640, Scaling::Bilinear, pad),
        ("I420 320x180 -> 640 enlarged", I420, (320, 180), 640, Scaling::Bilinear, pad),
        ("I420 3840x2160 -> 640 letterbox", I420, (3840, 2160), 640, Scaling::Bilinear, pad),
        ("I420 640x360 -> 352 area", I420, (640, 360), 352, Scaling::Area, Fit::Stretch),
        ("I420 640x480 -> 352 area", I420, (640, 480), 352, Scaling::Area, Fit::Stretch),
        ("I420 1280x720 -> 352 area", I420, (1280, 720), 352, Scaling::Area, Fit::Stretch),
        ("I420 1920x1080 -> 352 area", I420, (1920, 1080), 352, Scaling::Area, Fit::Stretch),
        ("I420 3840x2160 -> 352 area", I420, (3840, 2160), 352, Scaling::Area, Fit::Stretch),
        ("NV12 1280x720 -> 352 area", Nv12, (1280, 720), 352, Scaling::Area, Fit::Stretch),
        ("RGB 640x480 -> 352 area", Rgb, (640, 480), 352, Scaling::Area, Fit::Stretch),
        ("4:4:4 1280x720 -> 352 area", yuv444, (1280, 720), 352, Scaling::Area, Fit::Stretch),
    ];
    println!("{:34} {:>8} {:>8} {:>10} {:>8}", "ms per picture", "median", "best", "plain code", "best");
    for (name, format, (width, height), side, scaling, fit) in cases {
        let images: Vec<Image> = (0..4).map(|_| image(format, width, height)).collect();
        let spec = spec(side, scaling, fit);
        let (median, best) = measure(Preprocessor::new(spec.clone()), &images, None);
        let (plain, plain_best) = measure(Preprocessor::scalar(spec), &images, None);
        println!("{name:34} {median:8.3} {best:8.3} {plain:10.3} {plain_best:8.3}");
    }
    // A second stage: crops of changing geometry, so tables are part of it.
    let images = [image(I420, 1280, 720)];
    let fit = Fit::Letterbox { align: Align::Centre, pad: 0.0, enlarge: true };
    let mut times = [0.0; 2];
    for (side, time) in [84.0f32, 200.0].into_iter().zip(&mut times) {
        let mut preprocessor = Preprocessor::new(spec(112, Scaling::BilinearCorner, fit));
        let mut slot = vec![0.0; preprocessor.spec().len()];
        let start = Instant::now();
        for i in 0..1000u16 {
            let (x1, y1) = (f32::from(i), f32::from(i % 400));
            let roi = BBox { x1, y1, x2: x1 + side, y2: y1 + side + f32::from(i % 7) };
            preprocessor.fill(&images[0], Some(roi), &mut slot, &mut SlotState::default());
        }
        *time = start.elapsed().as_secs_f64();
    }
    println!("a face crop -> 112, new geometry each: {:.4} ms (84 px), {:.4} ms (200 px)", times[0], times[1]);
}
