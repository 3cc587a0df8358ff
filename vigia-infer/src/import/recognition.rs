//! The face descriptor (`src/faceRecognitionNet` of the package): dlib's 29-layer residual network.

use crate::onnx::{ModelProto, Value};

use super::layers::{AROUND, Conv, InputSpec, MEAN, NONE, Net, Padding};
use super::weights::Weights;
use super::{ImportError, Origin};

pub(super) const FAMILY: &str = "face-recognition";

const SIZE: usize = 150;
const FEATURES: usize = 256;
const DESCRIPTOR: usize = 128;
/// Channels of each stage and the residual blocks that follow its first one. The first stage has no halving block.
const STAGES: [(usize, usize); 4] = [(32, 3), (64, 3), (128, 2), (256, 2)];

/// `image` `[batch, 3, 150, 150]` to `descriptor` `[batch, 128]`; the distance of two descriptors of one person is
/// below about 0.6 (Euclidean).
pub(super) fn convert(weights: &Weights, origin: &Origin) -> Result<ModelProto, ImportError> {
    let spec = InputSpec {
        family: FAMILY,
        size: SIZE,
        open_size: false,
        mean: MEAN,
        letterbox: "centre",
        labels: "descriptor",
    };
    let (mut net, image) = Net::begin(weights, origin, &spec);
    let first = Conv { channels_in: 3, channels_out: 32, kernel: 7, stride: 2, padding: NONE };
    let mut x = scaled_conv(&mut net, &image, "conv32_down", first)?;
    x = net.relu(&x);
    x = net.max_pool(&x, 3, 2, NONE);
    let mut size = halved(halved(SIZE, 7), 3);
    let mut channels_in = 32;
    for (channels, blocks) in STAGES {
        if channels != channels_in {
            x = halving_block(&mut net, &x, &format!("conv{channels}_down"), (channels_in, channels), &mut size)?;
            channels_in = channels;
        }
        for block in 1..=blocks {
            x = residual_block(&mut net, &x, &format!("conv{channels}_{block}"), channels)?;
        }
    }
    x = halving_block(&mut net, &x, "conv256_down_out", (FEATURES, FEATURES), &mut size)?;

    let features = net.global_average(&x);
    let weights = net.tensor("fc", &[FEATURES, DESCRIPTOR])?;
    let weights = net.graph.floats("fc", &[FEATURES, DESCRIPTOR], weights);
    let inputs = [&features, &weights];
    let descriptor = net.graph.node_named("descriptor", "MatMul", &inputs, Vec::new());
    Ok(net.end(&descriptor, DESCRIPTOR))
}

/// The size after a stride-2 window of `kernel` without padding.
fn halved(size: usize, kernel: usize) -> usize {
    (size - kernel) / 2 + 1
}

/// relu(conv(relu(conv(x))) + x).
fn residual_block(net: &mut Net<'_>, x: &Value, prefix: &str, channels: usize) -> Result<Value, ImportError> {
    let conv = three(channels, channels, 1, AROUND);
    let mut out = scaled_conv(net, x, &format!("{prefix}/conv1"), conv)?;
    out = net.relu(&out);
    out = scaled_conv(net, &out, &format!("{prefix}/conv2"), conv)?;
    out = net.add(&out, x);
    Ok(net.relu(&out))
}

/// The same with half the size: the shortcut is a 2×2 mean, filled up with zero channels. Where the convolutions' result
/// is one row and column smaller than the shortcut, it is filled up with zeros (`residualLayer.ts`).
fn halving_block(
    net: &mut Net<'_>,
    x: &Value,
    prefix: &str,
    channels: (usize, usize),
    size: &mut usize,
) -> Result<Value, ImportError> {
    let (channels_in, channels_out) = channels;
    let down = three(channels_in, channels_out, 2, NONE);
    let mut out = scaled_conv(net, x, &format!("{prefix}/conv1"), down)?;
    out = net.relu(&out);
    let conv = three(channels_out, channels_out, 1, AROUND);
    out = scaled_conv(net, &out, &format!("{prefix}/conv2"), conv)?;

    let mut shortcut = net.average_pool(x, 2, 2);
    let (convolved, pooled) = (halved(*size, 3), *size / 2);
    let missing = (pooled - convolved) as i64;
    if missing > 0 {
        out = pad_end(net, &out, &format!("{prefix}/size_padding"), [0, 0, missing, missing]);
    }
    let missing = (channels_out - channels_in) as i64;
    if missing > 0 {
        shortcut = pad_end(net, &shortcut, &format!("{prefix}/channel_padding"), [0, missing, 0, 0]);
    }
    *size = pooled;
    out = net.add(&shortcut, &out);
    Ok(net.relu(&out))
}

/// Appends zeros at the end of each axis of an NCHW tensor.
fn pad_end(net: &mut Net<'_>, x: &Value, name: &str, ends: [i64; 4]) -> Value {
    let [n, c, h, w] = ends;
    let padding = net.graph.ints(name, &[8], &[0, 0, 0, 0, n, c, h, w]);
    net.graph.node("Pad", &[x, &padding], Vec::new())
}

fn three(channels_in: usize, channels_out: usize, stride: i64, padding: Padding) -> Conv {
    Conv { channels_in, channels_out, kernel: 3, stride, padding }
}

/// Convolution with bias and then, per channel, × weight + offset (`convLayer.ts`, `scaleLayer.ts`). The second step is
/// folded into the filters and the bias; f64 keeps that as exact as the result's f32 is.
fn scaled_conv(net: &mut Net<'_>, x: &Value, prefix: &str, conv: Conv) -> Result<Value, ImportError> {
    let mut filters = net.filters(&format!("{prefix}/conv/filters"), conv)?;
    let shape = [conv.channels_out];
    let bias = net.tensor(&format!("{prefix}/conv/bias"), &shape)?;
    let scale = net.tensor(&format!("{prefix}/scale/weights"), &shape)?;
    let offset = net.tensor(&format!("{prefix}/scale/biases"), &shape)?;
    let per_output = filters.len() / conv.channels_out;
    for (filter, &scale) in filters.chunks_exact_mut(per_output).zip(scale) {
        for weight in filter {
            *weight = (f64::from(*weight) * f64::from(scale)) as f32;
        }
    }
    let fold = |((&bias, &scale), &offset): ((&f32, &f32), &f32)| {
        (f64::from(bias) * f64::from(scale) + f64::from(offset)) as f32
    };
    let bias: Vec<f32> = bias.iter().zip(scale).zip(offset).map(fold).collect();
    Ok(net.conv_with(x, prefix, conv, &filters, &bias))
}
