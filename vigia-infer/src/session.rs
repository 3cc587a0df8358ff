//! One ONNX Runtime session and what its graph says of itself.

use std::collections::BTreeMap;
use std::path::Path;

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{TensorElementType, TensorRef, ValueType};
use vigia_vision::decode::TensorView;

use crate::provider::Device;
use crate::runtime::Runtime;

/// A tensor of the graph: its name, element type and dimensions; `None` is a free dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// The name in the graph.
    pub name: String,
    /// The element type, as ONNX calls it (`float32`, `int64`).
    pub element: String,
    /// Dimensions; `None` is free.
    pub dims: Vec<Option<usize>>,
}

impl TensorInfo {
    /// The shape as `[?, 3, 640, 640]`.
    pub fn shape(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        format!("[{}]", dims.join(", "))
    }
}

/// What a graph says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphInfo {
    /// What it is fed.
    pub inputs: Vec<TensorInfo>,
    /// What it gives.
    pub outputs: Vec<TensorInfo>,
    /// Key-value pairs that the exporter wrote.
    pub metadata: BTreeMap<String, String>,
    /// The exporting tool.
    pub producer: String,
}

/// A session and where it runs.
pub(crate) struct Opened {
    pub(crate) session: OrtSession,
    /// The device that took it.
    pub(crate) device: Device,
    /// Why it is not the device that was asked for.
    pub(crate) fallback: Option<String>,
}

/// A session with one picture input.
pub(crate) struct OrtSession {
    session: Session,
    input: String,
}

type OrtResult<T> = Result<T, String>;

impl OrtSession {
    /// Opens `path` on the first of `device`'s attempts that works, at last on the CPU.
    pub(crate) fn open(runtime: &Runtime, path: &Path, device: Device, threads: usize) -> OrtResult<Opened> {
        let mut fallback = None;
        for &attempt in device.attempts() {
            if !attempt.is_compiled_in() {
                let reason = format!("the library at {} was built without {attempt}", runtime.library().display());
                // What nobody asked for by name is nothing to report.
                fallback = fallback.or((device != Device::Auto).then_some(reason));
                continue;
            }
            match Self::open_on(runtime, path, attempt, threads) {
                Ok(session) => return Ok(Opened { session, device: attempt, fallback: None }),
                Err(reason) => fallback = Some(format!("{attempt} could not be used: {reason}")),
            }
        }
        let session = Self::open_on(runtime, path, Device::Cpu, threads)?;
        Ok(Opened { session, device: Device::Cpu, fallback })
    }

    fn open_on(runtime: &Runtime, path: &Path, device: Device, threads: usize) -> OrtResult<Self> {
        let text = |e: ort::Error<SessionBuilder>| e.to_string();
        let mut builder = SessionBuilder::new(runtime.environment())
            .map_err(|e| e.to_string())?
            .with_intra_threads(threads)
            .map_err(text)?
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(text)?
            // Several sessions share the cores: a thread that spins while it waits takes them from the others.
            .with_config_entry("session.intra_op.allow_spinning", "0")
            .map_err(text)?;
        if let Some(provider) = device.dispatch(threads) {
            builder = builder.with_execution_providers([provider]).map_err(text)?;
        }
        let session = builder.commit_from_file(path).map_err(|e| e.to_string())?;
        let input = session.inputs().first().ok_or("the graph has no input")?.name().to_owned();
        Ok(Self { session, input })
    }

    /// What the graph says of itself.
    pub(crate) fn info(&self) -> GraphInfo {
        let outlet = |o: &ort::value::Outlet| match o.dtype() {
            ValueType::Tensor { ty, shape, .. } => TensorInfo {
                name: o.name().to_owned(),
                element: element_name(*ty),
                dims: shape.iter().map(|&d| usize::try_from(d).ok()).collect(),
            },
            other => TensorInfo { name: o.name().to_owned(), element: other.to_string(), dims: Vec::new() },
        };
        let mut info = GraphInfo {
            inputs: self.session.inputs().iter().map(outlet).collect(),
            outputs: self.session.outputs().iter().map(outlet).collect(),
            ..GraphInfo::default()
        };
        if let Ok(metadata) = self.session.metadata() {
            info.producer = metadata.producer().unwrap_or_default();
            for key in metadata.custom_keys().unwrap_or_default() {
                let value = metadata.custom(&key).unwrap_or_default();
                info.metadata.insert(key, value);
            }
        }
        info
    }

    /// Runs on `data` of `shape` and hands the float outputs to `read`.
    pub(crate) fn run<R>(
        &mut self,
        shape: [usize; 4],
        data: &[f32],
        read: impl FnOnce(&[TensorView<'_>]) -> R,
    ) -> OrtResult<R> {
        let tensor = TensorRef::from_array_view((shape, data)).map_err(|e| e.to_string())?;
        let outputs = self.session.run(ort::inputs![self.input.as_str() => tensor]).map_err(|e| e.to_string())?;
        let values: Vec<_> = outputs.iter().collect();
        let mut dims = Vec::with_capacity(outputs.len());
        let mut floats = Vec::with_capacity(outputs.len());
        for (name, value) in &values {
            // Outputs of other types (counts, indices) are of no use to any family that is known here.
            if let Ok((shape, data)) = value.try_extract_tensor::<f32>() {
                dims.push(shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect::<Vec<_>>());
                floats.push((*name, data));
            }
        }
        let views: Vec<TensorView<'_>> =
            floats.iter().zip(&dims).map(|(&(name, data), shape)| TensorView { name, shape, data }).collect();
        Ok(read(&views))
    }
}

fn element_name(ty: TensorElementType) -> String {
    match ty {
        TensorElementType::Float32 => "float32".to_owned(),
        TensorElementType::Float16 => "float16".to_owned(),
        TensorElementType::Uint8 => "uint8".to_owned(),
        TensorElementType::Int64 => "int64".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}
