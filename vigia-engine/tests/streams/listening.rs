//! Sources that wait for somebody to connect.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use vigia_core::admission::DropReason;
use vigia_core::source::{Flow, FrameSink, SourceError};
use vigia_core::stream::StreamState;
use vigia_engine::stream::{Feed, Stream, StreamOptions};
use vigia_testkit::live::{BROKEN, Heard, pushed, stream_options};
use vigia_testkit::{PushedSource, boxes_by_frame};

use crate::support::{Told as _, dropped, fifo, push, start, wait_for};

fn listen(options: StreamOptions) -> (Stream, Heard, Receiver<Box<dyn FrameSink>>) {
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(boxes_by_frame(), options, Feed::Listening(open));
    (stream, heard, sinks)
}

#[test]
fn encoded_pictures_and_decoded_frames_share_the_numbers() {
    let (_stream, heard, sinks) = listen(fifo(8));
    let mut sink = sinks.recv().expect("opened");
    assert_eq!(sink.picture(pushed(None, b"picture")), Flow::Continue);
    push(&mut sink);
    assert_eq!(sink.picture(pushed(Some(10), b"picture")), Flow::Continue);
    push(&mut sink);
    assert_eq!([(); 4].map(|()| heard.result()), [0, 1, 10, 11]);
}

#[test]
fn a_sender_that_counts_anew_is_counted_on() {
    let (stream, heard, sinks) = listen(fifo(8));
    let mut sink = sinks.recv().expect("opened");
    for id in [5, 5, 6] {
        assert_eq!(sink.picture(pushed(Some(id), b"picture")), Flow::Continue);
    }
    assert_eq!([(); 3].map(|()| heard.result()), [5, 6, 7]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.received, status.last_error), (3, None));
}

#[test]
fn trouble_is_shown_and_the_source_goes_on() {
    let (stream, heard, sinks) = listen(stream_options());
    let mut sink = sinks.recv().expect("opened");
    sink.trouble(&SourceError::Undecodable("somebody sent text".to_owned()));
    assert_eq!(stream.status().last_error.as_deref(), Some("somebody sent text"));
    assert_eq!(sink.picture(pushed(None, b"picture")), Flow::Continue);
    assert_eq!(heard.result(), 0);
    assert_eq!(sink.picture(pushed(None, BROKEN)), Flow::Continue);
    wait_for(&stream, |s| dropped(s, DropReason::Failed) == 1 && s.state == StreamState::Online);
}

#[test]
fn when_nobody_connects_it_ends_and_is_gone() {
    let (stream, heard, sinks) = listen(StreamOptions { timeout: Duration::ZERO, ..stream_options() });
    heard.gone.recv().expect("it leaves");
    assert_eq!(heard.until(StreamState::Ended), [StreamState::Connecting]);
    // Nothing is taken from whoever comes too late.
    let mut sink = sinks.recv().expect("opened");
    assert_eq!(sink.picture(pushed(None, b"picture")), Flow::Stop);
    assert_eq!(stream.status().received, 0);
}

#[test]
fn an_address_that_cannot_be_listened_on_fails_once() {
    let mut tries = 0;
    let open = Box::new(move || {
        tries += 1;
        assert_eq!(tries, 1, "it is not tried again");
        Err(SourceError::Unreachable("the port is taken".to_owned()))
    });
    let (stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Listening(open));
    heard.until(StreamState::Failed);
    heard.gone.recv().expect("it leaves");
    let status = stream.status();
    assert_eq!((status.reason, status.last_error.as_deref()), (Some("unreachable"), Some("the port is taken")));
}

#[test]
fn the_end_of_its_source_is_the_end() {
    for (outcome, state) in
        [(Ok(()), StreamState::Ended), (Err(SourceError::Library("broken".to_owned())), StreamState::Failed)]
    {
        let (stream, heard, sinks) = listen(stream_options());
        let mut sink = sinks.recv().expect("opened");
        push(&mut sink);
        sink.end(outcome);
        assert_eq!(heard.result(), 0);
        heard.gone.recv().expect("it leaves");
        assert_eq!(heard.until(state), [StreamState::Connecting, StreamState::Online]);
        assert_eq!(stream.status().pending, 0);
    }
}
