//! The streams of a configuration: GStreamer's sources in front of the engine's streams.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use vigia_core::backoff::Backoff;
use vigia_core::id::{StreamId, StreamRef};
use vigia_core::source::Source;
use vigia_engine::metrics::Metrics;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::stream::StreamOptions;
use vigia_media::{IngestOptions, MediaSource, Pace};

use crate::app::Served;
use crate::config::{Config, StreamConfig};
use crate::live::{LiveSource, LiveStream};

/// A camera that does not know our password may lock us out if it is asked too often.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(30);

/// The streams of a configuration, over pipelines that are served.
///
/// # Errors
/// When the system gives no thread, and when a stream's pipeline is not served.
pub fn start(config: &Config, served: &Served, metrics: &Metrics) -> io::Result<BTreeMap<String, Arc<LiveStream>>> {
    let mut streams = BTreeMap::new();
    for (id, stream) in &config.streams {
        let pipeline = served.pipelines.iter().find(|served| served.wire.name == stream.pipeline);
        let pipeline = pipeline
            .ok_or_else(|| io::Error::other(format!("stream {id}: its pipeline {} is not served", stream.pipeline)))?;
        let live = start_one(id, stream, &pipeline.pipeline, metrics)?;
        streams.insert(id.clone(), Arc::new(live));
    }
    Ok(streams)
}

fn start_one(id: &str, config: &StreamConfig, pipeline: &Arc<Pipeline>, metrics: &Metrics) -> io::Result<LiveStream> {
    let stream = StreamRef { id: StreamId::new(id), generation: 0 };
    let ingest = IngestOptions { pace: Pace::Live, inactivity_timeout: config.timeout, ..IngestOptions::default() };
    let (address, reference) = (config.source.clone(), stream.clone());
    let open = move || {
        let source = MediaSource::open(&address, reference.clone(), ingest.clone())?;
        Ok(Box::new(source) as Box<dyn Source>)
    };
    let source = LiveSource {
        stream,
        shown: vigia_media::redact(&config.source),
        open: Box::new(open),
        pipeline_name: config.pipeline.clone(),
        pipeline: pipeline.clone(),
    };
    let options = StreamOptions {
        thresholds: pipeline.detector().spec().thresholds,
        every: config.every,
        max_fps: config.max_fps,
        keep: 1,
        repeat: config.repeat,
        backoff: Backoff { initial: config.retry.initial, max: config.retry.max },
        unauthorized_pause: UNAUTHORIZED_PAUSE,
    };
    LiveStream::start(source, options, metrics.stream(id))
}
