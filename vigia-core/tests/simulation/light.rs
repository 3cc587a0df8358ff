//! With less work than the machine can do, nothing is dropped. That no slot idles while something could run is looked at
//! in every simulation, after each event.

use std::time::Duration;

use crate::sim::{Machine, Sender, Tally, p99, simulate};
use crate::{SECONDS, SEEDS};

const GPU: Machine = Machine {
    slots: 1,
    max_batch: 8,
    batch: Duration::from_millis(10),
    each: Duration::from_millis(2),
    jitter: 0.2,
    decoders: 2,
    decode: Duration::from_millis(2),
    linger: Duration::ZERO,
    queue: 256,
};

fn assert_all_served(tallies: &[Tally]) {
    for tally in tallies {
        assert_eq!((tally.refused, tally.drops()), (0, 0), "{:?}", tally.dropped);
    }
}

#[test]
fn nothing_is_dropped_at_half_load() {
    let senders = [vec![Sender::camera(25.0, 100); 4], vec![Sender::posts(5.0); 5]].concat();
    for seed in SEEDS {
        assert_all_served(&simulate(seed, Machine::single(2, 8.0), &senders, SECONDS));
    }
}

#[test]
fn nothing_is_dropped_at_half_load_in_batches() {
    let senders = [vec![Sender::camera(20.0, 100); 3], vec![Sender::camera(20.0, 100).encoded(); 4]].concat();
    for seed in SEEDS {
        assert_all_served(&simulate(seed, GPU, &senders, SECONDS));
    }
}

#[test]
fn a_lone_camera_waits_for_nothing() {
    for seed in SEEDS {
        let tallies = simulate(seed, Machine::single(1, 10.0), &[Sender::camera(25.0, 100)], SECONDS);
        assert_all_served(&tallies);
        // The model's own time, and what that varies by.
        assert!(p99(&tallies) <= Duration::from_millis(12), "{:?}", p99(&tallies));
    }
}

#[test]
fn a_lone_encoded_camera_waits_for_its_decoder_only() {
    for seed in SEEDS {
        let tallies = simulate(seed, Machine::single(1, 10.0), &[Sender::camera(25.0, 100).encoded()], SECONDS);
        assert_all_served(&tallies);
        assert!(p99(&tallies) <= Duration::from_micros(14_600), "{:?}", p99(&tallies));
    }
}

#[test]
fn a_batch_that_lingers_holds_nobody_longer_than_that() {
    let machine = Machine { linger: Duration::from_millis(10), ..GPU };
    for seed in SEEDS {
        let tallies = simulate(seed, machine, &[Sender::camera(10.0, 100)], SECONDS);
        assert_all_served(&tallies);
        assert!(p99(&tallies) <= Duration::from_micros(24_400), "{:?}", p99(&tallies));
    }
}
