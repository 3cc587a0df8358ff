//! What face-api's other second stages say of a face: expression, age and gender, descriptor.
//!
//! Outputs, all float32: `probabilities` `[N, 7]`, the softmax over the expressions; `age` `[N, 1]` in years and `gender`
//! `[N, 2]`, the probabilities of male and female; `descriptor` `[N, 128]`. Source: `FaceExpressionNet`, `AgeGenderNet` and
//! `FaceRecognitionNet` of `@vladmandic/face-api` 1.7.15, whose softmax `vigia-infer` writes into the graphs.

use vigia_core::backend::{AgeGender, ClassScore};
use vigia_core::model::Family;

use super::shape::{Dim, OutputSpec, place_of};
use super::{DeclaredOutput, HeadError};

/// Neutral, happy, sad, angry, fearful, disgusted, surprised.
pub(super) const EXPRESSIONS: usize = 7;
/// Male, female.
pub(super) const GENDERS: usize = 2;
/// Numbers of a descriptor.
const DESCRIPTOR: usize = 128;

pub(super) fn expression(outputs: &[DeclaredOutput]) -> Result<Vec<OutputSpec>, HeadError> {
    Ok(vec![OutputSpec::only(Family::FaceExpression, outputs, &[Dim::Is(EXPRESSIONS)])?])
}

pub(super) fn age_and_gender(outputs: &[DeclaredOutput]) -> Result<Vec<OutputSpec>, HeadError> {
    const FAMILY: Family = Family::AgeGender;
    if outputs.len() != 2 {
        return Err(HeadError::OutputCount { family: FAMILY, expected: 2, found: outputs.len() });
    }
    let spec = |name, length| OutputSpec::check(FAMILY, outputs, place_of(outputs, name)?, &[Dim::Is(length)]);
    Ok(vec![spec("age", 1)?, spec("gender", GENDERS)?])
}

pub(super) fn recognition(outputs: &[DeclaredOutput]) -> Result<Vec<OutputSpec>, HeadError> {
    Ok(vec![OutputSpec::only(Family::FaceRecognition, outputs, &[Dim::Is(DESCRIPTOR)])?])
}

/// Every class, the likeliest first; `None` where a probability is not finite.
pub(super) fn classes(probabilities: &[f32]) -> Option<Vec<ClassScore>> {
    let score = |(class_id, &confidence): (u32, &f32)| {
        // Rounding may lift a probability a little above 1.
        confidence.is_finite().then(|| ClassScore { class_id, confidence: confidence.clamp(0.0, 1.0) })
    };
    let mut classes = (0..).zip(probabilities).map(score).collect::<Option<Vec<_>>>()?;
    classes.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    Some(classes)
}

/// Years and the likelier gender; `None` where a number is not finite.
pub(super) fn age_gender(age: &[f32], gender: &[f32]) -> Option<AgeGender> {
    let age = age.first().copied().filter(|age| age.is_finite())?;
    Some(AgeGender { age, gender: classes(gender)?.first().copied()? })
}

/// The numbers as they are; `None` where one is not finite.
pub(super) fn embedding(numbers: &[f32]) -> Option<Vec<f32>> {
    numbers.iter().all(|n| n.is_finite()).then(|| numbers.to_vec())
}
