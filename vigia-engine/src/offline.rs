//! Pictures and files through a pipeline as fast as it goes: in order, nothing dropped, a bounded number under way.
//!
//! A reading thread hands pictures to a pool that decodes them and starts videos one by one; each picture or frame gets
//! its place in an ordered window. The caller takes results from the front of the window. A full window holds the
//! reader, and with it a file's decoder. A live source is never held up: what finds the window full is skipped, counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use vigia_core::detection::Thresholds;
use vigia_core::frame::Frame;
use vigia_core::result::FrameResult;
use vigia_core::source::{EncodedPicture, Flow, FrameSink, Source, SourceError};

use crate::batcher::Picture;
use crate::pipeline::{self, Pipeline, ResultReceiver};
use crate::worker::{StopFlag, Worker, WorkerPool};

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
/// `on_event` says [`Flow::Stop`] or `stop` is set, also while a source says nothing.
///
/// # Errors
/// When the system gives no thread.
pub fn run(
    pipeline: &Arc<Pipeline>,
    inputs: impl Iterator<Item = (Arc<str>, Input)> + Send + 'static,
    options: OfflineOptions,
    stop: &StopFlag,
    mut on_event: impl FnMut(&Arc<str>, Event) -> Flow,
) -> std::io::Result<()> {
    let (window, places) = sync_channel(options.window.max(1));
    let decoders = WorkerPool::start("decode", options.decoders, options.decoders)?;
    let pipeline = pipeline.clone();
    let reader = Worker::start("read", move |ending| {
        let reader = Reader { pipeline, decoders, options, window, ending: ending.clone() };
        for (name, input) in inputs {
            let flow = reader.read(&name, input);
            if flow == Flow::Stop || reader.place(&name, Place::Done) == Flow::Stop {
                break;
            }
        }
    })?;
    take(&places, stop, &mut on_event);
    // Whoever waits for a place in the window learns that there is none any more; dropping the reader tells the others.
    drop(places);
    drop(reader);
    Ok(())
}

/// How soon a stop is noticed while a source says nothing.
const NOTICE: Duration = Duration::from_millis(100);

fn take(places: &Receiver<(Arc<str>, Place)>, stop: &StopFlag, on_event: &mut impl FnMut(&Arc<str>, Event) -> Flow) {
    loop {
        let (name, place) = match places.recv_timeout(NOTICE) {
            Ok(place) => place,
            Err(RecvTimeoutError::Timeout) if !stop.is_set() => continue,
            Err(_stopped_or_over) => return,
        };
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
        if on_event(&name, event) == Flow::Stop || stop.is_set() {
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

/// What the reading thread has.
struct Reader {
    pipeline: Arc<Pipeline>,
    decoders: WorkerPool,
    options: OfflineOptions,
    window: Window,
    ending: StopFlag,
}

impl Reader {
    fn place(&self, name: &Arc<str>, place: Place) -> Flow {
        if self.window.send((name.clone(), place)).is_ok() { Flow::Continue } else { Flow::Stop }
    }

    fn read(&self, name: &Arc<str>, input: Input) -> Flow {
        match input {
            Input::Unusable(error) => self.place(name, Place::Failed(error)),
            Input::Picture(decode) => self.picture(name, decode),
            Input::Video(open) => match open().and_then(|source| self.play(name, source)) {
                Ok(flow) => flow,
                Err(error) => self.place(name, Place::Failed(error.to_string())),
            },
        }
    }

    fn picture(&self, name: &Arc<str>, decode: DecodePicture) -> Flow {
        let (sender, receiver) = oneshot::channel();
        if self.place(name, Place::Decoding(receiver)) == Flow::Stop {
            return Flow::Stop;
        }
        let (pipeline, thresholds) = (self.pipeline.clone(), self.options.thresholds);
        self.decoders.run(move || {
            let offered = Instant::now();
            let running = decode().map(|frame| {
                let (deliver, running) = pipeline::receiver();
                pipeline.submit(Picture::Frame(Arc::new(frame)), thresholds, offered, deliver);
                running
            });
            if sender.send(running).is_err() {
                tracing::debug!("a picture that nobody waits for any more");
            }
        });
        Flow::Continue
    }

    /// Plays a video to its end; an error of the video as a whole is returned.
    fn play(&self, name: &Arc<str>, source: Box<dyn Source>) -> Result<Flow, SourceError> {
        let (ended, end) = sync_channel(1);
        let sink = WindowSink {
            pipeline: self.pipeline.clone(),
            name: name.clone(),
            options: self.options,
            window: self.window.clone(),
            ending: self.ending.clone(),
            skipped: 0,
            ended,
        };
        let handle = source.start(Box::new(sink))?;
        let (skipped, outcome) = loop {
            match end.recv_timeout(NOTICE) {
                Ok(end) => break end,
                Err(RecvTimeoutError::Timeout) if !self.ending.is_set() => {}
                // The sink is dropped with the source: no message is an end, too.
                Err(_stopped_or_gone) => break (0, Ok(())),
            }
        };
        drop(handle);
        if skipped > 0 && self.place(name, Place::Skipped(skipped)) == Flow::Stop {
            return Ok(Flow::Stop);
        }
        outcome.map(|()| Flow::Continue)
    }
}

/// Puts each frame of a video into the window, on the decoder's thread.
struct WindowSink {
    pipeline: Arc<Pipeline>,
    name: Arc<str>,
    options: OfflineOptions,
    window: Window,
    ending: StopFlag,
    skipped: u64,
    ended: SyncSender<(u64, Result<(), SourceError>)>,
}

impl FrameSink for WindowSink {
    fn frame(&mut self, frame: Frame) -> Flow {
        // Frames that are left out touch no window that would tell.
        if self.ending.is_set() {
            return Flow::Stop;
        }
        if !frame.frame_id.is_multiple_of(self.options.every.max(1)) {
            return Flow::Continue;
        }
        let (deliver, running) = pipeline::receiver();
        let place = (self.name.clone(), Place::Running(running));
        let is_live = frame.captured_at.is_some();
        // A file waits for its place. A camera does not wait: holding it up would only make everything later.
        let sent = if is_live { self.window.try_send(place) } else { self.window.send(place).map_err(Into::into) };
        match sent {
            Ok(()) => {
                self.pipeline.submit(Picture::Frame(Arc::new(frame)), self.options.thresholds, Instant::now(), deliver);
                Flow::Continue
            }
            Err(TrySendError::Full(_)) => {
                self.skipped += 1;
                Flow::Continue
            }
            Err(TrySendError::Disconnected(_)) => Flow::Stop,
        }
    }

    /// Nothing that listens is read here.
    fn picture(&mut self, _picture: EncodedPicture) -> Flow {
        Flow::Stop
    }

    fn trouble(&mut self, error: &SourceError) {
        tracing::warn!(source = %self.name, %error, "the source goes on");
    }

    fn end(&mut self, outcome: Result<(), SourceError>) {
        if self.ended.send((self.skipped, outcome)).is_err() {
            tracing::debug!("a video that nobody waits for any more");
        }
    }
}
