//! People who walk past a camera, what a detector makes of them, and what the tracker makes of that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vigia_core::detection::Detection;
use vigia_core::geometry::BBox;
use vigia_core::track::{TrackId, Tracker, TrackerPolicy};

use crate::SEEDS;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Evenly between two numbers.
    pub(crate) fn between(&mut self, from: f32, to: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        from + (to - from) * ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// True in this share of cases.
    pub(crate) fn chance(&mut self, share: f32) -> bool {
        self.between(0.0, 1.0) < share
    }
}

/// Somebody on a straight way. Who stands lower in the picture is nearer.
#[derive(Clone, Copy)]
pub(crate) struct Walker {
    /// Middle of the feet when the scene begins, in pixels.
    pub(crate) feet: (f32, f32),
    /// Pixels per second.
    pub(crate) speed: (f32, f32),
    /// Pixels.
    pub(crate) height: f32,
}

impl Walker {
    fn bbox(&self, t: f32) -> BBox {
        let (x, y) = (self.feet.0 + self.speed.0 * t, self.feet.1 + self.speed.1 * t);
        BBox { x1: x - 0.2 * self.height, y1: y - self.height, x2: x + 0.2 * self.height, y2: y }
    }
}

/// A scene and its camera and detector.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) walkers: Vec<Walker>,
    /// Hides what is behind it.
    pub(crate) pillars: Vec<BBox>,
    pub(crate) fps: f32,
    pub(crate) seconds: f32,
    /// Standard deviation of an edge, about, as a share of the height.
    pub(crate) jitter: f32,
    /// Share of detections that are missed.
    pub(crate) misses: f32,
    /// False detections per frame, of a confidence below 0.5.
    pub(crate) clutter: f32,
    /// Share of frames that are dropped; twice a second, up to 5 more in a row.
    pub(crate) drops: f32,
    /// The tracker is told that all frames are equally far apart, dropped ones or not.
    pub(crate) blind_to_time: bool,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            walkers: Vec::new(),
            pillars: Vec::new(),
            fps: 15.0,
            seconds: 10.0,
            jitter: 0.02,
            misses: 0.02,
            clutter: 0.0,
            drops: 0.0,
            blind_to_time: false,
        }
    }
}

/// What came of one or more scenes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Detections of walkers.
    pub(crate) detections: usize,
    /// Those that got an id.
    pub(crate) told: usize,
    /// How often a walker got another id than before.
    pub(crate) switches: usize,
    /// Walkers whose last id is not their first.
    pub(crate) strangers: usize,
    /// How often a walker's detections had an id, then none, then one again.
    pub(crate) fragmentations: usize,
    /// Ids that false detections got and no walker had before.
    pub(crate) ghosts: usize,
}

/// The scene of every seed, counted together.
pub(crate) fn count(scene: impl Fn(&mut Random) -> Scene) -> Counts {
    SEEDS.fold(Counts::default(), |sum, seed| {
        let mut random = Random(seed);
        let scene = scene(&mut random);
        let one = run(&scene, &mut random);
        Counts {
            detections: sum.detections + one.detections,
            told: sum.told + one.told,
            switches: sum.switches + one.switches,
            strangers: sum.strangers + one.strangers,
            fragmentations: sum.fragmentations + one.fragmentations,
            ghosts: sum.ghosts + one.ghosts,
        }
    })
}

fn run(scene: &Scene, random: &mut Random) -> Counts {
    let mut tracker = Tracker::new(TrackerPolicy::default());
    let mut counts = Counts::default();
    let mut first: BTreeMap<usize, TrackId> = BTreeMap::new();
    // Per walker the id that it had last, and whether its last detection had one.
    let mut last: BTreeMap<usize, (TrackId, bool)> = BTreeMap::new();
    let (mut walkers_ids, mut ghosts) = (BTreeSet::new(), BTreeSet::new());
    let (mut shown, mut gap) = (0u32, 0u32);
    for frame in 0..(scene.seconds * scene.fps) as u32 {
        let t = frame as f32 / scene.fps;
        let found = detect(scene, t, random);
        if gap == 0 && scene.drops > 0.0 && random.chance(2.0 / scene.fps) {
            gap = random.between(1.0, 6.0) as u32;
        }
        let is_dropped = gap > 0 || random.chance(scene.drops);
        gap = gap.saturating_sub(1);
        if is_dropped {
            continue;
        }
        shown += 1;
        let pts = if scene.blind_to_time { shown as f32 / scene.fps } else { t };
        let detections: Vec<Detection> = found.iter().map(|(_, detection)| detection.clone()).collect();
        let update = tracker.update(Duration::from_secs_f32(pts), &detections);
        assert_eq!(update.ids.len(), detections.len());
        let told: Vec<TrackId> = update.ids.iter().flatten().copied().collect();
        assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len(), "an id twice in a frame");
        for ((walker, _), id) in found.iter().zip(update.ids) {
            match (*walker, *id) {
                (None, None) => {}
                (None, Some(id)) => drop(ghosts.insert(id)),
                (Some(walker), Some(id)) => {
                    counts.detections += 1;
                    counts.told += 1;
                    walkers_ids.insert(id);
                    first.entry(walker).or_insert(id);
                    if let Some((before, had_one)) = last.insert(walker, (id, true)) {
                        counts.switches += usize::from(before != id);
                        counts.fragmentations += usize::from(!had_one);
                    }
                }
                (Some(walker), None) => {
                    counts.detections += 1;
                    if let Some((_, has_one)) = last.get_mut(&walker) {
                        *has_one = false;
                    }
                }
            }
        }
    }
    counts.strangers = last.iter().filter(|(walker, (id, _))| first.get(walker) != Some(id)).count();
    counts.ghosts = ghosts.difference(&walkers_ids).count();
    counts
}

/// The detections of a moment, each with its walker, or with none where nobody is.
fn detect(scene: &Scene, t: f32, random: &mut Random) -> Vec<(Option<usize>, Detection)> {
    let mut found = Vec::new();
    for (number, walker) in scene.walkers.iter().enumerate() {
        let bbox = walker.bbox(t);
        let others = scene.walkers.iter().map(|other| other.bbox(t)).chain(scene.pillars.iter().copied());
        let hidden = others.filter(|other| other.y2 > bbox.y2).map(|other| share(&bbox, &other)).fold(0.0, f32::max);
        let spread = 1.7 * scene.jitter * walker.height * (1.0 + hidden);
        let mut edge = |at: f32| at + random.between(-spread, spread);
        let (x1, y1, x2, y2) = (edge(bbox.x1), edge(bbox.y1), edge(bbox.x2), edge(bbox.y2));
        let confidence = 0.88 - 0.8 * hidden + random.between(-0.1, 0.1);
        if hidden < 0.75 && confidence > 0.1 && !random.chance(scene.misses) && x2 > 0.0 && x1 < 1280.0 {
            found.push((Some(number), Detection::new(0, confidence, BBox { x1, y1, x2, y2 })));
        }
    }
    let mut left = scene.clutter;
    while random.chance(left) {
        left -= 1.0;
        let (x, y, size) = (random.between(0.0, 1200.0), random.between(100.0, 600.0), random.between(30.0, 150.0));
        let bbox = BBox { x1: x, y1: y, x2: x + size, y2: y + 2.0 * size };
        found.push((None, Detection::new(0, random.between(0.1, 0.5), bbox)));
    }
    found
}

/// The share of a box that another one covers.
fn share(bbox: &BBox, other: &BBox) -> f32 {
    let width = (bbox.x2.min(other.x2) - bbox.x1.max(other.x1)).max(0.0);
    let height = (bbox.y2.min(other.y2) - bbox.y1.max(other.y1)).max(0.0);
    width * height / bbox.area()
}
