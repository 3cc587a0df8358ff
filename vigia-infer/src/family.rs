//! From a graph to what vigia has to know about it: the family, the input, the labels, the thresholds.

use std::path::Path;
use std::sync::Arc;

use vigia_core::detection::Thresholds;
use vigia_core::geometry::Size;
use vigia_core::id::ModelId;
use vigia_core::model::{Align, Channels, Family, Fit, InputSpec, ModelSpec, Scaling};
use vigia_vision::decode::{DeclaredOutput, Head, HeadError};

use crate::labels;
use crate::manifest::{ChannelOrder, FitName, InputManifest, InputSize, Labels, Manifest, ScalingName};
use crate::session::{GraphInfo, TensorInfo};

/// What was found out about a graph.
pub(crate) struct Recognised {
    pub(crate) spec: ModelSpec,
    pub(crate) head: Head,
}

/// Largest batch for graphs that take any.
const MAX_BATCH: usize = 32;

/// Largest batch that may be written into a graph: each run computes all of it, however few pictures there are.
const MAX_FIXED_BATCH: usize = 256;

/// face-api's classes where nothing else names them (`FaceExpressions.ts`, `AgeGenderNet.ts`).
const EXPRESSIONS: [&str; 7] = ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"];
const GENDERS: [&str; 2] = ["male", "female"];

/// Side of the input where neither graph, metadata nor manifest tells.
const DEFAULT_SIDE: u32 = 640;

/// Finds out what `graph` is.
///
/// # Errors
/// What was seen, and how a manifest describes it.
pub(crate) fn recognise(
    id: ModelId,
    path: &Path,
    graph: &GraphInfo,
    manifest: &Manifest,
) -> Result<Recognised, String> {
    let input = picture_input(graph)?;
    let size = input_size(graph, input, &manifest.input)?;
    let fixed_batch = input.dims.first().copied().flatten();
    if fixed_batch.is_some_and(|batch| !(1..=MAX_FIXED_BATCH).contains(&batch)) {
        return Err(format!("its batch is fixed at a size that is not from 1 to {MAX_FIXED_BATCH}; {}", seen(graph)));
    }
    let outputs = float_outputs(graph);
    let (family, head) = match named_family(graph, manifest)? {
        Some(family) => {
            let head = Head::new(family, size, &outputs)
                .map_err(|e| format!("its family is given as {family}, but {e}; {}", seen(graph)))?;
            (family, head)
        }
        None => by_shape(graph, size, &outputs).ok_or_else(|| {
            // A free size that the family does not take hides what the model is.
            let square = Size::new(DEFAULT_SIDE, DEFAULT_SIDE);
            match by_shape(graph, square, &outputs) {
                Some((family, _)) if size != square => match Head::new(family, size, &outputs) {
                    Err(e) => format!("it looks like {family}, but with an input of {size}: {e}"),
                    Ok(_) => unknown(path, graph),
                },
                _ => unknown(path, graph),
            }
        })?,
    };
    let authors = Head::default_thresholds(family);
    let written = |key| graph.metadata.get(key).and_then(|text| text.parse::<f32>().ok());
    let spec = ModelSpec {
        id,
        family,
        input: input_spec(family, size, graph, &manifest.input)?,
        labels: labels_of(family, graph, manifest, head.class_count())?,
        thresholds: Thresholds {
            confidence: manifest.confidence.or(written("vigia.confidence")).unwrap_or(authors.confidence),
            iou: manifest.iou.or(written("vigia.iou")).unwrap_or(authors.iou),
        },
        min_batch: fixed_batch.unwrap_or(1),
        max_batch: if has_free_batch(graph) { MAX_BATCH } else { fixed_batch.unwrap_or(1) },
    };
    Ok(Recognised { spec, head })
}

/// The outputs that a head may ask for.
fn float_outputs(graph: &GraphInfo) -> Vec<DeclaredOutput> {
    graph.outputs.iter().filter(|o| o.element == "float32").map(|o| (o.name.clone(), o.dims.clone())).collect()
}

/// One more head of a model that was recognised before.
pub(crate) fn head_of(spec: &ModelSpec, graph: &GraphInfo) -> Result<Head, HeadError> {
    Head::new(spec.family, spec.input.size, &float_outputs(graph))
}

/// The one input, if it is a picture.
fn picture_input(graph: &GraphInfo) -> Result<&TensorInfo, String> {
    let [input] = graph.inputs.as_slice() else {
        return Err(format!("it has {} inputs, vigia feeds one picture; {}", graph.inputs.len(), seen(graph)));
    };
    if input.element != "float32" {
        return Err(format!(
            "its input is {}, vigia feeds float32: export the model with float32 input; {}",
            input.element,
            seen(graph)
        ));
    }
    let three_channels = input.dims.len() == 4 && input.dims[1].is_none_or(|c| c == 3);
    if !three_channels {
        return Err(format!(
            "its input is not a picture of shape [batch, 3, height, width] (\"NCHW\"); {}",
            seen(graph)
        ));
    }
    Ok(input)
}

/// A free batch counts only where the outputs follow it: some exports leave the input free and write 1 further on.
fn has_free_batch(graph: &GraphInfo) -> bool {
    let free = |t: &TensorInfo| t.dims.first().is_some_and(Option::is_none);
    graph.inputs.iter().all(free) && graph.outputs.iter().all(free)
}

/// Width and height: the graph's, else the manifest's, else the metadata's, else 640 × 640.
fn input_size(graph: &GraphInfo, input: &TensorInfo, manifest: &InputManifest) -> Result<Size, String> {
    let side = |d: Option<usize>| d.and_then(|d| u32::try_from(d).ok());
    let wished = match manifest.size {
        Some(InputSize::Square(s)) => Some(Size::new(s, s)),
        Some(InputSize::Sides([w, h])) => Some(Size::new(w, h)),
        None => metadata_size(graph),
    };
    let fallback = wished.unwrap_or(Size::new(DEFAULT_SIDE, DEFAULT_SIDE));
    let size = Size::new(side(input.dims[3]).unwrap_or(fallback.width), side(input.dims[2]).unwrap_or(fallback.height));
    if manifest.size.is_some() && wished != Some(size) {
        return Err(format!(
            "the manifest says input.size {fallback}, the graph is made for {size}: leave the key out"
        ));
    }
    if !(1..=8192).contains(&size.width) || !(1..=8192).contains(&size.height) {
        return Err(format!("an input of {size} pixels: both sides must be from 1 to 8192"));
    }
    Ok(size)
}

/// `vigia.input_size` (`416`), or Ultralytics' `imgsz` (`[height, width]`).
fn metadata_size(graph: &GraphInfo) -> Option<Size> {
    if let Some(side) = graph.metadata.get("vigia.input_size").and_then(|s| s.parse().ok()) {
        return Some(Size::new(side, side));
    }
    let text = graph.metadata.get("imgsz")?.trim_matches(['[', ']', ' ']).to_owned();
    let sides: Vec<u32> = text.split(',').filter_map(|s| s.trim().parse().ok()).collect();
    match sides[..] {
        [side] => Some(Size::new(side, side)),
        [height, width] => Some(Size::new(width, height)),
        _ => None,
    }
}

/// The family that manifest or metadata name.
fn named_family(graph: &GraphInfo, manifest: &Manifest) -> Result<Option<Family>, String> {
    let name = manifest.family.as_ref().or_else(|| graph.metadata.get("vigia.family"));
    let Some(name) = name else { return Ok(None) };
    let known = || Family::ALL.map(Family::as_str).join(", ");
    Family::from_name(name).map(Some).ok_or_else(|| {
        format!("its family is given as \"{name}\", which this version cannot decode; it knows {}", known())
    })
}

/// The first family whose outputs these are.
fn by_shape(graph: &GraphInfo, size: Size, outputs: &[DeclaredOutput]) -> Option<(Family, Head)> {
    let ultralytics = graph.metadata.get("author").is_some_and(|a| a == "Ultralytics");
    let task_fits = graph.metadata.get("task").is_none_or(|task| task == "detect");
    let candidates: &[Family] = match (ultralytics, task_fits) {
        (true, true) => &[Family::YoloNms, Family::YoloV8, Family::YoloV5],
        (true, false) => &[],
        (false, _) => {
            &[Family::YuNet, Family::FastestDet, Family::YoloX, Family::YoloV5, Family::YoloV8, Family::YoloNms]
        }
    };
    let family = candidates.iter().copied().find(|&family| Head::matches(family, size, outputs))?;
    Some((family, Head::new(family, size, outputs).ok()?))
}

/// What each family's authors feed, changed by metadata and manifest.
fn input_spec(family: Family, size: Size, graph: &GraphInfo, manifest: &InputManifest) -> Result<InputSpec, String> {
    let letterbox = |align, pad, enlarge| Fit::Letterbox { align, pad, enlarge };
    let plain = |channels, scale: f32, fit, scaling| InputSpec {
        size,
        channels,
        mean: [0.0; 3],
        scale: [scale; 3],
        fit,
        scaling,
    };
    let unit = 1.0 / 255.0;
    let mut spec = match family {
        Family::TinyFace => plain(Channels::Rgb, unit, letterbox(Align::TopLeft, 0.0, true), Scaling::BilinearCorner),
        Family::FaceLandmarks68 | Family::FaceExpression | Family::AgeGender | Family::FaceRecognition => {
            plain(Channels::Rgb, unit, letterbox(Align::Centre, 0.0, true), Scaling::BilinearCorner)
        }
        Family::YuNet => plain(Channels::Bgr, 1.0, letterbox(Align::TopLeft, 0.0, false), Scaling::Bilinear),
        Family::FastestDet => plain(Channels::Bgr, unit, Fit::Stretch, Scaling::Area),
        Family::YoloX => plain(Channels::Bgr, 1.0, letterbox(Align::TopLeft, 114.0, true), Scaling::Bilinear),
        Family::YoloV5 | Family::YoloV8 | Family::YoloNms => {
            plain(Channels::Rgb, unit, letterbox(Align::Centre, 114.0, true), Scaling::Bilinear)
        }
    };
    if let Some(mean) = graph.metadata.get("vigia.mean") {
        spec.mean = three(mean).ok_or_else(|| format!("metadata vigia.mean is \"{mean}\", expected three numbers"))?;
    }
    if let Some(scale) = graph.metadata.get("vigia.scale") {
        let one = scale.parse().map_err(|_parse| format!("metadata vigia.scale is \"{scale}\", expected a number"))?;
        spec.scale = [one; 3];
    }
    apply(&mut spec, manifest);
    Ok(spec)
}

fn apply(spec: &mut InputSpec, manifest: &InputManifest) {
    if let Some(order) = manifest.channels {
        spec.channels = match order {
            ChannelOrder::Rgb => Channels::Rgb,
            ChannelOrder::Bgr => Channels::Bgr,
        };
    }
    if let Some(mean) = manifest.mean {
        spec.mean = mean.three();
    }
    if let Some(scale) = manifest.scale {
        spec.scale = scale.three();
    }
    if let Some(scaling) = manifest.scaling {
        spec.scaling = match scaling {
            ScalingName::Bilinear => Scaling::Bilinear,
            ScalingName::BilinearCorner => Scaling::BilinearCorner,
            ScalingName::Area => Scaling::Area,
        };
    }
    let (mut align, mut pad, mut enlarge) = (Align::Centre, 114.0, true);
    if let Fit::Letterbox { align: a, pad: p, enlarge: e } = spec.fit {
        (align, pad, enlarge) = (a, p, e);
    }
    pad = manifest.pad.unwrap_or(pad);
    enlarge = manifest.enlarge.unwrap_or(enlarge);
    spec.fit = match manifest.fit {
        Some(FitName::Stretch) => Fit::Stretch,
        Some(FitName::Letterbox) => Fit::Letterbox { align: Align::Centre, pad, enlarge },
        Some(FitName::LetterboxTopLeft) => Fit::Letterbox { align: Align::TopLeft, pad, enlarge },
        None if spec.fit == Fit::Stretch => Fit::Stretch,
        None => Fit::Letterbox { align, pad, enlarge },
    };
}

fn three(text: &str) -> Option<[f32; 3]> {
    let numbers: Vec<f32> = text.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    numbers.try_into().ok()
}

/// Names of the classes: the manifest's, the metadata's, COCO's for 80 classes, the family's own, else none.
fn labels_of(
    family: Family,
    graph: &GraphInfo,
    manifest: &Manifest,
    classes: Option<usize>,
) -> Result<Arc<[String]>, String> {
    let from_metadata = || {
        let own = graph.metadata.get("vigia.labels").map(|l| l.split(',').map(|n| n.trim().to_owned()).collect());
        own.or_else(|| graph.metadata.get("names").and_then(|names| labels::from_python_dict(names)))
    };
    // An embedding is of no class; what its metadata names is the output.
    if family == Family::FaceRecognition {
        return Ok(Vec::new().into());
    }
    let labels = match &manifest.labels {
        Some(Labels::List(list)) => Some(list.clone()),
        Some(Labels::Named(_coco)) => Some(labels::coco()),
        None => from_metadata(),
    };
    let labels = labels.unwrap_or_else(|| match (family, classes) {
        (Family::TinyFace | Family::YuNet | Family::FaceLandmarks68, _) => vec!["face".to_owned()],
        (Family::FaceExpression, _) => EXPRESSIONS.map(str::to_owned).to_vec(),
        (Family::AgeGender, _) => GENDERS.map(str::to_owned).to_vec(),
        (_, Some(80)) => labels::coco(),
        _ => Vec::new(),
    });
    match classes {
        Some(classes) if manifest.labels.is_some() && labels.len() != classes => Err(format!(
            "the manifest names {} classes, the graph has {classes}: write one name per class",
            labels.len()
        )),
        // A pose or rotated-box export looks like a detector with more classes than it has names for.
        Some(classes) if !labels.is_empty() && labels.len() != classes => Err(format!(
            "its metadata names {} classes, its output has room for {classes}: it is no plain detector; {}",
            labels.len(),
            seen(graph)
        )),
        _ => Ok(labels.into()),
    }
}

/// The graph in one line.
pub(crate) fn seen(graph: &GraphInfo) -> String {
    let list = |tensors: &[TensorInfo]| {
        let shown = tensors.iter().take(12).map(|t| format!("{} {} {}", t.name, t.element, t.shape()));
        shown.collect::<Vec<_>>().join(", ")
    };
    let task = graph.metadata.get("task").map(|task| format!("; task {task}")).unwrap_or_default();
    format!("seen: input {}; output {}{task}", list(&graph.inputs), list(&graph.outputs))
}

fn unknown(path: &Path, graph: &GraphInfo) -> String {
    let file = path.with_extension("yaml");
    let name = file.file_name().map_or_else(|| "model.yaml".into(), |n| n.to_string_lossy());
    format!(
        "its outputs are of no family that vigia recognises ({}); {}. If it is one of these, say so in {name} beside it: \
         \"family: yolov8\", with labels, confidence, iou and input as needed",
        Family::ALL.map(Family::as_str).join(", "),
        seen(graph)
    )
}

#[cfg(test)]
mod tests;
