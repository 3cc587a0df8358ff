//! Converts the face networks of the npm package `@vladmandic/face-api` (MIT) to ONNX, once, when vigia is set up.
//!
//! The package keeps each network as a weights manifest (JSON) and a binary of mostly uint8-quantised tensors; the
//! layers themselves are code in its `src` folder. So each network has a file here that rebuilds its layers, and names
//! the source files it follows.
//!
//! Every converted network takes `image`: f32, NCHW, RGB, **already normalised** as (pixel − mean) × scale with pixels
//! 0..255, because vigia's fused pre-processing does that for free. Mean and scale stand in the model's metadata:
//!
//! | key | meaning |
//! | --- | --- |
//! | `vigia.family` | which decoding the outputs need: the file's name without `.onnx` |
//! | `vigia.input_size` | side of the square input, in pixels; the default where the size is open |
//! | `vigia.input_multiple` | where the size is open: sides must be multiples of this |
//! | `vigia.letterbox` | where the scaled picture stands in the square: `top-left` or `centre`; the rest is pixel 0 |
//! | `vigia.channels`, `vigia.mean`, `vigia.scale` | channel order; per-channel mean and factor of the normalisation |
//! | `vigia.labels` | class names, comma-separated, in the order of the output |
//! | `vigia.confidence`, `vigia.iou`, `vigia.anchors` | detectors: default thresholds; anchors `w,h;w,h;…` in cells |
//! | `vigia.origin`, `vigia.licence` | the package and its version; the licence of the weights |

mod age_gender;
mod expression;
mod extractor;
mod landmarks;
mod layers;
mod recognition;
#[cfg(test)]
mod tests;
mod tiny_face;
mod weights;
mod write;

use std::io;
use std::path::{Path, PathBuf};

use prost::Message as _;

use crate::onnx::ModelProto;
use weights::Weights;

/// One network that [`import_face_api`] converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedModel {
    /// The model's family, as in its metadata (`vigia.family`): `tiny-face` and the like.
    pub family: &'static str,
    /// The ONNX file, in the output folder.
    pub path: PathBuf,
    /// The file's size in bytes.
    pub bytes: u64,
}

/// Why a package could not be converted. Every message names the file, what is wrong in it, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file of the package cannot be read.
    #[error(
        "cannot read {}: {source}; give the `model` folder of the npm package @vladmandic/face-api",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the package is far larger than these networks are.
    #[error(
        "{} has {bytes} bytes, at most {limit} were expected; this is not a face-api network: install the package again",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The largest size accepted, in bytes.
        limit: u64,
    },
    /// A weights manifest is not JSON of the expected form.
    #[error("{} is not a weights manifest: {source}; install the package again", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Where the JSON is wrong, and how.
        source: serde_json::Error,
    },
    /// A manifest names a binary outside its own folder.
    #[error(
        "{} names the weights file {name:?}, which is not a plain file name beside it; install the package again",
        path.display()
    )]
    UnsafePath {
        /// The manifest.
        path: PathBuf,
        /// The name it gives.
        name: String,
    },
    /// A tensor cannot be decoded.
    #[error("{}: tensor {tensor:?} {problem}; install the package again", path.display())]
    Tensor {
        /// The manifest that describes the tensor.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        problem: TensorProblem,
    },
    /// The binary goes on after the last tensor of its manifest.
    #[error(
        "{}: the weights file has {bytes} bytes after the last tensor, so the two files do not belong together; install \
         the package again",
        path.display()
    )]
    SurplusBytes {
        /// The manifest.
        path: PathBuf,
        /// How many bytes no tensor accounts for.
        bytes: usize,
    },
    /// A converted model cannot be written.
    #[error("cannot write {}: {source}; check that the folder is writable and the disk not full", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong with a tensor of a weights manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorProblem {
    /// The network needs it and the manifest does not have it.
    #[error("is missing")]
    Missing,
    /// Two tensors have this name.
    #[error("is there twice")]
    Duplicate,
    /// Its element type is none that these networks use.
    #[error("has the element type {0:?}; known are float32, and float32 quantised to uint8")]
    UnknownDtype(String),
    /// The shape is empty, has a zero, or its product is beyond any network of the package.
    #[error("has the impossible shape {0:?}")]
    ImpossibleShape(Vec<u64>),
    /// The shape is not the one the network has.
    #[error("has the shape {found:?}, the network needs {expected:?}")]
    WrongShape {
        /// The shape the network needs.
        expected: Vec<usize>,
        /// The shape in the manifest.
        found: Vec<usize>,
    },
    /// The binary ends before the tensor does.
    #[error("needs {needed} bytes but the weights file has only {left} left: the file is truncated")]
    Truncated {
        /// The tensor's size in bytes.
        needed: usize,
        /// What is left of the file, in bytes.
        left: usize,
    },
    /// A value, the scale or the minimum is infinite or not a number.
    #[error("holds a value that is not a finite number")]
    NotFinite,
}

/// A network of the package: its family, the name of its weights there, and its converter.
struct Network {
    family: &'static str,
    weights: &'static str,
    convert: fn(&Weights, &Origin) -> Result<ModelProto, ImportError>,
}

/// The networks in the order in which they matter.
const NETWORKS: [Network; 5] = [
    Network { family: tiny_face::FAMILY, weights: "tiny_face_detector_model", convert: tiny_face::convert },
    Network { family: landmarks::FAMILY, weights: "face_landmark_68_model", convert: landmarks::convert },
    Network { family: expression::FAMILY, weights: "face_expression_model", convert: expression::convert },
    Network { family: age_gender::FAMILY, weights: "age_gender_model", convert: age_gender::convert },
    Network { family: recognition::FAMILY, weights: "face_recognition_model", convert: recognition::convert },
];

/// Converts the five networks in `package_model_dir` (the package's `model` folder) to `<family>.onnx` in `out_dir`.
///
/// All networks are converted before the first is written, and each file appears whole or not at all. The same package
/// gives the same bytes. Models that are already there are replaced.
pub fn import_face_api(package_model_dir: &Path, out_dir: &Path) -> Result<Vec<ImportedModel>, ImportError> {
    let origin = Origin::of(package_model_dir);
    let mut encoded = Vec::with_capacity(NETWORKS.len());
    for network in &NETWORKS {
        let weights = Weights::load(package_model_dir, network.weights)?;
        let model = (network.convert)(&weights, &origin)?;
        encoded.push((network.family, model.encode_to_vec()));
    }
    write::create_dir(out_dir)?;
    let write = |(family, bytes): (&'static str, Vec<u8>)| {
        let path = out_dir.join(format!("{family}.onnx"));
        write::atomically(&path, &bytes)?;
        Ok(ImportedModel { family, path, bytes: bytes.len() as u64 })
    };
    encoded.into_iter().map(write).collect()
}

/// The package's name and version, where its `package.json` tells them.
#[derive(Debug, Default)]
struct Origin(Option<String>);

impl Origin {
    /// Reads `package.json` beside the model folder. Only a note for people, so nothing here is an error.
    fn of(package_model_dir: &Path) -> Self {
        #[derive(serde::Deserialize)]
        struct Package {
            name: String,
            version: String,
        }
        let read = || {
            // The folder may be given as `.`, or by a symbolic link.
            let folder = package_model_dir.canonicalize().ok()?;
            let json = std::fs::read(folder.parent()?.join("package.json")).ok()?;
            let package: Package = serde_json::from_slice(&json).ok()?;
            Some(format!("{} {}", package.name, package.version))
        };
        Self(read())
    }
}
