//! Pictures and files through a pipeline as fast as it goes: in order, nothing dropped, a bounded number under way.
//!
//! A reading thread hands pictures to a pool that decodes them and starts videos one by one; each picture or frame gets
//! its place in an ordered window. The caller takes results from the front of the window. A full window holds the
//! reader, and with it the video's decoder.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use tokio::sync::oneshot;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::result::FrameResult;
use vigia_core::source::{Flow, FrameSink, Source, SourceError};

use crate::pipeline::{Pipeline, ResultReceiver};
use crate::worker::{Worker, WorkerPool};

/// Reads and decodes one picture; what is wrong comes as a sentence.
pub type DecodePicture = Box<dyn FnOnce() -> Result<Frame, String> + Send>;
/// Opens a video; what is wrong comes as a sentence.
pub type OpenVideo = Box<dyn FnOnce() -> Result<Box<dyn Source>, SourceError> + Send>;

/// One input, not opened yet.
pub enum Input {
    /// A single picture.
    Picture(DecodePicture),
    /// A sequence of frames.
    Video(OpenVideo),
    /// Something that is known to be wrong before it is opened; it keeps its place in the order.
    Unusable(String),
}

/// How the inputs are read.
#[derive(Clone, Copy, Debug)]
pub struct OfflineOptions {
    /// Of a video, each how-many-th frame is looked at, from 1.
    pub every: u64,
    /// What counts as found.
    pub thresholds: Thresholds,
    /// Threads that decode pictures.
    pub decoders: usize,
    /// Pictures and frames under way at most.
    pub window: usize,
}

/// What happened, in the order of the inputs.
#[derive(Debug)]
pub enum Event {
    /// A picture or frame has its result.
    Result(Box<FrameResult>),
    /// A picture, a frame or the rest of a video could not be done.
    Failed(String),
    /// An input is over; nothing more comes from it.
    Done,
}

/// A place in the window.
enum Place {
    Decoding(oneshot::Receiver<Result<ResultReceiver, String>>),
    Running(ResultReceiver),
    Failed(String),
    Done,
}

type Window = SyncSender<(Arc<str>, Place)>;

/// Runs `inputs`, each with its name, and gives `on_event` each event with the name of its input. Ends early when
/// `on_event` says [`Flow::Stop`].
///
/// # Errors
/// When the system gives no thread.
pub fn run(
    pipeline: &Arc<Pipeline>,
    inputs: impl Iterator<Item = (Arc<str>, Input)> + Send + 'static,
    options: OfflineOptions,
    mut on_event: impl FnMut(&Arc<str>, Event) -> Flow,
) -> std::io::Result<()> {
    let (window, places) = sync_channel(options.window.max(1));
    let decoders = WorkerPool::start("decode", options.decoders)?;
    let reader_pipeline = pipeline.clone();
    let reader = Worker::start("read", move |_stop| {
        for (name, input) in inputs {
            let done = read(&reader_pipeline, &decoders, &name, input, options, &window);
            if done == Flow::Stop || window.send((name, Place::Done)).is_err() {
                break;
            }
        }
    })?;
    take(&places, &mut on_event);
    // The reader notices at its next send, and ends.
    drop(places);
    reader.join();
    Ok(())
}

fn take(places: &Receiver<(Arc<str>, Place)>, on_event: &mut impl FnMut(&Arc<str>, Event) -> Flow) {
    for (name, place) in places {
        let event = match place {
            Place::Done => Event::Done,
            Place::Failed(error) => Event::Failed(error),
            Place::Running(receiver) => outcome(receiver),
            Place::Decoding(receiver) => match receiver.blocking_recv() {
                Ok(Ok(running)) => outcome(running),
                Ok(Err(error)) => Event::Failed(error),
                Err(_gone) => Event::Failed("the decoder failed on this picture in a way it should not".to_owned()),
            },
        };
        if on_event(&name, event) == Flow::Stop {
            return;
        }
    }
}

fn outcome(receiver: ResultReceiver) -> Event {
    match receiver.blocking_recv() {
        Ok(Ok(result)) => Event::Result(Box::new(result)),
        Ok(Err(error)) => Event::Failed(error.to_string()),
        Err(_gone) => Event::Failed("the engine shut down before it answered".to_owned()),
    }
}

fn read(
    pipeline: &Arc<Pipeline>,
    decoders: &WorkerPool,
    name: &Arc<str>,
    input: Input,
    options: OfflineOptions,
    window: &Window,
) -> Flow {
    let place = |place| if window.send((name.clone(), place)).is_ok() { Flow::Continue } else { Flow::Stop };
    match input {
        Input::Unusable(error) => place(Place::Failed(error)),
        Input::Picture(decode) => {
            let (sender, receiver) = oneshot::channel();
            if place(Place::Decoding(receiver)) == Flow::Stop {
                return Flow::Stop;
            }
            let pipeline = pipeline.clone();
            decoders.run(move || {
                let offered = Instant::now();
                let running = decode().and_then(|frame| submit(&pipeline, frame, options.thresholds, offered));
                if sender.send(running).is_err() {
                    tracing::debug!("a picture that nobody waits for any more");
                }
            });
            Flow::Continue
        }
        Input::Video(open) => match open().and_then(|source| play(pipeline, name, source, options, window)) {
            Ok(flow) => flow,
            Err(error) => place(Place::Failed(error.to_string())),
        },
    }
}

/// Plays a video to its end; an error that comes before the first frame is returned.
fn play(
    pipeline: &Arc<Pipeline>,
    name: &Arc<str>,
    source: Box<dyn Source>,
    options: OfflineOptions,
    window: &Window,
) -> Result<Flow, SourceError> {
    let (ended, end) = sync_channel(1);
    let sink = WindowSink { pipeline: pipeline.clone(), name: name.clone(), options, window: window.clone(), ended };
    let handle = source.start(Box::new(sink))?;
    // The sink is dropped with the source: no message is an end, too.
    let outcome = end.recv().unwrap_or(Ok(Flow::Continue));
    drop(handle);
    outcome
}

/// Puts each frame of a video into the window, on the decoder's thread; a full window holds the decoder.
struct WindowSink {
    pipeline: Arc<Pipeline>,
    name: Arc<str>,
    options: OfflineOptions,
    window: Window,
    ended: SyncSender<Result<Flow, SourceError>>,
}

impl FrameSink for WindowSink {
    fn frame(&mut self, frame: Frame) -> Flow {
        if !frame.frame_id.is_multiple_of(self.options.every.max(1)) {
            return Flow::Continue;
        }
        let place = match submit(&self.pipeline, frame, self.options.thresholds, Instant::now()) {
            Ok(running) => Place::Running(running),
            Err(error) => Place::Failed(error),
        };
        if self.window.send((self.name.clone(), place)).is_ok() { Flow::Continue } else { Flow::Stop }
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        if self.ended.send(outcome.map(|()| Flow::Continue)).is_err() {
            tracing::debug!("a video that nobody waits for any more");
        }
    }
}

fn submit(
    pipeline: &Pipeline,
    frame: Frame,
    thresholds: Thresholds,
    offered: Instant,
) -> Result<ResultReceiver, String> {
    let (sender, receiver) = oneshot::channel();
    match pipeline.submit(Arc::new(frame), thresholds, offered, sender) {
        Ok(()) => Ok(receiver),
        Err((full, _sender)) => Err(full.to_string()),
    }
}
