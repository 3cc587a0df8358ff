//! Posted pictures and live streams beside each other.

use std::time::Duration;

use vigia_core::batching::Form;

use crate::sim::{Machine, Sender, Tally, assert_fair, p99, simulate};
use crate::{SECONDS, SEEDS};

const MACHINE: Machine = Machine {
    slots: 2,
    max_batch: 1,
    batch: Duration::ZERO,
    each: Duration::from_millis(8),
    jitter: 0.2,
    decoders: 2,
    decode: Duration::from_millis(2),
    linger: Duration::ZERO,
    queue: 64,
};

fn served(tallies: &[Tally]) -> f64 {
    tallies.iter().map(|t| t.served).sum::<usize>() as f64 / SECONDS as f64
}

#[test]
fn posts_wait_for_a_few_runs_beside_overloaded_cameras() {
    // Cameras alone send twice as much as can be done; a tenth of that is posted, encoded or not.
    for (seed, form) in SEEDS.zip([Form::Encoded, Form::Ready].into_iter().cycle()) {
        let senders = [vec![Sender::camera(30.0, 200); 16], vec![Sender { form, ..Sender::posts(5.0) }; 5]].concat();
        let tallies = simulate(seed, MACHINE, &senders, SECONDS);
        let posted = &tallies[16..];
        assert!(p99(posted) <= MACHINE.each * 4, "{form:?}: {:?}", p99(posted));
        assert!(posted.iter().all(|t| t.refused == 0));
        assert!(p99(&tallies[..16]) <= Duration::from_millis(200));
    }
}

#[test]
fn cameras_keep_half_beside_a_flood_of_posts() {
    for seed in SEEDS {
        let senders = [vec![Sender::camera(30.0, 200); 16], vec![Sender::posts(50.0); 20]].concat();
        let tallies = simulate(seed, MACHINE, &senders, SECONDS);
        let live = &tallies[..16];
        assert!(served(live) >= 0.48 * MACHINE.capacity(), "{}", served(live));
        assert!(p99(live) <= Duration::from_millis(200), "{:?}", p99(live));
        assert_fair(&senders[..16], live);
    }
}

#[test]
fn posts_keep_half_beside_a_flood_of_frames() {
    for seed in SEEDS {
        let senders = [vec![Sender::camera(30.0, 200); 64], vec![Sender::posts(30.0); 4]].concat();
        let tallies = simulate(seed, MACHINE, &senders, SECONDS);
        let posted = &tallies[64..];
        assert!(served(posted) >= 115.0, "{}", served(posted));
        assert!(posted.iter().all(|t| t.refused == 0));
    }
}

#[test]
fn a_flood_is_refused_where_the_queue_ends_and_who_got_in_waits_no_longer_than_it_is() {
    for seed in SEEDS {
        let tallies = simulate(seed, MACHINE, &[Sender::posts(500.0)], SECONDS);
        let [flood] = tallies.as_slice() else { panic!("one sender") };
        assert!(flood.refused > 0);
        // Those before it, those that are prepared, and itself.
        let longest = MACHINE.each.mul_f64(1.2) * (MACHINE.queue as u32 + 6) / 2;
        assert!(p99(&tallies) <= longest, "{:?}", p99(&tallies));
    }
}
