//! With more work than the machine can do, drops rise and latency does not.

use std::time::Duration;

use vigia_core::batching::Form;

use crate::sim::{Machine, Sender, assert_fair, p99, simulate};
use crate::{SECONDS, SEEDS};

/// What every camera here wants.
const OBJECTIVE: Duration = Duration::from_millis(150);

/// So many times as many pictures as the machine can do, from cameras of `fps`.
fn load(machine: Machine, times: f64, fps: f64, form: Form) -> Vec<Sender> {
    let cameras = (machine.capacity() * times / fps).round() as usize;
    vec![Sender { form, ..Sender::camera(fps, 150) }; cameras]
}

#[test]
fn the_objective_is_kept_and_drops_rise_with_the_load() {
    let machine = Machine::single(2, 8.0);
    // At 5 frames per second a frame is not replaced by a newer one before it is too old.
    for (seed, fps) in SEEDS.zip([5.0, 10.0, 15.0, 30.0, 60.0]) {
        let mut before = 0.0;
        for times in [1.5, 2.0, 4.0, 8.0] {
            let senders = load(machine, times, fps, Form::Ready);
            let tallies = simulate(seed, machine, &senders, SECONDS);
            assert!(p99(&tallies) <= OBJECTIVE, "{times} x at {fps} per second: {:?}", p99(&tallies));
            let (dropped, offered) = tallies.iter().fold((0, 0), |(d, o), t| (d + t.drops(), o + t.offered));
            let share = dropped as f64 / offered as f64;
            assert!(share > before, "{times} x at {fps} per second: {share} after {before}");
            before = share;
        }
    }
}

#[test]
fn the_machine_is_used_to_the_full() {
    let machine = Machine::single(2, 8.0);
    for (seed, form) in SEEDS.zip([Form::Ready, Form::Encoded].into_iter().cycle()) {
        let tallies = simulate(seed, machine, &load(machine, 2.0, 5.0, form), SECONDS);
        let served = tallies.iter().map(|t| t.served).sum::<usize>() as f64;
        assert!(served >= 0.97 * machine.capacity() * SECONDS as f64, "{form:?}: {served}");
    }
}

#[test]
fn encoded_frames_keep_the_objective_too() {
    for seed in SEEDS {
        for (slots, each_ms, fps) in [(2, 8.0, 5.0), (2, 8.0, 30.0), (1, 30.0, 30.0), (4, 2.0, 10.0), (1, 45.0, 10.0)] {
            let machine = Machine::single(slots, each_ms);
            let tallies = simulate(seed, machine, &load(machine, 2.0, fps, Form::Encoded), SECONDS);
            assert!(p99(&tallies) <= OBJECTIVE, "{slots} x {each_ms} ms, {fps} per second: {:?}", p99(&tallies));
        }
    }
}

#[test]
fn batches_keep_the_objective() {
    let (batch, each) = (Duration::from_millis(10), Duration::from_millis(2));
    for seed in SEEDS {
        for (slots, max_batch) in [(1, 8), (2, 4), (1, 16)] {
            let machine = Machine { slots, max_batch, batch, each, ..Machine::single(1, 0.0) };
            for form in [Form::Ready, Form::Encoded] {
                let senders = load(machine, 2.0, 15.0, form);
                let tallies = simulate(seed, Machine { decoders: 4, ..machine }, &senders, SECONDS);
                assert!(p99(&tallies) <= OBJECTIVE, "{slots} x {max_batch} {form:?}: {:?}", p99(&tallies));
                assert_fair(&senders, &tallies);
            }
        }
    }
}

#[test]
fn a_model_slower_than_the_objective_gets_fresh_frames() {
    let machine = Machine::single(1, 300.0);
    for seed in SEEDS {
        for cameras in [1, 2, 10] {
            let senders = vec![Sender::camera(30.0, 150); cameras];
            let tallies = simulate(seed, machine, &senders, 10 * SECONDS);
            // Half of the objective old at most, and then the slowest run.
            assert!(p99(&tallies) <= Duration::from_millis(75 + 360), "{cameras}: {:?}", p99(&tallies));
            let served = tallies.iter().map(|t| t.served).sum::<usize>() as f64;
            assert!(served >= 0.9 * machine.capacity() * (10 * SECONDS) as f64, "{cameras}: {served}");
        }
    }
}

#[test]
fn a_model_slower_than_the_objective_gets_frames_of_a_fifo_that_are_fresh() {
    for seed in SEEDS {
        let senders = [Sender::camera(30.0, 150).fifo(10); 2];
        let tallies = simulate(seed, Machine::single(1, 300.0), &senders, 10 * SECONDS);
        assert!(p99(&tallies) <= Duration::from_millis(75 + 360), "{:?}", p99(&tallies));
    }
}

#[test]
fn a_model_slower_than_the_objective_gets_fresh_frames_that_came_encoded() {
    for seed in SEEDS {
        for cameras in [1, 2, 10] {
            let senders = vec![Sender::camera(30.0, 150).encoded(); cameras];
            let tallies = simulate(seed, Machine::single(1, 300.0), &senders, 10 * SECONDS);
            // One run longer: it is decoded while the run before lasts.
            assert!(p99(&tallies) <= Duration::from_millis(75 + 2 * 360), "{cameras}: {:?}", p99(&tallies));
        }
    }
}
