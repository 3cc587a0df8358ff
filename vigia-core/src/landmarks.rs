//! Points of a face (or of another object) from a second model.

use crate::event::EventId;
use crate::geometry::{BBox, Point};

/// Landmark points in the order of their model's scheme.
#[derive(Clone, Debug, PartialEq)]
pub struct Landmarks {
    /// In source pixels.
    pub points: Vec<Point>,
}

impl Landmarks {
    /// The same points moved and scaled as the object's box went from one place to another; unchanged where the first box
    /// has no area.
    #[must_use]
    pub fn moved(&self, from: &BBox, to: &BBox) -> Self {
        let (x_scale, y_scale) = (to.width() / from.width(), to.height() / from.height());
        if !(x_scale.is_finite() && y_scale.is_finite()) {
            return self.clone();
        }
        let moved = |p: &Point| Point { x: to.x1 + (p.x - from.x1) * x_scale, y: to.y1 + (p.y - from.y1) * y_scale };
        Self { points: self.points.iter().map(moved).collect() }
    }
}

/// A detection's landmarks, and where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The points; none where the source is [`LandmarksSource::None`].
    pub landmarks: Landmarks,
    /// Who gave them.
    pub source: LandmarksSource,
    /// The detection whose crop they were found in, where that is an earlier one of the same track or this one itself.
    pub event: Option<EventId>,
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
