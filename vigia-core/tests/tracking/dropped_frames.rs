//! Frames that were dropped are a longer step, not a slower world.

use crate::sim::{Random, Scene, Walker, count};

/// People and bicycles, of which more than every other frame is dropped.
fn overloaded(random: &mut Random) -> Scene {
    let walkers = (0..6).map(|lane| {
        let way = if lane % 2 == 0 { 1.0 } else { -1.0 };
        let speed = if lane < 4 { random.between(60.0, 110.0) } else { random.between(180.0, 240.0) };
        let feet = (640.0 - way * 600.0, 200.0 + 90.0 * lane as f32);
        Walker { feet, speed: (way * speed, 0.0), height: 110.0 }
    });
    Scene { walkers: walkers.collect(), drops: 0.35, seconds: 6.0, ..Scene::default() }
}

#[test]
fn gaps_cost_no_ids() {
    let counts = count(overloaded);
    // A bicycle whose second detection came after a gap: nothing knew its speed yet.
    assert!(counts.strangers <= 2, "{counts:?} of 60");
    assert!(counts.told * 100 >= counts.detections * 96, "{counts:?}");
}

#[test]
fn without_the_time_of_frames_they_would() {
    let counts = count(|random| Scene { blind_to_time: true, ..overloaded(random) });
    assert!(counts.strangers > 30, "{counts:?} of 60");
}
