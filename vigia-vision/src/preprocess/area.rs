//! The mean of the covered area, for pictures that shrink on both axes (OpenCV's `INTER_AREA`), as tables: which samples
//! of a plane a tensor pixel covers and how much of each, per axis.

use super::placement::Axis;
use super::taps::{COLUMN_BITS, Grid};

/// Runs of samples with their weights, one run per tensor pixel, all of the same length. None passes the plane's end.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// First sample of each run.
    pub(super) first: Vec<u32>,
    /// Samples in a run, at least 1.
    pub(super) count: usize,
    /// The weights in 1/16384, run after run; those of one run add up to 1.
    pub(super) weights: Vec<i16>,
    /// Scratch: the weights of one run as they are computed.
    run: Vec<f64>,
}

impl Runs {
    /// Computes the mean over what each tensor pixel covers, in a plane with this grid; `first` is the grid of the image's
    /// first plane.
    pub(super) fn fill(&mut self, axis: &Axis, grid: &Grid, first: &Grid) {
        let smooth = smooth(axis, grid, first);
        let pixels = axis.first..axis.first + axis.len;
        self.count = pixels.clone().map(|d| self.cover(axis, grid, smooth, d).1).max().unwrap_or(1);
        self.first.clear();
        self.weights.clear();
        for d in pixels {
            let (first, count) = self.cover(axis, grid, smooth, d);
            // What a run has too many gets no weight: samples behind it, or before it at the plane's end.
            let start = first.min(grid.len - self.count);
            let before = first - start;
            self.first.push(start as u32);
            self.weights.extend(std::iter::repeat_n(0, before));
            // Whatever is rounded off one weight comes to the next one, so that nothing is lost.
            let (mut sum, mut given) = (0.0, 0);
            for weight in &self.run {
                sum += weight;
                let upto = (sum * f64::from(1 << COLUMN_BITS)).round() as i16;
                self.weights.push(upto - given);
                given = upto;
            }
            self.weights.extend(std::iter::repeat_n(0, self.count - before - count));
        }
    }

    /// The first sample of the run for tensor pixel `d` (from the first that is shown) and the weights, without zeros
    /// around them.
    pub(super) fn trimmed(&self, d: usize) -> (usize, &[i16]) {
        let run = &self.weights[d * self.count..][..self.count];
        let start = run.iter().position(|&weight| weight != 0).unwrap_or(0);
        let end = run.iter().rposition(|&weight| weight != 0).map_or(self.count, |last| last + 1);
        (self.first[d] as usize + start, &run[start..end])
    }

    /// Puts the weights of tensor pixel `d` into `run`; returns its first sample and how many there are.
    fn cover(&mut self, axis: &Axis, grid: &Grid, smooth: bool, d: usize) -> (usize, usize) {
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
        (lowest as usize, self.run.len())
    }
}

/// Whether samples are points of an interpolated surface rather than squares (what `INTER_AREA` takes them for):
/// subsampled chroma, which is never repeated, and a reduced plane that has to grow.
fn smooth(axis: &Axis, grid: &Grid, first: &Grid) -> bool {
    let covered = match axis.len {
        0 => 0.0,
        len => axis.interval(axis.first + len - 1).1 - axis.interval(axis.first).0,
    };
    grid.step > first.step || covered / grid.step + 1e-6 < axis.len as f64
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
