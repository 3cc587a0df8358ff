//! Which requests run next. Time is an argument; nothing here waits.
//!
//! A free slot of the engine comes first, the batch is formed second: whoever has a slot free asks
//! [`BatchQueue::poll`] and is told what to run, what to prepare, until when to wait, or that there is nothing to do.
//!
//! Requests wait in one lane per owner. Lanes take turns in rounds, one request each, and within a round the nearest
//! deadline goes first: so nobody starves, however greedy another is, and what is urgent does not wait behind what is
//! not. A lane in which something comes while a round is on is served in that round, if it was not yet: who sends seldom
//! gets every turn that is due, and who sends often no more. Within a lane the order is kept. What somebody asked for (a
//! posted picture, a crop) and what comes by itself (a live frame) take turns when both wait, so that neither makes the
//! other wait for more than one of its own kind.
//!
//! A live frame that could not be answered within its objective any more is not run: it comes out of
//! [`BatchQueue::take_stale`], and its lane keeps its turn.
//!
//! What is still encoded has to be prepared before it can run. It is handed out for that when its turn has nearly come, a
//! few ahead of the slots, so that it waits in its small form and no slot waits for a decoder. Prepared, it keeps its
//! place in the order; while it is not, others go before it rather than leave a slot idle.

mod lanes;

use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::admission::{CacheMode, CachePolicy, DropReason};

use lanes::{Kind, Pace, Place, Waiting};

/// How batches are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Most requests in one batch, at least 1.
    pub max_batch: usize,
    /// Most requests of [`BatchQueue::push`] that may wait; one more is refused.
    pub queue: usize,
    /// How long a batch that is not full waits for more, from when its oldest request was queued.
    pub linger: Duration,
    /// Requests of each kind that may be prepared, or lie ready, ahead of the slots; at least 1. Fewer than run at once would
    /// leave those that come encoded less than their share.
    pub ahead: usize,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub enum BatchDecision<T> {
    /// Run these, in this order.
    Run(Vec<Picked<T>>),
    /// Prepare this one, and give it back with [`BatchQueue::prepared`] or [`BatchQueue::spoilt`]; then ask again.
    Prepare(Picked<T>),
    /// Nothing before this time, unless something is pushed or prepared.
    WaitUntil(Instant),
    /// Nothing until something is pushed or prepared.
    Idle,
}

/// A request that was chosen, and since when it waited.
#[derive(Debug, PartialEq, Eq)]
pub struct Picked<T> {
    /// When it was pushed.
    pub queued_at: Instant,
    /// It came by itself, as a frame of a live stream or a crop of one.
    pub is_live: bool,
    /// The request.
    pub item: T,
    turn: Turn,
}

/// When a request is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    place: Place,
    /// When it was handed out to be prepared.
    since: Instant,
}

impl<T> Picked<T> {
    /// The request alone, and what is left of it.
    pub fn take(self) -> (T, Picked<()>) {
        let Self { queued_at, is_live, item, turn } = self;
        (item, Picked { queued_at, is_live, item: (), turn })
    }

    /// The same turn with another request, such as the prepared one.
    #[must_use]
    pub fn with<U>(self, item: U) -> Picked<U> {
        let Self { queued_at, is_live, item: _, turn } = self;
        Picked { queued_at, is_live, item, turn }
    }
}

/// What a request has to go through before it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It can run as it is.
    Ready,
    /// It has to be prepared: a picture that is still encoded.
    Encoded,
}

/// How a live frame waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// How many of its stream may wait, and which of them stay.
    pub cache: CachePolicy,
    /// When it came.
    pub offered: Instant,
    /// Its result is wanted this long after it came, at the latest.
    pub latency: Duration,
}

/// Waiting requests `T` of owners `K`.
#[derive(Debug)]
pub struct BatchQueue<K, T> {
    policy: BatchPolicy,
    /// What somebody asked for.
    asked: Kind<K, T>,
    /// What comes by itself.
    live: Kind<K, T>,
    /// A live frame was served last.
    live_last: bool,
    /// Live frames that were too old when their turn came.
    stale: Vec<T>,
    pace: Pace,
}

impl<K: Clone + Eq + Hash, T> BatchQueue<K, T> {
    /// An empty queue under this policy.
    pub fn new(policy: BatchPolicy) -> Self {
        Self {
            policy: BatchPolicy { max_batch: policy.max_batch.max(1), ahead: policy.ahead.max(1), ..policy },
            asked: Kind::new(false),
            live: Kind::new(true),
            live_last: false,
            stale: Vec::new(),
            pace: Pace::default(),
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> BatchPolicy {
        self.policy
    }

    /// Requests that wait or are being prepared.
    pub fn len(&self) -> usize {
        [&self.asked, &self.live].iter().map(|kind| kind.len + kind.ready.len() + kind.preparing).sum()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests of [`Self::push`] that wait.
    pub fn counted(&self) -> usize {
        self.asked.counted
    }

    /// Queues a request that somebody asked for.
    ///
    /// # Errors
    /// The request itself when the queue is full.
    pub fn push(&mut self, owner: K, item: T, form: Form, now: Instant) -> Result<(), T> {
        if self.asked.counted >= self.policy.queue {
            return Err(item);
        }
        self.asked.push(owner, Waiting { item, queued_at: now, form, counts: true, live: None });
        Ok(())
    }

    /// Queues a request that was admitted earlier on its way (the crops of a one-shot picture), whatever the bound:
    /// what bounds these is the admission of the pictures that they belong to. It does not linger.
    pub fn push_admitted(&mut self, owner: K, item: T, now: Instant) {
        self.asked.push(owner, Waiting { item, queued_at: now, form: Form::Ready, counts: false, live: None });
    }

    /// Queues a frame of a live stream; gives back the one that has to make room for it, and why: the oldest, or itself.
    /// What a stream holds of the queue is bounded by its own cache.
    pub fn push_live(&mut self, owner: K, item: T, form: Form, live: Live, now: Instant) -> Option<(T, DropReason)> {
        let waiting = self.live.by_owner.get(&owner).map_or(0, |lane| lane.waiting.len());
        let is_full = waiting >= live.cache.frames.max(1);
        if is_full && live.cache.mode == CacheMode::Fifo {
            return Some((item, DropReason::Overload));
        }
        self.live.push(owner.clone(), Waiting { item, queued_at: now, form, counts: false, live: Some(live) });
        // Only now: a lane in which something waits keeps its round.
        let oldest = if is_full { self.live.displace(owner) } else { None };
        oldest.map(|oldest| (oldest, DropReason::Superseded))
    }

    /// Queues what comes by itself and may be left out: a crop of a live frame. All owners together may have `bound` of
    /// these waiting, and share them: where there is no room, the newest one of the owner with most goes, unless that would
    /// not have fewer than this one then. Gives back the one that has to go: that, or the request itself.
    pub fn push_shared(&mut self, owner: K, item: T, bound: usize, now: Instant) -> Option<T> {
        let waiting = Waiting { item, queued_at: now, form: Form::Ready, counts: false, live: None };
        let mut displaced = None;
        if self.live.len >= bound {
            let own = self.live.by_owner.get(&owner).map_or(0, |lane| lane.waiting.len());
            let most = self.live.by_owner.iter().max_by_key(|(_, lane)| lane.waiting.len());
            let most = most.filter(|(_, lane)| lane.waiting.len() > own + 1).map(|(owner, _)| owner.clone());
            let Some(most) = most else { return Some(waiting.item) };
            displaced = self.live.displace_newest(most);
        }
        self.live.push(owner, waiting);
        displaced
    }

    /// A request is prepared.
    pub fn prepared(&mut self, picked: Picked<T>) {
        let kind = self.kind(picked.is_live);
        kind.preparing = kind.preparing.saturating_sub(1);
        kind.ready.insert(picked.turn.place, picked);
    }

    /// A request could not be prepared; its owner knows.
    pub fn spoilt(&mut self, is_live: bool) {
        let kind = self.kind(is_live);
        kind.preparing = kind.preparing.saturating_sub(1);
    }

    fn kind(&mut self, is_live: bool) -> &mut Kind<K, T> {
        if is_live { &mut self.live } else { &mut self.asked }
    }

    /// A batch took so long.
    pub fn took(&mut self, time: Duration) {
        Pace::follow(&mut self.pace.run, time);
    }

    /// Live frames that were too old when their turn came, since the last call.
    pub fn take_stale(&mut self) -> Vec<T> {
        std::mem::take(&mut self.stale)
    }

    /// Decides for an asker while `free_slots` slots of the engine, the asker's included, are free; 0 only prepares.
    ///
    /// With several slots free, what waits is shared among them: two half batches side by side end sooner than a full
    /// one beside an idle slot.
    pub fn poll(&mut self, now: Instant, free_slots: usize) -> BatchDecision<T> {
        self.live.expire(now, &self.pace, &mut self.stale);
        let BatchPolicy { max_batch, ahead, .. } = self.policy;
        if let Some(picked) = self.asked.prepare(now, |_| ahead) {
            return BatchDecision::Prepare(picked);
        }
        // What is prepared grows old until it runs: no more of it than runs in a part of the objective.
        let run = self.pace.run;
        let soon = |latency: Duration| (latency.as_nanos() / 4).checked_div(run.as_nanos()).unwrap_or(u128::MAX);
        let in_time = |latency| max_batch.saturating_mul(soon(latency).clamp(1, ahead as u128) as usize).min(ahead);
        if let Some(picked) = self.live.prepare(now, |first| first.live.map_or(ahead, |live| in_time(live.latency))) {
            return BatchDecision::Prepare(picked);
        }
        let waiting = [&self.asked, &self.live].iter().map(|kind| kind.runnable + kind.ready.len()).sum::<usize>();
        if waiting == 0 || free_slots == 0 {
            return BatchDecision::Idle;
        }
        // Somebody waits for what was admitted: it is not held up for company.
        let is_urgent = self.asked.len > self.asked.counted;
        if waiting < max_batch && !self.policy.linger.is_zero() && !is_urgent {
            let oldest = self.asked.oldest().into_iter().chain(self.live.oldest()).min();
            let ripe = oldest.unwrap_or(now) + self.policy.linger;
            if ripe > now {
                return BatchDecision::WaitUntil(ripe);
            }
        }
        let count = waiting.div_ceil(free_slots).min(max_batch);
        let mut picks = Vec::with_capacity(count);
        while picks.len() < count {
            self.live.expire(now, &self.pace, &mut self.stale);
            let Some(picked) = self.next(now) else { break };
            picks.push(picked);
        }
        if picks.is_empty() { BatchDecision::Idle } else { BatchDecision::Run(picks) }
    }

    /// What runs next: the kinds take turns.
    fn next(&mut self, now: Instant) -> Option<Picked<T>> {
        let Self { asked, live, pace, .. } = self;
        // What was asked for has no objective that its lead could spoil.
        let mut lead = Duration::ZERO;
        let picked = if self.live_last {
            asked.next(now, &mut lead).or_else(|| live.next(now, &mut pace.lead))
        } else {
            live.next(now, &mut pace.lead).or_else(|| asked.next(now, &mut lead))
        }?;
        self.live_last = picked.is_live;
        Some(picked)
    }

    /// Takes out what waits of an owner that is gone. What is prepared already runs.
    pub fn remove(&mut self, owner: &K) -> Vec<T> {
        self.asked.remove(owner).into_iter().chain(self.live.remove(owner)).collect()
    }

    /// Takes everything out, for shutting down.
    pub fn drain(&mut self) -> Vec<T> {
        let mut left = self.take_stale();
        for kind in [&mut self.asked, &mut self.live] {
            left.extend(std::mem::take(&mut kind.ready).into_values().map(|picked| picked.item));
            let owners: Vec<K> = kind.by_owner.keys().cloned().collect();
            left.extend(owners.iter().flat_map(|owner| kind.remove(owner)));
        }
        left
    }
}

#[cfg(test)]
mod tests;
