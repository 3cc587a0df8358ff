//! Streams that are changed while they run.

use std::time::Duration;

use vigia_core::admission::DropReason;
use vigia_core::detection::Thresholds;
use vigia_core::stream::StreamState;
use vigia_engine::stream::{Feed, StreamOptions};
use vigia_testkit::live::stream_options;
use vigia_testkit::{Gate, PushedSource, boxes_by_frame};

use crate::support::{Told as _, dropped, fifo, push, push_picture, start, wait_for};

#[test]
fn every_counts_anew_from_the_change_on() {
    let (stream, heard) = start(boxes_by_frame(), fifo(16), Feed::Pushed);
    (0..2).for_each(|_| assert!(push_picture(&stream, b"picture").outcome().is_ok()));
    stream.set_options(StreamOptions { every: 3, ..fifo(16) });
    for n in 2..8 {
        assert_eq!(push_picture(&stream, b"picture").outcome().is_ok(), n % 3 == 2);
    }
    // The same again changes nothing in the count.
    stream.set_options(StreamOptions { every: 3, ..fifo(16) });
    assert!(push_picture(&stream, b"picture").outcome().is_ok());
    assert_eq!([(); 5].map(|()| heard.result()), [0, 1, 2, 5, 8]);
}

#[test]
fn a_rate_holds_from_the_change_on() {
    let (stream, _heard) = start(boxes_by_frame(), fifo(16), Feed::Pushed);
    (0..5).for_each(|_| assert!(push_picture(&stream, b"picture").outcome().is_ok()));
    // One in about a day.
    stream.set_options(StreamOptions { max_fps: Some(1e-5), ..fifo(16) });
    let looked_at = (0..5).filter(|_| push_picture(&stream, b"picture").outcome().is_ok()).count();
    assert_eq!((looked_at, dropped(&stream.status(), DropReason::Skipped)), (1, 4));
    stream.set_options(fifo(16));
    assert!(push_picture(&stream, b"picture").outcome().is_ok());
}

#[test]
fn thresholds_hold_for_the_frames_that_come() {
    let thresholds = Thresholds { confidence: 0.25, iou: 0.75 };
    let script: vigia_testkit::Script = std::sync::Arc::new(move |batch| {
        let outputs = batch.iter().map(|request| {
            let found = if request.thresholds == thresholds { Vec::new() } else { unreachable!("the old ones") };
            Ok(vigia_core::backend::Output::Detections(found))
        });
        Ok(outputs.collect())
    });
    let (stream, _heard) = start(script, stream_options(), Feed::Pushed);
    stream.set_options(StreamOptions { thresholds, ..stream_options() });
    assert!(push_picture(&stream, b"picture").outcome().is_ok());
}

#[test]
fn the_cache_stays_as_it_was() {
    let (script, gate) = Gate::before(boxes_by_frame());
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(script, fifo(2), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    gate.wait_for_batch();
    stream.set_options(stream_options());
    (0..3).for_each(|_| push(&mut sink));
    assert_eq!((stream.status().cached_frames, dropped(&stream.status(), DropReason::Overload)), (2, 1));
    drop(gate);
    assert_eq!([(); 3].map(|()| heard.result()), [0, 1, 2]);
}

#[test]
fn a_pulled_source_knows_no_timeout_of_the_stream() {
    let (open, sinks) = PushedSource::opener();
    let (stream, heard) = start(boxes_by_frame(), stream_options(), Feed::Pulled(open));
    let mut sink = sinks.recv().expect("opened");
    push(&mut sink);
    assert_eq!(heard.result(), 0);
    stream.set_options(StreamOptions { timeout: Duration::ZERO, ..stream_options() });
    push(&mut sink);
    assert_eq!(heard.result(), 1);
    assert_eq!(wait_for(&stream, |s| s.pending == 0).state, StreamState::Online);
}
