//! What a network wants to be fed and what its outputs mean: data, not code.

use std::sync::Arc;

use crate::detection::Thresholds;
use crate::geometry::Size;
use crate::id::ModelId;

/// Order of the colour channels in the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
}

/// How a picture of another shape is brought into the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fit {
    /// Each axis is scaled by itself; the shape changes.
    Stretch,
    /// Scaled by the same factor on both axes until it fits, the rest filled.
    Letterbox {
        /// Where the picture lies.
        align: Align,
        /// Value of the rest, 0..255, in each channel, before normalisation.
        pad: f32,
        /// Whether pictures smaller than the input are enlarged.
        enlarge: bool,
    },
}

/// Where a letterboxed picture lies in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// In the top-left corner.
    TopLeft,
    /// In the middle.
    Centre,
}

/// How samples between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// Two neighbours per axis, pixel centres at +0.5: OpenCV's `INTER_LINEAR`, PyTorch's `align_corners=False`.
    Bilinear,
    /// Two neighbours per axis, pixels at whole numbers: TensorFlow's old `resize_bilinear` without half-pixel centres.
    BilinearCorner,
    /// The mean of the covered area when shrinking: OpenCV's `INTER_AREA`.
    Area,
}

/// The model's picture input. The tensor is `"NCHW"` float32, `value = (pixel − mean) × scale`, pixel 0..255.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// Width and height of the tensor.
    pub size: Size,
    /// Order of the channels; `mean` and `scale` are in this order, too.
    pub channels: Channels,
    /// Subtracted from each pixel value, 0..255, per channel in tensor order.
    pub mean: [f32; 3],
    /// Multiplied after that, per channel in tensor order.
    pub scale: [f32; 3],
    /// How other shapes are brought in.
    pub fit: Fit,
    /// How samples between pixels are made.
    pub scaling: Scaling,
}

impl InputSpec {
    /// Number of floats of one picture's tensor.
    pub fn len(&self) -> usize {
        3 * self.size.pixels() as usize
    }

    /// Never true for a loaded model; here for completeness.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whose conventions a network follows: how its outputs become detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// face-api's tiny face detector: YOLOv2 with 5 anchors.
    TinyFace,
    /// OpenCV's YuNet: 12 outputs, boxes and 5 keypoints at strides 8, 16, 32.
    YuNet,
    /// FastestDet: one map of (objectness, 4 box numbers, classes).
    FastestDet,
    /// YOLOX: rows of (4 box numbers, objectness, classes) per cell of strides 8, 16, 32, not decoded.
    YoloX,
    /// Ultralytics YOLOv5: rows of (cx, cy, w, h, objectness, classes), decoded.
    YoloV5,
    /// Ultralytics YOLOv8, 11 and later: columns of (cx, cy, w, h, classes), decoded.
    YoloV8,
    /// Ultralytics with built-in NMS: rows of (x1, y1, x2, y2, confidence, class).
    YoloNms,
    /// face-api's 68 face landmarks: a second stage.
    FaceLandmarks68,
    /// face-api's seven facial expressions: a second stage.
    FaceExpression,
    /// face-api's age and gender of a face: a second stage.
    AgeGender,
    /// face-api's (dlib's) descriptor of a face, 128 numbers: a second stage.
    FaceRecognition,
}

impl Family {
    /// All of them, in the order of recognition.
    pub const ALL: [Self; 11] = [
        Self::TinyFace,
        Self::YuNet,
        Self::FastestDet,
        Self::YoloX,
        Self::YoloV5,
        Self::YoloV8,
        Self::YoloNms,
        Self::FaceLandmarks68,
        Self::FaceExpression,
        Self::AgeGender,
        Self::FaceRecognition,
    ];

    /// The name in manifests and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TinyFace => "tiny-face",
            Self::YuNet => "yunet",
            Self::FastestDet => "fastestdet",
            Self::YoloX => "yolox",
            Self::YoloV5 => "yolov5",
            Self::YoloV8 => "yolov8",
            Self::YoloNms => "yolo-nms",
            Self::FaceLandmarks68 => "face-landmarks-68",
            Self::FaceExpression => "face-expression",
            Self::AgeGender => "age-gender",
            Self::FaceRecognition => "face-recognition",
        }
    }

    /// The family of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == name)
    }

    /// What its models say of a picture or, as second stages, of a crop, in a few words.
    pub fn gives(self) -> &'static str {
        match self {
            Self::FaceLandmarks68 => "landmarks of a crop: 68 points",
            Self::FaceExpression => "classes of a crop",
            Self::AgeGender => "age in years and gender of a crop",
            Self::FaceRecognition => "an embedding of a crop: 128 numbers",
            Self::YuNet => "detections with 5 keypoints",
            Self::TinyFace | Self::FastestDet | Self::YoloX | Self::YoloV5 | Self::YoloV8 | Self::YoloNms => {
                "detections"
            }
        }
    }

    /// True for networks that work on crops of detected objects.
    pub fn is_second_stage(self) -> bool {
        matches!(self, Self::FaceLandmarks68 | Self::FaceExpression | Self::AgeGender | Self::FaceRecognition)
    }

    /// Whether it says where the points of an object are.
    pub fn gives_landmarks(self) -> bool {
        matches!(self, Self::FaceLandmarks68)
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A model that is ready to be fed.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// Its name.
    pub id: ModelId,
    /// Its conventions.
    pub family: Family,
    /// Its input.
    pub input: InputSpec,
    /// Names of the classes, by `class_id`.
    pub labels: Arc<[String]>,
    /// What counts as found unless the caller says otherwise.
    pub thresholds: Thresholds,
    /// Smallest batch that the graph runs: `max_batch` where the batch is written into the graph, else 1. A smaller one
    /// is filled up.
    pub min_batch: usize,
    /// Largest batch that the graph takes.
    pub max_batch: usize,
}

impl ModelSpec {
    /// The name of a class; its number where there is no name.
    pub fn label(&self, class_id: u32) -> String {
        self.labels.get(class_id as usize).cloned().unwrap_or_else(|| class_id.to_string())
    }
}
