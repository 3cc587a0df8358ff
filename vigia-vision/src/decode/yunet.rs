//! OpenCV's `YuNet`: faces with five keypoints at strides 8, 16 and 32.
//!
//! Twelve outputs, float32, for `s` in 8, 16, 32 with `C = (width / s) × (height / s)` cells, row by row:
//! `cls_s [N, C, 1]`, `obj_s [N, C, 1]` (0..1), `bbox_s [N, C, 4]` (centre from the cell's corner and the logarithm of
//! the size, in cells), `kps_s [N, C, 10]` (x, y of right eye, left eye, nose, right and left corner of the mouth, from
//! the cell's corner, in cells; left and right are the person's own). Source: OpenCV `modules/objdetect/src/face_detect.cpp`.
//! Unlike there, boxes are not rounded to whole pixels before suppression.

use vigia_core::detection::Keypoint;
use vigia_core::geometry::{BBox, Mapping, Size};
use vigia_core::model::Family;

use super::grid::{Grid, STRIDES};
use super::hits::Hits;
use super::shape::{Dim, OutputSpec, Parts, place_of, sides_in_steps};
use super::{Built, DeclaredOutput, Decoder, HeadError};
use crate::nms::Scope;

const FAMILY: Family = Family::YuNet;
/// Kinds of output and their numbers per cell; the outputs are kept kind by kind, each in the order of the strides.
const KINDS: [(&str, usize); 4] = [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)];
const CLS: usize = 0;
const OBJ: usize = 3;
const BBOX: usize = 6;
const KPS: usize = 9;

#[derive(Debug)]
struct YuNet {
    grid: Grid,
}

pub(super) fn build(input: Size, outputs: &[DeclaredOutput]) -> Result<Built, HeadError> {
    sides_in_steps(FAMILY, input, 32, "sides are multiples of 32")?;
    let expected = KINDS.len() * STRIDES.len();
    if outputs.len() != expected {
        return Err(HeadError::OutputCount { family: FAMILY, expected, found: outputs.len() });
    }
    let grid = Grid::new(input);
    let mut specs = Vec::with_capacity(expected);
    for (kind, numbers) in KINDS {
        for (stride, cells) in STRIDES.into_iter().zip(grid.counts()) {
            let place = place_of(outputs, &format!("{kind}_{stride}"))?;
            specs.push(OutputSpec::check(FAMILY, outputs, place, &[Dim::Is(cells), Dim::Is(numbers)])?);
        }
    }
    Ok((Box::new(YuNet { grid }), specs))
}

impl Decoder for YuNet {
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits) {
        // The square root is drawn for few cells only; the margin covers its rounding.
        let floor = hits.floor();
        let coarse = if floor > 0.0 { floor * floor * (1.0 - 1e-5) } else { 0.0 };
        let mut first = 0;
        for (level, count) in self.grid.counts().into_iter().enumerate() {
            let (classes, objects) = (parts[CLS + level], parts[OBJ + level]);
            for (cell, (&class, &object)) in classes.iter().zip(objects).enumerate() {
                let product = class.clamp(0.0, 1.0) * object.clamp(0.0, 1.0);
                if product >= coarse && class.is_finite() && object.is_finite() {
                    hits.offer(product.sqrt(), first + cell);
                }
            }
            first += count;
        }
    }

    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)> {
        let cell = self.grid.cell(index)?;
        let b: &[f32; 4] = parts[BBOX + cell.level].get(4 * cell.number..)?.first_chunk()?;
        let bbox = BBox::from_centre(
            (cell.x + b[0]) * cell.stride,
            (cell.y + b[1]) * cell.stride,
            b[2].exp() * cell.stride,
            b[3].exp() * cell.stride,
        );
        Some((bbox, 0))
    }

    fn keypoints(&self, parts: &Parts<'_>, index: usize, mapping: &Mapping) -> Vec<Keypoint> {
        let Some(cell) = self.grid.cell(index) else { return Vec::new() };
        let (points, _) = parts[KPS + cell.level][10 * cell.number..][..10].as_chunks::<2>();
        let place = |&[x, y]: &[f32; 2]| Keypoint {
            point: mapping.point((cell.x + x) * cell.stride, (cell.y + y) * cell.stride),
            confidence: None,
        };
        points.iter().map(place).collect()
    }

    fn class_count(&self) -> Option<usize> {
        Some(1)
    }

    fn scope(&self) -> Option<Scope> {
        Some(Scope::AllClasses)
    }
}
