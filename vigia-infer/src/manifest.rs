//! `model.yaml`: what a graph does not say of itself, written by hand beside it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The manifest. Every key is optional; what is absent comes from the graph and its family.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// Whose conventions the model follows: a family's name (`yolox`, `yolov8`, …).
    pub family: Option<String>,
    /// Names of the classes in order, or `coco`.
    pub labels: Option<Labels>,
    /// Confidence threshold, 0 to 1.
    pub confidence: Option<f32>,
    /// `IoU` threshold of the suppression of overlapping boxes, 0 to 1.
    pub iou: Option<f32>,
    /// The picture input, where it differs from the family's.
    pub input: InputManifest,
}

/// Names of classes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "labels must be a list of names, or coco")]
pub enum Labels {
    /// A well-known list by name; `coco` is the one there is.
    Named(String),
    /// The names, in order.
    List(Vec<String>),
}

/// The picture input.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputManifest {
    /// Side of a square input, or `[width, height]`, in pixels; needed only where the graph leaves it free.
    pub size: Option<InputSize>,
    /// `rgb` or `bgr`.
    pub channels: Option<ChannelOrder>,
    /// Subtracted from each pixel value 0..255: one number or three in tensor order.
    pub mean: Option<PerChannel>,
    /// Multiplied after that: one number or three in tensor order (1/255 is 0.00392156862745098).
    pub scale: Option<PerChannel>,
    /// `stretch`, `letterbox` (in the middle) or `letterbox-top-left`.
    pub fit: Option<FitName>,
    /// Value of the letterbox's rest, 0 to 255.
    pub pad: Option<f32>,
    /// Whether pictures smaller than the input are enlarged.
    pub enlarge: Option<bool>,
    /// `bilinear`, `bilinear-corner` or `area`.
    pub scaling: Option<ScalingName>,
}

/// One side or both.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "size must be a number of pixels, or [width, height]")]
pub enum InputSize {
    /// Width and height alike.
    Square(u32),
    /// Width, height.
    Sides([u32; 2]),
}

/// One number for all channels, or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a number, or three numbers in tensor order")]
pub enum PerChannel {
    /// The same for all.
    One(f32),
    /// In tensor order.
    Three([f32; 3]),
}

impl PerChannel {
    pub(crate) fn three(self) -> [f32; 3] {
        match self {
            Self::One(v) => [v; 3],
            Self::Three(v) => v,
        }
    }
}

/// Order of the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// How other shapes are brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FitName {
    /// Each axis by itself.
    Stretch,
    /// In the middle, the rest filled.
    Letterbox,
    /// In the top-left corner, the rest filled.
    LetterboxTopLeft,
}

/// How samples between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScalingName {
    /// Pixel centres at +0.5.
    Bilinear,
    /// Pixels at whole numbers, as `TensorFlow` once did.
    BilinearCorner,
    /// Mean of the covered area when shrinking.
    Area,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("manifest {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not what a manifest looks like; the message has line and column.
    #[error("manifest {}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Manifest {
    /// The manifest for a model: `<name>.yaml` beside `<name>.onnx`, else `model.yaml` in the same folder, else an
    /// empty one. Says which file it was.
    ///
    /// # Errors
    /// When the file is there and cannot be used.
    pub fn find(model: &Path) -> Result<(Self, Option<PathBuf>), ManifestError> {
        let own = model.with_extension("yaml");
        let shared = model.with_file_name("model.yaml");
        let Some(path) = [own, shared].into_iter().find(|p| p.is_file()) else {
            return Ok((Self::default(), None));
        };
        let text =
            std::fs::read_to_string(&path).map_err(|source| ManifestError::Read { path: path.clone(), source })?;
        let manifest = Self::parse(&text).map_err(|reason| ManifestError::Invalid { path: path.clone(), reason })?;
        Ok((manifest, Some(path)))
    }

    /// Reads a manifest's text.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        for (key, value) in [("confidence", manifest.confidence), ("iou", manifest.iou)] {
            if value.is_some_and(|v| !(0.0..=1.0).contains(&v)) {
                return Err(format!("{key} must be from 0 to 1, not {}", value.unwrap_or_default()));
            }
        }
        if let Some(pad) = manifest.input.pad.filter(|pad| !(0.0..=255.0).contains(pad)) {
            return Err(format!("input.pad must be from 0 to 255, not {pad}"));
        }
        if let Some(Labels::Named(name)) = &manifest.labels
            && name != "coco"
        {
            return Err(format!("labels: unknown list \"{name}\": write the names as a list, or coco"));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_manifest_is_read() {
        let text = "family: yolox\nlabels: [cat, dog]\nconfidence: 0.4\niou: 0.5\ninput:\n  size: [640, 480]\n  channels: bgr\n  mean: 0\n  scale: [1, 1, 1]\n  fit: letterbox-top-left\n  pad: 114\n  enlarge: true\n  scaling: bilinear\n";
        let manifest = Manifest::parse(text).expect("valid");
        assert_eq!(manifest.labels, Some(Labels::List(vec!["cat".to_owned(), "dog".to_owned()])));
        assert_eq!(manifest.input.size, Some(InputSize::Sides([640, 480])));
        assert_eq!(manifest.input.fit, Some(FitName::LetterboxTopLeft));
        assert_eq!(manifest.input.mean.map(PerChannel::three), Some([0.0; 3]));
    }

    #[test]
    fn an_empty_manifest_says_nothing() {
        assert_eq!(Manifest::parse("{}").expect("valid"), Manifest::default());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let unknown = Manifest::parse("family: yolox\nlabel: [a]\n").expect_err("unknown key");
        assert!(unknown.contains("label") && unknown.contains('2'), "{unknown}");
        let range = Manifest::parse("confidence: 40\n").expect_err("out of range");
        assert!(range.contains("confidence"), "{range}");
        let mean = Manifest::parse("input: {mean: [1, 2]}\n").expect_err("two numbers");
        assert!(mean.contains("three numbers in tensor order"), "{mean}");
        let pad = Manifest::parse("input: {pad: 300}\n").expect_err("out of range");
        assert!(pad.contains("pad"), "{pad}");
        let list = Manifest::parse("labels: imagenet\n").expect_err("unknown list");
        assert!(list.contains("imagenet"), "{list}");
    }
}
