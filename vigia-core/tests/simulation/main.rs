//! The batch queue under load, in simulated time: who is served, how late, and who is dropped.

mod fairness;
mod light;
mod overload;
mod posts;
mod sim;

/// What holds, holds for each of these.
const SEEDS: std::ops::Range<u64> = 0..5;
/// Seconds of simulated time.
const SECONDS: u64 = 20;
