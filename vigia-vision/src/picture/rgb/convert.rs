//! Planes to RGB pixels, row by row in blocks that stay in the first-level cache.
//!
//! The loops are plain code that compilers vectorise; [`convert`] has them compiled for AVX2, too. All is integer
//! arithmetic, so both give the same bits.
#![expect(unsafe_code, reason = "a function compiled for an instruction set may only be called where it exists")]
#![expect(clippy::inline_always, reason = "loops must be compiled inside the functions of each instruction set")]

use vigia_core::frame::{ChromaSite, Image, PixelFormat};

use super::matrix::Matrix;

/// Pixels of a row that are converted at once.
const BLOCK: usize = 1024;

/// One whole chroma sample. Eighths are exact for 2 and 4 pixels a sample.
const FULL: i16 = 8;

/// Chroma's middle value in the units of [`Matrix::rgb`]: quarters.
const NEUTRAL: i16 = 128 * 4;

/// Writes a picture as RGB, with chroma interpolated linearly; `out` has three bytes for each of its pixels.
pub(super) fn convert(image: &Image, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn with_avx2(image: &Image, out: &mut [u8]) {
        plain(image, out);
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: this processor has AVX2, as the line above has found.
        return unsafe { with_avx2(image, out) };
    }
    plain(image, out);
}

/// [`convert`] for whatever instruction set its caller is compiled for.
#[inline(always)]
pub(super) fn plain(image: &Image, out: &mut [u8]) {
    let width = image.size().width as usize;
    let (first, stride) = image.plane(0);
    let rows = out.chunks_exact_mut(width * 3).zip(first.chunks(stride));
    match image.format() {
        PixelFormat::Rgb => rows.for_each(|(to, from)| to.copy_from_slice(&from[..width * 3])),
        PixelFormat::Bgr => {
            for (to, from) in rows {
                for (to, &[b, g, r]) in to.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0) {
                    *to = [r, g, b];
                }
            }
        }
        PixelFormat::Gray => {
            let matrix = Matrix::of(image.colour());
            let mut values = [0; BLOCK];
            for (to, from) in rows {
                for (to, luma) in to.chunks_mut(BLOCK * 3).zip(from[..width].chunks(BLOCK)) {
                    for (value, &luma) in values.iter_mut().zip(luma) {
                        *value = matrix.rgb(luma, 0, 0)[0];
                    }
                    interleave([&values; 3], to);
                }
            }
        }
        PixelFormat::Yuv { .. } | PixelFormat::Nv12 => {
            let matrix = Matrix::of(image.colour());
            let chroma = Chroma::of(image);
            let mut scratch = Scratch::new();
            for (y, (to, luma)) in rows.enumerate() {
                let blocks = to.chunks_mut(chroma.block * 3).zip(luma[..width].chunks(chroma.block));
                for (index, (to, luma)) in blocks.enumerate() {
                    chroma.rows(y, index * chroma.block, luma.len(), &mut scratch);
                    colour(&matrix, luma, &mut scratch);
                    interleave(scratch.rgb.each_ref(), to);
                }
            }
        }
    }
}

/// Converts a block's pixels, each colour by itself: so compilers vectorise it.
#[inline(always)]
fn colour(matrix: &Matrix, luma: &[u8], scratch: &mut Scratch) {
    let Scratch { blue, red, rgb: [r, g, b], .. } = scratch;
    let pixels = r.iter_mut().zip(g).zip(b).zip(luma).zip(blue).zip(red);
    for (((((r, g), b), &luma), &mut blue), &mut red) in pixels {
        [*r, *g, *b] = matrix.rgb(luma, blue, red);
    }
}

/// Lays rows of red, green and blue into one.
#[inline(always)]
fn interleave([r, g, b]: [&[u8; BLOCK]; 3], out: &mut [u8]) {
    for (((out, &r), &g), &b) in out.as_chunks_mut().0.iter_mut().zip(r).zip(g).zip(b) {
        *out = [r, g, b];
    }
}

/// Working memory of one block.
struct Scratch {
    /// Chroma samples mixed from two rows, in eighths, with the neighbours on both sides of the block.
    line: [i16; BLOCK + 2],
    /// One sample a pixel, around 0, in quarters.
    blue: [i16; BLOCK],
    /// As `blue`.
    red: [i16; BLOCK],
    /// The pixels' red, green and blue.
    rgb: [[u8; BLOCK]; 3],
}

impl Scratch {
    fn new() -> Self {
        Self { line: [0; BLOCK + 2], blue: [0; BLOCK], red: [0; BLOCK], rgb: [[0; BLOCK]; 3] }
    }
}

/// Where the chroma samples of a picture are.
struct Chroma<'a> {
    blue: Samples<'a>,
    red: Samples<'a>,
    /// Pixels per sample, in a row and in a column.
    sub: (usize, usize),
    /// Samples in a row, and rows of samples.
    size: (usize, usize),
    /// The samples lie on the left-most of their pixels in a row, not in the middle.
    left: bool,
    /// [`weights`] of a sample's first pixels in a row: of all of them, where they are 1, 2 or 4.
    weights: [[i16; 3]; 4],
    /// Pixels converted at once: whole samples, at most [`BLOCK`].
    block: usize,
}

/// Samples of one kind, and how they lie in their plane.
#[derive(Clone, Copy)]
struct Samples<'a> {
    bytes: &'a [u8],
    stride: usize,
    kind: Kind,
}

/// Which bytes of a plane are samples of one kind.
#[derive(Clone, Copy)]
enum Kind {
    /// All.
    Single,
    /// The first of each pair.
    First,
    /// The second of each pair.
    Second,
}

impl<'a> Chroma<'a> {
    fn of(image: &'a Image) -> Self {
        let (size, format) = (image.size(), image.format());
        let (h, v) = if let PixelFormat::Yuv { h, v } = format { (h.into(), v.into()) } else { (2, 2) };
        let left = image.colour().site == ChromaSite::Left;
        let samples = |plane, kind| {
            let (bytes, stride) = image.plane(plane);
            Samples { bytes, stride, kind }
        };
        let (blue, red) = match format {
            PixelFormat::Nv12 => (samples(1, Kind::First), samples(1, Kind::Second)),
            _ => (samples(1, Kind::Single), samples(2, Kind::Single)),
        };
        Self {
            blue,
            red,
            sub: (h, v),
            size: ((size.width as usize).div_ceil(h), (size.height as usize).div_ceil(v)),
            weights: std::array::from_fn(|at| weights(at % h, h, left)),
            left,
            block: BLOCK - BLOCK % h,
        }
    }

    /// Makes the chroma of `len` pixels from column `x` on, which begins a block, of row `y`.
    #[inline(always)]
    fn rows(&self, y: usize, x: usize, len: usize, scratch: &mut Scratch) {
        let (h, v) = self.sub;
        let last = self.size.1 - 1;
        // Rows of samples above and below, and the weight of the latter.
        let (at, place) = (y / v, place(y % v, v, false));
        let (above, below, weight) =
            if place < 0 { (at.saturating_sub(1), at, FULL + place) } else { (at, (at + 1).min(last), place) };
        let (start, count) = (x / h, len.div_ceil(h));
        // The block's samples and a neighbour on each side, where there is one.
        let (from, to) = (start.saturating_sub(1), (start + count + 1).min(self.size.0));
        let Scratch { line, blue, red, .. } = scratch;
        for (samples, out) in [(self.blue, blue), (self.red, red)] {
            let mixed = &mut line[from + 1 - start..][..to - from];
            samples.mix((above, below, weight), from, mixed);
            // Beyond its border the picture goes on as it ends.
            if start == 0 {
                line[0] = line[1];
            }
            if start + count == self.size.0 {
                line[count + 1] = line[count];
            }
            self.spread(&line[..count + 2], out);
        }
    }

    /// Makes one sample a pixel out of one per `h` pixels; `line` has a neighbour on each side.
    #[inline(always)]
    fn spread(&self, line: &[i16], out: &mut [i16]) {
        let [a, b, c, d] = self.weights;
        match self.sub.0 {
            1 => spread_by(line, [a], out),
            2 => spread_by(line, [a, b], out),
            4 => spread_by(line, [a, b, c, d], out),
            sub => {
                for (at, pixel) in out.iter_mut().enumerate().take((line.len() - 2) * sub) {
                    *pixel = weigh(&line[at / sub..][..3], weights(at % sub, sub, self.left));
                }
            }
        }
    }
}

impl Samples<'_> {
    /// Mixes samples from `from` on of two rows, eight times as large; `weight` eighths are the second one's.
    #[inline(always)]
    fn mix(self, (above, below, weight): (usize, usize, i16), from: usize, out: &mut [i16]) {
        let rows = [above, below].map(|row| &self.bytes[row * self.stride..]);
        match self.kind {
            Kind::Single => mix_of::<1, 0>(rows, weight, from, out),
            Kind::First => mix_of::<2, 0>(rows, weight, from, out),
            Kind::Second => mix_of::<2, 1>(rows, weight, from, out),
        }
    }
}

/// [`Samples::mix`] of the samples that lie `STEP` bytes apart, the first one `AT` bytes from the rows' start.
#[inline(always)]
fn mix_of<const STEP: usize, const AT: usize>(rows: [&[u8]; 2], weight: i16, from: usize, out: &mut [i16]) {
    let [above, below] = rows.map(|row| &row.as_chunks::<STEP>().0[from..]);
    for ((out, a), b) in out.iter_mut().zip(above).zip(below) {
        *out = i16::from(a[AT]) * (FULL - weight) + i16::from(b[AT]) * weight;
    }
}

/// Where pixel `at` of the `sub` that share a chroma sample lies, seen from that sample, in eighths of the distance to
/// the next one: the sample is on the left-most of them or in their middle.
fn place(at: usize, sub: usize, left: bool) -> i16 {
    let (at, sub, full) = (at as i16, sub as i16, FULL);
    if left { at * full / sub } else { (2 * at + 1) * full / (2 * sub) - full / 2 }
}

/// What pixel `at` of the `sub` takes of the sample before, its own and the one behind, in eighths.
fn weights(at: usize, sub: usize, left: bool) -> [i16; 3] {
    let place = place(at, sub, left);
    [(-place).max(0), FULL - place.abs(), place.max(0)]
}

/// [`Chroma::spread`] with the number of pixels known.
#[inline(always)]
fn spread_by<const SUB: usize>(line: &[i16], weights: [[i16; 3]; SUB], out: &mut [i16]) {
    for (out, samples) in out.as_chunks_mut::<SUB>().0.iter_mut().zip(line.windows(3)) {
        *out = weights.map(|weights| weigh(samples, weights));
    }
}

/// Three neighbours, each eight times as large, to quarters around 0.
#[inline(always)]
fn weigh(samples: &[i16], weights: [i16; 3]) -> i16 {
    let sum: i16 = samples.iter().zip(weights).map(|(sample, weight)| sample * weight).sum();
    ((sum + 8) >> 4) - NEUTRAL
}
