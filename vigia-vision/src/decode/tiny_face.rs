//! face-api's tiny face detector: a `YOLOv2` head with five anchors and one class.
//!
//! Output `[N, 25, S, S]` float32, `S = side / 32`; the channels of anchor `a` are `5a .. 5a + 4`: x, y, width, height,
//! score, all before their sigmoid or exponential. Source: `TinyYolov2Base.extractBoxes` and `tinyFaceDetector/const.ts`
//! of `@vladmandic/face-api` 1.7.15.

use vigia_core::geometry::{BBox, Size};
use vigia_core::model::Family;

use super::hits::{Hits, sigmoid};
use super::shape::{Dim, OutputSpec, Parts, sides_in_steps};
use super::{Built, DeclaredOutput, Decoder, HeadError};
use crate::nms::Scope;

const FAMILY: Family = Family::TinyFace;
const STRIDE: u32 = 32;
/// Numbers per anchor.
const NUMBERS: usize = 5;
/// Width and height in cells.
const ANCHORS: [(f32, f32); 5] = [
    (1.603_231, 2.094_468),
    (6.041_143, 7.080_126),
    (2.882_459, 3.518_061),
    (4.266_906, 5.178_857),
    (9.041_765, 10.663_08),
];

#[derive(Debug)]
struct TinyFace {
    /// Cells in a row, and rows.
    side: usize,
}

pub(super) fn build(input: Size, outputs: &[DeclaredOutput]) -> Result<Built, HeadError> {
    let needs = "sides are equal and multiples of 32";
    sides_in_steps(FAMILY, input, STRIDE, needs)?;
    if input.width != input.height {
        return Err(HeadError::Input { family: FAMILY, size: input, needs });
    }
    let side = (input.width / STRIDE) as usize;
    let spec = OutputSpec::only(FAMILY, outputs, &[Dim::Is(ANCHORS.len() * NUMBERS), Dim::Is(side), Dim::Is(side)])?;
    Ok((Box::new(TinyFace { side }), vec![spec]))
}

impl TinyFace {
    fn cells(&self) -> usize {
        self.side * self.side
    }
}

impl Decoder for TinyFace {
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits) {
        let cells = self.cells();
        // Most cells are told apart before the exponential; the margin covers what rounding may do to the logit.
        let floor = hits.floor();
        let logit = (floor / (1.0 - floor)).ln();
        let coarse = if logit.is_finite() { logit - 1e-3 } else { f32::NEG_INFINITY };
        for (anchor, channels) in parts[0].chunks_exact(NUMBERS * cells).enumerate() {
            for (cell, &t) in channels[(NUMBERS - 1) * cells..].iter().enumerate() {
                if t >= coarse && t < f32::INFINITY {
                    hits.offer(sigmoid(t), anchor * cells + cell);
                }
            }
        }
    }

    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)> {
        let cells = self.cells();
        let (anchor, cell) = (index / cells, index % cells);
        let t = |number: usize| parts[0][(anchor * NUMBERS + number) * cells + cell];
        let (width, height) = ANCHORS[anchor];
        let pixels = STRIDE as f32;
        let bbox = BBox::from_centre(
            ((cell % self.side) as f32 + sigmoid(t(0))) * pixels,
            ((cell / self.side) as f32 + sigmoid(t(1))) * pixels,
            t(2).exp() * width * pixels,
            t(3).exp() * height * pixels,
        );
        Some((bbox, 0))
    }

    fn class_count(&self) -> Option<usize> {
        Some(1)
    }

    fn scope(&self) -> Option<Scope> {
        Some(Scope::AllClasses)
    }
}
