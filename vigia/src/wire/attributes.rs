//! What second stages other than those for landmarks say of an object.

use serde::Serialize;
use utoipa::ToSchema;
use vigia_core::backend::{AgeGender, ClassScore, Output};
use vigia_core::detection::Attribute;

use super::{round, share};

/// What one second stage says of an object. Which fields there are depends on the model: `class`, `confidence` and
/// `scores` of a classifier; `age`, `gender` and `confidence` (of the gender); `embedding`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = Attribute)]
pub struct AttributeWire {
    /// The likeliest class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub class: Option<String>,
    /// Years.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub age: Option<f64>,
    /// The likelier gender.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub gender: Option<String>,
    /// Of the class or the gender, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub confidence: Option<f64>,
    /// All classes, the likeliest first; the confidences add up to 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<ScoreWire>,
    /// Near that of another picture of the same object, far from those of others; of the model's own length and scale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub embedding: Vec<f32>,
    /// The detection whose crop it looked at; only in results of streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_id: Option<u64>,
}

/// One class that an object may be of.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Score)]
pub struct ScoreWire {
    /// The class's name.
    pub class: String,
    /// 0 to 1.
    pub confidence: f64,
}

impl AttributeWire {
    /// The model's name and what it says; nothing of what has a place of its own.
    pub(super) fn named(attribute: &Attribute) -> Option<(String, Self)> {
        let Attribute { model, labels, event, output } = attribute;
        let wire = Self { event_id: event.map(|event| event.0), ..Self::default() };
        let score = |&ClassScore { class_id, confidence }: &ClassScore| {
            let class = labels.get(class_id as usize).cloned().unwrap_or_else(|| class_id.to_string());
            ScoreWire { class, confidence: share(confidence) }
        };
        let wire = match output {
            Output::Detections(_) | Output::Landmarks(_) => return None,
            Output::Classes(classes) => {
                let scores: Vec<_> = classes.iter().map(score).collect();
                let first = scores.first();
                let (class, confidence) = (first.map(|s| s.class.clone()), first.map(|s| s.confidence));
                Self { class, confidence, scores, ..wire }
            }
            Output::AgeGender(AgeGender { age, gender }) => {
                let gender = score(gender);
                let (age, confidence) = (Some(round(f64::from(*age), 10.0)), Some(gender.confidence));
                Self { age, gender: Some(gender.class), confidence, ..wire }
            }
            Output::Embedding(embedding) => Self { embedding: embedding.clone(), ..wire },
        };
        Some((model.to_string(), wire))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use vigia_core::event::EventId;
    use vigia_core::id::ModelId;

    use super::*;

    fn written(output: Output) -> Option<(String, Value)> {
        let labels: Arc<[String]> = Arc::from(["calm".to_owned(), "happy".to_owned()]);
        let attribute = Attribute { model: ModelId::new("mood"), labels, event: Some(EventId(7)), output };
        let (name, wire) = AttributeWire::named(&attribute)?;
        Some((name, serde_json::to_value(wire).expect("serialisable")))
    }

    #[test]
    fn each_kind_has_its_fields() {
        let score = |class_id, confidence| ClassScore { class_id, confidence };
        let classes = written(Output::Classes(vec![score(1, 0.9), score(0, 0.1)]));
        let expected = json!({"class": "happy", "confidence": 0.9, "event_id": 7,
            "scores": [{"class": "happy", "confidence": 0.9}, {"class": "calm", "confidence": 0.1}]});
        assert_eq!(classes, Some(("mood".to_owned(), expected)));
        let age = written(Output::AgeGender(AgeGender { age: 33.34, gender: score(0, 0.8) }));
        let expected = json!({"age": 33.3, "gender": "calm", "confidence": 0.8, "event_id": 7});
        assert_eq!(age.map(|(_, json)| json), Some(expected));
        let embedding = written(Output::Embedding(vec![0.5, -1.0]));
        assert_eq!(embedding.map(|(_, json)| json), Some(json!({"embedding": [0.5, -1.0], "event_id": 7})));
        assert_eq!(written(Output::Detections(Vec::new())), None);
    }
}
