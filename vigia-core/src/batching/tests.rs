use proptest::prelude::*;

use super::*;

fn policy(max_batch: usize, queue: usize, linger_ms: u64) -> BatchPolicy {
    BatchPolicy { max_batch, queue, linger: Duration::from_millis(linger_ms), ahead: 2 }
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
    queue.push("a", 1, Form::Ready, now).expect("room");
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
        queue.push("door", event, Form::Ready, t0).expect("room");
    }
    assert_eq!(queue.poll(t0 + ms(5), 1), BatchDecision::WaitUntil(t0 + ms(10)));
    assert_eq!(run(queue.poll(t0 + ms(10), 1)), [1, 2, 3, 4, 5]);
}

#[test]
fn a_full_batch_never_waits() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(2, 8, 1000));
    queue.push("a", 1, Form::Ready, now).expect("room");
    queue.push("a", 2, Form::Ready, now).expect("room");
    assert_eq!(run(queue.poll(now, 1)), [1, 2]);
}

#[test]
fn a_greedy_owner_takes_no_more_than_its_turn() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(3, 100, 0));
    for n in 0..50 {
        queue.push("greedy", ("greedy", n), Form::Ready, now).expect("room");
    }
    queue.push("door", ("door", 0), Form::Ready, now).expect("room");
    queue.push("yard", ("yard", 0), Form::Ready, now).expect("room");
    assert_eq!(run(queue.poll(now, 1)), [("greedy", 0), ("door", 0), ("yard", 0)]);
}

#[test]
fn free_slots_share_what_waits() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(4, 100, 0));
    for n in 0..5 {
        queue.push("a", n, Form::Ready, now).expect("room");
    }
    assert_eq!(run(queue.poll(now, 2)), [0, 1, 2]);
    assert_eq!(run(queue.poll(now, 1)), [3, 4]);
}

#[test]
fn a_full_queue_gives_the_request_back_but_takes_what_was_admitted() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(1, 1, 0));
    queue.push("a", 1, Form::Ready, now).expect("room");
    assert_eq!(queue.push("a", 2, Form::Ready, now), Err(2));
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

fn live(frames: usize, mode: CacheMode, offered: Instant) -> Live {
    Live { cache: CachePolicy { mode, frames }, offered, latency: Duration::from_millis(200) }
}

/// Pushes a frame of the stream `owner`, of which `frames` may wait.
fn latest(
    queue: &mut BatchQueue<&'static str, u32>,
    owner: &'static str,
    item: u32,
    frames: usize,
    now: Instant,
) -> Option<(u32, DropReason)> {
    queue.push_live(owner, item, Form::Ready, live(frames, CacheMode::Latest, now), now)
}

#[test]
fn the_newest_frames_of_a_stream_replace_its_oldest() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(8, 2, 0));
    assert_eq!(latest(&mut queue, "a", 1, 1, now), None);
    assert_eq!(latest(&mut queue, "a", 2, 1, now), Some((1, DropReason::Superseded)));
    assert_eq!(latest(&mut queue, "b", 10, 2, now), None);
    // More than the queue's bound: a stream is bounded by itself.
    assert_eq!(latest(&mut queue, "b", 11, 2, now), None);
    assert_eq!(latest(&mut queue, "b", 12, 2, now), Some((10, DropReason::Superseded)));
    assert_eq!(queue.len(), 3);
    // And they leave the bound to what is counted against it.
    queue.push("c", 20, Form::Ready, now).expect("room");
    queue.push("c", 21, Form::Ready, now).expect("room");
    assert_eq!((queue.push("c", 22, Form::Ready, now), queue.counted()), (Err(22), 2));
    // What was asked for and what comes by itself take turns.
    assert_eq!(run(queue.poll(now, 1)), [2, 20, 11, 21, 12]);
    assert_eq!((queue.is_empty(), queue.counted()), (true, 0));
}

#[test]
fn a_full_fifo_keeps_its_oldest() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(8, 2, 0));
    let fifo = live(2, CacheMode::Fifo, now);
    for (item, expected) in [(1, None), (2, None), (3, Some((3, DropReason::Overload)))] {
        assert_eq!(queue.push_live("a", item, Form::Ready, fifo, now), expected);
    }
    assert_eq!(run(queue.poll(now, 1)), [1, 2]);
}

#[test]
fn the_nearest_deadline_of_a_round_goes_first() {
    let now = Instant::now();
    let ms = Duration::from_millis;
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    for (owner, latency) in [("calm", 500), ("hasty", 100), ("usual", 200)] {
        let live = Live { latency: ms(latency), ..live(1, CacheMode::Latest, now) };
        assert_eq!(queue.push_live(owner, owner, Form::Ready, live, now), None);
    }
    assert_eq!(run(queue.poll(now, 1)), ["hasty"]);
    // The hasty one again: but it had its turn in this round.
    let hasty = Live { latency: ms(100), ..live(1, CacheMode::Latest, now) };
    assert_eq!(queue.push_live("hasty", "hasty", Form::Ready, hasty, now), None);
    for expected in ["usual", "calm", "hasty"] {
        assert_eq!(run(queue.poll(now, 1)), [expected]);
    }
}

#[test]
fn what_is_too_old_is_not_run_and_its_lane_keeps_its_turn() {
    let t0 = Instant::now();
    let ms = Duration::from_millis;
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    queue.took(ms(50));
    assert_eq!(latest(&mut queue, "a", 1, 1, t0), None);
    assert_eq!(latest(&mut queue, "b", 2, 1, t0 + ms(100)), None);
    // 151 ms old, 50 ms to run, 200 ms allowed.
    assert_eq!(run(queue.poll(t0 + ms(151), 1)), [2]);
    assert_eq!(queue.take_stale(), [1]);
    // Its next frame goes before others that wait.
    assert_eq!(latest(&mut queue, "c", 3, 1, t0 + ms(152)), None);
    assert_eq!(latest(&mut queue, "a", 4, 1, t0 + ms(153)), None);
    assert_eq!(run(queue.poll(t0 + ms(153), 1)), [4]);
    assert_eq!(run(queue.poll(t0 + ms(153), 1)), [3]);
    assert_eq!((queue.take_stale(), queue.is_empty()), (vec![], true));
}

#[test]
fn what_is_encoded_is_prepared_when_its_turn_has_come() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    for n in 1..=4 {
        queue.push("posted", n, Form::Encoded, now).expect("room");
    }
    let prepare = |queue: &mut BatchQueue<&str, u32>| match queue.poll(now, 0) {
        BatchDecision::Prepare(picked) => Some(picked),
        _ => None,
    };
    // Two ahead, and no more; none of them can run yet.
    let first = prepare(&mut queue).expect("the first");
    let second = prepare(&mut queue).expect("the second");
    assert_eq!((first.item, second.item, queue.counted(), queue.len()), (1, 2, 2, 4));
    assert_eq!(prepare(&mut queue), None);
    assert_eq!(queue.poll(now, 1), BatchDecision::Idle);
    // What cannot be prepared makes room; what was, runs.
    queue.spoilt(first.is_live);
    queue.prepared(second);
    let third = prepare(&mut queue).expect("the third");
    assert_eq!((third.item, prepare(&mut queue)), (3, None));
    assert_eq!(run(queue.poll(now, 1)), [2]);
    queue.prepared(third);
    let fourth = prepare(&mut queue).expect("the fourth");
    queue.prepared(fourth);
    assert_eq!((run(queue.poll(now, 1)), run(queue.poll(now, 1))), (vec![3], vec![4]));
    assert!(queue.is_empty());
}

#[test]
fn encoded_frames_wait_for_their_streams_turn() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    assert_eq!(latest(&mut queue, "camera", 1, 1, now), None);
    let pushed = live(1, CacheMode::Latest, now + Duration::from_millis(1));
    assert_eq!(queue.push_live("pushed", 2, Form::Encoded, pushed, now), None);
    // The camera's deadline is nearer: nothing is decoded ahead of it.
    assert_eq!(queue.poll(now, 0), BatchDecision::Idle);
    assert_eq!(run(queue.poll(now, 1)), [1]);
    assert!(matches!(queue.poll(now, 0), BatchDecision::Prepare(picked) if picked.item == 2));
}

#[test]
fn an_owner_that_is_gone_takes_its_requests_along() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(8, 8, 0));
    queue.push("a", 1, Form::Ready, now).expect("room");
    assert_eq!(latest(&mut queue, "a", 2, 1, now), None);
    assert_eq!(latest(&mut queue, "b", 3, 1, now), None);
    assert_eq!(queue.remove(&"a"), [1, 2]);
    assert_eq!((queue.remove(&"a"), queue.counted()), (vec![], 0));
    assert_eq!(run(queue.poll(now, 1)), [3]);
}
