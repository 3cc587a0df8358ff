//! Builds a model node by node; every step gives back the value it made, so a network reads like its formula.

use super::{
    AttributeProto, DataType, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The format and operator versions of the files that vigia writes: old enough for every engine in use (ONNX Runtime,
/// `TensorRT`, `OpenVINO`), new enough for every operator needed.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// A tensor inside a [`GraphBuilder`]: an input, a constant, or what a node made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(String);

/// One dimension of a declared input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A fixed size, in elements.
    Fixed(i64),
    /// An open size; the same name means the same size.
    Open(&'static str),
}

/// Collects nodes, constants, inputs and outputs into a [`ModelProto`].
///
/// Nodes are kept in the order of the calls, which is topological because a [`Value`] must exist before it is used.
#[derive(Debug)]
pub struct GraphBuilder {
    graph: GraphProto,
    metadata: Vec<StringStringEntryProto>,
}

impl GraphBuilder {
    /// An empty graph called `name`.
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: name.to_owned(), ..GraphProto::default() }, metadata: Vec::new() }
    }

    /// Declares an input tensor.
    pub fn input(&mut self, name: &str, elements: DataType, dims: &[Dim]) -> Value {
        self.graph.input.push(value_info(name, elements, dims));
        Value(name.to_owned())
    }

    /// Adds an f32 constant; `values` in C order, as many as the product of `dims`.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> Value {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len(), "{name}: shape and values");
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Float, dims, raw)
    }

    /// Adds an i64 constant, for shapes and paddings; `values` in C order, as many as the product of `dims`.
    pub fn ints(&mut self, name: &str, dims: &[usize], values: &[i64]) -> Value {
        debug_assert_eq!(dims.iter().product::<usize>(), values.len(), "{name}: shape and values");
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, DataType::Int64, dims, raw)
    }

    /// Adds a node with one output, under a name of its own (`conv_7`), and returns that output.
    pub fn node(&mut self, operator: &str, inputs: &[&Value], attributes: Vec<AttributeProto>) -> Value {
        let name = format!("{}_{}", operator.to_lowercase(), self.graph.node.len());
        self.node_named(&name, operator, inputs, attributes)
    }

    /// Adds a node whose one output is called `name`, and returns that output; for the outputs of the graph.
    pub fn node_named(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&Value],
        attribute: Vec<AttributeProto>,
    ) -> Value {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|input| input.0.clone()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: operator.to_owned(),
            attribute,
        });
        Value(name.to_owned())
    }

    /// Declares `value` as an output of the graph, under the name it has.
    pub fn output(&mut self, value: &Value, elements: DataType, dims: &[Dim]) {
        self.graph.output.push(value_info(&value.0, elements, dims));
    }

    /// Adds a metadata entry; keys should be unique.
    pub fn metadata(&mut self, key: &str, value: impl Into<String>) {
        self.metadata.push(StringStringEntryProto { key: key.to_owned(), value: value.into() });
    }

    /// The finished model (IR version 8, opset 17); encode it with `prost::Message::encode_to_vec`.
    pub fn finish(self) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "vigia".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: self.metadata,
            ..ModelProto::default()
        }
    }

    fn constant(&mut self, name: &str, elements: DataType, dims: &[usize], raw_data: Vec<u8>) -> Value {
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: elements.into(),
            name: name.to_owned(),
            raw_data,
        });
        Value(name.to_owned())
    }
}

fn value_info(name: &str, elements: DataType, dims: &[Dim]) -> ValueInfoProto {
    let dim = dims.iter().map(|&dim| match dim {
        Dim::Fixed(size) => DimensionProto { dim_value: Some(size), dim_param: None },
        Dim::Open(name) => DimensionProto { dim_value: None, dim_param: Some(name.to_owned()) },
    });
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: elements.into(),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
        }),
    }
}
