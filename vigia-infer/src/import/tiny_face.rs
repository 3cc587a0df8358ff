//! The face detector (`src/tinyFaceDetector`, `src/tinyYolov2` of the package): a small `YOLOv2` on separable layers.

use crate::onnx::{AttributeProto, DataType, Dim, ModelProto, Value};

use super::layers::{AROUND, AT_END, Conv, InputSpec, NONE, Net};
use super::weights::Weights;
use super::{ImportError, Origin};

pub(super) const FAMILY: &str = "tiny-face";

/// The detector subtracts a mean of its own (`tinyFaceDetector/const.ts`).
const MEAN: [f32; 3] = [117.001, 114.697, 97.404];
/// Anchor sizes in cells, as the metadata tells them (`tinyFaceDetector/const.ts`).
const ANCHORS: &str = "1.603231,2.094468;6.041143,7.080126;2.882459,3.518061;4.266906,5.178857;9.041765,10.66308";
const ANCHOR_COUNT: usize = 5;
/// x, y, width, height, score.
const VALUES_PER_ANCHOR: usize = 5;
/// The slope of the leaky `ReLU` for negative values (`tinyYolov2/leaky.ts`).
const LEAK: f32 = 0.1;

/// `image` `[batch, 3, height, width]`, both multiples of 32, to `cells` `[batch, 25, height / 32, width / 32]`.
///
/// Channel `anchor × 5 + k` holds the raw x, y, w, h and score (k = 0..5) of an anchor in a cell: the centre is
/// (column + σ(x), row + σ(y)) and the size (eʷ, eʰ) × anchor, in cells; the score is σ(score).
pub(super) fn convert(weights: &Weights, origin: &Origin) -> Result<ModelProto, ImportError> {
    let spec =
        InputSpec { family: FAMILY, size: 416, open_size: true, mean: MEAN, letterbox: "top-left", labels: "face" };
    let (mut net, image) = Net::begin(weights, origin, &spec);
    net.graph.metadata("vigia.input_multiple", "32");
    net.graph.metadata("vigia.confidence", "0.5");
    net.graph.metadata("vigia.iou", "0.4");
    net.graph.metadata("vigia.anchors", ANCHORS);

    let first = Conv { channels_in: 3, channels_out: 16, kernel: 3, stride: 1, padding: NONE };
    let mut x = net.conv(&image, "conv0", first)?;
    x = leaky(&mut net, &x);
    let mut channels = 16;
    for layer in 1..=5 {
        // The first convolution takes 2 from the size, so of a multiple of 32 the halved sizes are odd exactly once,
        // before the second pooling: there "same" adds one at the end, elsewhere nothing.
        let padding = if layer == 2 { AT_END } else { NONE };
        x = net.max_pool(&x, 2, 2, padding);
        x = net.separable(&x, &format!("conv{layer}"), (channels, channels * 2), 1, AROUND)?;
        x = leaky(&mut net, &x);
        channels *= 2;
    }
    x = net.max_pool(&x, 2, 1, AT_END);

    let columns = ANCHOR_COUNT * VALUES_PER_ANCHOR;
    let last = Conv { channels_in: channels, channels_out: columns, kernel: 1, stride: 1, padding: NONE };
    let filters = net.filters("conv8/filters", last)?;
    let bias = net.tensor("conv8/bias", &[columns])?;
    let cells = net.conv_with(&x, "cells", last, &filters, bias);
    let dims = [Dim::Open("batch"), Dim::Fixed(columns as i64), Dim::Open("rows"), Dim::Open("columns")];
    net.graph.output(&cells, DataType::Float, &dims);
    Ok(net.graph.finish())
}

fn leaky(net: &mut Net<'_>, x: &Value) -> Value {
    net.graph.node("LeakyRelu", &[x], vec![AttributeProto::float("alpha", LEAK)])
}
