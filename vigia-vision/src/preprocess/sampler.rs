//! Sampling, row by row of the tensor: vertical first, into a line of the needed columns, then horizontal.

use super::area::Runs;
use super::colour::Finish;
use super::kernels::Isa;
use super::placement::Placement;
use super::planes::{Grids, Kind, Plane, Planes};
use super::taps::{self, BLOCK, Columns, Fetch, Grid, RowTap, SLACK};

/// Tables of planes that share a grid.
#[derive(Debug, Default)]
struct Taps {
    /// Two rows for each of the tensor's, unless areas are averaged.
    rows: Vec<RowTap>,
    columns: Columns,
    /// For areas: the rows, and the columns as they are computed.
    rows_covered: Runs,
    columns_covered: Runs,
}

impl Taps {
    /// Tables for one plane's grid; `first` is the grid of the first plane.
    fn fill(&mut self, placement: &Placement, (x, y): (Grid, Grid), first: (Grid, Grid)) {
        if placement.area {
            self.rows_covered.fill(&placement.y, &y, &first.1);
            self.columns_covered.fill(&placement.x, &x, &first.0);
            self.columns.fill_runs(&self.columns_covered);
        } else {
            taps::rows(&mut self.rows, &placement.y, &y);
            self.columns.fill(&placement.x, &x);
        }
    }
}

/// One row of one channel on its way.
#[derive(Debug, Default)]
struct Line {
    /// Source columns, mixed vertically.
    source: Vec<i16>,
    /// Tensor columns, unless the source columns serve as they are.
    tensor: Vec<i16>,
}

impl Line {
    fn reserve(&mut self, columns: &Columns) {
        // Contents do not matter: kernels read behind the end only with weight 0.
        self.source.resize(columns.width + SLACK, 0);
        self.tensor.resize(columns.len.next_multiple_of(BLOCK), 0);
    }

    fn resample(&mut self, isa: Isa, columns: &Columns) {
        if columns.fetch != Fetch::Direct {
            isa.resample(&self.source, columns, &mut self.tensor);
        }
    }

    fn get(&self, columns: &Columns) -> &[i16] {
        let row = if columns.fetch == Fetch::Direct { &self.source } else { &self.tensor };
        &row[..columns.len]
    }
}

/// Tables and scratch of sampling; rows of scratch, never pictures.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// Means of the covered area, not mixtures of the nearest samples.
    area: bool,
    first: Taps,
    chroma: Taps,
    lines: [Line; 3],
    /// Interleaved channels, mixed vertically.
    mixed: Vec<i16>,
    /// What `lines` were made from.
    held: [Option<RowTap>; 3],
}

impl Sampler {
    /// Computes the tables.
    pub(super) fn prepare(&mut self, placement: &Placement, grids: &Grids) {
        self.area = placement.area;
        self.first.fill(placement, grids.first, grids.first);
        if let Some(chroma) = grids.chroma {
            self.chroma.fill(placement, chroma, grids.first);
        }
        for (index, line) in self.lines.iter_mut().enumerate() {
            let chroma = index > 0 && grids.chroma.is_some();
            line.reserve(if chroma { &self.chroma.columns } else { &self.first.columns });
        }
        let widest = self.first.columns.width.max(self.chroma.columns.width);
        self.mixed.resize(3 * widest, 0);
    }

    /// Forgets the lines of the picture before.
    pub(super) fn begin(&mut self) {
        self.held = [None; 3];
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
        let (first, chroma) = (&self.first.columns, &self.chroma.columns);
        match kind {
            Kind::Yuv => isa.yuv(f, [a.get(first), b.get(chroma), c.get(chroma)], out),
            Kind::Rgb { swap: false } => isa.rgb(f, [a.get(first), b.get(first), c.get(first)], out),
            Kind::Rgb { swap: true } => isa.rgb(f, [c.get(first), b.get(first), a.get(first)], out),
            Kind::Gray => isa.gray(f, a.get(first), out),
        }
    }

    /// Brings row `d` of a plane into the lines from `line` on.
    fn fetch(&mut self, isa: Isa, plane: Plane<'_>, line: usize, d: usize) {
        let taps = if line == 0 { &self.first } else { &self.chroma };
        let columns = &taps.columns;
        if !self.area && self.held[line].replace(taps.rows[d]) == Some(taps.rows[d]) {
            return;
        }
        let lines = &mut self.lines[line..line + plane.channels];
        let count = columns.width * plane.channels;
        let mixed = if plane.channels == 1 { &mut lines[0].source } else { &mut self.mixed };
        let mixed = &mut mixed[..count];
        if self.area {
            let (row, weights) = taps.rows_covered.trimmed(d);
            isa.mix(plane.rows(row, weights.len(), columns.base, columns.width), weights, mixed);
        } else {
            let tap = taps.rows[d];
            let upper = plane.row(tap.row, columns.base, columns.width);
            if tap.weight == 0 {
                isa.widen(upper, mixed);
            } else {
                let lower = plane.row(tap.row + 1, columns.base, columns.width);
                isa.blend(upper, lower, tap.weight, mixed);
            }
        }
        match lines {
            [a, b] => isa.split2(&self.mixed[..count], &mut a.source, &mut b.source),
            [a, b, c] => isa.split3(&self.mixed[..count], &mut a.source, &mut b.source, &mut c.source),
            _ => {}
        }
        for line in lines {
            line.resample(isa, columns);
        }
    }
}
