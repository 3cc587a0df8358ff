//! Detections that are missed do not cost an id, and false ones do not get one.

use crate::sim::{Random, Scene, Walker, count};

fn bad_detector(random: &mut Random) -> Scene {
    let walkers = (0..6).map(|lane| {
        let way = if lane % 2 == 0 { 1.0 } else { -1.0 };
        let feet = (640.0 - way * random.between(300.0, 500.0), 150.0 + 100.0 * lane as f32);
        Walker { feet, speed: (way * random.between(50.0, 110.0), random.between(-6.0, 6.0)), height: 90.0 }
    });
    Scene { walkers: walkers.collect(), misses: 0.15, clutter: 1.5, jitter: 0.03, ..Scene::default() }
}

#[test]
fn misses_and_false_detections_are_withstood() {
    let counts = count(bad_detector);
    assert_eq!(counts.switches, 0, "{counts:?}");
    assert_eq!(counts.ghosts, 0, "{counts:?}");
    assert!(counts.told * 100 >= counts.detections * 98, "{counts:?}");
}
