//! The tracker on simulated scenes: how often an object changes its id, loses it for a while, or a false detection gets
//! one. Scenes are decided by their seed; the same seed gives the same counts.

mod clutter;
mod crossing;
mod dropped_frames;
mod occlusion;
mod sim;

/// What is counted, is counted over all of these.
const SEEDS: std::ops::Range<u64> = 0..10;
