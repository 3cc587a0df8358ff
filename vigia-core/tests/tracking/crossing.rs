//! People who meet and walk past each other keep their ids.

use crate::sim::{Random, Scene, Walker, count};

/// Three pairs, each in its own lane; of each pair one is a step nearer and so a little taller.
fn pairs(random: &mut Random) -> Scene {
    let mut walkers = Vec::new();
    for lane in 0..3 {
        let (height, y) = (110.0 + 50.0 * lane as f32, 300.0 + 190.0 * lane as f32);
        for (side, nearer) in [(-1.0, 0.0), (1.0, random.between(0.08, 0.2))] {
            let way = random.between(350.0, 600.0);
            let height = height * (1.0 + nearer);
            let speed = (-side * way / random.between(3.0, 6.0), 0.0);
            walkers.push(Walker { feet: (640.0 + side * way, y + 100.0 * nearer), speed, height });
        }
    }
    Scene { walkers, ..Scene::default() }
}

#[test]
fn those_who_cross_keep_their_ids() {
    let counts = count(pairs);
    assert_eq!(counts.strangers, 0, "{counts:?}");
    // A slip while the farther one is hidden, and back.
    assert!(counts.switches <= 6, "{counts:?} in 30 meetings");
    assert_eq!(counts.fragmentations, 0, "{counts:?}");
    assert!(counts.told * 100 >= counts.detections * 99, "{counts:?}");
}

#[test]
fn the_same_seeds_give_the_same_counts() {
    assert_eq!(count(pairs), count(pairs));
}
