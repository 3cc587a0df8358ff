//! The 68 facial landmarks (`src/faceLandmarkNet/FaceLandmark68Net.ts` of the package).

use crate::onnx::ModelProto;

use super::layers::Net;
use super::weights::Weights;
use super::{ImportError, Origin, extractor};

pub(super) const FAMILY: &str = "face-landmarks-68";

/// 68 × (x, y).
const COORDINATES: usize = 136;

/// `image` `[batch, 3, 112, 112]` to `landmarks` `[batch, 136]`: x0, y0, x1, y1, … as fractions of the square.
pub(super) fn convert(weights: &Weights, origin: &Origin) -> Result<ModelProto, ImportError> {
    let (mut net, image) = Net::begin(weights, origin, &extractor::input(FAMILY, "face"));
    let features = extractor::extract(&mut net, &image)?;
    let landmarks = net.fully_connected(&features, "fc", (extractor::FEATURES, COORDINATES), "landmarks")?;
    Ok(net.end(&landmarks, COORDINATES))
}
