//! From output tensors to what is in the picture: one [`Head`] per model, told by its [`Family`].
//!
//! Here: the checks of names and shapes, the one road that all detectors take (scan → best candidates → boxes →
//! suppression → source pixels), and the thresholds of the families' authors. The conventions of each family are in its
//! own file below this one; suppression is in [`nms`]; how a picture got into the input, and thus the
//! [`Mapping`], is the business of pre-processing. Which family a graph belongs to is decided in `vigia-infer`, with
//! [`Head::matches`].
//!
//! ```
//! use vigia_core::{geometry::{Mapping, Size}, model::Family};
//! use vigia_vision::decode::{Head, TensorView};
//!
//! let dims = vec![None, Some(300), Some(6)];
//! let mut head = Head::new(Family::YoloNms, Size::new(640, 640), &[("output0".into(), dims)])?;
//! let mut rows = vec![0.0; 300 * 6];
//! rows[..6].copy_from_slice(&[100.0, 100.0, 200.0, 300.0, 0.9, 2.0]);
//! let outputs = [TensorView { name: "output0", shape: &[1, 300, 6], data: &rows }];
//! let twice = Mapping { scale_x: 2.0, scale_y: 2.0, offset_x: 0.0, offset_y: 0.0 };
//! let mut found = Vec::new();
//! head.detections(&outputs, 0, &twice, Size::new(1280, 1280), Head::default_thresholds(Family::YoloNms), &mut found)?;
//! assert_eq!((found.len(), found[0].class_id, found[0].bbox.x2), (1, 2, 400.0));
//! # Ok::<(), vigia_vision::decode::HeadError>(())
//! ```
//!
//! Not handled: masks, rotated boxes and pose keypoints of Ultralytics' other tasks (the graph's metadata tells them; a
//! pose export has the shape of a detector with more classes, so compare [`Head::class_count`] with the labels), and
//! outputs that are not float32.

mod attributes;
mod error;
mod fastestdet;
mod grid;
mod hits;
mod landmarks;
mod shape;
mod tiny_face;
mod ultralytics;
mod yolox;
mod yunet;

use vigia_core::backend::Output;
use vigia_core::detection::{Detection, Keypoint, Thresholds};
use vigia_core::geometry::{BBox, Mapping, Size};
use vigia_core::landmarks::Landmarks;
use vigia_core::model::Family;

pub use self::error::HeadError;
use self::hits::Hits;
use self::shape::{OutputSpec, Parts};
use crate::nms::{self, Candidate, Scope};

/// Most detections of one picture, as Ultralytics' `max_det`.
pub const MAX_DETECTIONS: usize = 300;

/// Most places of an output that are remembered while it is scanned, as Ultralytics' `max_nms`; when there are more,
/// the best [`TOP_K`] of them stay.
pub const MAX_CANDIDATES: usize = 30_000;

/// Most candidates that become boxes and go into suppression. With [`MAX_DETECTIONS`] this bounds its work to
/// 900,000 comparisons whatever a model or a picture does; a picture of a crowd has a few hundred.
pub const TOP_K: usize = 3_000;

/// An output of one run, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Its name in the graph.
    pub name: &'a str,
    /// Its dimensions in this run; the first is the batch.
    pub shape: &'a [usize],
    /// Its numbers, row-major and without gaps; at least as many as the shape says.
    pub data: &'a [f32],
}

/// An output as the graph declares it: its name and its dimensions, `None` where one is free.
pub type DeclaredOutput = (String, Vec<Option<usize>>);

/// What a family of detectors contributes. All boxes are in pixels of the model's input.
trait Decoder: std::fmt::Debug + Send + Sync {
    /// Offers every place whose score may reach [`Hits::floor`].
    fn scan(&self, parts: &Parts<'_>, hits: &mut Hits);

    /// Box and class at a place that `scan` offered; `None` where there is no class. The box may be anything at all.
    fn resolve(&self, parts: &Parts<'_>, index: usize) -> Option<(BBox, u32)>;

    /// The keypoints at such a place, in source pixels.
    fn keypoints(&self, _parts: &Parts<'_>, _index: usize, _mapping: &Mapping) -> Vec<Keypoint> {
        Vec::new()
    }

    /// Number of classes; `None` where the output does not tell.
    fn class_count(&self) -> Option<usize>;

    /// Which boxes compete; `None` where the graph has done that already.
    fn scope(&self) -> Option<Scope>;
}

/// What a family's file hands to the head: its conventions, and the outputs in its own order.
type Built = (Box<dyn Decoder>, Vec<OutputSpec>);

#[derive(Debug)]
enum Kind {
    Detector(Box<dyn Decoder>),
    Landmarks { input: Size },
    Expression,
    AgeGender,
    Recognition,
}

impl Kind {
    /// What it can be asked for, in a word.
    fn gives(&self) -> &'static str {
        match self {
            Self::Detector(_) => "detections",
            Self::Landmarks { .. } => "landmarks",
            Self::Expression => "classes",
            Self::AgeGender => "age and gender",
            Self::Recognition => "an embedding",
        }
    }
}

/// A model's outputs, understood.
///
/// Built once per model when the shapes are known. It keeps its scratch memory from picture to picture, so each thread
/// has its own; in steady state only results are allocated.
#[derive(Debug)]
pub struct Head {
    family: Family,
    kind: Kind,
    outputs: Vec<OutputSpec>,
    hits: Hits,
    candidates: Vec<Candidate>,
}

impl Head {
    /// Checks that a graph's outputs are what this family has for an input of this size.
    ///
    /// Free dimensions are taken to be what the family needs and are checked again in every run; only the number of
    /// classes must be written in the graph.
    pub fn new(family: Family, input: Size, outputs: &[DeclaredOutput]) -> Result<Self, HeadError> {
        let (kind, outputs) = match family {
            Family::TinyFace => detector(tiny_face::build(input, outputs)?),
            Family::YuNet => detector(yunet::build(input, outputs)?),
            Family::FastestDet => detector(fastestdet::build(input, outputs)?),
            Family::YoloX => detector(yolox::build(input, outputs)?),
            Family::YoloV5 => detector(ultralytics::build_rows(input, outputs)?),
            Family::YoloV8 => detector(ultralytics::build_columns(input, outputs)?),
            Family::YoloNms => detector(ultralytics::build_finished(input, outputs)?),
            Family::FaceLandmarks68 => (Kind::Landmarks { input }, landmarks::outputs(outputs)?),
            Family::FaceExpression => (Kind::Expression, attributes::expression(outputs)?),
            Family::AgeGender => (Kind::AgeGender, attributes::age_and_gender(outputs)?),
            Family::FaceRecognition => (Kind::Recognition, attributes::recognition(outputs)?),
        };
        Ok(Self { family, kind, outputs, hits: Hits::default(), candidates: Vec::new() })
    }

    /// True when the outputs can only be this family's, of all families, for an input of this size.
    ///
    /// Stricter than [`Head::new`]: where the dimension that tells one family from another is free (the rows of
    /// `[batch, ?, 85]` are YOLOX's or `YOLOv5`'s), no family matches. Run the graph once and ask with the real shapes.
    pub fn matches(family: Family, input: Size, outputs: &[DeclaredOutput]) -> bool {
        let telling = |dims: &[Option<usize>]| match family {
            // YuNet has its names, the rest one free dimension at most that says nothing about the family.
            Family::YuNet | Family::YoloV8 | Family::FaceLandmarks68 => true,
            _ => dims.iter().skip(1).all(Option::is_some),
        };
        outputs.iter().all(|(_, dims)| telling(dims)) && Self::new(family, input, outputs).is_ok()
    }

    /// The thresholds that a family's authors use.
    ///
    /// Sources: face-api `TinyFaceDetectorOptions` and its NMS, OpenCV `FaceDetectorYN` demo, `FastestDet` `test.py`,
    /// YOLOX `demo/ONNXRuntime`, `YOLOv5` `detect.py`, Ultralytics `predict` arguments. An IoU of 1 suppresses nothing.
    pub fn default_thresholds(family: Family) -> Thresholds {
        let (confidence, iou) = match family {
            Family::TinyFace => (0.5, 0.4),
            Family::YuNet => (0.6, 0.3),
            Family::FastestDet => (0.5, 0.45),
            Family::YoloX => (0.3, 0.45),
            Family::YoloV5 => (0.25, 0.45),
            Family::YoloV8 => (0.25, 0.7),
            Family::YoloNms => (0.25, 1.0),
            // They look at each crop that they get.
            Family::FaceLandmarks68 | Family::FaceExpression | Family::AgeGender | Family::FaceRecognition => {
                (0.0, 1.0)
            }
        };
        Thresholds { confidence, iou }
    }

    /// Whose conventions this head follows.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Number of classes; `None` where the outputs do not tell (built-in NMS, landmarks, embeddings).
    pub fn class_count(&self) -> Option<usize> {
        match &self.kind {
            Kind::Detector(decoder) => decoder.class_count(),
            Kind::Expression => Some(attributes::EXPRESSIONS),
            Kind::AgeGender => Some(attributes::GENDERS),
            Kind::Landmarks { .. } | Kind::Recognition => None,
        }
    }

    /// Says what the model has to say of one picture of the batch, whatever its family; see [`Self::detections`] for the
    /// arguments, and [`Output`] for what second stages give.
    pub fn output(
        &mut self,
        outputs: &[TensorView<'_>],
        index: usize,
        mapping: &Mapping,
        picture: Size,
        thresholds: Thresholds,
    ) -> Result<Output, HeadError> {
        if let Kind::Detector(_) = self.kind {
            let mut found = Vec::new();
            self.detections(outputs, index, mapping, picture, thresholds, &mut found)?;
            return Ok(Output::Detections(found));
        }
        let parts = Parts::find(&self.outputs, outputs, index)?;
        let said = match self.kind {
            Kind::Detector(_) => None,
            Kind::Landmarks { input } => landmarks::points(&parts, input, mapping).map(Output::Landmarks),
            Kind::Expression => attributes::classes(parts[0]).map(Output::Classes),
            Kind::AgeGender => attributes::age_gender(parts[0], parts[1]).map(Output::AgeGender),
            Kind::Recognition => attributes::embedding(parts[0]).map(Output::Embedding),
        };
        said.ok_or(HeadError::NotFinite { family: self.family })
    }

    /// Writes what was found in one picture of the batch into `out`, which is emptied first, also on an error.
    ///
    /// `index` is the picture's place in the batch, `mapping` leads from pixels of the model's input to pixels of the
    /// source, `picture` is the source's size. The boxes are in source pixels, the most confident first,
    /// [`MAX_DETECTIONS`] at most. Ultralytics' families clip them to the picture after suppression, as their authors
    /// do; the others' may reach beyond it. Boxes and scores that are not finite are left out, and so are boxes with
    /// nothing inside the picture. Keypoints may lie outside the picture; they are empty where one is not finite.
    pub fn detections(
        &mut self,
        outputs: &[TensorView<'_>],
        index: usize,
        mapping: &Mapping,
        picture: Size,
        thresholds: Thresholds,
        out: &mut Vec<Detection>,
    ) -> Result<(), HeadError> {
        out.clear();
        let Kind::Detector(decoder) = &self.kind else {
            return Err(HeadError::WrongStage { family: self.family, gives: self.kind.gives() });
        };
        let parts = Parts::find(&self.outputs, outputs, index)?;

        self.hits.restart(thresholds.confidence);
        decoder.scan(&parts, &mut self.hits);

        self.candidates.clear();
        self.candidates.extend(self.hits.best().iter().filter_map(|hit| {
            let (bbox, class_id) = decoder.resolve(&parts, hit.index as usize)?;
            bbox.is_proper().then_some(Candidate { bbox, score: hit.score, class_id, index: hit.index })
        }));
        if let Some(scope) = decoder.scope() {
            nms::suppress(&mut self.candidates, thresholds.iou, scope, MAX_DETECTIONS);
        } else {
            nms::sort_by_confidence(&mut self.candidates);
            self.candidates.truncate(MAX_DETECTIONS);
        }

        let clips = matches!(self.family, Family::YoloV5 | Family::YoloV8 | Family::YoloNms);
        out.extend(self.candidates.iter().filter_map(|found| {
            let whole = mapping.bbox(&found.bbox);
            let inside = whole.clipped(picture);
            let mut keypoints = decoder.keypoints(&parts, found.index as usize, mapping);
            if !keypoints.iter().all(|k| k.point.x.is_finite() && k.point.y.is_finite()) {
                keypoints.clear();
            }
            // Probabilities by their making; rounding of a quantised network may lift one a little above 1.
            let bbox = if clips { inside } else { whole };
            let detection = Detection::new(found.class_id, found.score.min(1.0), bbox);
            (whole.is_proper() && inside.is_proper()).then_some(Detection { keypoints, ..detection })
        }));
        Ok(())
    }

    /// The landmarks of one crop of the batch, in source pixels; they may lie outside the picture.
    ///
    /// `index` is the crop's place in the batch, `mapping` leads from pixels of the model's input to pixels of the source.
    pub fn landmarks(
        &self,
        outputs: &[TensorView<'_>],
        index: usize,
        mapping: &Mapping,
    ) -> Result<Landmarks, HeadError> {
        let Kind::Landmarks { input } = &self.kind else {
            return Err(HeadError::WrongStage { family: self.family, gives: self.kind.gives() });
        };
        let parts = Parts::find(&self.outputs, outputs, index)?;
        landmarks::points(&parts, *input, mapping).ok_or(HeadError::NotFinite { family: self.family })
    }
}

fn detector((decoder, outputs): Built) -> (Kind, Vec<OutputSpec>) {
    (Kind::Detector(decoder), outputs)
}
