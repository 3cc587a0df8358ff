//! Sources of streams whose frames a test hands over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;
use vigia::config::StreamConfig;
use vigia::streams::{OpenFeed, Opened};
use vigia_core::id::StreamRef;
use vigia_core::source::{FrameSink, Source, SourceError, SourceHandle};
use vigia_engine::stream::Feed;

/// Where the sinks of a stream's source arrive, one for each time that it is opened.
pub(crate) type Sinks = Receiver<Box<dyn FrameSink>>;

type Senders = BTreeMap<String, SyncSender<Box<dyn FrameSink>>>;

/// The sources of a server, by the ids of their streams. An address that begins with `missing` cannot be used; one that
/// begins with `listen` waits for somebody to connect.
#[derive(Clone, Default)]
pub(crate) struct Sources(Arc<Mutex<Senders>>);

impl Sources {
    /// The sinks of the stream of this id, in whatever life, from now on.
    pub(crate) fn of(&self, id: &str) -> Sinks {
        let (sender, sinks) = sync_channel(64);
        self.0.lock().insert(id.to_owned(), sender);
        sinks
    }
}

impl OpenFeed for Sources {
    fn open(&self, stream: &StreamRef, config: &StreamConfig) -> Result<Opened, SourceError> {
        let shown = config.source.replace("secret", "***");
        if shown.starts_with("missing") {
            return Err(SourceError::NotFound(format!("there is no {shown}")));
        }
        let sinks = self.0.lock().get(stream.id.as_str()).cloned();
        let open = Box::new(move || Ok(Box::new(Scripted(sinks.clone())) as Box<dyn Source>));
        if shown.starts_with("listen") {
            let url = Some("tcp://127.0.0.1:5000".to_owned());
            return Ok(Opened { feed: Feed::Listening(open), shown, url });
        }
        Ok(Opened { feed: Feed::Pulled(open), shown, url: None })
    }
}

/// Hands its sink to the test, where that wants it.
struct Scripted(Option<SyncSender<Box<dyn FrameSink>>>);

struct Started;
impl SourceHandle for Started {}

impl Source for Scripted {
    fn start(self: Box<Self>, sink: Box<dyn FrameSink>) -> Result<Box<dyn SourceHandle>, SourceError> {
        if let Some(sinks) = self.0 {
            // A test that is over needs no sink.
            let _over = sinks.try_send(sink);
        }
        Ok(Box::new(Started))
    }
}
