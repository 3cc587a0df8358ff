//! Files that never come to an end are given up; sinks that take long are not.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use vigia_core::frame::Frame;
use vigia_core::source::{EncodedPicture, Flow};

use super::*;
use crate::address::Address;
use crate::ingest::{MediaInfo, Pace};

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(400);

/// Two pictures of 1x1.
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff\
    !\xf9\x04\0\x0a\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\
    !\xf9\x04\0\x0a\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;";

/// How many frames came, and how it ended.
type Told = (u64, Result<(), SourceError>);

/// A sink that takes so long for a frame, and counts them.
struct Slow(Duration, u64, SyncSender<Told>);

impl FrameSink for Slow {
    fn frame(&mut self, _: Frame) -> Flow {
        self.1 += 1;
        thread::sleep(self.0);
        Flow::Continue
    }

    fn picture(&mut self, _: EncodedPicture) -> Flow {
        Flow::Stop
    }

    fn trouble(&mut self, error: &SourceError) {
        panic!("{error}");
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        let _ = self.2.send((self.1, outcome));
    }
}

/// Starts a source past the look at a file's first bytes.
fn start(path: &std::path::Path, pace: Pace, sink_takes: Duration) -> (Running, Receiver<Told>) {
    crate::init().expect("GStreamer starts");
    let source = MediaSource {
        address: Address { kind: Kind::File(path.to_owned()), shown: "the clip".to_owned() },
        pattern: None,
        slides: None,
        stream: StreamRef { id: "test".into(), generation: 1 },
        options: IngestOptions { pace, connect_timeout: SHORT, inactivity_timeout: SHORT, ..IngestOptions::default() },
        info: MediaInfo::default(),
        numbering: Arc::default(),
    };
    let (sender, receiver) = sync_channel(1);
    (Running::start(&source, Box::new(Slow(sink_takes, 0, sender))).expect("a start"), receiver)
}

#[test]
fn a_file_that_never_ends_is_given_up() {
    crate::init().expect("GStreamer starts");
    if gst::ElementFactory::find("avdemux_gif").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clip");
    for (content, frames) in [(GIF, 1..=2), (&GIF[..6], 0..=0)] {
        std::fs::write(&path, content).expect("a file");
        let (_running, told) = start(&path, Pace::AsFast, Duration::ZERO);
        let (count, outcome) = told.recv_timeout(LONG).expect("an end");
        let Err(SourceError::Undecodable(message)) = outcome else { panic!("{outcome:?}") };
        assert!(frames.contains(&count), "{count} frames: {message}");
        assert!(message.starts_with("the clip: no new picture for 400ms"), "{message}");
    }
}

#[test]
fn a_slow_sink_and_a_slow_clip_are_no_standstill() {
    crate::init().expect("GStreamer starts");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clip.mov");
    let description = format!(
        "videotestsrc num-buffers=3 ! video/x-raw,framerate=1/1,width=96,height=64 ! jpegenc ! qtmux ! \
         filesink location=\"{}\"",
        path.display()
    );
    let pipeline = gst::parse::launch(&description).expect("a pipeline");
    pipeline.set_state(gst::State::Playing).expect("a start");
    let bus = pipeline.bus().expect("a bus");
    assert!(bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Eos]).is_some());
    pipeline.set_state(gst::State::Null).expect("a stop");
    for (pace, sink_takes) in [(Pace::AsFast, SHORT * 3), (Pace::Live, Duration::ZERO)] {
        let (_running, told) = start(&path, pace, sink_takes);
        assert_eq!(told.recv_timeout(LONG), Ok((3, Ok(()))));
    }
}

#[test]
fn a_thread_is_not_named_after_a_password() {
    assert_eq!(thread_name("rtsp://user:secret@cam/1"), "media-rtsp://user:***@cam/1");
    assert_eq!(thread_name("door\0"), "media-door");
}
