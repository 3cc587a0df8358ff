//! Requests of one kind: a lane per owner, the order of the lanes, and what is prepared.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::{Form, Live, Picked, Turn};
use crate::admission::is_stale;

#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub(super) item: T,
    pub(super) queued_at: Instant,
    pub(super) form: Form,
    /// It counts against the bound of the queue.
    pub(super) counts: bool,
    /// A live frame's.
    pub(super) live: Option<Live>,
}

impl<T> Waiting<T> {
    /// What is first within a round.
    fn urgency(&self) -> Instant {
        self.live.map_or(self.queued_at, |live| live.offered + live.latency)
    }
}

/// How long things take, at most, as far as is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// A batch.
    pub(super) run: Duration,
    /// From when a live frame is handed out to be prepared to when it runs.
    pub(super) lead: Duration,
}

impl Pace {
    /// Up at once, down slowly: an objective is missed by the slow ones.
    pub(super) fn follow(known: &mut Duration, time: Duration) {
        *known = time.max(known.mul_f64(0.98));
    }

    /// Whether a request that is first in its lane, or also the last, is not worth running any more.
    fn is_stale<T>(&self, first: &Waiting<T>, is_last: bool, now: Instant) -> bool {
        let Some(Live { offered, latency, .. }) = first.live else { return false };
        // An eighth more: at the edge of the objective, the next batch is not to be the slowest one yet.
        let run = self.run * 9 / 8;
        // What a slow model has decoded ahead waits for it like everything else.
        let lead = if first.form == Form::Encoded && run <= latency / 2 { self.lead * 9 / 8 } else { Duration::ZERO };
        // As with the model itself, whose decoding ahead takes too much of the objective gets what is fresh.
        let age = now.saturating_duration_since(offered) + lead.min(latency * 3 / 8);
        is_stale(age, latency, run, is_last)
    }
}

/// The place of a lane: its round, how urgent its first request is, and a number that makes it unique.
pub(super) type Place = (u64, Instant, u64);

#[derive(Debug)]
pub(super) struct Lane<T> {
    /// Where it stands in the order of those with this form; absent while nothing waits.
    pub(super) place: Option<(Form, Place)>,
    /// The round in which it is served next.
    pub(super) round: u64,
    /// It is among those that are forgotten when the round is over, if nothing waits in them then.
    pub(super) is_resting: bool,
    pub(super) waiting: VecDeque<Waiting<T>>,
}

/// Requests of one kind.
#[derive(Debug)]
pub(super) struct Kind<K, T> {
    /// These come by themselves.
    is_live: bool,
    /// Lanes in which something waits, and those that were served in this round.
    pub(super) by_owner: HashMap<K, Lane<T>>,
    /// Lanes in which something waits, in the order in which they are served, by the form of what is first in them.
    pub(super) orders: [BTreeMap<Place, K>; 2],
    /// The round that is being served.
    pub(super) round: u64,
    pub(super) resting: Vec<K>,
    pub(super) serial: u64,
    /// Prepared, in their order.
    pub(super) ready: BTreeMap<Place, Picked<T>>,
    /// Being prepared.
    pub(super) preparing: usize,
    /// Those that wait in lanes, and those of them that can run as they are.
    pub(super) len: usize,
    pub(super) runnable: usize,
    /// Those that count against the bound of the queue.
    pub(super) counted: usize,
}

impl<K: Clone + Eq + Hash, T> Kind<K, T> {
    pub(super) fn new(is_live: bool) -> Self {
        Self {
            is_live,
            by_owner: HashMap::new(),
            orders: [BTreeMap::new(), BTreeMap::new()],
            round: 0,
            resting: Vec::new(),
            serial: 0,
            ready: BTreeMap::new(),
            preparing: 0,
            len: 0,
            runnable: 0,
            counted: 0,
        }
    }

    /// Puts a lane where its first request says, or to rest where nothing waits.
    fn place(&mut self, owner: K) {
        let Some(lane) = self.by_owner.get_mut(&owner) else { return };
        if let Some((form, place)) = lane.place.take() {
            self.orders[form as usize].remove(&place);
        }
        if let Some(first) = lane.waiting.front() {
            self.serial += 1;
            let place = (lane.round, first.urgency(), self.serial);
            lane.place = Some((first.form, place));
            self.orders[first.form as usize].insert(place, owner);
        } else if lane.round <= self.round {
            // Whoever comes new is served in this round, too.
            self.by_owner.remove(&owner);
        } else if !lane.is_resting {
            lane.is_resting = true;
            self.resting.push(owner);
        }
    }

    /// Goes on to a later round; what rested in the ones before may be forgotten.
    fn advance(&mut self, round: u64) {
        if round <= self.round {
            return;
        }
        self.round = round;
        for owner in std::mem::take(&mut self.resting) {
            let Some(lane) = self.by_owner.get_mut(&owner) else { continue };
            lane.is_resting = false;
            if lane.waiting.is_empty() {
                self.place(owner);
            }
        }
    }

    pub(super) fn push(&mut self, owner: K, waiting: Waiting<T>) {
        self.len += 1;
        self.runnable += usize::from(waiting.form == Form::Ready);
        self.counted += usize::from(waiting.counts);
        let round = self.round;
        let lane = self.by_owner.entry(owner.clone());
        let lane = lane.or_insert_with(|| Lane { place: None, round, is_resting: false, waiting: VecDeque::new() });
        lane.waiting.push_back(waiting);
        if lane.place.is_none() {
            lane.round = lane.round.max(round);
            self.place(owner);
        }
    }

    /// Takes the first request of a lane out.
    fn pop(&mut self, owner: &K) -> Option<Waiting<T>> {
        let first = self.by_owner.get_mut(owner)?.waiting.pop_front()?;
        self.gone(&first);
        Some(first)
    }

    /// One that waited is taken out.
    fn gone(&mut self, waiting: &Waiting<T>) {
        self.len -= 1;
        self.runnable -= usize::from(waiting.form == Form::Ready);
        self.counted -= usize::from(waiting.counts);
    }

    /// Takes the oldest of a lane out, since a newer one came.
    pub(super) fn displace(&mut self, owner: K) -> Option<T> {
        let oldest = self.pop(&owner)?;
        self.place(owner);
        Some(oldest.item)
    }

    /// Takes the newest of a lane out, since another owner has to have room.
    pub(super) fn displace_newest(&mut self, owner: K) -> Option<T> {
        let newest = self.by_owner.get_mut(&owner)?.waiting.pop_back()?;
        self.gone(&newest);
        self.place(owner);
        Some(newest.item)
    }

    /// Throws out what is too old by now in the lanes whose turn it is, up to one where something is not: these lanes keep
    /// their turn.
    pub(super) fn expire(&mut self, now: Instant, pace: &Pace, stale: &mut Vec<T>) {
        for form in [Form::Ready, Form::Encoded] {
            while let Some((_, owner)) = self.orders[form as usize].first_key_value() {
                let owner = owner.clone();
                let lane = self.by_owner.get(&owner);
                let is_stale = |lane: &Lane<T>| {
                    lane.waiting.front().is_some_and(|first| pace.is_stale(first, lane.waiting.len() == 1, now))
                };
                if !lane.is_some_and(is_stale) {
                    break;
                }
                stale.extend(self.displace(owner));
            }
        }
    }

    /// Takes the first request of the first lane of those with this form.
    fn pick(&mut self, form: Form, now: Instant) -> Option<Picked<T>> {
        let (&place, owner) = self.orders[form as usize].first_key_value()?;
        let owner = owner.clone();
        let Waiting { item, queued_at, .. } = self.pop(&owner)?;
        if let Some(lane) = self.by_owner.get_mut(&owner) {
            // One that others went before may be of an earlier round.
            lane.round = self.round.max(place.0) + 1;
        }
        self.place(owner);
        Some(Picked { queued_at, is_live: self.is_live, item, turn: Turn { place, since: now } })
    }

    /// What runs next.
    pub(super) fn next(&mut self, now: Instant, lead: &mut Duration) -> Option<Picked<T>> {
        let first = |places: Option<(&Place, _)>| places.map(|(&place, _)| place);
        let prepared = self.ready.first_key_value().map(|(&place, _)| place);
        let waiting = first(self.orders[Form::Ready as usize].first_key_value());
        if prepared.is_some_and(|prepared| waiting.is_none_or(|waiting| prepared < waiting)) {
            let (place, picked) = self.ready.pop_first()?;
            self.advance(place.0);
            Pace::follow(lead, now.saturating_duration_since(picked.turn.since));
            return Some(picked);
        }
        self.advance(waiting?.0);
        self.pick(Form::Ready, now)
    }

    /// One to be prepared, where fewer than `ahead` are or run before it.
    pub(super) fn prepare(&mut self, now: Instant, ahead: impl Fn(&Waiting<T>) -> usize) -> Option<Picked<T>> {
        let (&place, owner) = self.orders[Form::Encoded as usize].first_key_value()?;
        let ahead = ahead(self.by_owner.get(owner)?.waiting.front()?);
        let prepared = self.preparing + self.ready.len();
        let before = self.orders[Form::Ready as usize].range(..place).take(ahead).count();
        if prepared + before >= ahead {
            return None;
        }
        let picked = self.pick(Form::Encoded, now)?;
        self.preparing += 1;
        Some(picked)
    }

    pub(super) fn remove(&mut self, owner: &K) -> Vec<T> {
        let mut left = Vec::new();
        while let Some(first) = self.pop(owner) {
            left.push(first.item);
        }
        if let Some(Lane { place: Some((form, place)), .. }) = self.by_owner.remove(owner) {
            self.orders[form as usize].remove(&place);
        }
        left
    }

    /// Since when the oldest waits that could run.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let first = |owner: &K| Some(self.by_owner.get(owner)?.waiting.front()?.queued_at);
        let waiting = self.orders[Form::Ready as usize].values().filter_map(first);
        waiting.chain(self.ready.values().map(|picked| picked.queued_at)).min()
    }
}
