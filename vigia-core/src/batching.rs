//! Which requests run next. Time is an argument; nothing here waits.
//!
//! A free slot of the engine comes first, the batch is formed second: whoever has a slot free asks
//! [`BatchQueue::poll`] and is told what to run, until when to wait, or that there is nothing to do. Requests wait in
//! one lane per owner; lanes take turns, and within a lane the order is kept.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How batches are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Most requests in one batch, at least 1.
    pub max_batch: usize,
    /// Most requests of [`BatchQueue::push`] that may wait; one more is refused.
    pub queue: usize,
    /// How long a batch that is not full waits for more, from when its oldest request was queued.
    pub linger: Duration,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum BatchDecision<T> {
    /// Run these, in this order.
    Run(Vec<Picked<T>>),
    /// Nothing before this time, unless something is pushed.
    WaitUntil(Instant),
    /// Nothing until something is pushed.
    Idle,
}

/// A request that was chosen, and since when it waited.
#[derive(Debug, PartialEq, Eq)]
pub struct Picked<T> {
    /// When it was pushed.
    pub queued_at: Instant,
    /// The request.
    pub item: T,
}

#[derive(Debug)]
struct Lane<K, T> {
    key: K,
    waiting: VecDeque<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    picked: Picked<T>,
    /// It counts against the bound of the queue.
    counts: bool,
}

/// Waiting requests `T` of owners `K`.
#[derive(Debug)]
pub struct BatchQueue<K, T> {
    policy: BatchPolicy,
    /// Only lanes in which something waits, the next to be served in front.
    lanes: VecDeque<Lane<K, T>>,
    len: usize,
    /// Those of them that count against the bound.
    counted: usize,
}

impl<K: PartialEq, T> BatchQueue<K, T> {
    /// An empty queue under this policy.
    pub fn new(policy: BatchPolicy) -> Self {
        Self {
            policy: BatchPolicy { max_batch: policy.max_batch.max(1), ..policy },
            lanes: VecDeque::new(),
            len: 0,
            counted: 0,
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> BatchPolicy {
        self.policy
    }

    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Requests of [`Self::push`] that wait.
    pub fn counted(&self) -> usize {
        self.counted
    }

    /// Queues a request.
    ///
    /// # Errors
    /// The request itself when the queue is full.
    pub fn push(&mut self, owner: K, item: T, now: Instant) -> Result<(), T> {
        if self.counted >= self.policy.queue {
            return Err(item);
        }
        self.put(owner, item, now, true);
        Ok(())
    }

    /// Queues a request that was admitted earlier on its way (the crops of a one-shot picture), whatever the bound:
    /// what bounds these is the admission of the pictures that they belong to.
    pub fn push_admitted(&mut self, owner: K, item: T, now: Instant) {
        self.put(owner, item, now, false);
    }

    fn put(&mut self, owner: K, item: T, now: Instant, counts: bool) {
        let waiting = Waiting { picked: Picked { queued_at: now, item }, counts };
        self.len += 1;
        self.counted += usize::from(counts);
        match self.lanes.iter_mut().find(|lane| lane.key == owner) {
            Some(lane) => lane.waiting.push_back(waiting),
            None => self.lanes.push_back(Lane { key: owner, waiting: VecDeque::from([waiting]) }),
        }
    }

    /// Queues the newest frame of a live stream, of which `keep` (at least 1) may wait; gives back the oldest one that has
    /// to make room for it. Nobody is refused: what a stream holds of the queue is bounded by itself.
    pub fn push_newest(&mut self, owner: K, item: T, keep: usize, now: Instant) -> Option<T> {
        let lane = self.lanes.iter_mut().find(|lane| lane.key == owner);
        let oldest = lane.filter(|lane| lane.waiting.len() >= keep.max(1)).and_then(|lane| lane.waiting.pop_front());
        let oldest = self.taken(oldest);
        self.put(owner, item, now, false);
        oldest.map(|picked| picked.item)
    }

    /// Decides for an asker while `free_slots` slots of the engine, the asker's included, are free.
    ///
    /// With several slots free, what waits is shared among them: two half batches side by side end sooner than a full
    /// one beside an idle slot.
    pub fn poll(&mut self, now: Instant, free_slots: usize) -> BatchDecision<T> {
        if self.len == 0 || free_slots == 0 {
            return BatchDecision::Idle;
        }
        if self.len < self.policy.max_batch {
            let oldest = self.lanes.iter().filter_map(|lane| lane.waiting.front()).map(|w| w.picked.queued_at).min();
            let ripe = oldest.unwrap_or(now) + self.policy.linger;
            if ripe > now {
                return BatchDecision::WaitUntil(ripe);
            }
        }
        let count = self.len.div_ceil(free_slots).min(self.policy.max_batch);
        BatchDecision::Run((0..count).filter_map(|_| self.next()).collect())
    }

    /// Takes everything out, for shutting down.
    pub fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.next()).map(|picked| picked.item).collect()
    }

    fn next(&mut self) -> Option<Picked<T>> {
        let mut lane = self.lanes.pop_front()?;
        let first = lane.waiting.pop_front();
        if !lane.waiting.is_empty() {
            self.lanes.push_back(lane);
        }
        self.taken(first)
    }

    /// Counts what was taken out.
    fn taken(&mut self, waiting: Option<Waiting<T>>) -> Option<Picked<T>> {
        let Waiting { picked, counts } = waiting?;
        self.len -= 1;
        self.counted -= usize::from(counts);
        Some(picked)
    }
}

#[cfg(test)]
mod tests;
