//! When to try again.

use std::time::Duration;

/// Exponential backoff with jitter: pauses double from the first to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Backoff {
    /// The pause before attempt number `attempt`, from 1: between half of the doubled pause and all of it, so that many
    /// streams of a camera switch that came back do not all knock at once. `key` stands for who asks; the same key gives
    /// the same pauses.
    pub fn pause(&self, attempt: u32, key: u64) -> Duration {
        let doubled = self.initial.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1).min(31)));
        let full = doubled.min(self.max);
        full / 2 + full.mul_f64(share(key ^ u64::from(attempt)) / 2.0)
    }
}

/// 0 to 1, spread evenly over keys: the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
/// generators, 2014).
fn share(key: u64) -> f64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { initial: Duration::from_millis(250), max: Duration::from_secs(10) };

    #[test]
    fn pauses_double_up_to_the_longest() {
        for key in 0..100 {
            for (attempt, full) in [(1, 250), (2, 500), (3, 1000), (6, 8000), (7, 10_000), (4_000_000, 10_000)] {
                let pause = BACKOFF.pause(attempt, key);
                let full = Duration::from_millis(full);
                assert!(pause >= full / 2 && pause <= full, "attempt {attempt}: {pause:?} of {full:?}");
            }
        }
    }

    #[test]
    fn they_differ_from_stream_to_stream() {
        let pauses: std::collections::BTreeSet<_> = (0..100).map(|key| BACKOFF.pause(3, key)).collect();
        assert!(pauses.len() > 90, "{} different ones", pauses.len());
    }
}
