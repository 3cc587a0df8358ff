//! Streams that are stopped, thrown away, or fail.

use std::sync::mpsc::sync_channel;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use vigia_core::admission::DropReason;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::source::{Flow, SourceError};
use vigia_core::stream::StreamState;
use vigia_engine::metrics::Metrics;
use vigia_engine::stream::{Feed, Listeners, OpenSource, Stream, StreamOptions};
use vigia_testkit::live::{NEVER, listeners, means, stream_options};
use vigia_testkit::{Gate, PushedSource, boxes_by_frame};

use crate::support::{
    Told as _, door, dropped, fifo, picture, pipeline, push, push_picture, start, start_with, wait_for,
};

#[test]
fn stopping_waits_for_what_is_under_way() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, stream_options(), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    push(&mut sink);
    stream.stop();
    drop(gate);
    drop(stream);
    let ids: Vec<u64> = heard.results.iter().map(|r| r.frame.frame_id).collect();
    assert_eq!(ids, [0, 1]);
}

#[test]
fn discarding_answers_what_waits_at_once() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (pipeline, means) = (pipeline(script), means());
    let (stream, heard) = start_with(door(), pipeline.clone(), fifo(4), Feed::Pulled(open), means.clone());
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    (0..3).for_each(|_| push(&mut sink));
    stream.discard();
    // While the model is still busy with the first one.
    wait_for(&stream, |s| dropped(s, DropReason::Shutdown) == 3);
    assert_eq!((pipeline.detector().figures().waiting, means.budget.used()), (0, 0));
    gate.open();
    let status = wait_for(&stream, |s| s.state == StreamState::Ended);
    assert_eq!((status.inferred, status.pending), (1, 0));
    assert_eq!(heard.results.iter().count(), 1);
    assert_eq!(sink.frame(picture()), Flow::Stop);
}

#[test]
fn stopping_often_is_stopping_once() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, stream_options(), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    push(&mut sink);
    // More than the stream has room for events.
    (0..100).for_each(|_| stream.stop());
    gate.open();
    gate.open();
    let status = wait_for(&stream, |s| s.state == StreamState::Ended);
    assert_eq!((status.inferred, status.pending), (2, 0));
    drop(stream);
    assert_eq!(heard.results.iter().count(), 2);
}

#[test]
fn a_stop_ends_every_wait() {
    let unreachable = || -> OpenSource { Box::new(|| Err(SourceError::Unauthorized("no".to_owned()))) };
    let options = StreamOptions { unauthorized_pause: NEVER, linger: NEVER, ..stream_options() };
    let feeds = [Feed::Pushed, Feed::Listening(PushedSource::opener().0), Feed::Pulled(PushedSource::opener().0)];
    for feed in feeds.into_iter().chain([Feed::Pulled(unreachable()), Feed::Listening(unreachable())]) {
        let (stream, heard) = start(boxes_by_frame(), options, feed);
        stream.stop();
        stream.join();
        assert!(heard.gone.recv().is_err(), "whoever stops a stream takes it out");
    }
}

/// Listeners of which the one for results panics.
fn panicking() -> Listeners {
    let (mut listeners, _heard) = listeners();
    listeners.publish = Box::new(|_result| std::panic::resume_unwind(Box::new("on purpose")));
    listeners
}

#[test]
fn a_publisher_that_panics_fails_its_stream_and_no_frame_stays_under_way() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let metrics = Metrics::default();
    let (pipeline, of_door) = (pipeline(script), metrics.stream("door"));
    let (other, other_heard) = {
        let other = StreamRef { id: StreamId::new("yard"), generation: 0 };
        start_with(other, pipeline.clone(), stream_options(), Feed::Pushed, means())
    };
    let stream = Stream::start(door(), pipeline, stream_options(), Feed::Pulled(open), panicking(), means(), of_door);
    let stream = stream.expect("a thread");
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    push(&mut sink);
    assert_eq!(stream.status().pending, 2);
    gate.open();
    let status = wait_for(&stream, |s| s.state == StreamState::Failed);
    assert_eq!((status.received, status.inferred, status.pending), (2, 1, 0));
    assert_eq!((status.reason, dropped(&status, DropReason::Failed)), (Some("panicked"), 1));
    assert_eq!(sink.frame(picture()), Flow::Stop);
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("text");
    assert!(text.contains("stream_panics_total{stream=\"door\"} 1\n"), "{text}");
    // The others do not notice.
    drop(gate);
    assert_eq!(push_picture(&other, b"picture").number(), 0);
    assert_eq!((other_heard.result(), other.status().state), (0, StreamState::Online));
}

#[test]
fn a_pulled_stream_that_failed_stays_until_it_is_taken_out() {
    let (open, sinks) = PushedSource::opener();
    let (leave, gone) = sync_channel(1);
    let listeners = Listeners { gone: Box::new(move || leave.send(()).expect("the test waits")), ..panicking() };
    let (pipeline, metrics) = (pipeline(boxes_by_frame()), Metrics::default().stream("door"));
    let stream = Stream::start(door(), pipeline, stream_options(), Feed::Pulled(open), listeners, means(), metrics);
    let stream = stream.expect("a thread");
    push(&mut sinks.recv().expect("opened"));
    wait_for(&stream, |s| s.state == StreamState::Failed);
    stream.join();
    assert!(gone.recv().is_err());
}
