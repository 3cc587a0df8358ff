//! The part of the ONNX file format that vigia writes and reads, as hand-written `prost` messages, and a small
//! [`GraphBuilder`] over them.
//!
//! Tags and meanings are those of `onnx.proto` (ONNX IR version 8, opset 17). Only what vigia needs is here: decoding
//! a foreign model skips the fields that are missing below, so a decoded model must not be written back.

mod builder;

pub use builder::{Dim, GraphBuilder, Value};

/// A whole model file: one graph, the operator set it is written in, and free key/value metadata.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelProto {
    /// Version of the file format; vigia writes 8.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The tool that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The version of that tool.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// Text for people.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// The operator sets that the nodes belong to; the empty domain is ONNX's own.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Free metadata; vigia's own keys begin with `vigia.`.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

impl ModelProto {
    /// The value of the metadata `key`, or `None` where the model does not have it.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata_props.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }
}

/// A key and its value in [`ModelProto::metadata_props`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct StringStringEntryProto {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// An operator set: a domain and a version.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct OperatorSetIdProto {
    /// The domain; empty for ONNX's own operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The version; vigia writes 17.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// The network: nodes in topological order, constants, and the declared inputs and outputs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphProto {
    /// The operations; each may only read inputs, constants and outputs of earlier nodes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// The graph's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The constants (weights), by name.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// What the caller feeds.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// What the caller gets.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// One operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeProto {
    /// Names of the values it reads, in the operator's order.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the values it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// The node's own name, for messages.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator, such as `Conv`.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// The operator's settings.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
}

/// One setting of a node. Exactly the field that [`AttributeProto::kind`] names is filled.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeProto {
    /// The setting's name, such as `strides`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value of a [`AttributeType::Float`].
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// The value of a [`AttributeType::Int`].
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// The value of a [`AttributeType::String`], UTF-8.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// The value of a [`AttributeType::Floats`].
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// The value of a [`AttributeType::Ints`].
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Which of the fields counts (`type` in `onnx.proto`).
    #[prost(enumeration = "AttributeType", tag = "20")]
    pub kind: i32,
}

impl AttributeProto {
    /// The setting `name` with one number.
    pub fn float(name: &str, value: f32) -> Self {
        Self { f: Some(value), ..Self::named(name, AttributeType::Float) }
    }

    /// The setting `name` with one whole number.
    pub fn int(name: &str, value: i64) -> Self {
        Self { i: Some(value), ..Self::named(name, AttributeType::Int) }
    }

    /// The setting `name` with a list of whole numbers.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self { ints: values.to_vec(), ..Self::named(name, AttributeType::Ints) }
    }

    /// The setting `name` with a text.
    pub fn string(name: &str, value: &str) -> Self {
        Self { s: Some(value.as_bytes().to_vec()), ..Self::named(name, AttributeType::String) }
    }

    fn named(name: &str, kind: AttributeType) -> Self {
        Self { name: name.to_owned(), kind: kind.into(), ..Self::default() }
    }
}

/// What an [`AttributeProto`] holds; the kinds that vigia does not write keep their number when decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    /// Not said.
    Undefined = 0,
    /// One number.
    Float = 1,
    /// One whole number.
    Int = 2,
    /// A text.
    String = 3,
    /// Several numbers.
    Floats = 6,
    /// Several whole numbers.
    Ints = 7,
}

/// A constant: a named tensor with its values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// The shape, outermost dimension first; empty for a single number.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// The element type.
    #[prost(enumeration = "DataType", tag = "2")]
    pub data_type: i32,
    /// The name by which nodes read it.
    #[prost(string, tag = "8")]
    pub name: String,
    /// The elements in C order, little-endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
}

/// An element type; the numbers that are not here are types that vigia does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum DataType {
    /// Not said.
    Undefined = 0,
    /// 32-bit IEEE floating point.
    Float = 1,
    /// Unsigned byte.
    Uint8 = 2,
    /// 32-bit signed integer.
    Int32 = 6,
    /// 64-bit signed integer.
    Int64 = 7,
    /// 16-bit IEEE floating point.
    Float16 = 10,
}

/// The declaration of an input or output: its name and its type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfoProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// A value's type. vigia knows tensors only.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    /// The tensor's element type and shape; `None` for sequences, maps and the like.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// A tensor's element type and shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorTypeProto {
    /// The element type.
    #[prost(enumeration = "DataType", tag = "1")]
    pub elem_type: i32,
    /// The shape; `None` where even the number of dimensions is open.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape, outermost dimension first.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    /// The dimensions.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// One dimension of a shape: a number, a name for an open one, or neither.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DimensionProto {
    /// The size of a fixed dimension, in elements.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// The name of an open dimension; the same name means the same size.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}
