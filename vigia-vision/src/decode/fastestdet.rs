//! `FastestDet`: one map of cells, each with one box.
//!
//! Output `[N, 5 + classes, H, W]` float32, `W = width / 16`, `H = height / 16`; channels: objectness 0..1, x and y before
//! tanh (from the cell's corner, in cells), width and height before sigmoid (of the whole input), then class
//! probabilities. Source: `utils/tool.py` (`handle_preds`) of dog-qiuqiu/FastestDet.

use vigia_core::geometry::{BBox, Size};
use vigia_core::model::Family;

use super::hits::{Hits, largest, sigmoid};
use super::shape::{Dim, OutputSpec, Parts, sides_in_steps};
use super::{Built, DeclaredOutput, Decoder, HeadError};
use crate::nms::Scope;

const FAMILY: Family = Family::FastestDet;
const STRIDE: u32 = 16;
/// Channels before the classes.
const NUMBERS: usize = 5;
/// `score = objectness^0.6 × class^0.4`.
const OBJECT_POWER: f32 = 0.6;
const CLASS_POWER: f32 = 0.4;

#[derive(Debug)]
struct FastestDet {
    input: Size,
    columns: usize,
    rows: usize,
    classes: usize,
}

pub(super) fn build(input: Size, outputs: &[DeclaredOutput]) -> Result<Built, HeadError> {
    sides_in_steps(FAMILY, input, 32, "sides are multiples of 32")?;
    let (columns, rows) = ((input.width / STRIDE) as usize, (input.height / STRIDE) as usize);
    let expected = [Dim::Named("5 + classes"), Dim::Is(rows), Dim::Is(columns)];
    let spec = OutputSpec::only(FAMILY, outputs, &expected)?;
    match spec.dim(0) {
        Some(channels) if channels > NUMBERS => {
            let decoder = FastestDet { input, columns, rows, classes: channels - NUMBERS };
            Ok((Box::new(decoder), vec![spec]))
        }
        _ => Err(spec.refuse(FAMILY, &expected)),
    }
}

impl FastestDet {
    fn cells(&self) -> usize {
        self.columns * self.rows
    }

    /// Probability and number of a cell's best class.
    fn class(&self, part: &[f32], cell: usize) -> (f32, usize) {
        let cells = self.cells();
        largest((0..self.classes).map(|class| part[(NUMBERS + class) * cells + cell]))
    }
}

impl Decoder for FastestDet {
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits) {
        // A class probability is 1 at most, so the objectness alone decides for most cells.
        let coarse = hits.floor().max(0.0).powf(1.0 / OBJECT_POWER) * (1.0 - 1e-5);
        for (cell, &object) in parts[0][..self.cells()].iter().enumerate() {
            if object >= coarse {
                let (class, _) = self.class(parts[0], cell);
                hits.offer(object.powf(OBJECT_POWER) * class.powf(CLASS_POWER), cell);
            }
        }
    }

    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)> {
        let cells = self.cells();
        let t = |number: usize| parts[0][number * cells + index];
        let (width, height) = (self.input.width as f32, self.input.height as f32);
        let bbox = BBox::from_centre(
            ((index % self.columns) as f32 + t(1).tanh()) / self.columns as f32 * width,
            ((index / self.columns) as f32 + t(2).tanh()) / self.rows as f32 * height,
            sigmoid(t(3)) * width,
            sigmoid(t(4)) * height,
        );
        let (_, class) = self.class(parts[0], index);
        Some((bbox, class as u32))
    }

    fn class_count(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn scope(&self) -> Option<Scope> {
        Some(Scope::AllClasses)
    }
}
