//! Sources read to their end, and clips to read.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use vigia_core::frame::Frame;
use vigia_core::id::StreamRef;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source as _, SourceError, SourceHandle};
use vigia_media::{IngestOptions, MediaSource};

/// Longer than anything here takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// What a sink was told.
#[derive(Debug)]
pub(crate) enum Told {
    Frame(Frame),
    Picture(EncodedPicture),
    Trouble(SourceError),
    End(Result<(), SourceError>),
}

/// Passes on what it is told; a full channel blocks, a closed one stops the source.
pub(crate) struct ChannelSink(pub(crate) SyncSender<Told>);

impl FrameSink for ChannelSink {
    fn frame(&mut self, frame: Frame) -> Flow {
        if self.0.send(Told::Frame(frame)).is_ok() { Flow::Continue } else { Flow::Stop }
    }

    fn picture(&mut self, picture: EncodedPicture) -> Flow {
        if self.0.send(Told::Picture(picture)).is_ok() { Flow::Continue } else { Flow::Stop }
    }

    fn trouble(&mut self, error: &SourceError) {
        let _ = self.0.send(Told::Trouble(error.clone()));
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        let _ = self.0.send(Told::End(outcome));
    }
}

pub(crate) fn open(address: &str, options: IngestOptions) -> Result<MediaSource, SourceError> {
    MediaSource::open(address, StreamRef { id: "test".into(), generation: 1 }, options)
}

/// Starts a source whose frames come through a channel of `room` places.
pub(crate) fn start(
    address: &str,
    options: IngestOptions,
    room: usize,
) -> Result<(Box<dyn SourceHandle>, Receiver<Told>), SourceError> {
    let (sender, receiver) = sync_channel(room);
    Ok((Box::new(open(address, options)?).start(Box::new(ChannelSink(sender)))?, receiver))
}

/// Gives each frame to `look`, and returns how many there were and how it ended. Errors of opening and starting end it, too.
pub(crate) fn read(
    address: &str,
    options: IngestOptions,
    mut look: impl FnMut(Frame),
) -> (u64, Result<(), SourceError>) {
    let (handle, receiver) = match start(address, options, 2) {
        Ok(started) => started,
        Err(error) => return (0, Err(error)),
    };
    let mut count = 0;
    loop {
        match receiver.recv_timeout(LONG).expect("the source says something") {
            Told::Frame(frame) => {
                assert_eq!(frame.frame_id, count);
                count += 1;
                look(frame);
            }
            told @ (Told::Picture(_) | Told::Trouble(_)) => unreachable!("{address} does not listen: {told:?}"),
            Told::End(outcome) => {
                drop(handle);
                assert!(receiver.recv().is_err(), "the end comes last and once");
                return (count, outcome);
            }
        }
    }
}

/// How a source ended that is expected to fail.
pub(crate) fn failure(address: &str) -> (u64, SourceError) {
    let (count, outcome) = read(address, IngestOptions::default(), drop);
    (count, outcome.expect_err(address))
}

/// Runs a pipeline of GStreamer's command line to its end.
pub(crate) fn launch(description: &str) {
    vigia_media::init().expect("GStreamer starts");
    let pipeline = gst::parse::launch(description).expect(description);
    pipeline.set_state(gst::State::Playing).expect(description);
    let bus = pipeline.bus().expect("a bus");
    let message = bus.timed_pop_filtered(
        gst::ClockTime::try_from(LONG).expect("a time"),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null).expect(description);
    assert!(message.is_some_and(|m| m.type_() == gst::MessageType::Eos), "{description}");
}

/// A QuickTime clip of pictures in JPEG, index first, 10 pictures per second.
pub(crate) fn clip(folder: &Path, name: &str, frames: u32, caps: &str) -> PathBuf {
    let path = folder.join(name);
    launch(&format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,framerate=10/1,{caps} ! jpegenc ! \
         qtmux faststart=true ! filesink location=\"{}\"",
        path.display()
    ));
    path
}

/// A program that runs; ends with this.
pub(crate) struct Runs(Child);

impl Runs {
    /// Waits until it has done everything.
    pub(crate) fn finish(mut self) {
        assert!(self.0.wait().expect("an exit").success(), "a program failed");
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// ffmpeg with these arguments; absent, and said so, where it is not installed.
pub(crate) fn ffmpeg_runs(arguments: &str) -> Option<Runs> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]).args(arguments.split_whitespace());
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => Some(Runs(child)),
        Err(error) => {
            eprintln!("skipped: ffmpeg: {error}");
            None
        }
    }
}

/// The same to its end.
pub(crate) fn ffmpeg(arguments: &str) -> Option<()> {
    ffmpeg_runs(arguments)?.finish();
    Some(())
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
