//! Which detections go on to a second model, and what to show where it says nothing.

use std::time::Duration;

use crate::detection::Detection;
use crate::event::EventId;
use crate::geometry::{BBox, Size};
use crate::landmarks::{Landmarks, LandmarksSource, Settled};

/// When a tracked object is looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// When its crop is clearly better than the best one that was sent before.
    #[default]
    Better,
    /// In every frame.
    Always,
    /// Until there is a result.
    Once,
}

/// A second stage as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePolicy {
    /// Class ids that it applies to; all where empty.
    pub classes: Vec<u32>,
    /// Shortest side of a box, in source pixels, that is worth a look.
    pub min_size: f32,
    /// Added around the box, as a share of its width and height.
    pub margin: f32,
    /// When an object that is followed through a stream is looked at again.
    pub when: When,
    /// And when what is known of it is older than this; never for that reason where absent.
    pub refresh: Option<Duration>,
}

impl Default for StagePolicy {
    fn default() -> Self {
        Self { classes: Vec::new(), min_size: 24.0, margin: 0.0, when: When::default(), refresh: None }
    }
}

/// Which tracks are told of when they end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPolicy {
    /// Class ids; all where empty.
    pub classes: Vec<u32>,
}

impl EventPolicy {
    /// Whether tracks of this class are told of.
    pub fn applies_to(&self, class_id: u32) -> bool {
        self.classes.is_empty() || self.classes.contains(&class_id)
    }
}

impl StagePolicy {
    /// The crop to send for a detection, in source pixels and inside the picture, or `None` when it is not to be sent.
    ///
    /// Cut at the picture's border first, then position and size rounded down to whole pixels, as face-api does it.
    pub fn crop(&self, detection: &Detection, picture: Size) -> Option<BBox> {
        if !self.classes.is_empty() && !self.classes.contains(&detection.class_id) {
            return None;
        }
        let b = &detection.bbox;
        if !b.is_proper() || b.width().min(b.height()) < self.min_size {
            return None;
        }
        let g = b.grown(self.margin).clipped(picture);
        let (x1, y1) = (g.x1.floor(), g.y1.floor());
        let whole = BBox { x1, y1, x2: x1 + g.width().floor(), y2: y1 + g.height().floor() };
        (whole.width() >= 1.0 && whole.height() >= 1.0).then_some(whole)
    }
}

/// Settles a detection's landmarks: the model's where it gave some, else the detector's keypoints, else none.
pub fn settle_landmarks(detection: &mut Detection, from_model: Option<(Landmarks, Option<EventId>)>) {
    let (landmarks, source, event) = match from_model {
        Some((landmarks, event)) => (landmarks, LandmarksSource::Model, event),
        None if detection.keypoints.is_empty() => (Landmarks { points: Vec::new() }, LandmarksSource::None, None),
        None => {
            let points = detection.keypoints.iter().map(|k| k.point).collect();
            (Landmarks { points }, LandmarksSource::Detector, None)
        }
    };
    detection.landmarks = Some(Settled { landmarks, source, event });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Keypoint;
    use crate::geometry::Point;

    const PICTURE: Size = Size::new(200, 100);

    fn face(x1: f32, y1: f32, x2: f32, y2: f32) -> Detection {
        Detection::new(0, 0.9, BBox { x1, y1, x2, y2 })
    }

    #[test]
    fn crops_are_whole_pixels_inside_the_picture() {
        let crop = StagePolicy::default().crop(&face(10.7, -5.0, 60.2, 50.6), PICTURE);
        assert_eq!(crop, Some(BBox { x1: 10.0, y1: 0.0, x2: 59.0, y2: 50.0 }));
    }

    #[test]
    fn small_other_and_broken_boxes_are_left_out() {
        let policy = StagePolicy { classes: vec![0], ..StagePolicy::default() };
        assert_eq!(policy.crop(&face(0.0, 0.0, 23.0, 80.0), PICTURE), None);
        assert_eq!(policy.crop(&face(f32::NAN, 0.0, 50.0, 80.0), PICTURE), None);
        assert_eq!(policy.crop(&face(300.0, 0.0, 350.0, 80.0), PICTURE), None);
        let mut cat = face(0.0, 0.0, 50.0, 50.0);
        cat.class_id = 15;
        assert_eq!(policy.crop(&cat, PICTURE), None);
    }

    #[test]
    fn the_fallback_goes_model_detector_none() {
        let point = Point { x: 1.0, y: 2.0 };
        let mut d = face(0.0, 0.0, 50.0, 50.0);
        settle_landmarks(&mut d, None);
        assert_eq!(d.landmarks.as_ref().map(|l| l.source), Some(LandmarksSource::None));
        d.keypoints.push(Keypoint { point, confidence: None });
        settle_landmarks(&mut d, None);
        let settled = d.landmarks.as_ref().expect("settled");
        assert_eq!(
            (settled.landmarks.points.as_slice(), settled.source),
            ([point].as_slice(), LandmarksSource::Detector)
        );
        settle_landmarks(&mut d, Some((Landmarks { points: vec![] }, None)));
        assert_eq!(d.landmarks.as_ref().map(|l| l.source), Some(LandmarksSource::Model));
    }
}
