//! Ultralytics' exports: `YOLOv5` rows, `YOLOv8` columns (also 9, 11 and 12), and rows with built-in NMS (also 10 and 26).
//!
//! Box numbers are in pixels of the input, scores are 0..1. Source: Ultralytics' documentation of `export` and `predict`
//! (`conf` 0.25, `iou` 0.7, `max_det` 300, one label per box, suppression per class) and `YOLOv5`'s `detect.py`.

use vigia_core::geometry::{BBox, Size};
use vigia_core::model::Family;

use super::grid::cells;
use super::hits::{Hits, largest};
use super::shape::{Dim, OutputSpec, Parts};
use super::yolox::{NUMBERS, scan_rows};
use super::{Built, DeclaredOutput, Decoder, HeadError};
use crate::nms::Scope;

/// The sets of strides that Ultralytics' model files have: P3–P5, P3–P6 and P2–P5.
const PYRAMIDS: &[&[usize]] = &[&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32]];
/// The same with P4–P5 of `yolov3-tinyu`. Not for rows: a single class over 160x128 would be 300 rows of 6, as with NMS.
const COLUMN_PYRAMIDS: &[&[usize]] = &[&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32], &[16, 32]];
/// Anchors per cell of `YOLOv5`.
const V5_ANCHORS: usize = 3;
/// Numbers before the classes of a column.
const V8_NUMBERS: usize = 4;
/// Numbers of a finished row.
const FINISHED_NUMBERS: usize = 6;
/// Highest class number that a finished row may have; more is no class number.
const MAX_CLASS: f32 = 65_535.0;

/// Numbers of cells that an input of this size can have, with those pyramids that divide it.
fn possible_cells(input: Size, pyramids: &'static [&'static [usize]]) -> impl Iterator<Item = usize> {
    let divides = move |strides: &&&[usize]| {
        let largest = strides.last().map_or(1, |s| *s as u32);
        input.width.is_multiple_of(largest) && input.height.is_multiple_of(largest) && input.pixels() > 0
    };
    pyramids.iter().filter(divides).map(move |strides| strides.iter().map(|&s| cells(input, s)).sum())
}

/// `[N, R, 5 + classes]`, `R = 3 × cells`: rows of centre x, y, width, height, objectness, class probabilities.
#[derive(Debug)]
struct Rows {
    classes: usize,
}

pub(super) fn build_rows(input: Size, outputs: &[DeclaredOutput]) -> Result<Built, HeadError> {
    let family = Family::YoloV5;
    let expected = [Dim::Named("3 x cells"), Dim::Named("5 + classes")];
    let spec = OutputSpec::only(family, outputs, &expected)?;
    let known = |rows: usize| possible_cells(input, PYRAMIDS).any(|cells| V5_ANCHORS * cells == rows);
    match (spec.dim(0), spec.dim(1)) {
        (rows, Some(width)) if rows.is_none_or(known) && width > NUMBERS => {
            Ok((Box::new(Rows { classes: width - NUMBERS }), vec![spec]))
        }
        _ => {
            Err(spec.refuse(family, &first_guess(input, |cells| [Dim::Is(V5_ANCHORS * cells), expected[1]], expected)))
        }
    }
}

impl Decoder for Rows {
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits) {
        scan_rows(parts[0], self.classes, hits);
    }

    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)> {
        let row = parts[0].chunks_exact(NUMBERS + self.classes).nth(index)?;
        let (_, class) = largest(row[NUMBERS..].iter().copied());
        Some((BBox::from_centre(row[0], row[1], row[2], row[3]), class as u32))
    }

    fn class_count(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn scope(&self) -> Option<Scope> {
        Some(Scope::PerClass)
    }
}

/// `[N, 4 + classes, C]`, `C = cells`: columns of centre x, y, width, height, class probabilities.
#[derive(Debug)]
struct Columns {
    classes: usize,
}

/// Columns that are scanned together: 4 KiB of running maxima, which stay in the first-level cache.
const BLOCK: usize = 1024;

pub(super) fn build_columns(input: Size, outputs: &[DeclaredOutput]) -> Result<Built, HeadError> {
    let family = Family::YoloV8;
    let expected = [Dim::Named("4 + classes"), Dim::Named("cells")];
    let spec = OutputSpec::only(family, outputs, &expected)?;
    match (spec.dim(0), spec.dim(1)) {
        // As many numbers as cells would be rows of another family over a very small input.
        (Some(numbers), cells)
            if numbers > V8_NUMBERS
                && cells.is_none_or(|n| numbers < n && possible_cells(input, COLUMN_PYRAMIDS).any(|c| c == n)) =>
        {
            Ok((Box::new(Columns { classes: numbers - V8_NUMBERS }), vec![spec]))
        }
        _ => Err(spec.refuse(family, &first_guess(input, |cells| [expected[0], Dim::Is(cells)], expected))),
    }
}

impl Columns {
    fn cells(&self, part: &[f32]) -> usize {
        part.len() / (V8_NUMBERS + self.classes)
    }
}

impl Decoder for Columns {
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits) {
        let cells = self.cells(parts[0]);
        if cells == 0 {
            return;
        }
        let scores = &parts[0][V8_NUMBERS * cells..];
        let mut maxima = [0.0; BLOCK];
        for first in (0..cells).step_by(BLOCK) {
            let end = cells.min(first + BLOCK);
            let best = &mut maxima[..end - first];
            best.fill(f32::NEG_INFINITY);
            // Class by class over neighbouring cells: contiguous memory, so vector instructions. NaN never wins.
            for class in scores.chunks_exact(cells) {
                for (best, &score) in best.iter_mut().zip(&class[first..end]) {
                    *best = if score > *best { score } else { *best };
                }
            }
            for (cell, &score) in best.iter().enumerate() {
                hits.offer(score, first + cell);
            }
        }
    }

    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)> {
        let cells = self.cells(parts[0]);
        let at = |number: usize| parts[0][number * cells + index];
        let (_, class) = largest((0..self.classes).map(|class| at(V8_NUMBERS + class)));
        Some((BBox::from_centre(at(0), at(1), at(2), at(3)), class as u32))
    }

    fn class_count(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn scope(&self) -> Option<Scope> {
        Some(Scope::PerClass)
    }
}

/// `[N, R, 6]`: finished rows of x1, y1, x2, y2, confidence, class; unused rows are zero.
#[derive(Debug)]
struct Finished;

pub(super) fn build_finished(input: Size, outputs: &[DeclaredOutput]) -> Result<Built, HeadError> {
    let family = Family::YoloNms;
    let expected = [Dim::Named("rows"), Dim::Is(FINISHED_NUMBERS)];
    let spec = OutputSpec::only(family, outputs, &expected)?;
    // A row for each cell is YOLOX or YOLOv5 with a single class.
    let grid = |rows: usize| possible_cells(input, PYRAMIDS).any(|cells| rows == cells || rows == V5_ANCHORS * cells);
    if spec.dim(0).is_some_and(grid) {
        return Err(spec.refuse(family, &expected));
    }
    Ok((Box::new(Finished), vec![spec]))
}

impl Decoder for Finished {
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits) {
        for (index, row) in parts[0].chunks_exact(FINISHED_NUMBERS).enumerate() {
            hits.offer(row[4], index);
        }
    }

    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)> {
        let row = parts[0].chunks_exact(FINISHED_NUMBERS).nth(index)?;
        let class = row[5].round();
        let bbox = BBox { x1: row[0], y1: row[1], x2: row[2], y2: row[3] };
        (0.0..=MAX_CLASS).contains(&class).then_some((bbox, class as u32))
    }

    fn class_count(&self) -> Option<usize> {
        None
    }

    fn scope(&self) -> Option<Scope> {
        None
    }
}

/// For messages: the shape with the usual strides, if the input's size allows it.
fn first_guess(input: Size, shape: impl Fn(usize) -> [Dim; 2], otherwise: [Dim; 2]) -> [Dim; 2] {
    possible_cells(input, PYRAMIDS).next().map_or(otherwise, shape)
}
