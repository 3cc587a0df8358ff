//! Pictures and files through a pipeline as fast as it goes: in order, nothing dropped, a bounded number under way.
//!
//! A reading thread hands pictures to a pool that decodes them and starts videos one by one; each picture or frame gets
//! its place in an ordered window. The caller takes results from the front of the window. A full window holds the
//! reader, and with it a file's decoder. A live source is never held up: what finds the window full is skipped, counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
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

impl OfflineOptions {
    /// A window in which each instance of the detector finds its next batch waiting while it runs one; more would only
    /// hold memory. What is under way always fits into the detector's queue: one request may be at each end of the window.
    pub fn window_for(pipeline: &Pipeline, decoders: usize) -> usize {
        let detector = pipeline.detector();
        let queue = detector.policy().queue;
        (detector.capacity() * 2 + decoders).min(queue.saturating_sub(2)).max(1)
    }
}

/// What happened, in the order of the inputs.
#[derive(Debug)]
pub enum Event {
    /// A picture or frame has its result.
    Result(Box<FrameResult>),
    /// A picture, a frame or the rest of a video could not be done.
    Failed(String),
    /// So many frames of a live source came while the models were busy, and were left out.
    Skipped(u64),
    /// An input is over; nothing more comes from it.
    Done,
}

/// A place in the window.
enum Place {
    Decoding(oneshot::Receiver<Result<ResultReceiver, String>>),
    Running(ResultReceiver),
    Failed(String),
    Skipped(u64),
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
            Place::Skipped(frames) => Event::Skipped(frames),
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
                let running = decode().map(|frame| {
                    let (result, running) = oneshot::channel();
                    pipeline.submit(Arc::new(frame), options.thresholds, offered, result);
                    running
                });
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

/// Plays a video to its end; an error of the video as a whole is returned.
fn play(
    pipeline: &Arc<Pipeline>,
    name: &Arc<str>,
    source: Box<dyn Source>,
    options: OfflineOptions,
    window: &Window,
) -> Result<Flow, SourceError> {
    let (ended, end) = sync_channel(1);
    let sink = WindowSink {
        pipeline: pipeline.clone(),
        name: name.clone(),
        options,
        window: window.clone(),
        skipped: 0,
        ended,
    };
    let handle = source.start(Box::new(sink))?;
    // The sink is dropped with the source: no message is an end, too.
    let (skipped, outcome) = end.recv().unwrap_or((0, Ok(())));
    drop(handle);
    if skipped > 0 && window.send((name.clone(), Place::Skipped(skipped))).is_err() {
        return Ok(Flow::Stop);
    }
    outcome.map(|()| Flow::Continue)
}

/// Puts each frame of a video into the window, on the decoder's thread.
struct WindowSink {
    pipeline: Arc<Pipeline>,
    name: Arc<str>,
    options: OfflineOptions,
    window: Window,
    skipped: u64,
    ended: SyncSender<(u64, Result<(), SourceError>)>,
}

impl FrameSink for WindowSink {
    fn frame(&mut self, frame: Frame) -> Flow {
        if !frame.frame_id.is_multiple_of(self.options.every.max(1)) {
            return Flow::Continue;
        }
        let (result, running) = oneshot::channel();
        let place = (self.name.clone(), Place::Running(running));
        let is_live = frame.captured_at.is_some();
        // A file waits for its place. A camera does not wait: holding it up would only make everything later.
        let sent = if is_live { self.window.try_send(place) } else { self.window.send(place).map_err(Into::into) };
        match sent {
            Ok(()) => {
                self.pipeline.submit(Arc::new(frame), self.options.thresholds, Instant::now(), result);
                Flow::Continue
            }
            Err(TrySendError::Full(_)) => {
                self.skipped += 1;
                Flow::Continue
            }
            Err(TrySendError::Disconnected(_)) => Flow::Stop,
        }
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        if self.ended.send((self.skipped, outcome)).is_err() {
            tracing::debug!("a video that nobody waits for any more");
        }
    }
}
