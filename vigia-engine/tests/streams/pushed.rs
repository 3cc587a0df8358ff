//! Pictures that are pushed: their order, their ids, and the end when none comes any more.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use parking_lot::Mutex;
use vigia_core::stream::StreamState;
use vigia_engine::stream::{Feed, Refused, StreamOptions};
use vigia_testkit::live::{NEVER, means, pushed, stream_options};
use vigia_testkit::{Script, boxes_by_frame};

use crate::support::{Awaited, Told as _, door, fifo, pipeline_of, push_picture, start, start_with, wait_for};

#[test]
fn each_pushed_picture_gets_its_result_in_order() {
    let (stream, heard) = start(boxes_by_frame(), fifo(32), Feed::Pushed);
    let awaited: Vec<Awaited> = (0..20).map(|_| push_picture(&stream, b"picture")).collect();
    for (n, awaited) in awaited.into_iter().enumerate() {
        assert_eq!((heard.result(), awaited.number()), (n as u64, n as u64));
    }
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.received, status.inferred, status.state), (20, 20, StreamState::Online));
}

#[test]
fn results_keep_the_order_of_the_frames_whichever_is_done_first() {
    let (release, released) = sync_channel::<()>(1);
    let (released, good) = (Mutex::new(released), boxes_by_frame());
    let script: Script = Arc::new(move |batch| {
        if batch[0].frame.frame_id == 0 {
            released.lock().recv().expect("the test lets it go on");
        }
        good(batch)
    });
    let pipeline = pipeline_of(script, 2);
    let (stream, heard) = start_with(door(), pipeline.clone(), fifo(8), Feed::Pushed, means());
    let awaited = [(); 3].map(|()| push_picture(&stream, b"picture"));
    while pipeline.detector().figures().answered < 2 {
        std::thread::yield_now();
    }
    assert!(heard.results.try_recv().is_err(), "the first one is not done");
    release.send(()).expect("it waits");
    assert_eq!([heard.result(), heard.result(), heard.result()], [0, 1, 2]);
    assert_eq!(awaited.map(Awaited::number), [0, 1, 2]);
}

#[test]
fn ids_that_are_given_are_kept_and_have_to_grow() {
    let (stream, heard) = start(boxes_by_frame(), fifo(16), Feed::Pushed);
    let push = |id| stream.push(pushed(id, b"picture"), None);
    assert_eq!([push(Some(5)), push(None), push(Some(100))], [Ok(5), Ok(6), Ok(100)]);
    assert_eq!(push(Some(100)), Err(Refused::NotAbove { last: 100 }));
    assert_eq!(push(Some(0)), Err(Refused::NotAbove { last: 100 }));
    assert_eq!([push(None), push(Some(u64::MAX))], [Ok(101), Ok(u64::MAX)]);
    assert_eq!(push(Some(u64::MAX)), Err(Refused::NotAbove { last: u64::MAX }));
    assert_eq!([(); 5].map(|()| heard.result()), [5, 6, 100, 101, u64::MAX]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!(status.received, 5, "what was refused does not count");
}

#[test]
fn the_first_id_may_be_any() {
    for id in [0, 1, u64::MAX] {
        let (stream, _heard) = start(boxes_by_frame(), fifo(16), Feed::Pushed);
        assert_eq!(stream.push(pushed(Some(id), b"picture"), None), Ok(id));
    }
}

#[test]
fn a_result_says_when_its_picture_was_taken_and_how_long_decoding_took() {
    let (stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pushed);
    let picture = pushed(None, b"picture");
    stream.push(picture.clone(), None).expect("the stream takes it");
    let frame = heard.results.recv().expect("a result").frame.clone();
    assert_eq!((frame.captured_at, &frame.stream), (Some(picture.captured_at), &door()));
    assert!(frame.decode.is_some());
    assert_eq!(stream.status().size, Some(frame.image.source_size()));
}

#[test]
fn without_frames_a_stream_ends_and_is_gone_and_only_that_one() {
    let pipeline = pipeline_of(boxes_by_frame(), 1);
    let soon = StreamOptions { timeout: Duration::ZERO, ..stream_options() };
    let (other, other_heard) = start_with(door(), pipeline.clone(), stream_options(), Feed::Pushed, means());
    let (stream, heard) = start_with(door(), pipeline, soon, Feed::Pushed, means());
    assert_eq!(heard.until(StreamState::Ended), [StreamState::Connecting]);
    heard.gone.recv().expect("it leaves");
    assert_eq!(stream.push(pushed(None, b"picture"), None), Err(Refused::Ended));
    assert_eq!((stream.status().state, stream.status().reason), (StreamState::Ended, Some("timeout")));
    assert_eq!(push_picture(&other, b"picture").number(), 0);
    assert!(other_heard.gone.try_recv().is_err());
}

#[test]
fn frames_that_stop_coming_stall_a_stream_before_it_ends() {
    let (stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pushed);
    assert_eq!(push_picture(&stream, b"picture").number(), 0);
    // The wait that is on ends by the new timeout.
    stream.set_options(StreamOptions { timeout: Duration::ZERO, ..stream_options() });
    let before = [StreamState::Connecting, StreamState::Online, StreamState::Stalled];
    assert_eq!(heard.until(StreamState::Ended), before);
    heard.gone.recv().expect("it leaves");
}

#[test]
fn a_stream_that_ended_is_shown_for_its_linger() {
    let options = StreamOptions { timeout: Duration::ZERO, linger: NEVER, ..stream_options() };
    let (stream, heard) = start(boxes_by_frame(), options, Feed::Pushed);
    heard.until(StreamState::Ended);
    // Its results end at once.
    assert!(heard.results.recv().is_err());
    assert!(heard.gone.try_recv().is_err());
    // Whoever takes it out need not be told.
    drop(stream);
    assert!(heard.gone.recv().is_err());
}
