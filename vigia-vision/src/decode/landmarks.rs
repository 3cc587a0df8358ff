//! face-api's 68 face landmarks, the 300-W scheme: jaw 0–16, brows 17–26, nose 27–35, eyes 36–47, mouth 48–67.
//!
//! Output `[N, 136]` float32: x, y of each point relative to the square input, 0..1 inside it. Source:
//! `FaceLandmark68NetBase` of `@vladmandic/face-api` 1.7.15.

use vigia_core::geometry::{Mapping, Size};
use vigia_core::landmarks::Landmarks;
use vigia_core::model::Family;

use super::shape::{Dim, OutputSpec, Parts};
use super::{DeclaredOutput, HeadError};

/// Points of a face.
const POINTS: usize = 68;

pub(super) fn outputs(outputs: &[DeclaredOutput]) -> Result<Vec<OutputSpec>, HeadError> {
    Ok(vec![OutputSpec::only(Family::FaceLandmarks68, outputs, &[Dim::Is(2 * POINTS)])?])
}

/// The points in source pixels; `None` where one is not finite.
pub(super) fn points(parts: &Parts<'_>, input: Size, mapping: &Mapping) -> Option<Landmarks> {
    let (pairs, _) = parts[0].as_chunks::<2>();
    let place = |&[x, y]: &[f32; 2]| {
        let point = mapping.point(x * input.width as f32, y * input.height as f32);
        (point.x.is_finite() && point.y.is_finite()).then_some(point)
    };
    Some(Landmarks { points: pairs.iter().map(place).collect::<Option<_>>()? })
}
