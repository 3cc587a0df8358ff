//! Times of a file's pictures: they only grow, and a damaged one is not believed.

use std::time::Duration;

/// A file's clock does not leap further than this from one picture to the next: beyond it, damage is likelier. (The
/// 33-bit clock of an MPEG transport stream with one wrong bit is up to 13 hours off.)
const LEAP: Duration = Duration::from_mins(10);

/// A clock that goes back further than this was started anew; less is disorder among neighbours.
const RESTART: Duration = Duration::from_secs(1);

/// What a picture is later than the one before it where its own time says that it is not.
const LEAST: Duration = Duration::from_micros(1);

/// Turns the container's times into times since the first picture.
///
/// Each picture is later than the one before it. Where the container's clock leaps, forwards or back, the picture
/// comes one frame after the one before it, and the clock counts on from there.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// The container's time; absent where the picture had none.
    said: Option<Duration>,
    /// The time that the picture was given.
    pts: Duration,
    /// The container's time, and the time given, that later ones are counted from.
    anchor: Option<(Duration, Duration)>,
}

impl Timeline {
    /// The time of the next picture since the first one: `said` by the container, `step` after the one before it by
    /// the frame rate.
    pub(super) fn next(&mut self, said: Option<Duration>, step: Duration) -> Duration {
        let next = match self.last {
            None => Last { said, pts: Duration::ZERO, anchor: said.map(|said| (said, Duration::ZERO)) },
            Some(last) => last.next(said, step.max(LEAST)),
        };
        self.last = Some(next);
        next.pts
    }
}

impl Last {
    fn next(self, said: Option<Duration>, step: Duration) -> Self {
        let counted = self.pts.saturating_add(step);
        let (Some(now), Some(before), Some((start, zero))) = (said, self.said, self.anchor) else {
            return Self { said, pts: counted, anchor: said.map(|said| (said, counted)) };
        };
        let leaps = now.saturating_sub(before) > LEAP.max(step.saturating_mul(2));
        if leaps || before.saturating_sub(now) > RESTART {
            return Self { said, pts: counted, anchor: Some((now, counted)) };
        }
        let pts = (zero + now).saturating_sub(start);
        Self { said, pts: pts.max(self.pts + LEAST), anchor: self.anchor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times in microseconds given to pictures whose container says these milliseconds, at 25 frames per second.
    fn given<const N: usize>(said: [Option<u64>; N]) -> [u128; N] {
        let mut timeline = Timeline::default();
        said.map(|ms| timeline.next(ms.map(Duration::from_millis), Duration::from_millis(40)).as_micros())
    }

    #[test]
    fn good_times_are_kept() {
        assert_eq!(given([1000, 1040, 1300, 591_000].map(Some)), [0, 40_000, 300_000, 590_000_000]);
    }

    #[test]
    fn without_times_frames_are_counted() {
        assert_eq!(given([None; 3]), [0, 40_000, 80_000]);
        assert_eq!(given([None, Some(500), Some(550), None, Some(0)]), [0, 40_000, 90_000, 130_000, 170_000]);
    }

    #[test]
    fn a_leap_is_one_frame_and_the_clock_goes_on_from_there() {
        assert_eq!(
            given([0, 40, 50_706_075, 50_706_175, 80, 130].map(Some)),
            [0, 40_000, 80_000, 180_000, 220_000, 270_000]
        );
        assert_eq!(given([50_706_075, 0, 50].map(Some)), [0, 40_000, 90_000]);
    }

    #[test]
    fn neighbours_in_disorder_stay_in_order() {
        assert_eq!(given([0, 80, 40, 40, 120].map(Some)), [0, 80_000, 80_001, 80_002, 120_000]);
    }

    #[test]
    fn very_slow_pictures_are_no_leaps() {
        let mut timeline = Timeline::default();
        let hour = Duration::from_hours(1);
        assert_eq!([0, 1, 2].map(|n| timeline.next(Some(hour * n), hour)), [0, 1, 2].map(|n| hour * n));
    }
}
