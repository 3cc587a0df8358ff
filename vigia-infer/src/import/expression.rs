//! Facial expressions (`src/faceExpressionNet` of the package).

use crate::onnx::{AttributeProto, ModelProto};

use super::layers::Net;
use super::weights::Weights;
use super::{ImportError, Origin, extractor};

pub(super) const FAMILY: &str = "face-expression";

/// The classes in the order of the output (`FaceExpressions.ts`).
const LABELS: &str = "neutral,happy,sad,angry,fearful,disgusted,surprised";
const CLASSES: usize = 7;

/// `image` `[batch, 3, 112, 112]` to `probabilities` `[batch, 7]`, which sum to 1.
pub(super) fn convert(weights: &Weights, origin: &Origin) -> Result<ModelProto, ImportError> {
    let (mut net, image) = Net::begin(weights, origin, &extractor::input(FAMILY, LABELS));
    let features = extractor::extract(&mut net, &image)?;
    let logits = net.fully_connected(&features, "fc", (extractor::FEATURES, CLASSES), "logits")?;
    let axis = vec![AttributeProto::int("axis", 1)];
    let probabilities = net.graph.node_named("probabilities", "Softmax", &[&logits], axis);
    Ok(net.end(&probabilities, CLASSES))
}
