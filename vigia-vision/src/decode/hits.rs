//! The best places of an output, in bounded memory and linear time.

use super::{MAX_CANDIDATES, TOP_K};

/// A place whose score is high enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    /// Its confidence, finite.
    pub(super) score: f32,
    /// The family's own numbering of places.
    pub(super) index: u32,
}

/// Collects hits while an output is scanned.
#[derive(Debug, Default)]
pub(super) struct Hits {
    list: Vec<Hit>,
    floor: f32,
}

impl Hits {
    /// Forgets all hits; from now on scores of at least `floor` count.
    pub(super) fn restart(&mut self, floor: f32) {
        self.list.clear();
        self.floor = floor;
    }

    /// The score from which a place counts. It rises when there are more hits than can be kept.
    pub(super) fn floor(&self) -> f32 {
        self.floor
    }

    /// Remembers a place if its score is a number of at least the floor.
    #[inline]
    pub(super) fn offer(&mut self, score: f32, index: usize) {
        if score >= self.floor && score < f32::INFINITY {
            self.add(Hit { score, index: index as u32 });
        }
    }

    fn add(&mut self, hit: Hit) {
        if self.list.len() == MAX_CANDIDATES {
            let worst = self.keep_best();
            self.floor = self.floor.max(worst);
        }
        self.list.push(hit);
    }

    /// The [`TOP_K`] best at most, in no order.
    pub(super) fn best(&mut self) -> &[Hit] {
        self.keep_best();
        &self.list
    }

    /// Drops all but the best and says how good the last of them is.
    fn keep_best(&mut self) -> f32 {
        if self.list.len() <= TOP_K {
            return f32::NEG_INFINITY;
        }
        let rank = |a: &Hit, b: &Hit| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index));
        let (_, last, _) = self.list.select_nth_unstable_by(TOP_K - 1, rank);
        let worst = last.score;
        self.list.truncate(TOP_K);
        worst
    }
}

/// The largest value and its place, the first of equals; `(-inf, 0)` where there is no number.
#[inline]
pub(super) fn largest(values: impl Iterator<Item = f32>) -> (f32, usize) {
    let mut best = (f32::NEG_INFINITY, 0);
    for (place, value) in values.enumerate() {
        if value > best.0 {
            best = (value, place);
        }
    }
    best
}

/// The largest of a run of numbers, NaN left out; written so that it becomes vector instructions.
#[inline]
pub(super) fn largest_value(values: &[f32]) -> f32 {
    const LANES: usize = 16;
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut best = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (best, &value) in best.iter_mut().zip(chunk) {
            *best = higher(*best, value);
        }
    }
    best.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, higher)
}

/// `1 / (1 + e^-x)`.
#[inline]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_keeps_the_best_of_all() {
        let count = 4 * MAX_CANDIDATES;
        let mut hits = Hits::default();
        hits.restart(0.0);
        // 7919 is prime and no factor of the count: every score once, in no order.
        let score = |i: usize| ((i * 7919) % count) as f32;
        (0..count).for_each(|i| hits.offer(score(i), i));
        assert_eq!(hits.best().len(), TOP_K);
        assert!(hits.best().iter().all(|h| h.score >= (count - TOP_K) as f32));
    }

    #[test]
    fn of_equals_the_first_places_stay() {
        let mut hits = Hits::default();
        hits.restart(0.5);
        (0..2 * MAX_CANDIDATES).for_each(|i| hits.offer(0.75, i));
        assert!(hits.best().iter().all(|h| (h.index as usize) < TOP_K));
    }

    #[test]
    fn what_is_no_number_is_no_hit() {
        let mut hits = Hits::default();
        hits.restart(f32::NEG_INFINITY);
        for score in [f32::NAN, f32::INFINITY] {
            hits.offer(score, 0);
        }
        assert!(hits.best().is_empty());
    }

    #[test]
    fn largest_ignores_nan_and_takes_the_first() {
        let values: Vec<f32> = (0..40).map(|i| if i % 7 == 0 { f32::NAN } else { (i % 5) as f32 }).collect();
        assert_eq!(largest(values.iter().copied()), (4.0, 4));
        assert!((largest_value(&values) - 4.0).abs() < f32::EPSILON);
    }
}
