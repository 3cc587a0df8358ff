//! Points of a face (or of another object) from a second model.

use crate::geometry::Point;

/// Landmark points in the order of their model's scheme.
#[derive(Clone, Debug, PartialEq)]
pub struct Landmarks {
    /// In source pixels.
    pub points: Vec<Point>,
}

/// Where a detection's landmarks come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandmarksSource {
    /// A landmark model.
    Model,
    /// The detector's own keypoints.
    Detector,
    /// There are none.
    None,
}

impl LandmarksSource {
    /// The name in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Detector => "detector",
            Self::None => "none",
        }
    }
}
