//! Results that wait for their reader: each is taken out once, by whoever knows its key, and what nobody asks for goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Results `V` under keys `K` that grow as they are handed out. Bounded by number and by age.
#[derive(Debug)]
pub struct ResultCache<K, V> {
    entries: BTreeMap<K, (V, Instant)>,
    most: usize,
    oldest: Duration,
    is_closed: bool,
}

impl<K: Ord + Copy, V> ResultCache<K, V> {
    /// An empty cache for at most `most` results, none older than `oldest`.
    pub fn new(most: usize, oldest: Duration) -> Self {
        Self { entries: BTreeMap::new(), most: most.max(1), oldest, is_closed: false }
    }

    /// Keeps a result; the keys of those that go for it, the smallest first. That is its own in a cache that is closed.
    pub fn put(&mut self, key: K, value: V, now: Instant) -> Vec<K> {
        if self.is_closed {
            return vec![key];
        }
        self.entries.insert(key, (value, now));
        let over = self.entries.len().saturating_sub(self.most);
        (0..over).filter_map(|_| self.entries.pop_first()).map(|(key, _)| key).collect()
    }

    /// Takes a result out; `None` while there is none yet.
    pub fn take(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|(value, _)| value)
    }

    /// Lets go of what is too old; the keys of these.
    pub fn expire(&mut self, now: Instant) -> Vec<K> {
        let oldest = self.oldest;
        let mut gone = Vec::new();
        self.entries.retain(|key, (_, at)| {
            let stays = now.saturating_duration_since(*at) <= oldest;
            if !stays {
                gone.push(*key);
            }
            stays
        });
        gone
    }

    /// Lets go of everything, now and from now on: nobody will ask any more. The keys of what was there.
    pub fn close(&mut self) -> Vec<K> {
        self.is_closed = true;
        std::mem::take(&mut self.entries).into_keys().collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_taken_once() {
        let now = Instant::now();
        let mut cache = ResultCache::new(8, Duration::from_secs(1));
        assert_eq!(cache.take(&3), None);
        cache.put(3, "three", now);
        assert_eq!(cache.take(&3), Some("three"));
        assert_eq!(cache.take(&3), None);
        assert!(cache.is_empty());
    }

    #[test]
    fn it_is_bounded_by_number_and_age() {
        let start = Instant::now();
        let mut cache = ResultCache::new(3, Duration::from_secs(10));
        let evicted: Vec<u64> = (0..10).flat_map(|n| cache.put(n, n, start + Duration::from_secs(n))).collect();
        assert_eq!((evicted, cache.len()), ((0..7).collect(), 3));
        assert_eq!(cache.take(&6), None);
        assert_eq!(cache.expire(start + Duration::from_secs(18)), [7]);
        assert_eq!(cache.take(&8), Some(8));
        assert_eq!(cache.close(), [9]);
        assert_eq!(cache.put(10, 10, start), [10]);
        assert!(cache.is_empty());
    }
}
