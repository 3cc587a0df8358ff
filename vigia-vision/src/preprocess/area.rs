//! The mean of the covered area, for pictures that shrink on both axes (OpenCV's `INTER_AREA`): weighted sums of whole
//! rows, then of runs of columns, in f32.
#![expect(clippy::inline_always, reason = "loops must be compiled inside the functions of each instruction set")]

use super::colour::{Finish, UNIT};
use super::kernels::Isa;
use super::placement::{Axis, Placement};
use super::planes::{Grids, Kind, Plane, Planes};
use super::taps::{Grid, Runs};

/// Tables of planes that share a grid.
#[derive(Debug, Default)]
struct Taps {
    rows: Runs,
    columns: Runs,
    /// First sample of a row that is needed, and how many.
    base: usize,
    width: usize,
    /// Sums that runs of columns refer to.
    sums: usize,
}

impl Taps {
    /// Tables for one plane's grid; `first` is the grid of the first plane.
    fn fill(&mut self, placement: &Placement, (x, y): (Grid, Grid), first: (Grid, Grid)) {
        let smooth_x = smooth(&placement.x, &x, &first.0);
        let smooth_y = smooth(&placement.y, &y, &first.1);
        self.rows.fill(&placement.y, &y, smooth_y);
        self.columns.fill(&placement.x, &x, smooth_x);
        self.base = self.columns.first.iter().min().map_or(0, |&first| first as usize);
        for first in &mut self.columns.first {
            *first -= self.base as u32;
        }
        // Runs may pass the plane's end: there, sums are made of nothing.
        self.sums = self.columns.first.iter().max().map_or(0, |&first| first as usize + self.columns.count);
        self.width = self.sums.min(x.len - self.base);
    }
}

/// Whether samples are points of an interpolated surface: subsampled chroma, which is never repeated, and a reduced plane
/// that has to grow.
fn smooth(axis: &Axis, grid: &Grid, first: &Grid) -> bool {
    let covered = match axis.len {
        0 => 0.0,
        len => axis.interval(axis.first + len - 1).1 - axis.interval(axis.first).0,
    };
    grid.step > first.step || covered / grid.step + 1e-6 < axis.len as f64
}

/// Tables and scratch of area sampling.
#[derive(Debug, Default)]
pub(super) struct Area {
    first: Taps,
    chroma: Taps,
    /// One row of sums, channels interleaved as in the plane.
    sums: Vec<f32>,
    /// Tensor columns per channel.
    lines: [Vec<f32>; 3],
}

impl Area {
    /// Computes the tables.
    pub(super) fn prepare(&mut self, placement: &Placement, grids: &Grids) {
        self.first.fill(placement, grids.first, grids.first);
        if let Some(chroma) = grids.chroma {
            self.chroma.fill(placement, chroma, grids.first);
        }
        self.sums.resize(3 * self.first.sums.max(self.chroma.sums), 0.0);
        for line in &mut self.lines {
            line.resize(placement.x.len, 0.0);
        }
    }

    /// Makes row `d` of the shown part.
    pub(super) fn row(
        &mut self,
        isa: Isa,
        planes: &Planes<'_>,
        kind: Kind,
        d: usize,
        f: &Finish,
        out: [&mut [f32]; 3],
    ) {
        self.fetch(isa, planes.first(), 0, d);
        for (index, &plane) in planes.chroma().iter().enumerate() {
            self.fetch(isa, plane, 1 + index, d);
        }
        let [a, b, c] = &self.lines;
        match kind {
            Kind::Yuv => isa.yuv_mean(f, [a, b, c], out),
            Kind::Rgb { swap: false } => isa.rgb_mean(f, [a, b, c], out),
            Kind::Rgb { swap: true } => isa.rgb_mean(f, [c, b, a], out),
            Kind::Gray => isa.gray_mean(f, a, out),
        }
    }

    fn fetch(&mut self, isa: Isa, plane: Plane<'_>, line: usize, d: usize) {
        let taps = if line == 0 { &self.first } else { &self.chroma };
        let sums = &mut self.sums[..taps.sums * plane.channels];
        sums.fill(0.0);
        if let Some((row, weights)) = taps.rows.iter().nth(d) {
            for (row, &weight) in (row..).zip(weights).filter(|(_, weight)| **weight > 0.0) {
                isa.accumulate(sums, plane.row(row, taps.base, taps.width), weight);
            }
        }
        for (channel, line) in self.lines[line..line + plane.channels].iter_mut().enumerate() {
            isa.average(&sums[channel..], plane.channels, &taps.columns, line);
        }
    }
}

/// The weighted mean of each run of `sums`, whose samples are `step` apart.
#[inline(always)]
pub(super) fn average(sums: &[f32], step: usize, columns: &Runs, out: &mut [f32]) {
    match columns.count {
        1 => average_of::<1>(sums, step, columns, out),
        2 => average_of::<2>(sums, step, columns, out),
        3 => average_of::<3>(sums, step, columns, out),
        4 => average_of::<4>(sums, step, columns, out),
        5 => average_of::<5>(sums, step, columns, out),
        6 => average_of::<6>(sums, step, columns, out),
        _ => {
            for (out, (first, weights)) in out.iter_mut().zip(columns.iter()) {
                let samples = sums[first * step..].iter().step_by(step);
                *out = samples.zip(weights).fold(0.0, |sum, (s, w)| sum + s * w) * UNIT;
            }
        }
    }
}

/// The same with a number of samples that the compiler knows.
#[inline(always)]
fn average_of<const N: usize>(sums: &[f32], step: usize, columns: &Runs, out: &mut [f32]) {
    let (weights, _) = columns.weights.as_chunks::<N>();
    for ((out, &first), weights) in out.iter_mut().zip(&columns.first).zip(weights) {
        let samples = &sums[first as usize * step..][..=(N - 1) * step];
        let mut sum = 0.0;
        for (i, weight) in weights.iter().enumerate() {
            sum += samples[i * step] * weight;
        }
        *out = sum * UNIT;
    }
}
