//! Which results came, and how long after their frames were sent.
//!
//! A frame's number is read when it comes, and so is the time at which that number was sent last: it was sent again only
//! when the clip begins anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use vigia_core::frame::Image;

use super::serving::Observer;
use super::{number, usage};

/// When which frame was sent.
pub(super) trait SentTimes: Send + Sync {
    /// The last time at which `camera` handed over the frame of this number, by [`usage::monotonic`]; none for never.
    fn sent(&self, camera: usize, number: usize) -> Option<Duration>;
}

/// Frames of a stream that are remembered: many more than can be under way.
const UNDER_WAY: usize = 256;

/// Frames and results of all streams of one case, which come on threads of their own; nothing is counted but between
/// [`Meter::begin`] and [`Meter::end`].
pub(super) struct Meter {
    times: Arc<dyn SentTimes>,
    streams: Vec<Mutex<Stream>>,
    is_on: AtomicBool,
}

#[derive(Default)]
struct Stream {
    /// The last ones that came, by their ids.
    came: VecDeque<(u64, Came)>,
    counts: Counts,
    /// The number of the last frame that has a result.
    last: Option<usize>,
    /// Whether there was a result at all, measured or not.
    has_begun: bool,
}

/// A frame that came.
#[derive(Clone, Copy, Default)]
struct Came {
    number: Option<usize>,
    sent: Option<Duration>,
}

/// Results of one stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// Results.
    pub(super) results: u64,
    /// From the camera's sending to the result.
    pub(super) latencies: Vec<Duration>,
    /// Results of the same frame as the one before.
    pub(super) repeats: u64,
    /// Results of frames whose number is none that was sent.
    pub(super) unreadable: u64,
}

impl Meter {
    /// For so many streams; stream k is of camera k.
    pub(super) fn new(streams: usize, times: Arc<dyn SentTimes>) -> Self {
        Self { times, streams: (0..streams).map(|_| Mutex::default()).collect(), is_on: AtomicBool::new(false) }
    }

    /// A result is there, at this time of [`usage::monotonic`].
    fn add(&self, stream: usize, frame_id: u64, now: Duration) {
        let Some(stream) = self.streams.get(stream) else { return };
        let mut stream = stream.lock();
        let came = stream.came.iter().find(|(id, _)| *id == frame_id);
        let Came { number, sent } = came.map_or_else(Came::default, |(_, came)| *came);
        stream.has_begun = true;
        let is_repeat = number.is_some() && stream.last == number;
        stream.last = number;
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        stream.counts.results += 1;
        stream.counts.repeats += u64::from(is_repeat);
        match sent.and_then(|sent| now.checked_sub(sent)) {
            Some(latency) => stream.counts.latencies.push(latency),
            None => stream.counts.unreadable += 1,
        }
    }

    /// Streams that have no result yet, measured or not.
    pub(super) fn silent(&self) -> Vec<usize> {
        (0..self.streams.len()).filter(|&stream| !self.streams[stream].lock().has_begun).collect()
    }

    /// From now on it counts.
    pub(super) fn begin(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// What came since the beginning, by stream; it no longer counts.
    pub(super) fn end(&self) -> Vec<Counts> {
        self.is_on.store(false, Ordering::Relaxed);
        self.streams.iter().map(|stream| std::mem::take(&mut stream.lock().counts)).collect()
    }
}

impl Observer for Meter {
    fn frame(&self, stream: usize, frame_id: u64, image: &Image) {
        let number = number::read(image);
        let sent = number.and_then(|number| self.times.sent(stream, number));
        let Some(stream) = self.streams.get(stream) else { return };
        let mut stream = stream.lock();
        if stream.came.len() == UNDER_WAY {
            stream.came.pop_front();
        }
        stream.came.push_back((frame_id, Came { number, sent }));
    }

    fn result(&self, stream: usize, frame_id: u64) {
        self.add(stream, frame_id, usage::monotonic());
    }
}

#[cfg(test)]
mod tests {
    use vigia_core::frame::{Colour, PixelFormat};
    use vigia_core::geometry::Size;

    use super::*;

    /// Frame n of camera k was sent at 100 k + n seconds; there are five.
    struct Sent;

    impl SentTimes for Sent {
        fn sent(&self, camera: usize, number: usize) -> Option<Duration> {
            (number < 5).then(|| Duration::from_secs((100 * camera + number) as u64))
        }
    }

    fn picture(number: usize) -> Image {
        let size = Size::new(640, 360);
        let mut i420 = vec![0; 640 * 360 * 3 / 2];
        number::paint(&mut i420, size, number);
        Image::new(PixelFormat::Gray, size, [640, 0, 0], Colour::default(), Arc::new(i420)).expect("a picture")
    }

    #[test]
    fn results_are_held_against_the_times_of_their_cameras() {
        let meter = Meter::new(2, Arc::new(Sent));
        let second = Duration::from_secs;
        let came = |stream: usize, ids: std::ops::Range<u64>| {
            ids.for_each(|id| meter.frame(stream, id, &picture(id as usize % 8)));
        };
        came(0, 0..8);
        came(1, 0..4);
        assert_eq!(meter.silent(), [0, 1]);
        meter.add(1, 2, second(500));
        assert_eq!(meter.silent(), [0]);
        meter.begin();
        meter.add(1, 3, second(104));
        meter.add(1, 3, second(107));
        meter.add(0, 4, second(4));
        meter.add(0, 5, second(9));
        // From the future: a number that was misread.
        meter.add(0, 3, second(2));
        // Long forgotten.
        came(0, 8..300);
        meter.add(0, 0, second(9));
        meter.add(0, 299, second(9));
        let counts = meter.end();
        meter.add(0, 298, second(5));
        let of = |stream: usize| {
            let Counts { results, latencies, repeats, unreadable } = &counts[stream];
            (*results, latencies.clone(), *repeats, *unreadable)
        };
        assert_eq!(of(0), (5, vec![second(0), second(6)], 0, 3));
        assert_eq!(of(1), (2, vec![second(1), second(4)], 1, 0));
    }
}
