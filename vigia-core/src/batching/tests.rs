use super::*;

mod properties;

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
fn what_somebody_waits_for_is_not_held_up_for_company() {
    let t0 = Instant::now();
    let mut queue = BatchQueue::new(policy(32, 96, 10));
    assert_eq!(queue.push_shared("door", 1, 96, t0), None);
    assert_eq!(queue.poll(t0, 1), BatchDecision::WaitUntil(t0 + Duration::from_millis(10)));
    queue.push_admitted("posted", 2, t0);
    let mut ran = run(queue.poll(t0, 1));
    ran.sort_unstable();
    assert_eq!(ran, [1, 2]);
}

#[test]
fn crops_of_posts_and_of_streams_take_turns() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    let mut served = [0, 0];
    for n in 0..100 {
        while queue.push_shared("door", "live", 32, now).is_none() {}
        if n < 10 {
            queue.push_admitted("posted", "posted", now);
        }
        for item in run(queue.poll(now, 1)) {
            served[usize::from(item == "posted")] += 1;
        }
        assert!(served[1] >= (n + 1).min(19) / 2, "after {n}: {served:?}");
    }
    assert_eq!(served, [90, 10]);
}

#[test]
fn room_for_crops_is_shared() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(4, 8, 0));
    for n in 0..6 {
        assert_eq!(queue.push_shared("greedy", ("greedy", n), 6, now), None);
    }
    assert_eq!(queue.push_shared("greedy", ("greedy", 6), 6, now), Some(("greedy", 6)), "it has all there is");
    // Another one gets its share, up to a half: the newest of the greedy one's go.
    for n in 0..3 {
        assert_eq!(queue.push_shared("door", ("door", n), 6, now), Some(("greedy", 5 - n)));
    }
    assert_eq!(queue.push_shared("door", ("door", 3), 6, now), Some(("door", 3)));
    assert_eq!(queue.push_shared("greedy", ("greedy", 7), 6, now), Some(("greedy", 7)));
    // A third one too.
    assert!(queue.push_shared("yard", ("yard", 0), 6, now).is_some_and(|(owner, _)| owner != "yard"));
    assert_eq!(queue.len(), 6);
    let mut ran: Vec<_> = run(queue.poll(now, 1)).into_iter().chain(run(queue.poll(now, 1))).collect();
    ran.sort_unstable();
    assert_eq!(ran.iter().filter(|(owner, _)| *owner == "yard").count(), 1);
    assert!(queue.is_empty());
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
    // Its next frame goes before one whose lane was served, though that one's deadline is nearer.
    assert_eq!(latest(&mut queue, "b", 3, 1, t0 + ms(152)), None);
    assert_eq!(latest(&mut queue, "a", 4, 1, t0 + ms(153)), None);
    assert_eq!(run(queue.poll(t0 + ms(153), 1)), [4]);
    assert_eq!(run(queue.poll(t0 + ms(153), 1)), [3]);
    assert_eq!((queue.take_stale(), queue.is_empty()), (vec![], true));
}

#[test]
fn whoever_was_not_served_in_a_round_is_served_before_it_is_over() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    for owner in ["a", "b", "c"] {
        assert_eq!(latest(&mut queue, owner, 1, 1, now), None);
    }
    assert_eq!((run(queue.poll(now, 1)), run(queue.poll(now, 1))), (vec![1], vec![1]));
    // Both of the next round; then one that is new in this one, with the latest deadline of all.
    assert_eq!(latest(&mut queue, "a", 2, 1, now), None);
    assert_eq!(latest(&mut queue, "b", 3, 1, now), None);
    assert_eq!(latest(&mut queue, "d", 4, 1, now + Duration::from_millis(1)), None);
    let order: Vec<u32> = (0..4).flat_map(|_| run(queue.poll(now, 1))).collect();
    assert_eq!(order, [1, 4, 2, 3]);
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
fn an_encoded_frame_is_prepared_when_its_turn_is_near_and_keeps_it() {
    let now = Instant::now();
    let ms = Duration::from_millis;
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    for (item, owner) in [(1, "first"), (2, "second")] {
        assert_eq!(latest(&mut queue, owner, item, 1, now), None);
    }
    let pushed = |offered| live(1, CacheMode::Latest, offered);
    assert_eq!(queue.push_live("pushed", 3, Form::Encoded, pushed(now + ms(1)), now), None);
    // Two run before it, which is as far ahead as anything is prepared.
    assert_eq!(queue.poll(now, 0), BatchDecision::Idle);
    assert_eq!(run(queue.poll(now, 1)), [1]);
    let BatchDecision::Prepare(picked) = queue.poll(now, 1) else { panic!("its turn is near") };
    queue.prepared(picked);
    assert_eq!((run(queue.poll(now, 1)), run(queue.poll(now, 1))), (vec![2], vec![3]));
}

#[test]
fn no_slot_waits_for_what_is_being_prepared() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    queue.push("posted", 1, Form::Encoded, now).expect("room");
    queue.push("later", 2, Form::Ready, now).expect("room");
    let BatchDecision::Prepare(picked) = queue.poll(now, 1) else { panic!("it is first") };
    assert_eq!(run(queue.poll(now, 1)), [2]);
    assert_eq!(queue.poll(now, 1), BatchDecision::Idle);
    let (one, turn) = picked.take();
    queue.prepared(turn.with(one * 10));
    assert_eq!(run(queue.poll(now, 1)), [10]);
}

#[test]
fn of_a_slow_model_little_is_prepared_ahead() {
    let now = Instant::now();
    let mut queue = BatchQueue::new(BatchPolicy { ahead: 4, ..policy(1, 8, 0) });
    for owner in ["a", "b", "c"] {
        assert_eq!(queue.push_live(owner, 0, Form::Encoded, live(1, CacheMode::Latest, now), now), None);
        queue.push(owner, 1, Form::Encoded, now).expect("room");
    }
    // As long as the objective: what is prepared waits so long for each one before it.
    queue.took(Duration::from_millis(200));
    let mut prepared = Vec::new();
    while let BatchDecision::Prepare(picked) = queue.poll(now, 0) {
        prepared.push(picked.item);
    }
    assert_eq!(prepared, [1, 1, 1, 0]);
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

#[test]
fn what_is_left_at_the_end_comes_out_stale_frames_too() {
    let t0 = Instant::now();
    let late = t0 + Duration::from_secs(1);
    let mut queue = BatchQueue::new(policy(1, 8, 0));
    assert_eq!(latest(&mut queue, "a", 1, 1, t0), None);
    queue.push("a", 2, Form::Encoded, t0).expect("room");
    queue.push("b", 3, Form::Ready, t0).expect("room");
    assert!(matches!(queue.poll(late, 1), BatchDecision::Prepare(picked) if picked.item == 2));
    queue.spoilt(false);
    assert_eq!((queue.drain(), queue.len()), (vec![1, 3], 0));
}
