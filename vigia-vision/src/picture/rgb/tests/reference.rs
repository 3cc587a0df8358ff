//! The plain way to RGB: pixel by pixel, in whole numbers. What `convert` does must be the same, bit for bit.

use vigia_core::frame::{ChromaSite, Image, PixelFormat};

use super::super::matrix::Matrix;

/// R G B of each pixel, row by row.
pub(super) fn rgb(image: &Image) -> Vec<u8> {
    let size = image.size();
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    pixels.flat_map(|(x, y)| pixel(image, x, y)).collect()
}

fn pixel(image: &Image, x: u32, y: u32) -> [u8; 3] {
    let sample = |plane: usize, x: usize, y: usize| {
        let (bytes, stride) = image.plane(plane);
        bytes[y * stride + x]
    };
    let (at, row) = (x as usize, y as usize);
    let (h, v, step) = match image.format() {
        PixelFormat::Rgb => return [0, 1, 2].map(|i| sample(0, at * 3 + i, row)),
        PixelFormat::Bgr => return [2, 1, 0].map(|i| sample(0, at * 3 + i, row)),
        PixelFormat::Gray => return Matrix::of(image.colour()).rgb(sample(0, at, row), 0, 0),
        PixelFormat::Yuv { h, v } => (h, v, 1),
        PixelFormat::Nv12 => (2, 2, 2),
    };
    let left = image.colour().site == ChromaSite::Left;
    let (columns, rows) = (Between::at(x, h, left, image.size().width), Between::at(y, v, false, image.size().height));
    let chroma = |plane: usize, offset: usize| {
        let column = |x: usize| {
            let at = |y: usize| i32::from(sample(plane, x * step + offset, y));
            rows.mix(at(rows.first), at(rows.second))
        };
        let quarters = (columns.mix(column(columns.first), column(columns.second)) + 8) >> 4;
        (quarters - 128 * 4) as i16
    };
    let (blue, red) = if step == 2 { (chroma(1, 0), chroma(1, 1)) } else { (chroma(1, 0), chroma(2, 0)) };
    Matrix::of(image.colour()).rgb(sample(0, at, row), blue, red)
}

/// The weight of one whole neighbour.
const FULL: i32 = 8;

/// Two neighbouring chroma samples and the weight of the second, in eighths.
struct Between {
    first: usize,
    second: usize,
    weight: i32,
}

impl Between {
    /// For pixel `at` of a row or column of `len`, with `sub` pixels a sample, which lies on the left-most of them or
    /// in their middle.
    fn at(at: u32, sub: u8, left: bool, len: u32) -> Self {
        let (at, sub) = (at as i32, i32::from(sub));
        let last = (len as i32 + sub - 1) / sub - 1;
        // In eighths of a sample.
        let place = if left { at * FULL / sub } else { (2 * at + 1) * FULL / (2 * sub) - FULL / 2 };
        let place = place.clamp(0, last * FULL);
        let first = place / FULL;
        Self { first: first as usize, second: (first + 1).min(last) as usize, weight: place % FULL }
    }

    /// The mix of the two samples, eight times as large.
    fn mix(&self, first: i32, second: i32) -> i32 {
        first * (FULL - self.weight) + second * self.weight
    }
}
