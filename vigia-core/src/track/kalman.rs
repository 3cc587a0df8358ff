//! Where a box is and where it will be: a Kalman filter of constant velocity.
//!
//! The state is that of BoT-SORT (Aharon et al. 2022): centre, width and height, each with its speed. Noise is in
//! proportion to the height of the box, as in DeepSORT (Wojke et al. 2017), but per second instead of per frame, so that a
//! step may have any length. All noise is diagonal, so the filter of eight numbers falls apart into four of two, without
//! loss.

use crate::geometry::BBox;

/// Standard deviation of a detection of confidence 0, in heights.
const NOISE: f32 = 0.34;
/// What confidence takes off it, as in the NSA filter (Du et al. 2021): a box that is half hidden is half wrong.
const TRUST: f32 = 0.9;
/// How much the speed wanders, in heights per second and √second.
const PUSH: f32 = 0.7;
/// Standard deviation of the speed of what was seen once, in heights per second.
const SPEED: f32 = 2.0;
/// Longest step, in seconds: beyond it a speed says nothing.
const LONGEST: f32 = 10.0;

/// The filter of one box, in source pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoxFilter {
    /// Centre x, centre y, width, height.
    axes: [Axis; 4],
}

impl BoxFilter {
    /// Begins with a proper box at rest.
    pub(super) fn new(bbox: &BBox, confidence: f32) -> Self {
        let height = bbox.height().max(1.0);
        let noise = height * deviation(confidence);
        Self { axes: measured(bbox).map(|value| Axis::new(value, noise, SPEED * height)) }
    }

    /// Where the box is.
    pub(super) fn bbox(&self) -> BBox {
        let [cx, cy, width, height] = self.axes.map(|axis| axis.value);
        BBox::from_centre(cx, cy, width.max(1.0), height.max(1.0))
    }

    /// Moves on by `dt` seconds. A box that is not seen keeps its size: one that is being hidden shrinks, and would go on.
    pub(super) fn predict(&mut self, dt: f32, is_seen: bool) {
        let push = PUSH * self.height();
        if !is_seen {
            self.axes[2].speed = 0.0;
            self.axes[3].speed = 0.0;
        }
        for axis in &mut self.axes {
            axis.predict(dt.clamp(0.0, LONGEST), push * push);
        }
    }

    /// Takes in a proper box that was detected now, of a confidence of 0..1.
    pub(super) fn correct(&mut self, bbox: &BBox, confidence: f32) {
        let noise = self.height() * deviation(confidence);
        for (axis, seen) in self.axes.iter_mut().zip(measured(bbox)) {
            axis.correct(seen, noise * noise);
        }
    }

    fn height(&self) -> f32 {
        self.axes[3].value.max(1.0)
    }
}

/// Standard deviation of a detection, in heights.
fn deviation(confidence: f32) -> f32 {
    NOISE * (1.0 - TRUST * confidence.clamp(0.0, 1.0))
}

fn measured(bbox: &BBox) -> [f32; 4] {
    [f32::midpoint(bbox.x1, bbox.x2), f32::midpoint(bbox.y1, bbox.y2), bbox.width(), bbox.height()]
}

/// One number and its speed per second, with their covariance.
#[derive(Clone, Copy, Debug)]
struct Axis {
    value: f32,
    speed: f32,
    /// Variance of the value, covariance of both, variance of the speed.
    vv: f32,
    vs: f32,
    ss: f32,
}

impl Axis {
    fn new(value: f32, noise: f32, speed: f32) -> Self {
        Self { value, speed: 0.0, vv: noise * noise, vs: 0.0, ss: speed * speed }
    }

    /// White noise of acceleration of density `push`, integrated over the step (Bar-Shalom et al. 2001, 6.2.2).
    fn predict(&mut self, dt: f32, push: f32) {
        self.value += dt * self.speed;
        self.vv += dt * (2.0 * self.vs + dt * self.ss) + push * dt.powi(3) / 3.0;
        self.vs += dt * self.ss + push * dt * dt / 2.0;
        self.ss += push * dt;
    }

    fn correct(&mut self, seen: f32, noise: f32) {
        let sum = self.vv + noise;
        let (kv, ks) = (self.vv / sum, self.vs / sum);
        let off = seen - self.value;
        self.value += kv * off;
        self.speed += ks * off;
        self.ss = (self.ss - ks * self.vs).max(0.0);
        self.vs *= 1.0 - kv;
        self.vv *= 1.0 - kv;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(t: f32) -> BBox {
        BBox::from_centre(100.0 + 60.0 * t, 200.0 - 15.0 * t, 40.0, 100.0)
    }

    #[test]
    fn a_steady_walk_is_foretold_over_any_gap() {
        for (dt, gap) in [(0.04, 0.04), (0.04, 1.0), (0.1, 0.5), (0.5, 2.0)] {
            let mut filter = BoxFilter::new(&moving(0.0), 0.9);
            let mut t = 0.0;
            while t < 8.0 {
                t += dt;
                filter.predict(dt, true);
                filter.correct(&moving(t), 0.9);
            }
            filter.predict(gap, false);
            let iou = filter.bbox().iou(&moving(t + gap));
            assert!(iou > 0.93, "dt {dt}, gap {gap}: IoU {iou}");
        }
    }

    #[test]
    fn many_small_steps_are_one_large_step() {
        let mut whole = BoxFilter::new(&moving(0.0), 0.9);
        whole.predict(0.1, true);
        whole.correct(&moving(0.1), 0.9);
        let mut parts = whole;
        whole.predict(0.6, true);
        (0..6).for_each(|_| parts.predict(0.1, true));
        for (a, b) in whole.axes.iter().zip(parts.axes) {
            for (x, y) in [(a.value, b.value), (a.vv, b.vv), (a.vs, b.vs), (a.ss, b.ss)] {
                assert!((x - y).abs() <= 1e-3 * x.abs(), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_doubtful_detection_moves_the_box_less() {
        let shift = |confidence| {
            let mut filter = BoxFilter::new(&moving(0.0), 0.9);
            filter.predict(0.04, true);
            filter.correct(&moving(1.0), confidence);
            filter.bbox().x1 - moving(0.0).x1
        };
        assert!(shift(0.2) > 0.0 && shift(0.2) < 0.5 * shift(0.9));
    }

    #[test]
    fn what_is_not_seen_keeps_its_size() {
        let mut filter = BoxFilter::new(&moving(0.0), 0.9);
        for step in 1..10 {
            filter.predict(0.04, true);
            filter.correct(&BBox::from_centre(100.0, 200.0, 40.0, 100.0 - 4.0 * step as f32), 0.9);
        }
        let before = filter.bbox().height();
        filter.predict(1.0, false);
        assert!((filter.bbox().height() - before).abs() < 1e-3);
    }
}
