//! Every stream has its share, whatever the others do.

use std::time::Duration;

use crate::sim::{Machine, Sender, Tally, assert_fair, p99, simulate};
use crate::{SECONDS, SEEDS};

/// Simulates for each seed, and sees to it that everybody got what was due.
fn fairly(machine: Machine, senders: &[Sender]) -> Vec<Vec<Tally>> {
    let run = |seed| {
        let tallies = simulate(seed, machine, senders, SECONDS);
        assert_fair(senders, &tallies);
        tallies
    };
    SEEDS.map(run).collect()
}

fn with(mut cameras: Vec<Sender>, others: &[Sender]) -> Vec<Sender> {
    cameras.extend_from_slice(others);
    cameras
}

#[test]
fn equal_streams_have_equal_shares() {
    // 1.2, 2 and 4 times as much as the machine can do.
    for cameras in [10, 17, 33] {
        fairly(Machine::single(2, 8.0), &vec![Sender::camera(30.0, 200); cameras]);
    }
}

#[test]
fn a_stream_that_sends_ten_times_as_much_gets_no_more() {
    fairly(Machine::single(2, 8.0), &with(vec![Sender::camera(30.0, 200); 15], &[Sender::camera(300.0, 200)]));
}

#[test]
fn a_stream_that_keeps_a_hundred_frames_gets_no_more() {
    for latency_ms in [200, 20_000] {
        let fifo = Sender::camera(30.0, latency_ms).fifo(100);
        fairly(Machine::single(2, 8.0), &with(vec![Sender::camera(30.0, 200); 15], &[fifo]));
    }
}

#[test]
fn a_nearer_objective_gets_no_more() {
    for cameras in [5, 8, 16] {
        let senders = with(vec![Sender::camera(30.0, 80); cameras], &vec![Sender::camera(30.0, 2000); cameras]);
        fairly(Machine::single(2, 8.0), &senders);
    }
}

#[test]
fn who_sends_seldom_gets_every_turn() {
    let slow = vec![Sender::camera(1.0, 200); 10];
    // In the last one a round takes longer than a frame may wait.
    for (cameras, slots, each_ms) in [(30, 2, 8.0), (16, 1, 10.0), (40, 1, 10.0)] {
        let senders = with(vec![Sender::camera(30.0, 200); cameras], &slow);
        for tallies in fairly(Machine::single(slots, each_ms), &senders) {
            let (offered, served) =
                tallies[cameras..].iter().fold((0, 0), |(o, s), t| (o + t.offered, s + t.inferred()));
            assert!(served * 100 >= offered * 97, "{cameras} cameras: {served} of {offered}");
        }
    }
}

#[test]
fn who_sends_seldom_gets_every_turn_of_a_slow_model() {
    // Slower than half of the objective, and than all of it; the round is always shorter than the time between two of the
    // slow camera's frames.
    for (cameras, each_ms, slow_fps) in
        [(1, 110.0, 1.0), (5, 110.0, 1.0), (8, 150.0, 0.5), (1, 400.0, 1.0), (1, 900.0, 0.4)]
    {
        for encoded in [false, true] {
            let mut slow = Sender::camera(slow_fps, 200);
            let mut fast = Sender::camera(30.0, 200);
            if encoded {
                (slow, fast) = (slow.encoded(), fast.encoded());
            }
            let senders = with(vec![fast; cameras], &[slow]);
            for seed in SEEDS {
                let tallies = simulate(seed, Machine::single(1, each_ms), &senders, 20 * SECONDS);
                let Tally { offered, served, .. } = &tallies[cameras];
                assert!(*served * 100 >= *offered * 95, "{cameras}, {each_ms} ms, {encoded}: {served} of {offered}");
            }
        }
    }
}

#[test]
fn encoded_and_decoded_streams_have_equal_shares() {
    let gpu = Machine {
        max_batch: 8,
        batch: Duration::from_millis(10),
        each: Duration::from_millis(2),
        ..Machine::single(1, 0.0)
    };
    for machine in [Machine::single(2, 8.0), Machine::single(1, 4.0), gpu] {
        for (decoded, encoded) in [(10, 10), (19, 1), (1, 19)] {
            let senders = vec![Sender::camera(30.0, 200).encoded(); encoded];
            fairly(machine, &with(senders, &vec![Sender::camera(30.0, 200); decoded]));
        }
    }
}

#[test]
fn encoded_streams_have_their_share_of_a_slow_model() {
    // Slower than a fifth, a third, a half of the objective, and than all of it.
    for each_ms in [40.0, 70.0, 110.0, 300.0] {
        let machine = Machine::single(1, each_ms);
        let senders = with(vec![Sender::camera(30.0, 200); 2], &[Sender::camera(30.0, 200).encoded(); 2]);
        for seed in SEEDS {
            let tallies = simulate(seed, machine, &senders, 10 * SECONDS);
            assert_fair(&senders, &tallies);
        }
    }
}

#[test]
fn slow_decoders_hold_up_nobody_else() {
    // 100 of the encoded frames can be decoded per second, which is less than their share.
    let machine = Machine { decoders: 1, decode: Duration::from_millis(10), ..Machine::single(2, 8.0) };
    let senders = with(vec![Sender::camera(30.0, 200); 10], &[Sender::camera(30.0, 200).encoded(); 10]);
    for seed in SEEDS {
        let tallies = simulate(seed, machine, &senders, SECONDS);
        let of = |tallies: &[Tally]| tallies.iter().map(|t| t.served).sum::<usize>() as f64 / SECONDS as f64;
        let (decoded, encoded) = (of(&tallies[..10]), of(&tallies[10..]));
        assert!(encoded >= 90.0 && decoded + encoded >= 240.0, "{decoded} + {encoded} per second");
        assert!(p99(&tallies[..10]) <= Duration::from_millis(60), "{:?}", p99(&tallies[..10]));
    }
}
