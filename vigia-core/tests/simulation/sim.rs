//! A machine with a few slots and decoders, and who sends it pictures: events in the order of a time that nobody waits
//! for. Everything that varies is drawn from a seed.

use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use vigia_core::admission::{CacheMode, CachePolicy, DropReason};
use vigia_core::batching::{BatchDecision, BatchPolicy, BatchQueue, Form, Live, Picked};

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Around `mean`, up to the share `jitter` of it off.
    fn around(&mut self, mean: Duration, jitter: f64) -> Duration {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        mean.mul_f64(1.0 + jitter * (2.0 * share - 1.0))
    }
}

/// Who sends pictures, at a steady rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) per_second: f64,
    /// Share of the time between two pictures that one may come early or late.
    pub(crate) jitter: f64,
    pub(crate) form: Form,
    /// How frames wait; a picture that somebody posted where absent.
    pub(crate) live: Option<(CachePolicy, Duration)>,
}

impl Sender {
    /// A camera of which the newest frame waits, decoded.
    pub(crate) fn camera(fps: f64, latency_ms: u64) -> Self {
        let cache = CachePolicy { mode: CacheMode::Latest, frames: 1 };
        let live = Some((cache, Duration::from_millis(latency_ms)));
        Self { per_second: fps, jitter: 0.1, form: Form::Ready, live }
    }

    /// Somebody who posts pictures.
    pub(crate) fn posts(per_second: f64) -> Self {
        Self { per_second, jitter: 0.5, form: Form::Encoded, live: None }
    }

    /// The same, with frames that come encoded.
    pub(crate) fn encoded(self) -> Self {
        Self { form: Form::Encoded, ..self }
    }

    /// The same, with a cache that keeps the oldest frames.
    pub(crate) fn fifo(self, frames: usize) -> Self {
        let cache = CachePolicy { mode: CacheMode::Fifo, frames };
        Self { live: self.live.map(|(_, latency)| (cache, latency)), ..self }
    }
}

/// What works on the pictures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) slots: usize,
    pub(crate) max_batch: usize,
    /// What a batch takes by itself, and each picture in it.
    pub(crate) batch: Duration,
    pub(crate) each: Duration,
    /// Share of the time of a batch that it may take less or more.
    pub(crate) jitter: f64,
    pub(crate) decoders: usize,
    pub(crate) decode: Duration,
    pub(crate) linger: Duration,
    /// Posted pictures that may wait.
    pub(crate) queue: usize,
}

impl Machine {
    /// Without batches; each picture takes so many milliseconds.
    pub(crate) fn single(slots: usize, each_ms: f64) -> Self {
        Self {
            slots,
            max_batch: 1,
            batch: Duration::ZERO,
            each: Duration::from_micros((each_ms * 1e3) as u64),
            jitter: 0.2,
            decoders: 2,
            decode: Duration::from_millis(2),
            linger: Duration::ZERO,
            queue: 256,
        }
    }

    /// Pictures per second at most, by the slots.
    pub(crate) fn capacity(&self) -> f64 {
        (self.slots * self.max_batch) as f64 / (self.batch + self.each * self.max_batch as u32).as_secs_f64()
    }
}

/// What became of one sender's pictures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) offered: usize,
    pub(crate) refused: usize,
    pub(crate) dropped: BTreeMap<&'static str, usize>,
    /// From the offer to the result, in the order of the results.
    pub(crate) latencies: Vec<Duration>,
    /// Results while everybody was sending.
    pub(crate) served: usize,
    /// Numbers of the pictures in the order in which they ran.
    pub(crate) ran: Vec<usize>,
}

impl Tally {
    pub(crate) fn inferred(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn drops(&self) -> usize {
        self.dropped.values().sum()
    }
}

/// The 99th percentile.
pub(crate) fn p99<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Duration {
    let mut all: Vec<Duration> = tallies.into_iter().flat_map(|t| t.latencies.iter().copied()).collect();
    all.sort_unstable();
    all[(all.len() * 99).div_ceil(100) - 1]
}

#[derive(Debug)]
struct Picture {
    sender: usize,
    number: usize,
    offered: Instant,
    /// It counts: it did not come while everything was still empty.
    counts: bool,
    form: Form,
}

#[derive(Debug)]
enum Event {
    Offer(usize),
    Decoded(Picked<Picture>),
    Done(Vec<Picked<Picture>>, Duration),
    Look,
}

/// Events, the earliest first.
#[derive(Default)]
struct Agenda {
    heap: BinaryHeap<std::cmp::Reverse<(Instant, usize)>>,
    events: BTreeMap<usize, Event>,
    next: usize,
}

impl Agenda {
    fn at(&mut self, time: Instant, event: Event) {
        self.heap.push(std::cmp::Reverse((time, self.next)));
        self.events.insert(self.next, event);
        self.next += 1;
    }

    fn pop(&mut self) -> Option<(Instant, Event)> {
        let std::cmp::Reverse((time, key)) = self.heap.pop()?;
        Some((time, self.events.remove(&key)?))
    }
}

struct Simulation<'a> {
    machine: Machine,
    senders: &'a [Sender],
    random: Random,
    agenda: Agenda,
    queue: BatchQueue<usize, Picture>,
    free_slots: usize,
    /// When each decoder has done what it was given.
    decoders: Vec<Instant>,
    /// Pictures that could run at once, and wait.
    runnable: usize,
    /// What comes and goes in this time counts.
    counted: std::ops::Range<Instant>,
    tallies: Vec<Tally>,
    sent: Vec<usize>,
}

/// What each sender is due: as much as the others, or what it sends, where that is less (max-min fairness).
pub(crate) fn fair_shares(senders: &[Sender], tallies: &[Tally]) -> Vec<f64> {
    let mut left: f64 = tallies.iter().map(|t| t.served as f64).sum();
    let mut smallest_first: Vec<usize> = (0..senders.len()).collect();
    smallest_first.sort_by_key(|&s| tallies[s].offered);
    let mut shares = vec![0.0; senders.len()];
    for (done, &sender) in smallest_first.iter().enumerate() {
        let share = (tallies[sender].offered as f64).min(left / (senders.len() - done) as f64);
        shares[sender] = share;
        left -= share;
    }
    shares
}

/// Each sender has what it is due, give or take a tenth (and the one picture that is just being worked on).
pub(crate) fn assert_fair(senders: &[Sender], tallies: &[Tally]) {
    for ((sender, tally), share) in senders.iter().zip(tallies).zip(fair_shares(senders, tallies)) {
        let off = (tally.served as f64 - share).abs();
        assert!(
            off <= share / 10.0 + 1.0,
            "{} served where {share:.1} were due: {sender:?} {:?}",
            tally.served,
            tally.dropped
        );
    }
}

/// Lets everybody send for `seconds` after one that does not count; what became of it, by sender.
///
/// Whenever a slot is left free, nothing that could run may wait: this is looked at after each event.
pub(crate) fn simulate(seed: u64, machine: Machine, senders: &[Sender], seconds: u64) -> Vec<Tally> {
    let start = Instant::now();
    let counted = start + Duration::from_secs(1)..start + Duration::from_secs(seconds + 1);
    let end = counted.end;
    let ahead = machine.slots * machine.max_batch + 2;
    let Machine { max_batch, queue, linger, .. } = machine;
    let mut simulation = Simulation {
        machine,
        senders,
        random: Random(seed),
        agenda: Agenda::default(),
        queue: BatchQueue::new(BatchPolicy { max_batch, queue, linger, ahead }),
        free_slots: machine.slots,
        decoders: vec![start; machine.decoders],
        runnable: 0,
        counted,
        tallies: vec![Tally::default(); senders.len()],
        sent: vec![0; senders.len()],
    };
    for (sender, s) in senders.iter().enumerate() {
        let first = simulation.random.around(Duration::from_secs_f64(0.5 / s.per_second), 1.0);
        simulation.agenda.at(start + first, Event::Offer(sender));
    }
    while let Some((now, event)) = simulation.agenda.pop() {
        simulation.handle(now, event, now < end);
        simulation.work(now);
    }
    assert!(simulation.queue.is_empty() && simulation.queue.counted() == 0, "nothing is left behind");
    for tally in &simulation.tallies {
        assert_eq!(tally.offered, tally.inferred() + tally.refused + tally.drops(), "each picture is in one place");
        assert!(tally.ran.is_sorted(), "the order of each sender is kept");
    }
    simulation.tallies
}

impl Simulation<'_> {
    fn handle(&mut self, now: Instant, event: Event, open: bool) {
        match event {
            Event::Offer(_) if !open => {}
            Event::Offer(sender) => {
                self.offer(sender, now);
                let Sender { per_second, jitter, .. } = self.senders[sender];
                let gap = self.random.around(Duration::from_secs_f64(1.0 / per_second), jitter);
                self.agenda.at(now + gap, Event::Offer(sender));
            }
            Event::Decoded(picked) => {
                self.runnable += 1;
                self.queue.prepared(picked);
            }
            Event::Done(picks, took) => {
                self.free_slots += 1;
                self.queue.took(took);
                for Picked { item: picture, .. } in picks {
                    let tally = &mut self.tallies[picture.sender];
                    tally.served += usize::from(self.counted.contains(&now));
                    if picture.counts {
                        tally.latencies.push(now - picture.offered);
                    }
                }
            }
            Event::Look => {}
        }
    }

    fn offer(&mut self, sender: usize, now: Instant) {
        let Sender { form, live, .. } = self.senders[sender];
        let (number, counts) = (self.sent[sender], now >= self.counted.start);
        self.sent[sender] += 1;
        self.tallies[sender].offered += usize::from(counts);
        self.runnable += usize::from(form == Form::Ready);
        let picture = Picture { sender, number, offered: now, counts, form };
        let Some((cache, latency)) = live else {
            if let Err(refused) = self.queue.push(sender, picture, form, now) {
                self.runnable -= usize::from(refused.form == Form::Ready);
                self.tallies[sender].refused += usize::from(refused.counts);
            }
            return;
        };
        let live = Live { cache, offered: now, latency };
        if let Some((picture, reason)) = self.queue.push_live(sender, picture, form, live, now) {
            self.drop(&picture, reason);
        }
    }

    fn drop(&mut self, picture: &Picture, reason: DropReason) {
        self.runnable -= usize::from(picture.form == Form::Ready);
        if picture.counts {
            *self.tallies[picture.sender].dropped.entry(reason.as_str()).or_default() += 1;
        }
    }

    /// What the machine does until there is nothing to do now.
    fn work(&mut self, now: Instant) {
        loop {
            let decision = self.queue.poll(now, self.free_slots);
            for picture in self.queue.take_stale() {
                self.drop(&picture, DropReason::Stale);
            }
            match decision {
                BatchDecision::Run(picks) => self.run(picks, now),
                BatchDecision::Prepare(picked) => self.decode(picked, now),
                BatchDecision::WaitUntil(time) => {
                    self.agenda.at(time, Event::Look);
                    return;
                }
                BatchDecision::Idle => break,
            }
        }
        assert!(self.free_slots == 0 || self.runnable == 0, "{} wait beside a free slot", self.runnable);
    }

    fn run(&mut self, picks: Vec<Picked<Picture>>, now: Instant) {
        assert!((1..=self.machine.max_batch).contains(&picks.len()));
        self.free_slots -= 1;
        self.runnable -= picks.len();
        for Picked { item: picture, .. } in &picks {
            self.tallies[picture.sender].ran.push(picture.number);
        }
        let mean = self.machine.batch + self.machine.each * picks.len() as u32;
        let took = self.random.around(mean, self.machine.jitter);
        self.agenda.at(now + took, Event::Done(picks, took));
    }

    fn decode(&mut self, picked: Picked<Picture>, now: Instant) {
        let (picture, turn) = picked.take();
        let picked = turn.with(Picture { form: Form::Ready, ..picture });
        let took = self.random.around(self.machine.decode, 0.3);
        let decoder = self.decoders.iter_mut().min().expect("a decoder");
        *decoder = now.max(*decoder) + took;
        let done = *decoder;
        self.agenda.at(done, Event::Decoded(picked));
    }
}
