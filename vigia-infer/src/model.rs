//! One instance of a model: pixels to tensor, the network, tensor to detections.

use std::time::Instant;

use vigia_core::backend::{Answer, Backend, Cost, InferError, Output, Region, Request};
use vigia_core::geometry::{Affine, Mapping, Size};
use vigia_core::model::ModelSpec;
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
    /// Tensor pixels to source pixels, or, where there is `aligned`, to themselves.
    mapping: Mapping,
    /// Tensor pixels to source pixels, for a crop that is turned.
    aligned: Option<Affine>,
    cost: Cost,
    /// The crop has no pixels: its slot runs along, its answer is an error.
    empty: bool,
}

/// The map of pixels to themselves.
const UNTOUCHED: Mapping = Mapping { scale_x: 1.0, scale_y: 1.0, offset_x: 0.0, offset_y: 0.0 };

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
            let image = &request.frame.image;
            let (around, aligned, mapping) = match request.roi {
                None => (None, None, self.preprocessor.fill(image, None, slot, state)),
                Some(Region::Box(roi)) => (Some(roi), None, self.preprocessor.fill(image, Some(roi), slot, state)),
                Some(Region::Aligned(map)) => {
                    self.preprocessor.fill_aligned(image, &map, slot, state);
                    (Some(map.around(&self.spec.input.size.whole())), Some(map), UNTOUCHED)
                }
            };
            let empty = around.is_some_and(|around| !around.clipped(picture).is_proper());
            let cost = Cost { preprocess: started.elapsed(), ..Cost::default() };
            self.prepared.push(Prepared { mapping, aligned, cost, empty });
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
        let (head, prepared) = (&mut self.head, &mut self.prepared);
        let model = self.spec.id.as_str();
        let started = Instant::now();
        let read = |outputs: &[TensorView<'_>]| {
            let inference = started.elapsed();
            for (index, (request, prepared)) in batch.iter().zip(prepared.iter_mut()).enumerate() {
                let started = Instant::now();
                let output = if prepared.empty {
                    Err(InferError::EmptyCrop)
                } else {
                    decode(head, outputs, index, (request, size), prepared)
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
    outputs: &[TensorView<'_>],
    index: usize,
    (request, input): (&Request, Size),
    prepared: &Prepared,
) -> Result<Output, HeadError> {
    let picture = prepared.aligned.map_or_else(|| request.frame.image.source_size(), |_turned| input);
    let mut output = head.output(outputs, index, &prepared.mapping, picture, request.thresholds)?;
    if let Some(to_source) = &prepared.aligned {
        turn_back(&mut output, to_source);
    }
    Ok(output)
}

/// Takes what was found in a turned crop to source pixels. A box becomes the upright one around it.
fn turn_back(output: &mut Output, to_source: &Affine) {
    match output {
        Output::Detections(detections) => {
            for detection in detections {
                detection.bbox = to_source.around(&detection.bbox);
                detection.keypoints.iter_mut().for_each(|k| k.point = to_source.point(k.point));
            }
        }
        Output::Landmarks(landmarks) => landmarks.points.iter_mut().for_each(|p| *p = to_source.point(*p)),
        Output::Classes(_) | Output::AgeGender(_) | Output::Embedding(_) => {}
    }
}
