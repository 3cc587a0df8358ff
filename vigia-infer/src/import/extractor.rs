//! The feature extractor of the landmark and expression networks (`src/faceFeatureExtractor` of the package).

use crate::onnx::Value;

use super::ImportError;
use super::layers::{AROUND, AT_END, Conv, InputSpec, MEAN, Net};

/// Side of the input in pixels; four halvings leave 7.
const SIZE: usize = 112;
/// Channels of the four blocks; the last is also the length of the feature vector.
const CHANNELS: [usize; 4] = [32, 64, 128, 256];
pub(super) const FEATURES: usize = CHANNELS[3];

/// The input of a network on this extractor.
pub(super) fn input(family: &'static str, labels: &'static str) -> InputSpec {
    InputSpec { family, size: SIZE, open_size: false, mean: MEAN, letterbox: "centre", labels }
}

/// `[batch, 3, 112, 112]` to the features `[batch, 256]`.
pub(super) fn extract(net: &mut Net<'_>, image: &Value) -> Result<Value, ImportError> {
    let mut x = image.clone();
    let mut channels_in = 3;
    for (block, &channels) in CHANNELS.iter().enumerate() {
        x = dense_block(net, &x, &format!("dense{block}"), (channels_in, channels))?;
        channels_in = channels;
    }
    // The package's 7×7 average pooling sees the whole 7×7 map.
    Ok(net.global_average(&x))
}

/// Four convolutions, each on the `ReLU` of the sum of all before; the first halves the size (`denseBlock.ts`).
fn dense_block(net: &mut Net<'_>, x: &Value, prefix: &str, channels: (usize, usize)) -> Result<Value, ImportError> {
    let (channels_in, channels_out) = channels;
    let name = format!("{prefix}/conv0");
    let first = if channels_in == 3 {
        let conv = Conv { channels_in, channels_out, kernel: 3, stride: 2, padding: AT_END };
        net.conv(x, &name, conv)?
    } else {
        net.separable(x, &name, channels, 2, AT_END)?
    };
    let mut sum = net.relu(&first);
    let mut active = sum.clone();
    for layer in 1..4 {
        let name = format!("{prefix}/conv{layer}");
        let out = net.separable(&active, &name, (channels_out, channels_out), 1, AROUND)?;
        sum = net.add(&sum, &out);
        active = net.relu(&sum);
    }
    Ok(active)
}
