//! Full RGB pictures, to draw on and to show. Nothing here is on the way to a model.

use vigia_core::frame::{ChromaSite, Colour, ColourMatrix, ColourRange, Image, PixelFormat};
use vigia_core::geometry::Size;

use super::{PictureError, jpeg};

/// An RGB picture, 3 bytes a pixel, rows tight; its memory is kept when the size changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RgbImage {
    size: Size,
    bytes: Vec<u8>,
}

impl RgbImage {
    /// A black picture.
    pub fn new(size: Size) -> Self {
        let mut image = Self::default();
        image.resize(size);
        image
    }

    /// Gives the picture another size; its pixels are then unspecified.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.bytes.resize(size.pixels() as usize * 3, 0);
    }

    /// Pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// R G B, row by row from the top.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// R G B, row by row from the top, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// Encodes a picture as JPEG, 4:2:0; `quality` is 1 to 100, 80 to 90 for people to look at.
///
/// # Errors
/// [`PictureError::Unsupported`] for a side of 0 or above 65500 pixels, [`PictureError::Codec`] without memory.
pub fn encode_jpeg(rgb: &RgbImage, quality: u8) -> Result<Vec<u8>, PictureError> {
    jpeg::encode(rgb.bytes(), rgb.size(), quality)
}

/// Copies a picture of any format to RGB, chroma interpolated linearly; `out` takes the size of its planes.
///
/// For drawing and showing only: models are fed from the planes. Detections are in pixels of the source picture, so
/// what is drawn on must be decoded at full size.
pub fn to_rgb(image: &Image, out: &mut RgbImage) {
    let size = image.size();
    out.resize(size);
    let width = size.width as usize;
    let rows = out.bytes.chunks_exact_mut(width * 3).enumerate();
    let (first, stride) = image.plane(0);
    match image.format() {
        PixelFormat::Rgb => rows.for_each(|(y, row)| row.copy_from_slice(&first[y * stride..][..width * 3])),
        PixelFormat::Bgr => {
            for (y, row) in rows {
                let pixels = first[y * stride..][..width * 3].as_chunks::<3>().0;
                for (to, &[b, g, r]) in row.as_chunks_mut().0.iter_mut().zip(pixels) {
                    *to = [r, g, b];
                }
            }
        }
        PixelFormat::Gray => {
            let matrix = Matrix::of(image.colour());
            for (y, row) in rows {
                for (to, &luma) in row.as_chunks_mut().0.iter_mut().zip(&first[y * stride..]) {
                    *to = matrix.rgb(luma, NEUTRAL, NEUTRAL);
                }
            }
        }
        PixelFormat::Yuv { .. } | PixelFormat::Nv12 => yuv_rows(image, rows),
    }
}

/// Converts rows of a format with chroma planes.
fn yuv_rows<'a>(image: &Image, rows: impl Iterator<Item = (usize, &'a mut [u8])>) {
    let (size, format) = (image.size(), image.format());
    let (h, v) = if let PixelFormat::Yuv { h, v } = format { (h, v) } else { (2, 2) };
    let matrix = Matrix::of(image.colour());
    let (luma, luma_stride) = image.plane(0);
    let (blue, blue_stride) = image.plane(1);
    // NV12 has one plane of pairs; the others two planes of single samples.
    let (red, red_stride, step) = match format {
        PixelFormat::Nv12 => (&blue[1..], blue_stride, 2),
        _ => (image.plane(2).0, image.plane(2).1, 1),
    };
    let left = image.colour().site == ChromaSite::Left;
    let columns: Vec<Between> = (0..size.width).map(|x| Between::at(x, h, left, size.width)).collect();
    let samples = size.width.div_ceil(h.into()) as usize;
    let mut lines = [vec![0; samples], vec![0; samples]];
    for (y, row) in rows {
        let between = Between::at(y as u32, v, false, size.height);
        for (line, (plane, stride)) in lines.iter_mut().zip([(blue, blue_stride), (red, red_stride)]) {
            let above = plane[between.first * stride..].iter().step_by(step);
            let below = plane[between.second * stride..].iter().step_by(step);
            for ((mixed, &above), &below) in line.iter_mut().zip(above).zip(below) {
                *mixed = between.mix(above.into(), below.into());
            }
        }
        let [blue, red] = &lines;
        let chroma = |line: &[i32], x: &Between| (x.mix(line[x.first], line[x.second]) + 8) >> 4;
        let pixels = row.as_chunks_mut().0.iter_mut().zip(&luma[y * luma_stride..]).zip(&columns);
        for ((to, &luma), x) in pixels {
            *to = matrix.rgb(luma, chroma(blue, x), chroma(red, x));
        }
    }
}

/// The weight of one whole neighbour. Eighths are exact for 2 and 4 pixels a sample.
const FULL: i32 = 8;

/// Chroma's middle value in the units of [`Matrix::rgb`]: quarters.
const NEUTRAL: i32 = 128 * 4;

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

/// The way from Y, U, V to R, G, B in fixed point.
struct Matrix {
    /// What is black in Y.
    black: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Matrix {
    /// Binary places.
    const PLACES: u32 = 16;

    /// ITU-R BT.601-7, 2.5.1 and BT.709-6, 3: R = Y + 2 (1 - Kr) V and so on, U and V around 0.
    fn of(colour: Colour) -> Self {
        let (kr, kb) = match colour.matrix {
            ColourMatrix::Bt601 => (0.299, 0.114),
            ColourMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (black, luma, chroma) = match colour.range {
            ColourRange::Full => (0, 1.0, 1.0),
            ColourRange::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
        };
        let kg = 1.0 - kr - kb;
        let fixed = |x: f64| (x * f64::from(1 << Self::PLACES)).round() as i32;
        // Chroma comes in quarters.
        let chroma = |x: f64| fixed(2.0 * x * chroma / 4.0);
        Self {
            black,
            luma: fixed(luma),
            red_v: chroma(1.0 - kr),
            green_u: chroma(-(1.0 - kb) * kb / kg),
            green_v: chroma(-(1.0 - kr) * kr / kg),
            blue_u: chroma(1.0 - kb),
        }
    }

    /// One pixel; U and V in quarters.
    fn rgb(&self, y: u8, u: i32, v: i32) -> [u8; 3] {
        let luma = (i32::from(y) - self.black) * self.luma + (1 << (Self::PLACES - 1));
        let (u, v) = (u - NEUTRAL, v - NEUTRAL);
        [self.red_v * v, self.green_u * u + self.green_v * v, self.blue_u * u]
            .map(|chroma| ((luma + chroma) >> Self::PLACES).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests;
