//! What tests are made of: frames without a decoder, models without an engine, [`live`] streams, [`damaged`] pictures.

pub mod damaged;
pub mod live;

pub use live::PushedSource;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use vigia_core::backend::{Answer, Backend, Cost, InferError, Output, Region, Request};
use vigia_core::batching::BatchPolicy;
use vigia_core::detection::{Detection, Thresholds};
use vigia_core::frame::{Colour, Frame, Image, PixelFormat};
use vigia_core::geometry::{BBox, Point, Size};
use vigia_core::id::{ModelId, StreamId, StreamRef};
use vigia_core::landmarks::Landmarks;
use vigia_core::model::{Channels, Family, Fit, InputSpec, ModelSpec, Scaling};
use vigia_engine::batcher::{BackendFactory, Batcher, Decode, Encoded, Picture};
use vigia_engine::metrics::ModelMetrics;
use vigia_engine::worker::WorkerPool;

/// Lets real time pass, for what is about the time between things itself.
pub fn pause(pause: Duration) {
    std::thread::sleep(pause);
}

/// Grey pixels, 64 × 48.
pub fn image() -> Image {
    let size = Size::new(64, 48);
    let pixels = Arc::new(vec![114; 64 * 48]);
    Image::new(PixelFormat::Gray, size, [64, 0, 0], Colour::default(), pixels).expect("long enough")
}

/// The first life of a stream.
pub fn stream_ref(stream: &str) -> StreamRef {
    StreamRef { id: StreamId::new(stream), generation: 0 }
}

/// A grey 64 × 48 frame of a stream.
pub fn frame(stream: &str, frame_id: u64) -> Arc<Frame> {
    let stream = stream_ref(stream);
    Arc::new(Frame { stream, frame_id, captured_at: None, pts: None, image: image(), decode: None })
}

/// A picture of a stream that `decode` decodes on `pool` when its turn has come.
pub fn encoded(
    stream: &str,
    pool: &Arc<WorkerPool>,
    decode: impl FnOnce() -> Result<Frame, InferError> + Send + 'static,
) -> Picture {
    let decode: Decode = Box::new(decode);
    Picture::Encoded(Encoded { owner: stream_ref(stream), pool: pool.clone(), decode })
}

/// A model that takes batches of up to `max_batch` and is otherwise of no family in particular.
pub fn spec(name: &str, max_batch: usize) -> ModelSpec {
    ModelSpec {
        id: ModelId::new(name),
        family: Family::YoloX,
        input: InputSpec {
            size: Size::new(32, 32),
            channels: Channels::Rgb,
            mean: [0.0; 3],
            scale: [1.0; 3],
            fit: Fit::Stretch,
            scaling: Scaling::Bilinear,
        },
        labels: Arc::from(["thing".to_owned()]),
        thresholds: Thresholds { confidence: 0.5, iou: 0.5 },
        min_batch: 1,
        max_batch,
    }
}

/// What a [`ScriptedBackend`] does with a batch.
pub type Script = Arc<dyn Fn(&[Request]) -> Result<Vec<Result<Output, InferError>>, InferError> + Send + Sync>;

/// A model whose answers a test writes.
pub struct ScriptedBackend {
    spec: ModelSpec,
    script: Script,
}

impl ScriptedBackend {
    /// Answers with what `script` says.
    pub fn boxed(spec: ModelSpec, script: Script) -> Box<dyn Backend> {
        Box::new(Self { spec, script })
    }
}

impl Backend for ScriptedBackend {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn run(&mut self, batch: &[Request], out: &mut Vec<Answer>) -> Result<(), InferError> {
        let cost = Cost { inference: Duration::from_millis(1), ..Cost::default() };
        out.extend((self.script)(batch)?.into_iter().map(|output| Answer { output, cost }));
        Ok(())
    }
}

/// The threads of a scripted model that takes batches of up to `max_batch` and lets `queue` requests wait.
pub fn batcher(name: &str, max_batch: usize, queue: usize, instances: usize, script: Script) -> Batcher {
    batcher_with(&spec(name, max_batch), queue, instances, script, ModelMetrics::default())
}

/// The same with a specification and metrics of its own.
pub fn batcher_with(
    spec: &ModelSpec,
    queue: usize,
    instances: usize,
    script: Script,
    metrics: ModelMetrics,
) -> Batcher {
    let made = spec.clone();
    let factory: BackendFactory = Arc::new(move || Ok(ScriptedBackend::boxed(made.clone(), script.clone())));
    let ahead = instances * spec.max_batch + 2;
    let policy = BatchPolicy { max_batch: spec.max_batch, queue, linger: Duration::ZERO, ahead };
    Batcher::start(spec, &factory, instances, policy, metrics).expect("threads")
}

/// The same detections in every picture.
pub fn finds(detections: Vec<Detection>) -> Script {
    Arc::new(move |batch| Ok(batch.iter().map(|_| Ok(Output::Detections(detections.clone()))).collect()))
}

/// One detection per request, a box whose left edge is the frame's number.
pub fn boxes_by_frame() -> Script {
    Arc::new(|batch| {
        let answer = |request: &Request| {
            let x1 = request.frame.frame_id as f32;
            let bbox = BBox { x1, y1: 0.0, x2: x1 + 30.0, y2: 30.0 };
            Ok(Output::Detections(vec![Detection::new(0, 0.9, bbox)]))
        };
        Ok(batch.iter().map(answer).collect())
    })
}

/// The top-left corner of each crop as its one landmark.
pub fn corner_landmarks() -> Script {
    Arc::new(|batch| {
        let answer = |request: &Request| {
            let corner = match request.roi {
                Some(Region::Box(roi)) => Point { x: roi.x1, y: roi.y1 },
                Some(Region::Aligned(map)) => map.point(Point::default()),
                None => Point::default(),
            };
            Ok(Output::Landmarks(Landmarks { points: vec![corner] }))
        };
        Ok(batch.iter().map(answer).collect())
    })
}

/// A gate that a scripted backend waits at, so that a test decides when a batch goes on: no clock, no sleep.
pub struct Gate {
    entered: Receiver<()>,
    open: SyncSender<()>,
}

impl Gate {
    /// A script that waits at the gate with each batch, and the gate.
    pub fn before(script: Script) -> (Script, Self) {
        let (enter, entered) = sync_channel(1024);
        let (open, opened) = sync_channel::<()>(1024);
        let opened = std::sync::Mutex::new(opened);
        let gated: Script = Arc::new(move |batch| {
            // A gate that is gone is an open one.
            if enter.send(()).is_ok() {
                let _gone = opened.lock().expect("no batch panics while it waits").recv();
            }
            script(batch)
        });
        (gated, Self { entered, open })
    }

    /// Waits until a batch stands at the gate.
    pub fn wait_for_batch(&self) {
        self.entered.recv().expect("the backend lives");
    }

    /// Lets one batch through.
    pub fn open(&self) {
        self.open.send(()).expect("the backend lives");
    }
}
