//! Which requests run next. Time is an argument; nothing here waits.
//!
//! A free slot of the engine comes first, the batch is formed second: whoever has a slot free asks
//! [`BatchQueue::poll`] and is told what to run, what to prepare, until when to wait, or that there is nothing to do.
//!
//! Requests wait in one lane per owner. Lanes take turns in rounds, one request each, and within a round the nearest
//! deadline goes first: so nobody starves, however greedy another is, and what is urgent does not wait behind what is
//! not. Within a lane the order is kept. What somebody asked for (a posted picture, a crop) and what comes by itself (a
//! live frame) take turns when both wait, so that neither makes the other wait for more than one of its own kind.
//!
//! A live frame that could not be answered within its objective any more is not run: it comes out of
//! [`BatchQueue::take_stale`], and its lane keeps its turn.
//!
//! What is still encoded has to be prepared before it can run. It is handed out for that when its turn has come, a few
//! ahead of the slots, so that it waits in its small form and no slot waits for a decoder.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::admission::{CacheMode, CachePolicy, DropReason, is_stale};

/// How batches are formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Most requests in one batch, at least 1.
    pub max_batch: usize,
    /// Most requests of [`BatchQueue::push`] that may wait; one more is refused.
    pub queue: usize,
    /// How long a batch that is not full waits for more, from when its oldest request was queued.
    pub linger: Duration,
    /// Requests that may be prepared, or lie ready, ahead of the slots; at least 1.
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
    /// It came by itself, as a frame of a live stream.
    pub is_live: bool,
    /// The request.
    pub item: T,
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

#[derive(Debug)]
struct Waiting<T> {
    picked: Picked<T>,
    form: Form,
    /// It counts against the bound of the queue.
    counts: bool,
    /// A live frame's.
    live: Option<Live>,
}

impl<T> Waiting<T> {
    /// What is first within a round.
    fn urgency(&self) -> Instant {
        self.live.map_or(self.picked.queued_at, |live| live.offered + live.latency)
    }

    fn is_stale(&self, now: Instant, expected: Duration) -> bool {
        self.live.is_some_and(|live| is_stale(now.saturating_duration_since(live.offered), live.latency, expected))
    }
}

/// The place of a lane: its round, how urgent its first request is, and a number that makes it unique.
type Place = (u64, Instant, u64);

#[derive(Debug)]
struct Lane<T> {
    /// Where it stands in the order; absent while nothing waits.
    place: Option<Place>,
    /// The round in which it is served next.
    round: u64,
    waiting: VecDeque<Waiting<T>>,
}

/// Requests of one kind.
#[derive(Debug)]
struct Kind<K, T> {
    by_owner: HashMap<K, Lane<T>>,
    /// Lanes in which something waits, in the order in which they are served.
    order: BTreeMap<Place, K>,
    /// The round that is being served.
    round: u64,
    serial: u64,
    /// Prepared: these had their turn, and run first.
    ready: VecDeque<Picked<T>>,
    /// Being prepared.
    preparing: usize,
    /// Those that wait in lanes, and those of them that can run as they are.
    len: usize,
    runnable: usize,
    /// Those that count against the bound of the queue.
    counted: usize,
}

impl<K: Clone + Eq + Hash, T> Kind<K, T> {
    fn new() -> Self {
        Self {
            by_owner: HashMap::new(),
            order: BTreeMap::new(),
            round: 0,
            serial: 0,
            ready: VecDeque::new(),
            preparing: 0,
            len: 0,
            runnable: 0,
            counted: 0,
        }
    }

    /// Puts a lane where its first request says, or takes it out of the order where nothing waits.
    fn place(&mut self, owner: K) {
        let Some(lane) = self.by_owner.get_mut(&owner) else { return };
        if let Some(place) = lane.place.take() {
            self.order.remove(&place);
        }
        if let Some(first) = lane.waiting.front() {
            self.serial += 1;
            let place = (lane.round, first.urgency(), self.serial);
            lane.place = Some(place);
            self.order.insert(place, owner);
        }
    }

    fn push(&mut self, owner: K, waiting: Waiting<T>) {
        self.len += 1;
        self.runnable += usize::from(waiting.form == Form::Ready);
        self.counted += usize::from(waiting.counts);
        let next = self.round + 1;
        let lane = self.by_owner.entry(owner.clone());
        let lane = lane.or_insert_with(|| Lane { place: None, round: next, waiting: VecDeque::new() });
        lane.waiting.push_back(waiting);
        if lane.place.is_none() {
            self.place(owner);
        }
    }

    /// Counts what was taken out of a lane.
    fn taken(&mut self, waiting: Waiting<T>) -> Picked<T> {
        self.len -= 1;
        self.runnable -= usize::from(waiting.form == Form::Ready);
        self.counted -= usize::from(waiting.counts);
        waiting.picked
    }

    /// Takes the oldest of a lane out, for a newer one to come.
    fn displace(&mut self, owner: &K) -> Option<Picked<T>> {
        let oldest = self.by_owner.get_mut(owner)?.waiting.pop_front()?;
        self.place(owner.clone());
        Some(self.taken(oldest))
    }

    /// Throws out what is too old by now in the lanes whose turn it is, up to one where something is not: these lanes keep
    /// their turn.
    fn expire(&mut self, now: Instant, expected: Duration, stale: &mut Vec<T>) {
        while let Some((_, owner)) = self.order.first_key_value() {
            let owner = owner.clone();
            let lane = self.by_owner.get_mut(&owner);
            let is_stale = |lane: &Lane<T>| lane.waiting.front().is_some_and(|w| w.is_stale(now, expected));
            let Some(first) = lane.filter(|lane| is_stale(lane)).and_then(|lane| lane.waiting.pop_front()) else { return };
            self.place(owner);
            stale.push(self.taken(first).item);
        }
    }

    /// Form of the one whose turn it is.
    fn next_form(&self) -> Option<Form> {
        let (_, owner) = self.order.first_key_value()?;
        self.by_owner.get(owner)?.waiting.front().map(|first| first.form)
    }

    /// Takes the first request of the lane whose turn it is among those whose first request has this form.
    fn pick(&mut self, form: Form) -> Option<Picked<T>> {
        let fits = |owner: &K| self.by_owner.get(owner)?.waiting.front().filter(|first| first.form == form).map(drop);
        let (&place, owner) = self.order.iter().find(|(_, owner)| fits(owner).is_some())?;
        let owner = owner.clone();
        let lane = self.by_owner.get_mut(&owner)?;
        let first = lane.waiting.pop_front()?;
        // One that was passed over may be of an earlier round.
        self.round = self.round.max(place.0);
        lane.round = self.round + 1;
        if lane.waiting.is_empty() {
            self.order.remove(&place);
            self.by_owner.remove(&owner);
        } else {
            self.place(owner);
        }
        Some(self.taken(first))
    }

    /// What runs next: what is ready had its turn before.
    fn next(&mut self) -> Option<Picked<T>> {
        self.ready.pop_front().or_else(|| if self.runnable > 0 { self.pick(Form::Ready) } else { None })
    }

    /// One to be prepared, where its turn has come and fewer than `ahead` are.
    fn prepare(&mut self, ahead: usize) -> Option<Picked<T>> {
        if self.preparing + self.ready.len() >= ahead || self.next_form() != Some(Form::Encoded) {
            return None;
        }
        let picked = self.pick(Form::Encoded)?;
        self.preparing += 1;
        Some(picked)
    }

    fn remove(&mut self, owner: &K) -> Vec<Picked<T>> {
        let Some(mut lane) = self.by_owner.remove(owner) else { return Vec::new() };
        if let Some(place) = lane.place.take() {
            self.order.remove(&place);
        }
        lane.waiting.into_iter().map(|waiting| self.taken(waiting)).collect()
    }

    /// Since when the oldest waits that could run.
    fn oldest(&self) -> Option<Instant> {
        let lanes = self.by_owner.values().flat_map(|lane| &lane.waiting).filter(|w| w.form == Form::Ready);
        lanes.map(|w| &w.picked).chain(&self.ready).map(|picked| picked.queued_at).min()
    }
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
    /// How long a batch takes, at most, as far as is known.
    expected: Duration,
}

impl<K: Clone + Eq + Hash, T> BatchQueue<K, T> {
    /// An empty queue under this policy.
    pub fn new(policy: BatchPolicy) -> Self {
        Self {
            policy: BatchPolicy { max_batch: policy.max_batch.max(1), ahead: policy.ahead.max(1), ..policy },
            asked: Kind::new(),
            live: Kind::new(),
            live_last: false,
            stale: Vec::new(),
            expected: Duration::ZERO,
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
        let picked = Picked { queued_at: now, is_live: false, item };
        self.asked.push(owner, Waiting { picked, form, counts: true, live: None });
        Ok(())
    }

    /// Queues a request that was admitted earlier on its way (the crops of a one-shot picture), whatever the bound:
    /// what bounds these is the admission of the pictures that they belong to.
    pub fn push_admitted(&mut self, owner: K, item: T, now: Instant) {
        let picked = Picked { queued_at: now, is_live: false, item };
        self.asked.push(owner, Waiting { picked, form: Form::Ready, counts: false, live: None });
    }

    /// Queues a frame of a live stream; gives back the one that has to make room for it, and why: the oldest, or itself.
    /// What a stream holds of the queue is bounded by its own cache.
    pub fn push_live(&mut self, owner: K, item: T, form: Form, live: Live, now: Instant) -> Option<(T, DropReason)> {
        let waiting = self.live.by_owner.get(&owner).map_or(0, |lane| lane.waiting.len());
        let is_full = waiting >= live.cache.frames.max(1);
        if is_full && live.cache.mode == CacheMode::Fifo {
            return Some((item, DropReason::Overload));
        }
        let oldest = if is_full { self.live.displace(&owner) } else { None };
        let picked = Picked { queued_at: now, is_live: true, item };
        self.live.push(owner, Waiting { picked, form, counts: false, live: Some(live) });
        oldest.map(|oldest| (oldest.item, DropReason::Superseded))
    }

    /// A request is prepared.
    pub fn prepared(&mut self, picked: Picked<T>) {
        let kind = self.kind(picked.is_live);
        kind.preparing = kind.preparing.saturating_sub(1);
        kind.ready.push_back(picked);
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
        // Up at once, down slowly: an objective is missed by the slow ones.
        self.expected = time.max(self.expected.mul_f64(0.95));
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
        self.live.expire(now, self.expected, &mut self.stale);
        let ahead = self.policy.ahead;
        if let Some(picked) = self.asked.prepare(ahead) {
            return BatchDecision::Prepare(picked);
        }
        if let Some(picked) = self.live.prepare(ahead) {
            return BatchDecision::Prepare(picked);
        }
        let waiting = [&self.asked, &self.live].iter().map(|kind| kind.runnable + kind.ready.len()).sum::<usize>();
        if waiting == 0 || free_slots == 0 {
            return BatchDecision::Idle;
        }
        if waiting < self.policy.max_batch && !self.policy.linger.is_zero() {
            let oldest = self.asked.oldest().into_iter().chain(self.live.oldest()).min();
            let ripe = oldest.unwrap_or(now) + self.policy.linger;
            if ripe > now {
                return BatchDecision::WaitUntil(ripe);
            }
        }
        let count = waiting.div_ceil(free_slots).min(self.policy.max_batch);
        let mut picks = Vec::with_capacity(count);
        while picks.len() < count {
            self.live.expire(now, self.expected, &mut self.stale);
            let Some(picked) = self.next() else { break };
            picks.push(picked);
        }
        if picks.is_empty() { BatchDecision::Idle } else { BatchDecision::Run(picks) }
    }

    /// What runs next: the kinds take turns.
    fn next(&mut self) -> Option<Picked<T>> {
        let picked = if self.live_last {
            self.asked.next().or_else(|| self.live.next())
        } else {
            self.live.next().or_else(|| self.asked.next())
        }?;
        self.live_last = picked.is_live;
        Some(picked)
    }

    /// Takes out what waits of an owner that is gone. What is prepared already runs.
    pub fn remove(&mut self, owner: &K) -> Vec<T> {
        self.asked.remove(owner).into_iter().chain(self.live.remove(owner)).map(|picked| picked.item).collect()
    }

    /// Takes everything out, for shutting down.
    pub fn drain(&mut self) -> Vec<T> {
        let mut left = Vec::new();
        for kind in [&mut self.asked, &mut self.live] {
            left.extend(kind.ready.drain(..).map(|picked| picked.item));
            let owners: Vec<K> = kind.by_owner.keys().cloned().collect();
            left.extend(owners.iter().flat_map(|owner| kind.remove(owner)).map(|picked| picked.item));
        }
        left
    }
}

#[cfg(test)]
mod tests;
