//! What many durations amount to, and how many streams are too many.

use std::time::Duration;

/// Milliseconds that many results took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// How many there are, at least 1.
    pub(super) count: usize,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Spread {
    /// Of these; none where there are none.
    pub(super) fn of(mut durations: Vec<Duration>) -> Option<Self> {
        durations.sort_unstable();
        let last = durations.last()?;
        Some(Self {
            count: durations.len(),
            p50: percentile(&durations, 0.50),
            p95: percentile(&durations, 0.95),
            p99: percentile(&durations, 0.99),
            max: milliseconds(*last),
        })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Between the two nearest ones, as NumPy does it, in milliseconds; `sorted` must not be empty.
fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() - 1) as f64 * share;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    let (below, above) = (milliseconds(sorted[low]), milliseconds(sorted[high]));
    below + (above - below) * (at - low as f64)
}

/// Looks for the largest number of streams that is served well: twice as many each time until it is not, and then
/// between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    good: usize,
    bad: Option<usize>,
    /// No more than these are tried.
    most: usize,
}

impl Search {
    pub(super) fn new(most: usize) -> Self {
        Self { good: 0, bad: None, most }
    }

    /// What came of `streams`.
    pub(super) fn tell(&mut self, streams: usize, is_good: bool) {
        if !is_good {
            self.bad = Some(self.bad.map_or(streams, |bad| bad.min(streams)));
        } else if self.bad.is_none_or(|bad| streams < bad) {
            self.good = self.good.max(streams);
        }
        // More streams served well than fewer of them: the lower answer is the careful one.
        if let Some(bad) = self.bad
            && self.good >= bad
        {
            self.good = 0;
        }
    }

    /// How many to try next; none once the answer is known.
    pub(super) fn next(&self) -> Option<usize> {
        let next = match self.bad {
            Some(bad) => self.good + (bad - self.good) / 2,
            None => (self.good * 2).clamp(1, self.most),
        };
        (next > self.good).then_some(next)
    }

    /// The largest number that was served well; none where a single stream was not.
    pub(super) fn largest(&self) -> Option<usize> {
        (self.good > 0).then_some(self.good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        let ms = |n| Duration::from_millis(n);
        // numpy.percentile([1, 2, 3, 4, 10], [50, 95, 99]) = 3, 8.8, 9.76
        let spread = Spread::of([4, 1, 10, 3, 2].map(ms).to_vec()).expect("some");
        assert_eq!((spread.count, spread.p50, spread.max), (5, 3.0, 10.0));
        assert!((spread.p95 - 8.8).abs() < 1e-9 && (spread.p99 - 9.76).abs() < 1e-9, "{spread:?}");
        let one = Spread::of(vec![ms(7)]).expect("one");
        assert_eq!((one.p50, one.p99, one.max), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    /// What is found where up to `limit` streams are served well, and what was tried.
    fn search(mut search: Search, limit: usize) -> (Option<usize>, Vec<usize>) {
        let mut tried = Vec::new();
        while let Some(streams) = search.next() {
            assert!(!tried.contains(&streams), "{tried:?} and again {streams}");
            tried.push(streams);
            search.tell(streams, streams <= limit);
        }
        (search.largest(), tried)
    }

    #[test]
    fn the_largest_number_is_found() {
        for limit in 0..=64 {
            let (found, tried) = search(Search::new(64), limit);
            assert_eq!(found, (limit > 0).then_some(limit));
            assert!(tried.len() <= 13, "{tried:?}");
        }
        assert_eq!(search(Search::new(64), 11).1, [1, 2, 4, 8, 16, 12, 10, 11]);
        assert_eq!(search(Search::new(20), 1000), (Some(20), vec![1, 2, 4, 8, 16, 20]));
    }

    #[test]
    fn what_is_known_is_not_tried_again() {
        let mut known = Search::new(64);
        known.tell(4, true);
        known.tell(16, false);
        assert_eq!(search(known, 9), (Some(9), vec![10, 7, 8, 9]));
    }

    #[test]
    fn luck_is_not_believed() {
        let mut lucky = Search::new(64);
        lucky.tell(8, true);
        lucky.tell(4, false);
        assert_eq!(search(lucky, 3).0, Some(3));
        lucky.tell(32, true);
        assert_eq!(search(lucky, 3).0, Some(3));
    }
}
