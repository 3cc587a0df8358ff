//! Many who push, drop and fail at once: at every moment each frame is in one place, and at the end nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vigia_core::admission::{CacheMode, CachePolicy};
use vigia_core::backend::{InferError, Output};
use vigia_core::id::{StreamId, StreamRef};
use vigia_engine::pipeline::Pipeline;
use vigia_engine::stream::{Feed, Stream, StreamOptions};
use vigia_engine::worker::{StopFlag, Worker};
use vigia_testkit::live::{BROKEN, Heard, NEVER, POISON, means_of, pushed, stream_options};
use vigia_testkit::{Script, batcher};

use crate::support::{assert_whole, start_with};

/// SplitMix64 (Steele, Lea, Flood, 2014).
fn random(state: &AtomicU64) -> u64 {
    let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A model that fails now and then, for one picture, for a batch, or altogether.
fn moody(seed: u64) -> Script {
    let state = AtomicU64::new(seed);
    let failed = || InferError::Failed { model: "moody".to_owned(), reason: "a mood".to_owned() };
    Arc::new(move |batch| match random(&state) % 40 {
        0 => std::panic::resume_unwind(Box::new("on purpose")),
        1 | 2 => Err(failed()),
        mood => {
            Ok(batch.iter().map(|_| if mood == 3 { Err(failed()) } else { Ok(Output::Detections(vec![])) }).collect())
        }
    })
}

fn options(state: &AtomicU64) -> StreamOptions {
    let draw = |n| random(state) % n;
    let mode = if draw(2) == 0 { CacheMode::Latest } else { CacheMode::Fifo };
    StreamOptions {
        cache: CachePolicy { mode, frames: 1 + draw(4) as usize },
        every: 1 + draw(2),
        latency: if draw(3) == 0 { Duration::from_micros(draw(2000)) } else { NEVER },
        ..stream_options()
    }
}

/// What was told to whoever waited, against how many there were.
#[derive(Default)]
struct Waiters {
    there: AtomicU64,
    told: AtomicU64,
}

/// Pushes whatever comes to mind.
fn push_wildly(streams: &[Stream], waiters: &Arc<Waiters>, seed: u64) {
    let state = AtomicU64::new(seed);
    for _ in 0..400 {
        let draw = |n| random(&state) % n;
        let stream = &streams[draw(streams.len() as u64) as usize];
        let bytes: &[u8] = match draw(10) {
            0 => BROKEN,
            1 => POISON,
            2 => &[0; 900],
            _ => b"picture",
        };
        let id = (draw(4) == 0).then(|| draw(2000));
        let waiter = (draw(2) == 0).then(|| -> vigia_engine::stream::Waiter {
            let waiters = waiters.clone();
            Box::new(move |_outcome| {
                waiters.told.fetch_add(1, Ordering::SeqCst);
            })
        });
        let waits = waiter.is_some();
        if stream.push(pushed(id, bytes), waiter).is_ok() && waits {
            waiters.there.fetch_add(1, Ordering::SeqCst);
        }
        if draw(50) == 0 {
            stream.set_options(options(&state));
        }
    }
}

#[test]
fn each_frame_is_in_one_place_at_every_moment() {
    for seed in 0..4 {
        let state = AtomicU64::new(seed);
        let pipeline = Arc::new(Pipeline::new(Arc::new(batcher("moody", 2, 8, 2, moody(seed))), Vec::new()));
        // Room for one large picture and a few small ones.
        let means = means_of(1000);
        let (streams, all_heard): (Vec<Stream>, Vec<Heard>) = (0..3)
            .map(|n| {
                let id = StreamRef { id: StreamId::new(format!("door-{n}")), generation: seed };
                start_with(id, pipeline.clone(), options(&state), Feed::Pushed, means.clone())
            })
            .unzip();
        let streams: Arc<[Stream]> = streams.into();
        let waiters = Arc::new(Waiters::default());
        let pushers: Vec<Worker> = (0..4)
            .map(|n| {
                let (streams, waiters) = (streams.clone(), waiters.clone());
                let push = move |_stop: &StopFlag| push_wildly(&streams, &waiters, seed * 100 + n);
                Worker::start("pusher", push).expect("a thread")
            })
            .collect();
        let watched = streams.clone();
        let watcher = Worker::start("watcher", move |stop| {
            while !stop.is_set() {
                watched.iter().for_each(|stream| assert_whole(&stream.status()));
            }
        });
        pushers.into_iter().for_each(Worker::join);
        drop(watcher);
        // Half of them is thrown away, half may finish.
        streams.iter().enumerate().for_each(|(n, stream)| if n % 2 == 0 { stream.stop() } else { stream.discard() });
        let mut received = 0;
        for (stream, heard) in streams.iter().zip(all_heard) {
            stream.join();
            let status = stream.status();
            assert_whole(&status);
            assert_eq!((status.pending, status.cached_frames, status.cached_bytes), (0, 0, 0), "seed {seed}");
            let ids: Vec<u64> = heard.results.try_iter().map(|result| result.frame.frame_id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b), "seed {seed}: {ids:?}");
            assert_eq!(ids.len() as u64, status.inferred, "seed {seed}");
            received += status.received;
        }
        assert!(received > 500, "seed {seed}: only {received} came");
        assert_eq!(waiters.there.load(Ordering::SeqCst), waiters.told.load(Ordering::SeqCst), "seed {seed}");
        assert_eq!(means.budget.used(), 0, "seed {seed}");
    }
}
