//! Sources that are opened, break off, and are opened again.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use vigia_core::admission::DropReason;
use vigia_core::backend::InferError;
use vigia_core::source::SourceError;
use vigia_core::stream::StreamState;
use vigia_engine::stream::{Feed, StreamOptions};
use vigia_testkit::live::{NEVER, stream_options};
use vigia_testkit::{Gate, PushedSource, Script, boxes_by_frame};

use crate::support::{Told as _, door, dropped, push, start, wait_for};

#[test]
fn the_newest_frame_wins_and_every_frame_is_counted() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, stream_options(), Feed::Pulled(open));
    assert_eq!(stream.status().state, StreamState::Connecting);
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    // The model is busy with frame 0: of 1 to 4 only the last is still there when it is free.
    (0..4).for_each(|_| push(&mut sink));
    gate.open();
    gate.open();
    let ids = [(); 2].map(|()| heard.result());
    assert_eq!(ids, [0, 4]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.state, status.received, status.inferred), (StreamState::Online, 5, 2));
    assert_eq!(dropped(&status, DropReason::Superseded), 3);
    assert!(status.latency.is_some() && status.size.is_some());
}

#[test]
fn however_many_frames_come_while_the_model_is_busy_the_newest_is_next() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, stream_options(), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    (0..1000).for_each(|_| push(&mut sink));
    // What made room is counted at once, not when the first one is done.
    let status = stream.status();
    assert_eq!((status.pending, dropped(&status, DropReason::Superseded)), (2, 999));
    drop(gate);
    assert_eq!([heard.result(), heard.result()], [0, 1000]);
}

#[test]
fn results_carry_the_streams_own_name_and_numbers() {
    let (open, sinks) = PushedSource::opener();
    let (_stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    for n in 0..3 {
        push(&mut sink);
        let result = heard.results.recv().expect("a result");
        assert_eq!((result.frame.frame_id, result.frame.stream.generation), (n, 3));
        assert_eq!(result.frame.stream.id.as_str(), "door");
    }
}

#[test]
fn a_thinned_stream_says_what_it_skipped() {
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(boxes_by_frame(), StreamOptions { every: 3, ..stream_options() }, Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    let mut ids = Vec::new();
    for n in 0..7 {
        push(&mut sink);
        if n % 3 == 0 {
            ids.push(heard.result());
        }
    }
    assert_eq!(ids, [0, 3, 6]);
    let status = wait_for(&stream, |s| s.pending == 0);
    assert_eq!((status.received, status.inferred), (7, 3));
    assert_eq!(dropped(&status, DropReason::Skipped), 4);
}

#[test]
fn a_source_that_breaks_off_is_opened_again_and_numbers_go_on() {
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pulled(open));
    let mut first = sinks.recv().expect("opened");
    push(&mut first);
    assert_eq!(heard.result(), 0);
    first.end(Err(SourceError::Unreachable("the camera was switched off".to_owned())));
    let mut second = sinks.recv().expect("opened again");
    push(&mut second);
    assert_eq!(heard.result(), 1);
    let status = wait_for(&stream, |s| s.inferred == 2);
    assert_eq!((status.state, status.attempts, status.last_error), (StreamState::Online, 0, None));
}

#[test]
fn what_cannot_work_is_not_tried_again() {
    for (error, tries) in [
        (SourceError::NotFound("there is no such file".to_owned()), 1),
        (SourceError::Undecodable("this is text".to_owned()), 1),
        (SourceError::Unreachable("nobody answers".to_owned()), 3),
        (SourceError::Unauthorized("wrong password".to_owned()), 3),
    ] {
        let mut opened = 0;
        let (count, counted) = sync_channel(8);
        let outcome = error.clone();
        let open = move || {
            opened += 1;
            let _enough = count.try_send(opened);
            Err(outcome.clone())
        };
        let (stream, _heard) = start(boxes_by_frame(), stream_options(), Feed::Pulled(Box::new(open)));
        for n in 1..=tries {
            assert_eq!(counted.recv().expect("tried"), n);
        }
        if tries == 1 {
            let status = wait_for(&stream, |s| s.state == StreamState::Failed);
            assert_eq!(status.last_error, Some(error.to_string()));
            assert!(counted.try_recv().is_err());
        } else {
            wait_for(&stream, |s| s.last_error == Some(error.to_string()));
        }
    }
}

#[test]
fn the_end_of_a_file_is_the_end_unless_it_repeats() {
    for repeat in [false, true] {
        let (open, sinks) = PushedSource::opener();
        let (stream, heard) = start(boxes_by_frame(), StreamOptions { repeat, ..stream_options() }, Feed::Pulled(open));
        let mut sink = sinks.recv().expect("opened");
        push(&mut sink);
        sink.end(Ok(()));
        assert_eq!(heard.result(), 0);
        if repeat {
            push(&mut sinks.recv().expect("opened again"));
            assert_eq!(heard.result(), 1);
        } else {
            let status = wait_for(&stream, |s| s.state == StreamState::Ended);
            assert_eq!((status.received, status.inferred, status.last_error), (1, 1, None));
        }
    }
}

#[test]
fn a_frame_that_fails_is_counted_and_the_stream_goes_on() {
    let good = boxes_by_frame();
    let script: Script = Arc::new(move |batch| match batch[0].frame.frame_id {
        0 => Err(InferError::Failed { model: "scripted".to_owned(), reason: "unlucky".to_owned() }),
        1 => std::panic::resume_unwind(Box::new("on purpose")),
        _ => good(batch),
    });
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, stream_options(), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    for settled in 1..=2 {
        push(&mut sink);
        wait_for(&stream, |s| dropped(s, DropReason::Failed) == settled);
    }
    push(&mut sink);
    assert_eq!(heard.result(), 2);
    assert!(stream.status().last_error.is_some_and(|e| e.contains("restarted")));
}

#[test]
fn a_camera_that_worked_is_tried_again_whatever_it_says() {
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pulled(open));
    for (life, error) in [
        SourceError::NotFound("404".to_owned()),
        SourceError::Undecodable("noise".to_owned()),
        SourceError::Library("a plug-in broke".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let mut sink = sinks.recv().expect("opened again");
        push(&mut sink);
        assert_eq!(heard.result(), life as u64);
        sink.end(Err(error));
    }
    sinks.recv().expect("opened again");
    wait_for(&stream, |s| s.inferred == 3 && s.pending == 0);
}

#[test]
fn a_source_that_stalls_is_tried_again_and_each_change_is_told_in_order() {
    let (open, sinks) = PushedSource::opener();
    let (_stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pulled(open));
    let mut first = sinks.recv().expect("opened");
    push(&mut first);
    first.end(Err(SourceError::Stalled("no frame for 5 s".to_owned())));
    push(&mut sinks.recv().expect("opened again"));
    let told = [(); 6].map(|()| heard.changes.recv().expect("a change"));
    let expected = [
        (StreamState::Connecting, None),
        (StreamState::Online, None),
        (StreamState::Stalled, Some("stalled")),
        (StreamState::Retrying, Some("stalled")),
        (StreamState::Connecting, None),
        (StreamState::Online, None),
    ];
    for (change, (state, reason)) in told.iter().zip(expected) {
        assert_eq!((change.state, change.reason, &change.stream), (state, reason, &door()));
        assert_eq!(change.error.as_deref(), reason.map(|_| "no frame for 5 s"));
    }
    assert!(told.iter().map(|change| change.since).is_sorted());
    assert_eq!(told.map(|change| change.attempts), [0, 0, 0, 0, 1, 0]);
}

#[test]
fn a_source_that_knows_no_password_is_asked_again_after_the_long_pause_only() {
    let (count, counted) = sync_channel(8);
    let open = move || {
        count.try_send(()).expect("room");
        Err(SourceError::Unauthorized("wrong password".to_owned()))
    };
    let options = StreamOptions { unauthorized_pause: NEVER, ..stream_options() };
    let (stream, heard) = start(boxes_by_frame(), options, Feed::Pulled(Box::new(open)));
    assert_eq!(heard.until(StreamState::Retrying), [StreamState::Connecting]);
    let status = stream.status();
    assert_eq!((status.reason, status.attempts), (Some("unauthorized"), 1));
    // A stop does not wait for the pause.
    drop(stream);
    assert_eq!(counted.iter().count(), 1);
}

#[test]
fn attempts_count_up_until_a_frame_comes() {
    let (open, sinks) = PushedSource::opener();
    let (_stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pulled(open));
    for _ in 0..3 {
        sinks.recv().expect("opened again").end(Err(SourceError::Unreachable("nobody answers".to_owned())));
    }
    let mut sink = sinks.recv().expect("opened again");
    push(&mut sink);
    let changes = heard.changes.iter().filter(|change| change.state != StreamState::Connecting);
    let attempts: Vec<_> = changes.take(4).map(|change| (change.state, change.attempts)).collect();
    let retrying = |attempts| (StreamState::Retrying, attempts);
    assert_eq!(attempts, [retrying(1), retrying(2), retrying(3), (StreamState::Online, 0)]);
}
