//! One instance of a model: pixels to tensor, the network, tensor to detections.

use std::time::Instant;

use vigia_core::backend::{Answer, Backend, Cost, InferError, Output, Request};
use vigia_core::geometry::Mapping;
use vigia_core::model::{Family, ModelSpec};
use vigia_vision::decode::{Head, HeadError, TensorView};
use vigia_vision::preprocess::{Preprocessor, SlotState};

use crate::session::OrtSession;

/// An ONNX model on one session; one thread owns it.
pub(crate) struct OnnxBackend {
    spec: ModelSpec,
    session: OrtSession,
    head: Head,
    preprocessor: Preprocessor,
    /// The batch tensor, "NCHW"; grows to the largest batch seen and stays.
    tensor: Vec<f32>,
    slots: Vec<SlotState>,
    prepared: Vec<Prepared>,
}

/// A request whose pixels are in the tensor.
struct Prepared {
    mapping: Mapping,
    cost: Cost,
    /// The crop has no pixels: its slot runs along, its answer is an error.
    empty: bool,
}

impl OnnxBackend {
    pub(crate) fn new(spec: ModelSpec, session: OrtSession, head: Head) -> Self {
        let preprocessor = Preprocessor::new(spec.input.clone());
        Self { spec, session, head, preprocessor, tensor: Vec::new(), slots: Vec::new(), prepared: Vec::new() }
    }

    fn prepare(&mut self, batch: &[Request], rows: usize) {
        let len = self.spec.input.len();
        if self.slots.len() < rows {
            self.tensor.resize(rows * len, 0.0);
            self.slots.resize(rows, SlotState::default());
        }
        self.prepared.clear();
        for ((request, slot), state) in batch.iter().zip(self.tensor.chunks_exact_mut(len)).zip(&mut self.slots) {
            let started = Instant::now();
            let picture = request.frame.image.source_size();
            let empty = request.roi.is_some_and(|roi| !roi.clipped(picture).is_proper());
            let mapping = self.preprocessor.fill(&request.frame.image, request.roi, slot, state);
            let cost = Cost { preprocess: started.elapsed(), ..Cost::default() };
            self.prepared.push(Prepared { mapping, cost, empty });
        }
    }
}

impl Backend for OnnxBackend {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn run(&mut self, batch: &[Request], out: &mut Vec<Answer>) -> Result<(), InferError> {
        // A graph with its batch written into it always runs that many; what is beyond the requests is not looked at.
        let rows = batch.len().max(self.spec.min_batch);
        self.prepare(batch, rows);
        let size = self.spec.input.size;
        let shape = [rows, 3, size.height as usize, size.width as usize];
        let tensor = &self.tensor[..rows * self.spec.input.len()];
        let (head, family, prepared) = (&mut self.head, self.spec.family, &mut self.prepared);
        let model = self.spec.id.as_str();
        let started = Instant::now();
        let read = |outputs: &[TensorView<'_>]| {
            let inference = started.elapsed();
            for (index, (request, prepared)) in batch.iter().zip(prepared.iter_mut()).enumerate() {
                let started = Instant::now();
                let output = if prepared.empty {
                    Err(InferError::EmptyCrop)
                } else {
                    decode(head, family, outputs, index, request, &prepared.mapping)
                        .map_err(|e| InferError::Failed { model: model.to_owned(), reason: e.to_string() })
                };
                prepared.cost.inference = inference;
                prepared.cost.postprocess = started.elapsed();
                out.push(Answer { output, cost: prepared.cost });
            }
        };
        self.session.run(shape, tensor, read).map_err(|reason| InferError::Failed { model: model.to_owned(), reason })
    }
}

fn decode(
    head: &mut Head,
    family: Family,
    outputs: &[TensorView<'_>],
    index: usize,
    request: &Request,
    mapping: &Mapping,
) -> Result<Output, HeadError> {
    if family.is_second_stage() {
        return head.landmarks(outputs, index, mapping).map(Output::Landmarks);
    }
    let mut detections = Vec::new();
    let picture = request.frame.image.source_size();
    head.detections(outputs, index, mapping, picture, request.thresholds, &mut detections)?;
    Ok(Output::Detections(detections))
}
