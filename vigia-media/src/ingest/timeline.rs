//! Times of pictures: they only grow, and a damaged one is not believed.

use std::time::Duration;

/// A file's clock does not leap further than this from one picture to the next: beyond it, damage is likelier. (The
/// 33-bit clock of an MPEG transport stream with one wrong bit is up to 13 hours off.)
const LEAP: Duration = Duration::from_mins(10);

/// A clock that goes back further than this was started anew; less is disorder among neighbours.
const RESTART: Duration = Duration::from_secs(1);

/// A camera's clock does not go by this much more than ours from one picture to the next: beyond it, it was set, or
/// another camera has taken its place.
const LIVE_LEAP: Duration = Duration::from_secs(10);

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
    /// When the picture came, where it is live.
    came: Duration,
}

impl Timeline {
    /// The time of the next picture since the first one: `said` by the container, `step` after the one before it by
    /// the frame rate.
    pub(super) fn next(&mut self, said: Option<Duration>, step: Duration) -> Duration {
        let next = match self.last {
            None => Last::first(said, Duration::ZERO),
            Some(last) => last.next(said, step.max(LEAST)),
        };
        self.last = Some(next);
        next.pts
    }

    /// The same for a picture that comes as it is taken, `came` after the first one: where the container says nothing, or
    /// its clock leaps, that decides.
    pub(super) fn next_live(&mut self, said: Option<Duration>, step: Duration, came: Duration) -> Duration {
        let next = match self.last {
            None => Last::first(said, came),
            Some(last) => last.next_live(said, step.max(LEAST), came),
        };
        self.last = Some(next);
        next.pts
    }

    /// The next picture's clock has nothing to do with the one before it.
    pub(super) fn begin_anew(&mut self) {
        if let Some(last) = &mut self.last {
            (last.said, last.anchor) = (None, None);
        }
    }
}

impl Last {
    fn first(said: Option<Duration>, came: Duration) -> Self {
        Self { said, pts: Duration::ZERO, anchor: said.map(|said| (said, Duration::ZERO)), came }
    }

    fn next(self, said: Option<Duration>, step: Duration) -> Self {
        self.after(said, self.pts.saturating_add(step), LEAP.max(step.saturating_mul(2)))
    }

    fn next_live(self, said: Option<Duration>, step: Duration, came: Duration) -> Self {
        let passed = came.saturating_sub(self.came);
        // Without times of its own, a picture's time is when it came.
        let counted = match said {
            Some(_) => self.pts.saturating_add(passed.max(step)),
            None => came.max(self.pts + LEAST),
        };
        Self { came, ..self.after(said, counted, passed + LIVE_LEAP.max(step.saturating_mul(2))) }
    }

    /// The next picture, whose time is `counted` where its own cannot be believed: it is further than `leap` ahead.
    fn after(self, said: Option<Duration>, counted: Duration, leap: Duration) -> Self {
        let (Some(now), Some(before), Some((start, zero))) = (said, self.said, self.anchor) else {
            return Self { said, pts: counted, anchor: said.map(|said| (said, counted)), came: self.came };
        };
        if now.saturating_sub(before) > leap || before.saturating_sub(now) > RESTART {
            return Self { said, pts: counted, anchor: Some((now, counted)), came: self.came };
        }
        let pts = (zero + now).saturating_sub(start);
        Self { said, pts: pts.max(self.pts + LEAST), ..self }
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

    /// The same for a camera; each picture comes when the second number says.
    fn given_live<const N: usize>(pictures: [(Option<u64>, u64); N]) -> [u128; N] {
        let (mut timeline, ms) = (Timeline::default(), Duration::from_millis);
        pictures.map(|(said, came)| timeline.next_live(said.map(ms), ms(40), ms(came)).as_micros() / 1000)
    }

    #[test]
    fn a_cameras_times_are_kept_and_its_leaps_are_not() {
        // In bursts, as a network hands them over.
        assert_eq!(given_live([(Some(500), 0), (Some(540), 90), (Some(580), 91), (Some(5580), 91)]), [0, 40, 80, 5080]);
        // The clock is set, forwards and back, while pictures come every 50 ms.
        assert_eq!(
            given_live([
                (Some(0), 0),
                (Some(3_600_000), 50),
                (Some(3_600_040), 100),
                (Some(90), 150),
                (Some(130), 200)
            ]),
            [0, 50, 90, 140, 180]
        );
        assert_eq!(
            given_live([(None, 0), (None, 35), (None, 35), (Some(9), 70), (Some(49), 99)]),
            [0, 35, 35, 75, 115]
        );
    }

    #[test]
    fn another_camera_has_another_clock() {
        let (mut timeline, ms) = (Timeline::default(), Duration::from_millis);
        let mut next = |said, came| timeline.next_live(Some(ms(said)), ms(40), ms(came));
        assert_eq!([next(7000, 0), next(7040, 40)], [ms(0), ms(40)]);
        timeline.begin_anew();
        let mut next = |said, came| timeline.next_live(Some(ms(said)), ms(40), ms(came));
        assert_eq!([next(7100, 60_000), next(7140, 60_001)], [ms(60_000), ms(60_040)]);
    }

    #[test]
    fn very_slow_pictures_are_no_leaps() {
        let mut timeline = Timeline::default();
        let hour = Duration::from_hours(1);
        assert_eq!([0, 1, 2].map(|n| timeline.next(Some(hour * n), hour)), [0, 1, 2].map(|n| hour * n));
    }
}
