//! Reads a network's weights: the manifest (JSON) and the binary beside it, as TensorFlow.js lays them out.
//!
//! Tensors follow each other in the binary without gaps, in the manifest's order. Quantised ones hold one byte per
//! element, value = byte × scale + min, computed in f64 as TensorFlow.js does; others are little-endian f32.
//! Everything is checked before it is used: both files come from outside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ImportError, TensorProblem};

/// The largest manifest and binary accepted, in bytes; the package's own stay under 30 kB and 7 MB.
const MAX_MANIFEST: u64 = 1 << 20;
const MAX_BINARY: u64 = 64 << 20;

/// The tensors of one network, by name.
#[derive(Debug)]
pub(super) struct Weights {
    manifest: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Debug)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Group {
    weights: Vec<Entry>,
    paths: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<u64>,
    dtype: String,
    quantization: Option<Quantization>,
}

#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: f64,
    min: f64,
}

impl Weights {
    /// Reads `<name>-weights_manifest.json` and the binaries it names from `dir`.
    pub(super) fn load(dir: &Path, name: &str) -> Result<Self, ImportError> {
        let manifest = dir.join(format!("{name}-weights_manifest.json"));
        let json = read(&manifest, MAX_MANIFEST)?;
        let groups: Vec<Group> =
            serde_json::from_slice(&json).map_err(|source| ImportError::Manifest { path: manifest.clone(), source })?;
        let mut weights = Self { manifest, tensors: BTreeMap::new() };
        for group in groups {
            let mut bytes = Vec::new();
            for path in &group.paths {
                bytes.extend(read(&weights.beside(dir, path)?, MAX_BINARY)?);
            }
            weights.decode_group(group.weights, &bytes)?;
        }
        Ok(weights)
    }

    /// The values of the tensor `name` in C order, which must have the shape `expected`.
    pub(super) fn get(&self, name: &str, expected: &[usize]) -> Result<&[f32], ImportError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(self.problem(name, TensorProblem::Missing));
        };
        if tensor.shape != expected {
            let problem = TensorProblem::WrongShape { expected: expected.to_vec(), found: tensor.shape.clone() };
            return Err(self.problem(name, problem));
        }
        Ok(&tensor.values)
    }

    /// The path of a binary, refused where it would lead out of the manifest's folder.
    fn beside(&self, dir: &Path, name: &str) -> Result<PathBuf, ImportError> {
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(ImportError::UnsafePath { path: self.manifest.clone(), name: name.to_owned() });
        }
        Ok(dir.join(name))
    }

    fn decode_group(&mut self, entries: Vec<Entry>, mut bytes: &[u8]) -> Result<(), ImportError> {
        for entry in entries {
            let (tensor, rest) = entry.decode(bytes).map_err(|problem| self.problem(&entry.name, problem))?;
            bytes = rest;
            if self.tensors.contains_key(&entry.name) {
                return Err(self.problem(&entry.name, TensorProblem::Duplicate));
            }
            self.tensors.insert(entry.name, tensor);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        Err(ImportError::SurplusBytes { path: self.manifest.clone(), bytes: bytes.len() })
    }

    fn problem(&self, tensor: &str, problem: TensorProblem) -> ImportError {
        ImportError::Tensor { path: self.manifest.clone(), tensor: tensor.to_owned(), problem }
    }
}

impl Entry {
    /// Decodes this tensor from the front of `bytes`; returns it with the bytes after it.
    fn decode<'b>(&self, bytes: &'b [u8]) -> Result<(Tensor, &'b [u8]), TensorProblem> {
        let (shape, elements) = self.checked_shape()?;
        let unknown = |dtype: &str| Err(TensorProblem::UnknownDtype(dtype.to_owned()));
        let width = match (&self.quantization, self.dtype.as_str()) {
            (Some(quantization), "float32") if quantization.dtype == "uint8" => 1,
            (Some(quantization), "float32") => return unknown(&quantization.dtype),
            (None, "float32") => 4,
            (_, other) => return unknown(other),
        };
        // Cannot overflow: `checked_shape` keeps the number of elements below `MAX_BINARY`.
        let needed = elements * width;
        let Some((own, rest)) = bytes.split_at_checked(needed) else {
            return Err(TensorProblem::Truncated { needed, left: bytes.len() });
        };
        let values: Vec<f32> = match &self.quantization {
            Some(Quantization { scale, min, .. }) => {
                own.iter().map(|&byte| (f64::from(byte) * scale + min) as f32).collect()
            }
            None => own.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect(),
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(TensorProblem::NotFinite);
        }
        Ok((Tensor { shape, values }, rest))
    }

    /// The shape and its product, refused where no network of the package can have it.
    fn checked_shape(&self) -> Result<(Vec<usize>, usize), TensorProblem> {
        let impossible = || TensorProblem::ImpossibleShape(self.shape.clone());
        let elements = self
            .shape
            .iter()
            .try_fold(1u64, |product, &dim| product.checked_mul(dim))
            .filter(|&elements| (1..=MAX_BINARY).contains(&elements) && !self.shape.is_empty())
            .ok_or_else(impossible)?;
        // Every dimension is at most the product, which fits.
        Ok((self.shape.iter().map(|&dim| dim as usize).collect(), elements as usize))
    }
}

/// Reads a file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ImportError> {
    let failed = |source| ImportError::Read { path: path.to_path_buf(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > limit {
        return Err(ImportError::TooLarge { path: path.to_path_buf(), bytes, limit });
    }
    fs::read(path).map_err(failed)
}
