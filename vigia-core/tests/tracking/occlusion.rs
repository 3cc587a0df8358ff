//! Who is hidden for a while has the same id afterwards.

use vigia_core::geometry::BBox;

use crate::sim::{Random, Scene, Walker, count};

/// Four people, each behind a pillar for about as long as this, in seconds.
fn behind_pillars(random: &mut Random, hidden: f32) -> Scene {
    let (mut walkers, mut pillars) = (Vec::new(), Vec::new());
    for lane in 0..4 {
        let (height, y) = (120.0, 170.0 + 160.0 * lane as f32);
        let speed = random.between(90.0, 150.0);
        walkers.push(Walker { feet: (random.between(50.0, 250.0), y), speed: (speed, 0.0), height });
        let (x, width) = (random.between(600.0, 700.0), 0.4 * height + speed * hidden);
        pillars.push(BBox { x1: x, y1: y - 140.0, x2: x + width, y2: y + 5.0 });
    }
    Scene { walkers, pillars, seconds: 12.0, ..Scene::default() }
}

#[test]
fn a_second_behind_a_pillar_is_bridged() {
    let counts = count(|random| behind_pillars(random, 0.8));
    assert_eq!(counts.strangers, 0, "{counts:?} of 40 that were hidden");
}

#[test]
fn who_is_hidden_for_longer_than_lost_is_somebody_new() {
    let counts = count(|random| behind_pillars(random, 3.0));
    assert_eq!(counts.strangers, 40, "{counts:?} of 40 that were hidden");
}
