//! What waits to be written: a bounded queue between the threads of streams and the writer.
//!
//! Offering never waits. Once it is closed, nothing more is taken in; the writer goes on with what is there, until the time
//! for that is over.

use std::collections::VecDeque;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    room: usize,
    most: usize,
}

#[derive(Debug)]
struct State<T> {
    /// With the bytes of each.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    /// When the writer gives up; absent while things may still come.
    closed: Option<Instant>,
}

/// What the writer gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    /// At least one.
    Items(Vec<T>),
    /// Nothing came until then.
    Nothing,
    /// Nothing comes any more.
    Closed,
}

impl<T> Queue<T> {
    /// For `room` items, and at most so many bytes of them.
    pub(super) fn new(room: usize, most: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, closed: None };
        Self { state: Mutex::new(state), changed: Condvar::new(), room, most }
    }

    /// Puts an item of so many bytes in, and takes them off it where there is no room for these; how many wait then.
    ///
    /// # Errors
    /// The item, where there is no room or the queue is closed.
    pub(super) fn offer(&self, mut item: T, mut bytes: usize, lighten: impl FnOnce(&mut T)) -> Result<usize, T> {
        let mut state = self.state.lock();
        if state.closed.is_some() || state.items.len() >= self.room {
            return Err(item);
        }
        if bytes > self.most - state.bytes {
            lighten(&mut item);
            bytes = 0;
        }
        state.bytes += bytes;
        state.items.push_back((item, bytes));
        let waiting = state.items.len();
        drop(state);
        self.changed.notify_all();
        Ok(waiting)
    }

    /// Takes up to `most`, as soon as there is one; waits until `until` at the longest.
    pub(super) fn take(&self, most: usize, until: Instant) -> Taken<T> {
        let mut state = self.state.lock();
        loop {
            if !state.items.is_empty() {
                let most = most.min(state.items.len());
                let taken: Vec<_> = state.items.drain(..most).collect();
                state.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
                return Taken::Items(taken.into_iter().map(|(item, _)| item).collect());
            }
            if state.closed.is_some() {
                return Taken::Closed;
            }
            if self.changed.wait_until(&mut state, until).timed_out() && state.items.is_empty() {
                return if state.closed.is_some() { Taken::Closed } else { Taken::Nothing };
            }
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.state.lock().items.len()
    }

    /// Takes nothing more; the writer has until `until` for what is there. The first time counts.
    pub(super) fn close(&self, until: Instant) {
        self.state.lock().closed.get_or_insert(until);
        self.changed.notify_all();
    }

    /// When the writer gives up, once that is known.
    pub(super) fn closed(&self) -> Option<Instant> {
        self.state.lock().closed
    }

    /// Waits until then before something is tried again, or until the queue is closed; says whether there is still time to
    /// try. Where it is closed meanwhile there always is: the last attempt is not to be one of long ago.
    pub(super) fn pause(&self, until: Instant) -> bool {
        let mut state = self.state.lock();
        let was_open = state.closed.is_none();
        loop {
            if was_open && state.closed.is_some() {
                return true;
            }
            let end = state.closed.map_or(until, |closed| closed.min(until));
            if Instant::now() >= end {
                return state.closed.is_none_or(|closed| Instant::now() < closed);
            }
            self.changed.wait_until(&mut state, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_does_not_fit_comes_back() {
        let queue = Queue::new(2, 0);
        let offer = |n| queue.offer(n, 0, |_| ());
        assert_eq!((offer(1), offer(2), offer(3)), (Ok(1), Ok(2), Err(3)));
        assert_eq!(queue.take(10, Instant::now()), Taken::Items(vec![1, 2]));
        assert_eq!(queue.take(10, Instant::now()), Taken::Nothing);
        assert_eq!((offer(4), offer(5)), (Ok(1), Ok(2)));
        assert_eq!(queue.take(1, Instant::now()), Taken::Items(vec![4]));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn what_is_there_when_it_closes_is_still_taken() {
        let queue = Queue::new(2, 0);
        assert_eq!(queue.offer(1, 0, |_| ()), Ok(1));
        queue.close(Instant::now() + Duration::from_hours(1));
        queue.close(Instant::now());
        assert_eq!(queue.offer(2, 0, |_| ()), Err(2));
        assert!(queue.pause(Instant::now()), "there is time: the first one to close it says how much");
        assert_eq!(queue.take(10, Instant::now()), Taken::Items(vec![1]));
        assert_eq!(queue.take(10, Instant::now() + Duration::from_hours(1)), Taken::Closed);
    }

    #[test]
    fn a_pause_ends_with_the_time_for_it() {
        let queue = Queue::<u8>::new(1, 0);
        queue.close(Instant::now());
        assert!(!queue.pause(Instant::now() + Duration::from_hours(1)));
    }

    #[test]
    fn closing_ends_a_pause_and_leaves_an_attempt() {
        let queue = Queue::<u8>::new(1, 0);
        std::thread::scope(|scope| {
            let paused = scope.spawn(|| queue.pause(Instant::now() + Duration::from_hours(1)));
            // Whichever comes first: a pause that begins closed ends with the time for it.
            std::thread::sleep(Duration::from_millis(50));
            queue.close(Instant::now());
            assert!(paused.join().expect("it does not panic"));
        });
    }

    #[test]
    fn what_is_too_heavy_is_made_lighter() {
        let queue = Queue::new(9, 100);
        let offer = |bytes| queue.offer(bytes, bytes, |bytes| *bytes = 0);
        assert_eq!([60, 41, 40, 1, 101].map(offer), [Ok(1), Ok(2), Ok(3), Ok(4), Ok(5)]);
        assert_eq!(queue.take(2, Instant::now()), Taken::Items(vec![60, 0]));
        assert_eq!(offer(60), Ok(4));
        assert_eq!(queue.take(9, Instant::now()), Taken::Items(vec![40, 0, 0, 60]));
    }
}
