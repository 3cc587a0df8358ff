//! Which samples of a plane make a tensor pixel, and with what weights, per axis.
//!
//! A plane has its own grid: chroma is subsampled and may be sited at the left, a reduced JPEG shows several source
//! pixels per sample. [`Grid`] turns source positions into plane indices, so chroma is sampled where it lies.

use super::placement::Axis;

/// Bits of a row's weight.
const ROW_BITS: u32 = 15;
/// Bits of a column's weight.
pub(super) const COLUMN_BITS: u32 = 14;
/// Columns are made in blocks of this many.
pub(super) const BLOCK: usize = 16;
/// Samples behind a line's last one that kernels may read, with weight 0.
pub(super) const SLACK: usize = 2 * BLOCK;

/// One axis of a plane's sample grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Source pixels per sample.
    pub(super) step: f64,
    /// Position of the first sample, in samples from the picture's edge.
    pub(super) bias: f64,
    /// Samples.
    pub(super) len: usize,
}

impl Grid {
    /// The sample index (fractional) at a source position.
    fn index(&self, position: f64) -> f64 {
        position / self.step - self.bias
    }

    /// The sample before a source position and how far it is to the next, in units of 2^-bits.
    fn tap(&self, position: f64, bits: u32) -> (usize, i32) {
        let last = self.len - 1;
        let fixed = (self.index(position) * f64::from(1u32 << bits)).round().max(0.0) as u64;
        let at = (fixed >> bits) as usize;
        if at >= last { (last, 0) } else { (at, (fixed & ((1 << bits) - 1)) as i32) }
    }
}

/// A row of a plane mixed with the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowTap {
    /// The upper row.
    pub(super) row: usize,
    /// Weight of the lower row in 1/32768; at 0 it is not read.
    pub(super) weight: i16,
}

/// Fills `taps` with one entry per tensor row.
pub(super) fn rows(taps: &mut Vec<RowTap>, axis: &Axis, grid: &Grid) {
    taps.clear();
    taps.extend((axis.first..axis.first + axis.len).map(|d| {
        let (row, weight) = grid.tap(axis.position(d), ROW_BITS);
        RowTap { row, weight: weight as i16 }
    }));
}

/// How the columns can be fetched from a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fetch {
    /// Sample after sample, nothing to mix: the line itself.
    #[default]
    Direct,
    /// Each four columns lie within eight samples.
    Window,
    /// Farther apart.
    Gather,
}

/// The columns of a plane that make a tensor row; all vectors hold whole blocks.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// First sample of the row that is needed; indices below count from here.
    pub(super) base: usize,
    /// Samples that are needed.
    pub(super) width: usize,
    /// Tensor pixels.
    pub(super) len: usize,
    /// How to fetch.
    pub(super) fetch: Fetch,
    /// Left sample per tensor pixel; the right one is the next.
    pub(super) left: Vec<u32>,
    /// Weights of the left and the right sample in 1/16384, per tensor pixel.
    pub(super) weights: Vec<[i16; 2]>,
    /// For [`Fetch::Window`]: per four tensor pixels, the byte shuffle that makes (left, right) pairs out of the eight
    /// samples from the first one's left sample on.
    pub(super) shuffles: Vec<[u8; 16]>,
}

impl Columns {
    /// Computes the table.
    pub(super) fn fill(&mut self, axis: &Axis, grid: &Grid) {
        self.left.clear();
        self.weights.clear();
        self.shuffles.clear();
        self.len = axis.len;
        for d in axis.first..axis.first + axis.len {
            let (left, weight) = grid.tap(axis.position(d), COLUMN_BITS);
            self.left.push(left as u32);
            self.weights.push([(1 << COLUMN_BITS) - weight as i16, weight as i16]);
        }
        let (Some(&first), Some(&last)) = (self.left.first(), self.left.last()) else {
            (self.base, self.width) = (0, 0);
            return;
        };
        self.base = first as usize;
        self.width = ((last - first) as usize + 2).min(grid.len - self.base);
        let whole = axis.len.next_multiple_of(BLOCK);
        self.left.resize(whole, last);
        self.weights.resize(whole, [1 << COLUMN_BITS, 0]);
        self.left.iter_mut().for_each(|left| *left -= first);

        let direct = |(i, (&left, weight)): (usize, (&u32, &[i16; 2]))| left as usize == i && weight[1] == 0;
        let near = |four: &[u32]| four.iter().all(|&left| left - four[0] <= 6);
        self.fetch = if self.left.iter().zip(&self.weights).take(self.len).enumerate().all(direct) {
            Fetch::Direct
        } else if self.left.chunks_exact(4).all(near) {
            self.shuffles.extend(self.left.chunks_exact(4).map(shuffle));
            Fetch::Window
        } else {
            Fetch::Gather
        };
    }
}

fn shuffle(four: &[u32]) -> [u8; 16] {
    // Each tensor pixel takes four bytes, two samples, from its distance to the window's start.
    std::array::from_fn(|byte| ((four[byte / 4] - four[0]) * 2) as u8 + (byte % 4) as u8)
}

/// Runs of samples with their weights, one run per tensor pixel, all of the same length.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// First sample of each run.
    pub(super) first: Vec<u32>,
    /// Samples in a run, at least 1. The last runs may pass the plane's end, with weight 0 there.
    pub(super) count: usize,
    /// The weights, run after run; those of one run add up to 1.
    pub(super) weights: Vec<f32>,
    /// Scratch: one run before it is normalised.
    run: Vec<f64>,
}

impl Runs {
    /// Computes the mean over what each tensor pixel covers. `smooth` takes the samples as points of an interpolated
    /// surface (chroma, and planes that must be enlarged), otherwise as squares (what `INTER_AREA` does).
    pub(super) fn fill(&mut self, axis: &Axis, grid: &Grid, smooth: bool) {
        self.first.clear();
        self.weights.clear();
        let pixels = axis.first..axis.first + axis.len;
        self.count = pixels.clone().map(|d| self.cover(axis, grid, smooth, d).1).max().unwrap_or(1);
        for d in pixels {
            let (first, count) = self.cover(axis, grid, smooth, d);
            self.first.push(first);
            self.weights.extend(self.run.iter().map(|&w| w as f32));
            self.weights.extend(std::iter::repeat_n(0.0, self.count - count));
        }
    }

    /// Puts the weights of tensor pixel `d` into `run`; returns its first sample and how many there are.
    fn cover(&mut self, axis: &Axis, grid: &Grid, smooth: bool, d: usize) -> (u32, usize) {
        let last = grid.len as i64 - 1;
        let (from, to) = axis.interval(d);
        // What lies beyond the plane shows its edge.
        let within = |position: f64| grid.index(position).clamp(-1.0, last as f64 + 1.0);
        let (from, to) = (within(from), within(to));
        let integral = if smooth { hat } else { square };
        let reach = if smooth { 1.0 } else { 0.5 };
        let (first, end) = ((from - reach + 1e-6).ceil() as i64, (to + reach - 1e-6).floor() as i64);
        let lowest = first.clamp(0, last);
        self.run.clear();
        self.run.resize((end.clamp(lowest, last) - lowest) as usize + 1, 0.0);
        let mut sum = 0.0;
        for j in first..=end {
            let weight = integral(to - j as f64) - integral(from - j as f64);
            self.run[(j.clamp(lowest, last) - lowest) as usize] += weight;
            sum += weight;
        }
        if sum > 1e-9 {
            for weight in &mut self.run {
                *weight /= sum;
            }
        } else {
            // Covers nothing: a picture thinner than the arithmetic can tell. Any of its samples will do.
            self.run.clear();
            self.run.push(1.0);
        }
        (lowest as u32, self.run.len())
    }

    /// The runs: first sample and weights.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.first.iter().map(|&first| first as usize).zip(self.weights.chunks_exact(self.count.max(1)))
    }
}

/// The integral from the left over a square of width 1 around 0.
fn square(x: f64) -> f64 {
    (x + 0.5).clamp(0.0, 1.0)
}

/// The integral from the left over the hat from -1 over 0 (height 1) to 1.
fn hat(x: f64) -> f64 {
    let x = x.clamp(-1.0, 1.0);
    if x < 0.0 { (x + 1.0) * (x + 1.0) / 2.0 } else { 1.0 - (1.0 - x) * (1.0 - x) / 2.0 }
}
