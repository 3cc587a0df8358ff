//! What holds whatever is done, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What can be done to a queue; numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push { owner: u8, form: Form },
    PushAdmitted { owner: u8 },
    PushLive { owner: u8, form: Form, cache: CachePolicy, latency: u64 },
    Poll { slots: usize },
    Prepared { which: usize },
    Spoilt { which: usize },
    Remove { owner: u8 },
    Took { ms: u64 },
    Pass { ms: u64 },
    TakeStale,
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let owner = 0u8..5;
    let form = prop_oneof![Just(Form::Ready), Just(Form::Encoded)];
    let mode = prop_oneof![Just(CacheMode::Latest), Just(CacheMode::Fifo)];
    let cache = (mode, 1usize..4).prop_map(|(mode, frames)| CachePolicy { mode, frames });
    prop_oneof![
        4 => (owner.clone(), form.clone()).prop_map(|(owner, form)| Step::Push { owner, form }),
        1 => owner.clone().prop_map(|owner| Step::PushAdmitted { owner }),
        6 => (owner.clone(), form, cache, 0u64..100)
            .prop_map(|(owner, form, cache, latency)| Step::PushLive { owner, form, cache, latency }),
        8 => (0usize..4).prop_map(|slots| Step::Poll { slots }),
        4 => any::<usize>().prop_map(|which| Step::Prepared { which }),
        1 => any::<usize>().prop_map(|which| Step::Spoilt { which }),
        1 => owner.prop_map(|owner| Step::Remove { owner }),
        1 => (0u64..60).prop_map(|ms| Step::Took { ms }),
        4 => (0u64..30).prop_map(|ms| Step::Pass { ms }),
        2 => Just(Step::TakeStale),
        1 => Just(Step::Drain),
    ]
}

/// A queue, and what a test knows of what is in it.
struct Model {
    queue: BatchQueue<u8, u32>,
    now: Instant,
    next: u32,
    /// Numbers that are in the queue, those that are stale included.
    inside: BTreeSet<u32>,
    preparing: Vec<Picked<u32>>,
}

impl Model {
    fn new(policy: BatchPolicy) -> Self {
        let queue = BatchQueue::new(policy);
        Self { queue, now: Instant::now(), next: 0, inside: BTreeSet::new(), preparing: Vec::new() }
    }

    fn enter(&mut self) -> u32 {
        self.next += 1;
        self.inside.insert(self.next);
        self.next
    }

    /// What comes out was in it, once.
    fn leave(&mut self, items: impl IntoIterator<Item = u32>) {
        for item in items {
            assert!(self.inside.remove(&item), "{item} came out twice");
        }
    }

    fn apply(&mut self, step: Step) {
        let (now, policy) = (self.now, self.queue.policy());
        match step {
            Step::Push { owner, form } => {
                let (item, counted) = (self.enter(), self.queue.counted());
                let outcome = self.queue.push(owner, item, form, now);
                assert_eq!(outcome.is_err(), counted >= policy.queue);
                self.leave(outcome.err());
            }
            Step::PushAdmitted { owner } => {
                let item = self.enter();
                self.queue.push_admitted(owner, item, now);
            }
            Step::PushLive { owner, form, cache, latency } => {
                let item = self.enter();
                let live = Live { cache, offered: now, latency: Duration::from_millis(latency) };
                let out = self.queue.push_live(owner, item, form, live, now);
                if let Some((out, reason)) = out {
                    let expected = if out == item { DropReason::Overload } else { DropReason::Superseded };
                    assert_eq!(reason, expected);
                }
                self.leave(out.map(|(item, _)| item));
            }
            Step::Poll { slots } => match self.queue.poll(now, slots) {
                BatchDecision::Run(picks) => {
                    assert!(slots > 0 && (1..=policy.max_batch).contains(&picks.len()));
                    self.leave(picks.into_iter().map(|picked| picked.item));
                }
                BatchDecision::Prepare(picked) => self.preparing.push(picked),
                BatchDecision::WaitUntil(time) => assert!(time > now && !policy.linger.is_zero()),
                BatchDecision::Idle => {}
            },
            Step::Prepared { which } if !self.preparing.is_empty() => {
                let picked = self.preparing.swap_remove(which % self.preparing.len());
                self.queue.prepared(picked);
            }
            Step::Spoilt { which } if !self.preparing.is_empty() => {
                let picked = self.preparing.swap_remove(which % self.preparing.len());
                self.queue.spoilt(picked.is_live);
                self.leave([picked.item]);
            }
            Step::Prepared { .. } | Step::Spoilt { .. } => {}
            Step::Remove { owner } => {
                let left = self.queue.remove(&owner);
                self.leave(left);
            }
            Step::Took { ms } => self.queue.took(Duration::from_millis(ms)),
            Step::Pass { ms } => self.now += Duration::from_millis(ms),
            Step::TakeStale => {
                let stale = self.queue.take_stale();
                self.leave(stale);
            }
            Step::Drain => {
                let left = self.queue.drain();
                self.leave(left);
                assert_eq!(self.inside.len(), self.preparing.len());
            }
        }
    }

    /// What the queue says of itself is so, and the parts of it agree.
    fn assert_sound(&self) {
        let queue = &self.queue;
        assert_eq!(queue.len() + queue.stale.len(), self.inside.len());
        assert_eq!(queue.asked.preparing + queue.live.preparing, self.preparing.len());
        for kind in [&queue.asked, &queue.live] {
            let waiting = || kind.by_owner.values().flat_map(|lane| &lane.waiting);
            assert_eq!(kind.len, waiting().count());
            assert_eq!(kind.runnable, waiting().filter(|w| w.form == Form::Ready).count());
            assert_eq!(kind.counted, waiting().filter(|w| w.counts).count());
            let placed = kind.by_owner.values().filter(|lane| lane.place.is_some()).count();
            assert_eq!(kind.orders.iter().map(BTreeMap::len).sum::<usize>(), placed);
            for (owner, lane) in kind.by_owner.iter().collect::<BTreeMap<_, _>>() {
                assert_eq!(lane.place.map(|(form, _)| form), lane.waiting.front().map(|first| first.form));
                if let Some((form, place)) = lane.place {
                    assert_eq!(kind.orders[form as usize].get(&place), Some(owner));
                }
                assert!(
                    !lane.waiting.is_empty() || lane.is_resting && lane.round > kind.round,
                    "a lane is left behind"
                );
            }
        }
    }
}

proptest! {
    /// Nothing is lost or doubled, and all counts are right, after each step.
    #[test]
    fn everything_is_in_one_place(
        steps in proptest::collection::vec(step(), 0..200),
        (max_batch, queue, ahead) in (1usize..5, 1usize..8, 1usize..5),
        linger in prop_oneof![Just(0u64), 1u64..20],
    ) {
        let linger = Duration::from_millis(linger);
        let mut model = Model::new(BatchPolicy { max_batch, queue, linger, ahead });
        for step in steps {
            model.apply(step);
            model.assert_sound();
        }
        // To its end: all is prepared, and polled for as long as there is something.
        while !model.queue.is_empty() {
            model.apply(Step::Pass { ms: 20 });
            for step in [Step::Prepared { which: 0 }, Step::Poll { slots: 1 }, Step::TakeStale] {
                model.apply(step);
                model.assert_sound();
            }
        }
        model.apply(Step::TakeStale);
        prop_assert!(model.inside.is_empty());
    }

    /// Whatever is pushed and polled: no batch over the limit, nothing lost or doubled, order kept per owner.
    #[test]
    fn every_request_runs_once_and_in_its_owners_order(
        owners in proptest::collection::vec(0u8..5, 0..200),
        max_batch in 1usize..9,
        slots in 1usize..4,
    ) {
        let now = Instant::now();
        let mut queue = BatchQueue::new(policy(max_batch, 1000, 0));
        for (n, &owner) in owners.iter().enumerate() {
            queue.push(owner, (owner, n), Form::Ready, now).expect("room");
        }
        let mut seen = Vec::new();
        while let BatchDecision::Run(picks) = queue.poll(now, slots) {
            prop_assert!((1..=max_batch).contains(&picks.len()));
            seen.extend(picks.into_iter().map(|p| p.item));
        }
        prop_assert_eq!(seen.len(), owners.len());
        for owner in 0..5 {
            let order: Vec<usize> = seen.iter().filter(|s| s.0 == owner).map(|s| s.1).collect();
            prop_assert!(order.is_sorted_by(|a, b| a < b));
        }
    }

    /// With `n` owners waiting, each is served within `n` requests.
    #[test]
    fn nobody_starves(greedy in 1usize..60, others in 1usize..6) {
        let now = Instant::now();
        let mut queue = BatchQueue::new(policy(1, 1000, 0));
        for _ in 0..greedy {
            queue.push(0, 0, Form::Ready, now).expect("room");
        }
        for owner in 1..=others {
            queue.push(owner, owner, Form::Ready, now).expect("room");
        }
        let first: Vec<usize> = (0..=others).flat_map(|_| run(queue.poll(now, 1))).collect();
        for owner in 0..=others {
            prop_assert!(first.contains(&owner));
        }
    }
}
