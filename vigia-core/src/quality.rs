//! How good a shot of an object is: one number, 0..1, by which the best of a track is chosen.
//!
//! It is the product of five factors, each 0..1, so that one bad trait is enough to spoil a shot, and none makes up for
//! another:
//!
//! | factor | is |
//! | --- | --- |
//! | confidence | the detector's |
//! | size | s / (s + 64), s = √(width × height) of the box in source pixels: 64 pixels count half |
//! | sharpness | v / (v + 100), v = the variance of the Laplacian of the luma of the box, brought to 64 × 64 samples, 0..255 ([Pech-Pacheco et al., 2000]): 100 counts half |
//! | frontality | 1 for a face that looks into the camera, down to 0.25 for one in profile; by the landmarks or the detector's five keypoints; 0.6 where nothing is known |
//! | whole | the share of the box that lies inside the picture, squared, and 0.8 of that where it touches the border |
//!
//! [Pech-Pacheco et al., 2000]: https://doi.org/10.1109/ICPR.2000.903548

use crate::geometry::{BBox, Point, Size};

/// What is known of a shot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traits {
    /// The detector's, 0..1.
    pub confidence: f32,
    /// Where the object is, in source pixels.
    pub bbox: BBox,
    /// The picture that it is in, in source pixels.
    pub picture: Size,
    /// Variance of the Laplacian of its luma.
    pub sharpness: f32,
}

/// Side of a box, in source pixels, that counts half.
const HALF_SIZE: f32 = 64.0;
/// Variance of the Laplacian that counts half.
const HALF_SHARPNESS: f32 = 100.0;
/// Of a shot of which nothing is known.
const UNKNOWN_FRONTALITY: f32 = 0.6;
/// Of a face in profile.
const PROFILE: f32 = 0.25;
/// Of an object that touches the border, besides what is cut off.
const TOUCHING: f32 = 0.8;

/// The quality of a shot, 0..1; 0 where a number in it is none. `frontality` as [`frontality`] gives it.
pub fn quality(traits: &Traits, frontality: Option<f32>) -> f32 {
    let Traits { confidence, bbox, picture, sharpness } = traits;
    let size = (bbox.width().max(0.0) * bbox.height().max(0.0)).sqrt();
    let half = |value: f32, half: f32| value / (value + half);
    let inside = bbox.clipped(*picture);
    let whole = (inside.width() * inside.height() / (bbox.width() * bbox.height())).clamp(0.0, 1.0);
    let (right, bottom) = (picture.width as f32 - 1.0, picture.height as f32 - 1.0);
    let touches = bbox.x1 <= 1.0 || bbox.y1 <= 1.0 || bbox.x2 >= right || bbox.y2 >= bottom;
    let border = if touches { TOUCHING } else { 1.0 };
    let quality = confidence.clamp(0.0, 1.0)
        * half(size, HALF_SIZE)
        * half(sharpness.max(0.0), HALF_SHARPNESS)
        * frontality.unwrap_or(UNKNOWN_FRONTALITY)
        * whole
        * whole
        * border;
    if quality.is_finite() { quality } else { 0.0 }
}

/// How much a face looks into the camera: 1 straight on, 0.25 in profile. By where the nose lies between the eyes, along the
/// line through them: half way in a face seen from the front, at or beyond one of them in profile.
///
/// Known for 68 points (iBUG 300-W's order) and for five (eye, eye, nose, corners of the mouth); absent for all others.
pub fn frontality(points: &[Point]) -> Option<f32> {
    let mean = |points: &[Point]| {
        let n = points.len() as f32;
        let sum = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.x, sum.1 + p.y));
        Point { x: sum.0 / n, y: sum.1 / n }
    };
    let (left, right, nose) = match points.len() {
        68 => (mean(&points[36..42]), mean(&points[42..48]), points[30]),
        5 => (points[0], points[1], points[2]),
        _ => return None,
    };
    let (dx, dy) = (right.x - left.x, right.y - left.y);
    let along = ((nose.x - left.x) * dx + (nose.y - left.y) * dy) / (dx * dx + dy * dy);
    along.is_finite().then(|| 1.0 - (1.0 - PROFILE) * ((along - 0.5).abs() * 2.0).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: Size = Size::new(1280, 720);

    fn shot() -> Traits {
        let bbox = BBox { x1: 400.0, y1: 200.0, x2: 500.0, y2: 320.0 };
        Traits { confidence: 0.9, bbox, picture: PICTURE, sharpness: 300.0 }
    }

    fn moved(x: f32, y: f32) -> Traits {
        let b = shot().bbox;
        Traits { bbox: BBox { x1: b.x1 + x, y1: b.y1 + y, x2: b.x2 + x, y2: b.y2 + y }, ..shot() }
    }

    #[test]
    fn each_trait_counts() {
        let good = quality(&shot(), Some(1.0));
        assert!((0.0..=1.0).contains(&good) && good > 0.4, "{good}");
        let smaller = BBox { x2: 450.0, y2: 260.0, ..shot().bbox };
        for worse in [
            Traits { confidence: 0.5, ..shot() },
            Traits { sharpness: 20.0, ..shot() },
            Traits { bbox: smaller, ..shot() },
            moved(-399.5, 0.0),
            moved(-450.0, 0.0),
            moved(0.0, 450.0),
        ] {
            assert!(quality(&worse, Some(1.0)) < good * 0.9, "{worse:?}");
        }
        assert!(quality(&shot(), Some(0.25)) < quality(&shot(), None));
        // Half of it is outside: a quarter, and it touches.
        let half = quality(&moved(-450.0, 0.0), Some(1.0));
        assert!((half / good - 0.2).abs() < 0.01, "{half} {good}");
    }

    #[test]
    fn numbers_that_are_none_are_the_worst() {
        for wrong in [f32::NAN, f32::INFINITY, -1.0] {
            let bbox = BBox { x2: wrong, ..shot().bbox };
            assert!(quality(&Traits { bbox, ..shot() }, None) <= 0.01);
            let q = quality(&Traits { sharpness: wrong, ..shot() }, None);
            assert!((0.0..=1.0).contains(&q), "{q}");
        }
        assert!(quality(&moved(5000.0, 0.0), None).abs() < f32::EPSILON);
    }

    #[test]
    fn a_nose_between_the_eyes_looks_into_the_camera() {
        let face = |nose: f32| {
            let p = |x: f32, y: f32| Point { x, y };
            [
                p(10.0, 10.0),
                p(30.0, 20.0),
                p(10.0 + nose * 20.0 - 5.0, 10.0 + nose * 10.0 + 10.0),
                p(0.0, 0.0),
                p(0.0, 0.0),
            ]
        };
        let of = |nose: f32| frontality(&face(nose)).expect("five points");
        assert!(of(0.5) > 0.99 && of(0.0) < 0.26 && of(1.2) < 0.26);
        assert!((of(0.25) - of(0.75)).abs() < 1e-3 && of(0.25) < of(0.4));
        assert_eq!(frontality(&[]), None);
        assert_eq!(frontality(&[Point { x: 1.0, y: 1.0 }; 5]), None, "eyes in one place");
        assert!(frontality(&[Point { x: 1.0, y: 1.0 }; 68]).is_none());
    }
}
