//! Which frames of a stream are looked at, and why the others are not.

use std::time::{Duration, Instant};

/// Why a frame that was received has no result. Every such frame is counted once, under one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// A newer frame of its stream took its place before a model was free.
    Superseded,
    /// It was too old when its turn came.
    Stale,
    /// There was no room to keep it.
    Overload,
    /// The stream is thinned (`every`, `max_fps`): nobody wanted it.
    Skipped,
    /// The model, or the picture itself, failed.
    Failed,
    /// It was under way when its stream or the server ended.
    Shutdown,
}

impl DropReason {
    /// All of them, in the order of [`Self::index`].
    pub const ALL: [Self; 6] =
        [Self::Superseded, Self::Stale, Self::Overload, Self::Skipped, Self::Failed, Self::Shutdown];

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name in results and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Stale => "stale",
            Self::Overload => "overload",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Shutdown => "shutdown",
        }
    }

    /// The reason in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Superseded => "a newer frame of the stream took its place",
            Self::Stale => "it could not be answered within the stream's latency any more",
            Self::Overload => "there was no room to keep it",
            Self::Skipped => "the stream is thinned (every, max_fps)",
            Self::Failed => "the model, or the picture itself, failed",
            Self::Shutdown => "the stream ended",
        }
    }
}

/// Which frames of a stream stay in its cache when there is no room for one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// The newest: the oldest one that waits is dropped, as superseded.
    #[default]
    Latest,
    /// The oldest: the one that comes is dropped, as overload.
    Fifo,
}

/// What of a stream may wait for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// Which frames stay.
    pub mode: CacheMode,
    /// How many may wait, at least 1.
    pub frames: usize,
}

/// Whether a live frame of this age is not worth running any more: its result, after the time that a batch is expected to
/// take, would come later than `latency` after the frame.
///
/// A model that takes more than half of `latency` misses the objective with frames that waited for half of it, in place of
/// having none at all. The newest frame of its stream may wait longer then, for a batch that has just begun and, where the
/// model is much too slow, for one more: else a stream that sends seldom would never have one that is young enough when the
/// model is free.
pub fn is_stale(age: Duration, latency: Duration, expected: Duration, is_newest: bool) -> bool {
    let wait = if expected <= latency / 2 {
        latency.saturating_sub(expected)
    } else if is_newest {
        (expected * 2).saturating_sub(latency / 2)
    } else {
        latency / 2
    };
    age > wait
}

/// Thins a stream: each `every`-th frame, and no more than so many per second.
#[derive(Clone, Debug)]
pub struct Thinning {
    every: u64,
    seen: u64,
    gap: Option<Duration>,
    next: Option<Instant>,
}

impl Thinning {
    /// `every` counts from 1; `max_fps` is frames per second, above 0.
    pub fn new(every: u64, max_fps: Option<f64>) -> Self {
        let gap = max_fps.and_then(|fps| Duration::try_from_secs_f64(1.0 / fps).ok());
        Self { every: every.max(1), seen: 0, gap, next: None }
    }

    /// Whether the frame that came now is wanted.
    ///
    /// The rate is kept on average: a camera of 25 frames per second that is held to 10 gives 10, not the 8.3 that
    /// waiting 100 ms after each frame would give.
    pub fn admits(&mut self, now: Instant) -> bool {
        let turn = self.seen.is_multiple_of(self.every);
        self.seen += 1;
        if !turn {
            return false;
        }
        let Some(gap) = self.gap else { return true };
        let due = self.next.unwrap_or(now);
        if now < due {
            return false;
        }
        // What was missed for more than one gap is not made up for.
        self.next = Some(if now < due + gap { due + gap } else { now + gap });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_stale_when_its_result_would_be_late() {
        let ms = Duration::from_millis;
        for is_newest in [true, false] {
            assert!(!is_stale(ms(180), ms(200), ms(20), is_newest));
            assert!(is_stale(ms(181), ms(200), ms(20), is_newest));
            // At half of the objective, a frame may just wait for one batch.
            assert!(!is_stale(ms(100), ms(200), ms(100), is_newest));
            assert!(is_stale(ms(101), ms(200), ms(100), is_newest));
        }
        // A model that never meets the objective gets what is fresh, or what there is.
        assert!(!is_stale(ms(100), ms(200), ms(900), false));
        assert!(is_stale(ms(101), ms(200), ms(900), false));
        assert!(!is_stale(ms(1700), ms(200), ms(900), true));
        assert!(is_stale(ms(1701), ms(200), ms(900), true));
    }

    fn admitted(thinning: &mut Thinning, fps: u32, frames: u32) -> usize {
        let start = Instant::now();
        (0..frames).filter(|n| thinning.admits(start + Duration::from_secs(1) * *n / fps)).count()
    }

    #[test]
    fn reasons_know_their_place() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }

    #[test]
    fn every_nth_frame() {
        assert_eq!(admitted(&mut Thinning::new(1, None), 25, 100), 100);
        assert_eq!(admitted(&mut Thinning::new(5, None), 25, 100), 20);
        assert_eq!(admitted(&mut Thinning::new(0, None), 25, 100), 100);
    }

    #[test]
    fn a_rate_is_kept_on_average() {
        assert_eq!(admitted(&mut Thinning::new(1, Some(10.0)), 25, 250), 100);
        assert_eq!(admitted(&mut Thinning::new(1, Some(60.0)), 25, 250), 250);
        assert_eq!(admitted(&mut Thinning::new(1, Some(0.5)), 25, 250), 5);
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut thinning = Thinning::new(1, Some(1.0));
        let start = Instant::now();
        assert!(thinning.admits(start));
        let later = start + Duration::from_mins(1);
        assert!(thinning.admits(later));
        assert!(!thinning.admits(later + Duration::from_millis(500)));
    }
}
