//! What second stages other than those for landmarks say of an object.

use serde::Serialize;
use utoipa::ToSchema;
use vigia_core::backend::Output;
use vigia_core::detection::Attribute;

/// What one second stage says of an object. Which fields there are depends on the model.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = Attribute)]
pub struct AttributeWire {
    /// The detection whose crop it looked at; only in results of streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_id: Option<u64>,
}

impl AttributeWire {
    /// The model's name and what it says; nothing of what has a place of its own.
    pub(super) fn named(attribute: &Attribute) -> Option<(String, Self)> {
        let Attribute { model, event, output } = attribute;
        let wire = Self { event_id: event.map(|event| event.0) };
        match output {
            Output::Detections(_) | Output::Landmarks(_) => None,
            Output::Classes(_) | Output::AgeGender(_) | Output::Embedding(_) => Some(()),
        }
        .map(|()| (model.to_string(), wire))
    }
}
