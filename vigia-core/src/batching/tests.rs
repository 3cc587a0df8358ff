use proptest::prelude::*;

use super::*;

fn policy(max_batch: usize, queue: usize, linger_ms: u64) -> BatchPolicy {
    BatchPolicy { max_batch, queue, linger: Duration::from_millis(linger_ms) }
}

fn run<T>(decision: BatchDecision<T>) -> Vec<T> {
    match decision {
        BatchDecision::Run(picks) => picks.into_iter().map(|p| p.item).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn nothing_runs_without_a_slot() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(4, 8, 0));
    queue.push("a", 1, now).expect("room");
    assert_eq!(queue.poll(now, 0), BatchDecision::Idle);
    assert_eq!(run(queue.poll(now, 1)), [1]);
    assert_eq!(queue.poll(now, 1), BatchDecision::Idle);
}

#[test]
fn a_part_batch_waits_for_its_oldest_request_only_as_long_as_told() {
    let t0 = Instant::now();
    let ms = Duration::from_millis;
    let mut queue = BatchQueue::new(policy(32, 96, 10));
    for event in 1..=5 {
        queue.push("door", event, t0).expect("room");
    }
    assert_eq!(queue.poll(t0 + ms(5), 1), BatchDecision::WaitUntil(t0 + ms(10)));
    assert_eq!(run(queue.poll(t0 + ms(10), 1)), [1, 2, 3, 4, 5]);
}

#[test]
fn a_full_batch_never_waits() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(2, 8, 1000));
    queue.push("a", 1, now).expect("room");
    queue.push("a", 2, now).expect("room");
    assert_eq!(run(queue.poll(now, 1)), [1, 2]);
}

#[test]
fn a_greedy_owner_takes_no_more_than_its_turn() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(3, 100, 0));
    for n in 0..50 {
        queue.push("greedy", ("greedy", n), now).expect("room");
    }
    queue.push("door", ("door", 0), now).expect("room");
    queue.push("yard", ("yard", 0), now).expect("room");
    assert_eq!(run(queue.poll(now, 1)), [("greedy", 0), ("door", 0), ("yard", 0)]);
}

#[test]
fn free_slots_share_what_waits() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(4, 100, 0));
    for n in 0..5 {
        queue.push("a", n, now).expect("room");
    }
    assert_eq!(run(queue.poll(now, 2)), [0, 1, 2]);
    assert_eq!(run(queue.poll(now, 1)), [3, 4]);
}

#[test]
fn a_full_queue_gives_the_request_back_but_takes_what_was_admitted() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(1, 1, 0));
    queue.push("a", 1, now).expect("room");
    assert_eq!(queue.push("a", 2, now), Err(2));
    queue.push_admitted("a", 3, now);
    assert_eq!(queue.drain(), [1, 3]);
    assert!(queue.is_empty());
}

proptest! {
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
            queue.push(owner, (owner, n), now).expect("room");
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
            queue.push(0, 0, now).expect("room");
        }
        for owner in 1..=others {
            queue.push(owner, owner, now).expect("room");
        }
        let first: Vec<usize> = (0..=others).flat_map(|_| run(queue.poll(now, 1))).collect();
        for owner in 0..=others {
            prop_assert!(first.contains(&owner));
        }
    }
}

#[test]
fn the_newest_frames_of_a_stream_replace_its_oldest() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(8, 2, 0));
    assert_eq!(queue.push_newest("a", 1, 1, now), None);
    assert_eq!(queue.push_newest("a", 2, 1, now), Some(1));
    assert_eq!(queue.push_newest("b", 10, 2, now), None);
    // More than the queue's bound: a stream is bounded by itself.
    assert_eq!(queue.push_newest("b", 11, 2, now), None);
    assert_eq!(queue.push_newest("b", 12, 2, now), Some(10));
    assert_eq!(queue.len(), 3);
    // And they leave the bound to what is counted against it.
    queue.push("c", 20, now).expect("room");
    queue.push("c", 21, now).expect("room");
    assert_eq!((queue.push("c", 22, now), queue.counted()), (Err(22), 2));
    assert_eq!(run(queue.poll(now, 1)), [2, 11, 20, 12, 21]);
    assert_eq!((queue.is_empty(), queue.counted()), (true, 0));
}
