//! Age and gender (`src/ageGenderNet`, `src/xception` of the package): a small Xception with two heads.

use crate::onnx::{AttributeProto, ModelProto, Value};

use super::layers::{AROUND, AT_END, Conv, InputSpec, MEAN, NONE, Net};
use super::weights::Weights;
use super::{ImportError, Origin};

pub(super) const FAMILY: &str = "age-gender";

/// The order of the gender output (`AgeGenderNet.ts`: index 0 is the probability of male).
const LABELS: &str = "male,female";
const MAIN_BLOCKS: usize = 2;
const FEATURES: usize = 512;

/// `image` `[batch, 3, 112, 112]` to `age` `[batch, 1]` in years and `gender` `[batch, 2]`, the probabilities of male
/// and female.
pub(super) fn convert(weights: &Weights, origin: &Origin) -> Result<ModelProto, ImportError> {
    let spec =
        InputSpec { family: FAMILY, size: 112, open_size: false, mean: MEAN, letterbox: "centre", labels: LABELS };
    let (mut net, image) = Net::begin(weights, origin, &spec);
    let first = Conv { channels_in: 3, channels_out: 32, kernel: 3, stride: 2, padding: AT_END };
    let mut x = net.conv(&image, "entry_flow/conv_in", first)?;
    x = net.relu(&x);
    x = reduction_block(&mut net, &x, &x, "entry_flow/reduction_block_0", (32, 64))?;
    let active = net.relu(&x);
    x = reduction_block(&mut net, &x, &active, "entry_flow/reduction_block_1", (64, 128))?;
    for block in 0..MAIN_BLOCKS {
        x = main_block(&mut net, &x, &format!("middle_flow/main_block_{block}"), 128)?;
    }
    let active = net.relu(&x);
    x = reduction_block(&mut net, &x, &active, "exit_flow/reduction_block", (128, 256))?;
    x = net.separable(&x, "exit_flow/separable_conv", (256, FEATURES), 1, AROUND)?;
    x = net.relu(&x);
    // The package's 7×7 average pooling sees the whole 7×7 map.
    let features = net.global_average(&x);

    let age = net.fully_connected(&features, "fc/age", (FEATURES, 1), "age")?;
    let logits = net.fully_connected(&features, "fc/gender", (FEATURES, 2), "gender_logits")?;
    let axis = vec![AttributeProto::int("axis", 1)];
    let gender = net.graph.node_named("gender", "Softmax", &[&logits], axis);
    net.output(&age, 1);
    Ok(net.end(&gender, 2))
}

/// Two separable convolutions on `active` and a halving, plus a 1×1 convolution of `x` with stride 2.
fn reduction_block(
    net: &mut Net<'_>,
    x: &Value,
    active: &Value,
    prefix: &str,
    channels: (usize, usize),
) -> Result<Value, ImportError> {
    let (channels_in, channels_out) = channels;
    let mut out = net.separable(active, &format!("{prefix}/separable_conv0"), channels, 1, AROUND)?;
    out = net.relu(&out);
    let name = format!("{prefix}/separable_conv1");
    out = net.separable(&out, &name, (channels_out, channels_out), 1, AROUND)?;
    out = net.max_pool(&out, 3, 2, AT_END);
    let shortcut = Conv { channels_in, channels_out, kernel: 1, stride: 2, padding: NONE };
    let shortcut = net.conv(x, &format!("{prefix}/expansion_conv"), shortcut)?;
    Ok(net.add(&out, &shortcut))
}

/// Three separable convolutions, each after a `ReLU`, plus `x`.
fn main_block(net: &mut Net<'_>, x: &Value, prefix: &str, channels: usize) -> Result<Value, ImportError> {
    let mut out = x.clone();
    for layer in 0..3 {
        out = net.relu(&out);
        let name = format!("{prefix}/separable_conv{layer}");
        out = net.separable(&out, &name, (channels, channels), 1, AROUND)?;
    }
    Ok(net.add(&out, x))
}
