//! Which samples of a plane make a tensor pixel, and with what weights, per axis.
//!
//! A plane has its own grid: chroma is subsampled and may be sited at the left, a reduced JPEG shows several source
//! pixels per sample. [`Grid`] turns source positions into plane indices, so chroma is sampled where it lies.

use super::area::Runs;
use super::placement::Axis;

/// Bits of a row's weight.
const ROW_BITS: u32 = 15;
/// Bits of a column's weight, and of a row's that is part of an area.
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
    pub(super) fn index(&self, position: f64) -> f64 {
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
    /// Each four columns begin within seven samples.
    Window,
    /// One pair of samples per column, farther apart.
    Gather,
    /// Any number of pairs, farther apart: eight samples of one column at a time.
    Each,
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
    /// First sample per tensor pixel; the others follow it.
    pub(super) left: Vec<u32>,
    /// Pairs of samples per tensor pixel: one for bilinear sampling, as many as it takes for an area.
    pub(super) pairs: usize,
    /// Weights of the left and the right sample of a pair in 1/16384; those of a tensor pixel add up to 1. First the first
    /// [`Self::group`] pairs of each tensor pixel, then the next ones of each, and so on.
    pub(super) weights: Vec<[i16; 2]>,
    /// For [`Fetch::Window`]: per four tensor pixels, the byte shuffle that makes (left, right) pairs out of the eight
    /// samples from the first one's left sample on.
    pub(super) shuffles: Vec<[u8; 16]>,
}

/// Pairs that are fetched at once for [`Fetch::Each`].
pub(super) const EACH: usize = 4;

impl Columns {
    /// Computes the table for bilinear sampling.
    pub(super) fn fill(&mut self, axis: &Axis, grid: &Grid) {
        self.left.clear();
        self.weights.clear();
        for d in axis.first..axis.first + axis.len {
            let (left, weight) = grid.tap(axis.position(d), COLUMN_BITS);
            self.left.push(left as u32);
            self.weights.push([(1 << COLUMN_BITS) - weight as i16, weight as i16]);
        }
        self.pairs = 1;
        self.place(2);
        self.width = self.width.min(grid.len - self.base);
        self.weights.resize(self.left.len(), [0; 2]);
        if self.fetch == Fetch::Each {
            self.fetch = Fetch::Gather;
        }
    }

    /// Takes the table of an area over.
    pub(super) fn fill_runs(&mut self, runs: &Runs) {
        self.left.clear();
        self.left.extend(&runs.first);
        self.weights.clear();
        self.pairs = 1;
        if runs.count <= 2 {
            self.weights.extend(runs.weights.chunks_exact(runs.count).map(|run| pair(run, 0)));
        }
        self.place(runs.count);
        if self.fetch == Fetch::Direct {
            return;
        }
        let group = self.group();
        self.pairs = runs.count.div_ceil(2).next_multiple_of(group);
        self.weights.clear();
        for first in (0..self.pairs).step_by(group) {
            for run in runs.weights.chunks_exact(runs.count) {
                self.weights.extend((first..first + group).map(|at| pair(run, at)));
            }
            self.weights.resize((first + group) * self.left.len(), [0; 2]);
        }
    }

    /// Pairs of a tensor pixel whose weights stand side by side.
    pub(super) fn group(&self) -> usize {
        if self.fetch == Fetch::Each { EACH } else { 1 }
    }

    /// Given the first samples of all tensor pixels, which have `count` each, finds what is needed of a row and how to fetch
    /// it, and completes the last block.
    fn place(&mut self, count: usize) {
        self.len = self.left.len();
        self.shuffles.clear();
        let (Some(&first), Some(&last)) = (self.left.iter().min(), self.left.iter().max()) else {
            (self.base, self.width) = (0, 0);
            return;
        };
        self.base = first as usize;
        self.width = (last - first) as usize + count;
        self.left.resize(self.len.next_multiple_of(BLOCK), last);
        self.left.iter_mut().for_each(|left| *left -= first);

        let direct = |(i, (&left, weight)): (usize, (&u32, &[i16; 2]))| left as usize == i && weight[1] == 0;
        let near = |four: &[u32]| four.iter().all(|&left| left.wrapping_sub(four[0]) <= 6);
        self.fetch = if self.weights.len() == self.len && self.left.iter().zip(&self.weights).enumerate().all(direct) {
            Fetch::Direct
        } else if self.left.chunks_exact(4).all(near) {
            self.shuffles.extend(self.left.chunks_exact(4).map(shuffle));
            Fetch::Window
        } else {
            Fetch::Each
        };
    }
}

/// The weights of pair `at` of a run.
fn pair(run: &[i16], at: usize) -> [i16; 2] {
    [2 * at, 2 * at + 1].map(|i| run.get(i).copied().unwrap_or(0))
}

fn shuffle(four: &[u32]) -> [u8; 16] {
    // Each tensor pixel takes four bytes, two samples, from its distance to the window's start.
    std::array::from_fn(|byte| ((four[byte / 4] - four[0]) * 2) as u8 + (byte % 4) as u8)
}
