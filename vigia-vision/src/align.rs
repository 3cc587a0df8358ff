//! Faces brought into one pose: the map that lays five points of a face on the places that recognition models expect.
//!
//! [`arcface`] gives the map for [`Preprocessor::fill_aligned`](crate::preprocess::Preprocessor::fill_aligned).

use vigia_core::geometry::{Affine, Point, Size};

/// Where eyes, nose and corners of the mouth lie in an input of 112 × 112, as ArcFace and its successors were trained:
/// `arcface_dst` of insightface, `python-package/insightface/utils/face_align.py`. Whole numbers are pixels' centres
/// there, as OpenCV has it.
const ARCFACE: [[f64; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];
const ARCFACE_SIDE: f64 = 112.0;

/// The map from pixels of a model's input to source pixels that shows a face as ArcFace wants it: the similarity (turn,
/// scale, shift) that takes `points` nearest to their places in the input.
///
/// `points` are in source pixels, in the order of [`five_points`]. In an input of another size than 112 × 112 the face is
/// as large in proportion to the shorter side, and in the middle of the longer one. Absent where the points are not
/// finite or all in one place.
pub fn arcface(points: &[Point; 5], input: Size) -> Option<Affine> {
    let (width, height) = (f64::from(input.width), f64::from(input.height));
    let side = width.min(height);
    let place = |[x, y]: [f64; 2]| Point {
        x: ((x + 0.5) / ARCFACE_SIDE * side + (width - side) / 2.0) as f32,
        y: ((y + 0.5) / ARCFACE_SIDE * side + (height - side) / 2.0) as f32,
    };
    similarity(points, &ARCFACE.map(place))?.inverse()
}

/// The similarity that takes `from` to `to` with the least squared distances: [Umeyama, 1991], of the plane, where it is
/// the linear regression of complex numbers. Absent where there are not two places or not as many points.
///
/// [Umeyama, 1991]: https://doi.org/10.1109/34.88573
pub fn similarity(from: &[Point], to: &[Point]) -> Option<Affine> {
    if from.len() != to.len() {
        return None;
    }
    let count = from.len() as f64;
    let mean = |points: &[Point]| {
        let sum = points.iter().fold((0.0, 0.0), |s, p| (s.0 + f64::from(p.x), s.1 + f64::from(p.y)));
        (sum.0 / count, sum.1 / count)
    };
    let ((fx, fy), (tx, ty)) = (mean(from), mean(to));
    let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
    for (p, q) in from.iter().zip(to) {
        let (px, py) = (f64::from(p.x) - fx, f64::from(p.y) - fy);
        let (qx, qy) = (f64::from(q.x) - tx, f64::from(q.y) - ty);
        along += px * qx + py * qy;
        across += px * qy - py * qx;
        spread += px * px + py * py;
    }
    let (a, b) = (along / spread, across / spread);
    let map = Affine {
        x: [a, -b, tx - a * fx + b * fy].map(|v| v as f32),
        y: [b, a, ty - b * fx - a * fy].map(|v| v as f32),
    };
    map.x.iter().chain(&map.y).all(|v| v.is_finite()).then_some(map)
}

/// The eye on the picture's left, the other one, the tip of the nose, the corner of the mouth on the left, the other one;
/// from 68 landmarks (iBUG 300-W's order, an eye as the mean of its six points) or from five, which are in this order
/// already with the detectors that vigia knows. Absent for any other number.
pub fn five_points(points: &[Point]) -> Option<[Point; 5]> {
    if points.len() != 68 {
        return points.try_into().ok();
    }
    let eye = |six: &[Point]| {
        let sum = six.iter().fold((0.0, 0.0), |s, p| (s.0 + p.x, s.1 + p.y));
        Point { x: sum.0 / 6.0, y: sum.1 / 6.0 }
    };
    Some([eye(&points[36..42]), eye(&points[42..48]), points[30], points[48], points[54]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(x: f32, y: f32) -> Point {
        Point { x, y }
    }

    fn template() -> [Point; 5] {
        ARCFACE.map(|[x, y]| point(x as f32 + 0.5, y as f32 + 0.5))
    }

    #[test]
    fn a_face_that_lies_right_stays_where_it_is() {
        let map = arcface(&template(), Size::new(112, 112)).unwrap();
        for (got, want) in map.x.iter().chain(&map.y).zip([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]) {
            assert!((got - want).abs() < 1e-4, "{map:?}");
        }
        // Twice as large, in the middle.
        let map = arcface(&template(), Size::new(300, 224)).unwrap();
        let corner = map.point(point(38.0, 0.0));
        assert!((map.x[0] - 0.5).abs() < 1e-4 && corner.x.abs() < 1e-3 && corner.y.abs() < 1e-3);
    }

    #[test]
    fn points_that_say_nothing_give_no_map() {
        let size = Size::new(112, 112);
        assert_eq!(arcface(&[point(7.0, 7.0); 5], size), None);
        let mut broken = template();
        broken[2].x = f32::NAN;
        assert_eq!(arcface(&broken, size), None);
        assert_eq!(similarity(&[], &[]), None);
        assert_eq!(similarity(&template(), &template()[..4]), None);
    }

    #[test]
    fn sixty_eight_become_five() {
        let mut points = [point(0.0, 0.0); 68];
        points[36..42].fill(point(30.0, 40.0));
        points[42..48].fill(point(60.0, 41.0));
        (points[30], points[48], points[54]) = (point(45.0, 60.0), point(33.0, 80.0), point(57.0, 81.0));
        let five = five_points(&points).unwrap();
        assert_eq!(five.map(|p| p.x as u32), [30, 60, 45, 33, 57]);
        assert_eq!(five_points(&five), Some(five));
        assert_eq!(five_points(&points[..67]), None);
    }

    proptest! {
        /// What was moved by a similarity is moved back by it.
        #[test]
        fn a_similarity_is_found(turn in -3.1f32..3.1, scale in 0.2f32..9.0, x in -500.0f32..2000.0, y in -500.0f32..2000.0) {
            let (sin, cos) = turn.sin_cos();
            let there = Affine { x: [scale * cos, -scale * sin, x], y: [scale * sin, scale * cos, y] };
            let map = arcface(&template().map(|p| there.point(p)), Size::new(112, 112)).unwrap();
            for p in [point(0.0, 0.0), point(112.0, 0.0), point(50.0, 112.0)] {
                let (got, want) = (map.point(p), there.point(p));
                prop_assert!((got.x - want.x).hypot(got.y - want.y) < 0.02, "{:?} for {:?}", got, want);
            }
        }
    }
}
