//! The layers that the package's networks share, from TensorFlow's layout (NHWC, HWIO filters) to ONNX's (NCHW, OIHW).

use crate::onnx::{AttributeProto, DataType, Dim, GraphBuilder, ModelProto, Value};

use super::weights::Weights;
use super::{ImportError, Origin};

/// The mean colour that every network of the package but the detector subtracts, R, G, B of 0..255.
pub(super) const MEAN: [f32; 3] = [122.782, 117.001, 104.298];
/// Every network then divides by 255.
pub(super) const SCALE: f64 = 1.0 / 255.0;

/// Padding in elements: top, left, bottom, right (ONNX's order).
///
/// TensorFlow's "same" padding of a stride-2 layer depends on the size of its input; where it is odd it puts the larger
/// part at the end. The sizes inside these networks are known, so each case is written out as the explicit padding.
pub(super) type Padding = [i64; 4];
/// TensorFlow's "valid".
pub(super) const NONE: Padding = [0; 4];
/// "same" for 3×3 with stride 1.
pub(super) const AROUND: Padding = [1; 4];
/// "same" for 3×3 with stride 2 on an even size, 2×2 with stride 2 on an odd size, and 2×2 with stride 1.
pub(super) const AT_END: Padding = [0, 0, 1, 1];

/// The shape and stride of a full convolution.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    pub(super) channels_in: usize,
    pub(super) channels_out: usize,
    pub(super) kernel: usize,
    pub(super) stride: i64,
    pub(super) padding: Padding,
}

/// What a network's input is, for its declaration and its metadata.
pub(super) struct InputSpec {
    pub(super) family: &'static str,
    pub(super) size: usize,
    /// Open height and width instead of `size`.
    pub(super) open_size: bool,
    pub(super) mean: [f32; 3],
    pub(super) letterbox: &'static str,
    pub(super) labels: &'static str,
}

/// A network under construction: the graph so far and the weights it is made from.
pub(super) struct Net<'w> {
    pub(super) graph: GraphBuilder,
    weights: &'w Weights,
}

impl<'w> Net<'w> {
    /// Begins a network: declares its input `image` (f32, `[batch, 3, height, width]`) and writes its metadata.
    pub(super) fn begin(weights: &'w Weights, origin: &Origin, spec: &InputSpec) -> (Self, Value) {
        let mut graph = GraphBuilder::new(spec.family);
        let [height, width] =
            if spec.open_size { [Dim::Open("height"), Dim::Open("width")] } else { [Dim::Fixed(spec.size as i64); 2] };
        let dims = [Dim::Open("batch"), Dim::Fixed(3), height, width];
        let image = graph.input("image", DataType::Float, &dims);
        let [r, g, b] = spec.mean;
        graph.metadata("vigia.family", spec.family);
        graph.metadata("vigia.input_size", spec.size.to_string());
        graph.metadata("vigia.letterbox", spec.letterbox);
        graph.metadata("vigia.channels", "RGB");
        graph.metadata("vigia.mean", format!("{r},{g},{b}"));
        graph.metadata("vigia.scale", SCALE.to_string());
        graph.metadata("vigia.labels", spec.labels);
        if let Origin(Some(package)) = origin {
            graph.metadata("vigia.origin", package.as_str());
        }
        graph.metadata("vigia.licence", "MIT");
        (Self { graph, weights }, image)
    }

    /// Declares `value` as an output of `[batch, columns]` and finishes the model.
    pub(super) fn end(mut self, value: &Value, columns: usize) -> ModelProto {
        self.output(value, columns);
        self.graph.finish()
    }

    /// Declares `value` as an output of `[batch, columns]`.
    pub(super) fn output(&mut self, value: &Value, columns: usize) {
        let dims = [Dim::Open("batch"), Dim::Fixed(columns as i64)];
        self.graph.output(value, DataType::Float, &dims);
    }

    /// The tensor `name` of the package, which must have the shape `expected`.
    pub(super) fn tensor(&self, name: &str, expected: &[usize]) -> Result<&'w [f32], ImportError> {
        self.weights.get(name, expected)
    }

    /// Convolution with `<prefix>/filters` and `<prefix>/bias`.
    pub(super) fn conv(&mut self, x: &Value, prefix: &str, conv: Conv) -> Result<Value, ImportError> {
        let filters = self.filters(&format!("{prefix}/filters"), conv)?;
        let bias = self.tensor(&format!("{prefix}/bias"), &[conv.channels_out])?;
        Ok(self.conv_with(x, prefix, conv, &filters, bias))
    }

    /// The filters `name`, which the package has as HWIO, as OIHW.
    pub(super) fn filters(&self, name: &str, conv: Conv) -> Result<Vec<f32>, ImportError> {
        let Conv { channels_in, channels_out, kernel, .. } = conv;
        let hwio = self.tensor(name, &[kernel, kernel, channels_in, channels_out])?;
        Ok(swap_axes(hwio, kernel * kernel, channels_in, channels_out))
    }

    /// Convolution with the filters (OIHW) and the bias given; `prefix` becomes the name of its result.
    pub(super) fn conv_with(&mut self, x: &Value, prefix: &str, conv: Conv, filters: &[f32], bias: &[f32]) -> Value {
        let shape = [conv.channels_out, conv.channels_in, conv.kernel, conv.kernel];
        let filters = self.graph.floats(&format!("{prefix}/filters"), &shape, filters);
        let bias = self.graph.floats(&format!("{prefix}/bias"), &[conv.channels_out], bias);
        let mut attributes = window(conv.kernel as i64, conv.stride, conv.padding);
        attributes.push(AttributeProto::int("group", 1));
        self.graph.node_named(prefix, "Conv", &[x, &filters, &bias], attributes)
    }

    /// Depthwise 3×3 convolution with `stride` and `padding`, then pointwise 1×1 convolution with bias.
    pub(super) fn separable(
        &mut self,
        x: &Value,
        prefix: &str,
        channels: (usize, usize),
        stride: i64,
        padding: Padding,
    ) -> Result<Value, ImportError> {
        let (channels_in, channels_out) = channels;
        let name = format!("{prefix}/depthwise_filter");
        let hwc1 = self.tensor(&name, &[3, 3, channels_in, 1])?;
        let depthwise = swap_axes(hwc1, 9, channels_in, 1);
        let depthwise = self.graph.floats(&name, &[channels_in, 1, 3, 3], &depthwise);
        let mut attributes = window(3, stride, padding);
        attributes.push(AttributeProto::int("group", channels_in as i64));
        let x = self.graph.node_named(&format!("{prefix}/depthwise"), "Conv", &[x, &depthwise], attributes);

        let conv = Conv { channels_in, channels_out, kernel: 1, stride: 1, padding: NONE };
        let pointwise = self.filters(&format!("{prefix}/pointwise_filter"), conv)?;
        let bias = self.tensor(&format!("{prefix}/bias"), &[channels_out])?;
        Ok(self.conv_with(&x, &format!("{prefix}/pointwise"), conv, &pointwise, bias))
    }

    /// max(x, 0).
    pub(super) fn relu(&mut self, x: &Value) -> Value {
        self.graph.node("Relu", &[x], Vec::new())
    }

    /// a + b.
    pub(super) fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.graph.node("Add", &[a, b], Vec::new())
    }

    /// Maximum over a square window; padding never wins.
    pub(super) fn max_pool(&mut self, x: &Value, kernel: i64, stride: i64, padding: Padding) -> Value {
        self.graph.node("MaxPool", &[x], window(kernel, stride, padding))
    }

    /// Mean over a square window, without padding.
    pub(super) fn average_pool(&mut self, x: &Value, kernel: i64, stride: i64) -> Value {
        self.graph.node("AveragePool", &[x], window(kernel, stride, NONE))
    }

    /// Mean over height and width: `[batch, channels, h, w]` to `[batch, channels]`.
    pub(super) fn global_average(&mut self, x: &Value) -> Value {
        let x = self.graph.node("GlobalAveragePool", &[x], Vec::new());
        self.graph.node("Flatten", &[&x], vec![AttributeProto::int("axis", 1)])
    }

    /// Fully connected layer with `<prefix>/weights` and `<prefix>/bias`, whose result is called `output`.
    pub(super) fn fully_connected(
        &mut self,
        x: &Value,
        prefix: &str,
        channels: (usize, usize),
        output: &str,
    ) -> Result<Value, ImportError> {
        let name = format!("{prefix}/weights");
        let weights = self.tensor(&name, &[channels.0, channels.1])?;
        let weights = self.graph.floats(&name, &[channels.0, channels.1], weights);
        let name = format!("{prefix}/bias");
        let bias = self.tensor(&name, &[channels.1])?;
        let bias = self.graph.floats(&name, &[channels.1], bias);
        Ok(self.graph.node_named(output, "Gemm", &[x, &weights, &bias], Vec::new()))
    }
}

/// The settings of a square sliding window.
fn window(kernel: i64, stride: i64, padding: Padding) -> Vec<AttributeProto> {
    vec![
        AttributeProto::ints("kernel_shape", &[kernel; 2]),
        AttributeProto::ints("strides", &[stride; 2]),
        AttributeProto::ints("pads", &padding),
    ]
}

/// `[window, inner, outer]` to `[outer, inner, window]`: HWIO to OIHW, and HWC1 to C1HW with `outer` = 1 (where the
/// inner axis comes out first because the outer has one element).
fn swap_axes(values: &[f32], window: usize, inner: usize, outer: usize) -> Vec<f32> {
    let mut swapped = Vec::with_capacity(values.len());
    for o in 0..outer {
        for i in 0..inner {
            swapped.extend((0..window).map(|w| values[(w * inner + i) * outer + o]));
        }
    }
    swapped
}
