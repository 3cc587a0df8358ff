//! GStreamer's sources, and sockets of their own, behind the streams.

use vigia_core::id::StreamRef;
use vigia_core::source::{Source, SourceError};
use vigia_engine::stream::Feed;
use vigia_media::{IngestOptions, Listener, MediaSource, Pace, Transport};

use crate::config::{StreamConfig, TransportName};
use crate::streams::{OpenFeed, Opened};

/// Opens what GStreamer knows, and listens.
#[derive(Debug)]
pub struct MediaFeeds {
    /// Most bytes of one picture that somebody sends to a socket.
    pub picture_limit: u64,
}

impl OpenFeed for MediaFeeds {
    fn open(&self, stream: &StreamRef, config: &StreamConfig) -> Result<Opened, SourceError> {
        let options = IngestOptions {
            pace: Pace::Live,
            inactivity_timeout: config.timeout,
            transport: transport(config.transport),
            picture_limit: self.picture_limit,
            ..IngestOptions::default()
        };
        let shown = vigia_media::redact(&config.source);
        let (address, stream) = (config.source.clone(), stream.clone());
        if vigia_media::is_listening(&address) {
            let listener = Listener::bind(&address)?;
            let url = Some(listener.url());
            // Whoever is silent has to make room for the next one before the stream itself ends for want of frames.
            let options = IngestOptions { inactivity_timeout: config.timeout / 3, ..options };
            let open = move || listener.source(stream.clone(), options.clone());
            return Ok(Opened { feed: Feed::Listening(Box::new(open)), shown, url });
        }
        // Mistakes show now, not when the stream's thread gets there.
        MediaSource::open(&address, stream.clone(), options.clone())?;
        let open = move || {
            let source = MediaSource::open(&address, stream.clone(), options.clone())?;
            Ok(Box::new(source) as Box<dyn Source>)
        };
        Ok(Opened { feed: Feed::Pulled(Box::new(open)), shown, url: None })
    }
}

fn transport(name: TransportName) -> Transport {
    match name {
        TransportName::Tcp => Transport::Tcp,
        TransportName::Udp => Transport::Udp,
        TransportName::Auto => Transport::Auto,
    }
}
