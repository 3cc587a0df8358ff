//! YOLOX: one box per cell of strides 8, 16 and 32, with the grid still to be applied.
//!
//! Output `[N, R, 5 + classes]` float32, `R = Σ (width / s) × (height / s)`; a row: centre from the cell's corner and
//! logarithm of the size, in cells, then objectness and class probabilities (0..1). Source: `demo_postprocess` in
//! `yolox/utils/demo_utils.py` of Megvii-BaseDetection/YOLOX. Exports with the decoding built in are not handled.

use vigia_core::geometry::{BBox, Size};
use vigia_core::model::Family;

use super::grid::Grid;
use super::hits::{Hits, largest, largest_value};
use super::shape::{Dim, OutputSpec, Parts, sides_in_steps};
use super::{Built, DeclaredOutput, Decoder, HeadError};
use crate::nms::Scope;

const FAMILY: Family = Family::YoloX;
/// Numbers before the classes, the last of them the objectness.
pub(super) const NUMBERS: usize = 5;

#[derive(Debug)]
struct YoloX {
    grid: Grid,
    classes: usize,
}

pub(super) fn build(input: Size, outputs: &[DeclaredOutput]) -> Result<Built, HeadError> {
    sides_in_steps(FAMILY, input, 32, "sides are multiples of 32")?;
    let grid = Grid::new(input);
    let expected = [Dim::Is(grid.total()), Dim::Named("5 + classes")];
    let spec = OutputSpec::only(FAMILY, outputs, &expected)?;
    match spec.dim(1) {
        Some(width) if width > NUMBERS => Ok((Box::new(YoloX { grid, classes: width - NUMBERS }), vec![spec])),
        _ => Err(spec.refuse(FAMILY, &expected)),
    }
}

/// Offers rows of (4 box numbers, objectness, classes) with `score = objectness × best class`.
pub(super) fn scan_rows(rows: &[f32], classes: usize, hits: &mut Hits) {
    for (index, row) in rows.chunks_exact(NUMBERS + classes).enumerate() {
        // A class probability is 1 at most, so the objectness alone decides for most rows.
        let object = row[NUMBERS - 1];
        if object >= hits.floor() {
            hits.offer(object * largest_value(&row[NUMBERS..]), index);
        }
    }
}

impl Decoder for YoloX {
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits) {
        scan_rows(parts[0], self.classes, hits);
    }

    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)> {
        let cell = self.grid.cell(index)?;
        let row = parts[0].chunks_exact(NUMBERS + self.classes).nth(index)?;
        let bbox = BBox::from_centre(
            (cell.x + row[0]) * cell.stride,
            (cell.y + row[1]) * cell.stride,
            row[2].exp() * cell.stride,
            row[3].exp() * cell.stride,
        );
        let (_, class) = largest(row[NUMBERS..].iter().copied());
        Some((bbox, class as u32))
    }

    fn class_count(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn scope(&self) -> Option<Scope> {
        Some(Scope::AllClasses)
    }
}
