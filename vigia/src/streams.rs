//! The dictionary of streams: those of the configuration file and those that were added over the API, which are the same
//! thing. Adding, changing, removing, reloading; what was added survives a restart.

mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vigia_core::admission::CachePolicy;
use vigia_core::backoff::Backoff;
use vigia_core::event::EndedTrack;
use vigia_core::id::StreamRef;
use vigia_core::source::SourceError;
use vigia_engine::hub::{Hub, Subscription};
use vigia_engine::metrics::Metrics;
use vigia_engine::pipeline::Pipeline;
use vigia_engine::registry::{AddError, Registry};
use vigia_engine::stream::{Feed, Means, StreamOptions};

use crate::config::{Config, StreamConfig, check_stream_id, hidden};
use crate::error::{ApiError, Code, said};
use crate::events::Events;
use crate::live::{LiveStream, News, Parts};
use crate::news::Notice;
use crate::wire::{self, Reloaded};
use store::Store;

/// A camera that does not know our password may lock us out if it is asked too often.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(30);
/// How long a port may take to be free again, and how often that is looked at.
const PORT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);
/// The source of a stream whose frames are pushed.
pub const PUSH: &str = "push";

/// A source that is ready to be used.
pub struct Opened {
    /// Where frames come from.
    pub feed: Feed,
    /// The source as it may be shown.
    pub shown: String,
    /// Where to connect, for one that listens.
    pub url: Option<String>,
}

/// Turns the source of a configuration into frames; all but `push`.
pub trait OpenFeed: Send + Sync {
    /// Understands the address; connects to nothing. A source that listens does so from now on.
    ///
    /// # Errors
    /// When there can never be a frame from it: no such file, an address that is none, a port in use.
    fn open(&self, stream: &StreamRef, config: &StreamConfig) -> Result<Opened, SourceError>;
}

/// For a server that is built without GStreamer: frames can only be pushed.
#[derive(Clone, Copy, Debug)]
pub struct PushedOnly;

impl OpenFeed for PushedOnly {
    fn open(&self, _stream: &StreamRef, _config: &StreamConfig) -> Result<Opened, SourceError> {
        let why = "this vigia was built without GStreamer: frames can only be pushed (source: push)";
        Err(SourceError::NotFound(why.to_owned()))
    }
}

/// What streams are made of.
pub struct Workshop {
    /// Opens sources.
    pub feeds: Arc<dyn OpenFeed>,
    /// Pipelines by name.
    pub pipelines: BTreeMap<String, Arc<Pipeline>>,
    /// What they share.
    pub means: Means,
    /// Where they count.
    pub metrics: Metrics,
    /// Takes a track that ended, and the name of its class; must not block.
    pub ended: Arc<dyn Fn(EndedTrack, String) + Send + Sync>,
}

/// Which place a stream takes.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// One of its own.
    New,
    /// The one that it had before the server started anew: it shows what is wrong with it, as nobody waits for an answer.
    Restored,
    /// That of the one that was taken out under its id.
    Again,
}

/// The streams that there are.
pub struct Streams {
    registry: Registry<LiveStream>,
    workshop: Workshop,
    changes: Arc<Hub<Notice>>,
    /// One change of the dictionary at a time; holds the streams of the file as it was read last, but for those that could
    /// not be started.
    file: Arc<Mutex<BTreeMap<String, StreamConfig>>>,
    store: Arc<Store>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Streams {
    /// No streams yet, and at most `limit` ever. What is added over the API is kept in `store`, where there is one. Their
    /// changes of state are told where `events` are.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(workshop: Workshop, limit: usize, store: Option<PathBuf>, events: &Events) -> std::io::Result<Self> {
        Ok(Self {
            registry: Registry::after(limit, events.last_generation())?,
            workshop,
            changes: events.hub().clone(),
            file: Arc::default(),
            store: Arc::new(Store::new(store)),
        })
    }

    /// Starts the streams of the configuration, and those that were added over the API in an earlier life. One that cannot
    /// be started is logged and left out.
    pub fn start(&self, config: &Config) {
        let mut file = self.file.lock();
        file.clone_from(&config.streams);
        for (id, stream) in &config.streams {
            if let Err(error) = self.launch(id, stream, false, Place::New) {
                tracing::error!(stream = id, %error, "a stream of the configuration is left out");
                file.remove(id);
            }
        }
        for (id, stream) in self.store.load() {
            if config.streams.contains_key(&id) {
                tracing::warn!(
                    stream = id,
                    "the configuration has a stream of this id: the one that was added is left out"
                );
                continue;
            }
            if let Err(error) =
                self.check(config, &id, &stream).and_then(|()| self.launch(&id, &stream, true, Place::Restored))
            {
                tracing::error!(stream = id, %error, "a stream that was added is left out");
            }
        }
    }

    /// Whether there could be such a stream: its id, its values, its pipeline.
    ///
    /// # Errors
    /// What is wrong, by key.
    pub fn check(&self, config: &Config, id: &str, stream: &StreamConfig) -> Result<(), ApiError> {
        // A model that was asked for on the command line is a pipeline, too, of which the configuration knows nothing.
        let checked = if self.workshop.pipelines.contains_key(&stream.pipeline) {
            check_stream_id(id).map_err(|why| format!("id: {why}")).and_then(|()| stream.validate())
        } else {
            config.check_stream(id, stream)
        };
        checked.map_err(|why| ApiError::new(Code::InvalidStream, why))
    }

    /// All of them, in the order of their ids.
    pub fn list(&self) -> Vec<Arc<LiveStream>> {
        self.registry.list()
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of this id.
    pub fn get(&self, id: &str) -> Result<Arc<LiveStream>, ApiError> {
        self.registry.get(id).ok_or_else(|| unknown(id))
    }

    /// Adds one over the API. An id whose stream is over may be taken again.
    ///
    /// # Errors
    /// When the id is in use, there are too many, or the source cannot be used.
    pub fn add(&self, id: &str, config: &StreamConfig) -> Result<Arc<LiveStream>, ApiError> {
        let file = self.file.lock();
        let over = self.registry.get(id).filter(|old| old.is_over());
        let place = if over.is_some() { Place::Again } else { Place::New };
        if let Some(over) = &over {
            self.may_start_anew()?;
            if !over.listens() {
                // Now, while what is shown of the old one is still there.
                self.options(config)?;
                self.open(over.stream(), config).map_err(|error| unusable(&error))?;
            }
            self.take_out(id);
        }
        let added = self.launch(id, config, true, place);
        match &added {
            Ok(_) => self.store.put(id, Some(config)),
            Err(_) if over.is_some_and(|old| old.is_added()) => self.store.put(id, None),
            Err(_) => {}
        }
        drop(file);
        added
    }

    /// Changes one: in place where that is possible, else it starts anew as a new generation.
    ///
    /// # Errors
    /// When there is none, or its new source cannot be used; it then goes on as it was.
    pub fn change(
        &self,
        id: &str,
        edit: impl FnOnce(&StreamConfig) -> Result<StreamConfig, ApiError>,
    ) -> Result<Arc<LiveStream>, ApiError> {
        let file = self.file.lock();
        let stream = self.get(id)?;
        let before = stream.config();
        let mut config = edit(&before)?;
        // Somebody sends back what they were shown, without the password.
        if config.source == stream.source() {
            config.source.clone_from(&before.source);
        }
        // A port that both listen on is free only once the stream is gone.
        let same_port = stream.listens() && config.source == before.source;
        if before.restarts(&config) && !same_port {
            // Now, while the stream still goes on as it is.
            self.open(stream.stream(), &config).map_err(|error| unusable(&error))?;
        }
        let is_added = stream.is_added();
        if before.restarts(&config) || stream.is_over() {
            self.may_start_anew()?;
        }
        let changed = self.apply(id, &stream, &config)?;
        if is_added {
            self.store.put(id, Some(&config));
        }
        drop(file);
        Ok(changed)
    }

    fn apply(&self, id: &str, stream: &Arc<LiveStream>, config: &StreamConfig) -> Result<Arc<LiveStream>, ApiError> {
        let before = stream.config();
        if !before.restarts(config) && !stream.is_over() {
            stream.reconfigure(config.clone(), self.options(config)?);
            return Ok(stream.clone());
        }
        let is_added = stream.is_added();
        // What cannot work is found out first, as far as possible; a port that both listen on is free only after.
        self.options(config)?;
        self.take_out(id);
        wait_for_port(stream);
        self.launch(id, config, is_added, Place::Again).inspect_err(|_error| {
            if let Err(error) = self.launch(id, &before, is_added, Place::Again) {
                tracing::error!(stream = id, %error, "the stream could not go on as it was");
            }
        })
    }

    /// Removes one; it ends by and by, and nothing of it is seen any more.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&self, id: &str) -> Result<(), ApiError> {
        let file = self.file.lock();
        let removed = self.take_out(id).ok_or_else(|| unknown(id))?;
        if removed.is_added() {
            self.store.put(id, None);
        }
        drop(file);
        Ok(())
    }

    /// Applies what differs between the streams of `new` and those of the configuration as it was read last, and brings
    /// back those of it that have ended or were removed; touches nothing else.
    ///
    /// # Errors
    /// When something of it cannot be; nothing was changed then.
    pub fn reload(&self, new: &Config) -> Result<Reloaded, ApiError> {
        let mut file = self.file.lock();
        // One that the file has and that has ended, or is gone, differs as well.
        let is_there = |id: &str| self.registry.get(id).is_some_and(|stream| !stream.is_over());
        let differs = |id: &String, config: &StreamConfig| file.get(id) != Some(config) || !is_there(id);
        let changed: Vec<_> = new.streams.iter().filter(|(id, config)| differs(id, config)).collect();
        for (id, config) in &changed {
            if self.registry.get(id).is_some_and(|stream| stream.is_added() && !stream.is_over()) {
                let detail = format!("streams.{id}: a stream of this id was added over the API: remove that one first");
                return Err(ApiError::new(Code::StreamExists, detail));
            }
            self.options(config).map_err(|error| error.within(&format!("streams.{id}")))?;
        }
        let gone: Vec<String> = file.keys().filter(|id| !new.streams.contains_key(*id)).cloned().collect();
        let mut reloaded = Reloaded::default();
        for id in gone {
            if self.registry.get(&id).is_some_and(|stream| !stream.is_added())
                && let Some(removed) = self.take_out(&id)
            {
                wait_for_port(&removed);
                reloaded.removed.push(id);
            }
        }
        for (id, config) in changed {
            let outcome = match self.registry.get(id) {
                // It is over: from now on the id is the file's.
                Some(stream) if stream.is_added() => self.may_start_anew().and_then(|()| {
                    self.take_out(id);
                    wait_for_port(&stream);
                    self.store.put(id, None);
                    self.launch(id, config, false, Place::Again).map(|_| &mut reloaded.changed)
                }),
                Some(stream) => self.apply(id, &stream, config).map(|_| &mut reloaded.changed),
                None => self.launch(id, config, false, Place::New).map(|_| &mut reloaded.added),
            };
            match outcome {
                Ok(list) => list.push(id.clone()),
                Err(error) => {
                    tracing::error!(stream = id, %error, "a stream of the configuration is left out");
                    reloaded.failed.push(wire::FailedStream { id: id.clone(), error: error.to_string() });
                }
            }
        }
        file.clone_from(&new.streams);
        // The next time they are tried again; what goes on as it was is known as such, so that it can be removed.
        for wire::FailedStream { id, .. } in &reloaded.failed {
            match self.registry.get(id) {
                Some(stream) => file.insert(id.clone(), stream.config()),
                None => file.remove(id),
            };
        }
        Ok(reloaded)
    }

    /// Changes of state of all streams, and tracks that ended, from now on or after the one of this number.
    pub fn changes(&self, last: Option<u64>) -> Subscription<Notice> {
        self.changes.subscribe(last)
    }

    /// Takes no more streams and asks all to end, without waiting for it.
    pub fn close(&self) {
        self.registry.close();
    }

    fn take_out(&self, id: &str) -> Option<Arc<LiveStream>> {
        let removed = self.registry.remove(id);
        if removed.is_some() {
            self.workshop.metrics.forget_stream(id);
        }
        removed
    }

    fn may_start_anew(&self) -> Result<(), ApiError> {
        if self.registry.may_start_anew() {
            return Ok(());
        }
        let detail = "too many streams are still ending: one that starts anew has to wait; try again later";
        Err(ApiError::new(Code::TooManyStreams, detail))
    }

    fn launch(
        &self,
        id: &str,
        config: &StreamConfig,
        is_added: bool,
        place: Place,
    ) -> Result<Arc<LiveStream>, ApiError> {
        let options = self.options(config)?;
        let pipeline = self.pipeline(&config.pipeline)?.clone();
        let reserved = match place {
            Place::New | Place::Restored => self.registry.reserve(id),
            Place::Again => self.registry.reserve_again(id),
        };
        let reserved = reserved.map_err(|error| match error {
            AddError::InUse(_) => {
                let detail =
                    format!("id: there is a stream \"{}\" already: take another id, or change that one", said(id));
                ApiError::new(Code::StreamExists, detail)
            }
            AddError::Full(_) => ApiError::new(Code::TooManyStreams, format!("{error} (limits.streams)")),
            AddError::Closing => ApiError::new(Code::ShuttingDown, "the server is shutting down"),
        })?;
        let stream = reserved.stream().clone();
        let Opened { feed, shown, url } = match self.open(&stream, config) {
            Ok(opened) => opened,
            Err(error) if is_added && place != Place::Restored => return Err(unusable(&error)),
            // Nobody waits for an answer here: the stream shows what is wrong with it.
            // A port that is in use now may be free the next time.
            Err(error) => {
                let (feeds, stream, config) = (self.workshop.feeds.clone(), stream.clone(), config.clone());
                let (shown, mut first) = (hidden(&config.source), Some(error));
                let open = move || match first.take() {
                    Some(error) => Err(error),
                    None => match feeds.open(&stream, &config)?.feed {
                        Feed::Pulled(mut open) | Feed::Listening(mut open) => open(),
                        Feed::Pushed => Err(SourceError::NotFound("frames of this source are pushed".to_owned())),
                    },
                };
                Opened { feed: Feed::Pulled(Box::new(open)), shown, url: None }
            }
        };
        let (remover, metrics, store) = (self.registry.remover(), self.workshop.metrics.clone(), self.store.clone());
        let (this, file) = (stream.clone(), self.file.clone());
        let gone = move || {
            // Nobody takes the id in between: what follows would be done to that stream.
            let _one_change_at_a_time = file.lock();
            if remover.remove(&this).is_some() {
                metrics.forget_stream(this.id.as_str());
                if is_added {
                    store.put(this.id.as_str(), None);
                }
            }
        };
        let (ended, spec) = (self.workshop.ended.clone(), pipeline.detector().spec().clone());
        let ended = move |track: EndedTrack| {
            let class = spec.label(track.class_id);
            ended(track, class);
        };
        let parts = Parts {
            stream,
            config: config.clone(),
            source: shown,
            url,
            feed,
            pipeline,
            options,
            is_added,
            news: News::new(self.changes.clone()),
            ended: Box::new(ended),
            gone: Box::new(gone),
        };
        let metrics = self.workshop.metrics.stream(id);
        let live = LiveStream::start(parts, self.workshop.means.clone(), metrics).map_err(|error| {
            self.workshop.metrics.forget_stream(id);
            ApiError::new(Code::Overloaded, format!("the system gives no thread for the stream: {error}"))
        })?;
        let live = Arc::new(live);
        reserved.fill(&live);
        Ok(live)
    }

    fn open(&self, stream: &StreamRef, config: &StreamConfig) -> Result<Opened, SourceError> {
        if config.source == PUSH {
            let url = Some(format!("/v1/streams/{}/frames", stream.id));
            return Ok(Opened { feed: Feed::Pushed, shown: PUSH.to_owned(), url });
        }
        self.workshop.feeds.open(stream, config)
    }

    fn pipeline(&self, name: &str) -> Result<&Arc<Pipeline>, ApiError> {
        self.workshop.pipelines.get(name).ok_or_else(|| {
            let known: Vec<_> = self.workshop.pipelines.keys().map(String::as_str).collect();
            let detail = format!("pipeline: \"{}\" is not served; there is {}", said(name), known.join(", "));
            ApiError::new(Code::InvalidStream, detail)
        })
    }

    fn options(&self, config: &StreamConfig) -> Result<StreamOptions, ApiError> {
        let thresholds = self.pipeline(&config.pipeline)?.detector().spec().thresholds;
        Ok(StreamOptions {
            thresholds,
            every: config.every,
            max_fps: config.max_fps,
            cache: CachePolicy::from(config.cache),
            latency: config.latency,
            timeout: config.timeout,
            linger: config.linger,
            repeat: config.repeat,
            backoff: Backoff { initial: config.retry.initial, max: config.retry.max },
            unauthorized_pause: UNAUTHORIZED_PAUSE,
        })
    }
}

/// Waits until a stream that was taken out listens no more: somebody may want its port. It does not take long; one that
/// takes longer is left to itself.
fn wait_for_port(stream: &LiveStream) {
    let until = Instant::now() + PORT;
    while stream.listens() && !stream.is_over() && Instant::now() < until {
        std::thread::sleep(LOOK);
    }
}

fn unusable(error: &SourceError) -> ApiError {
    ApiError::new(Code::SourceUnusable, format!("source: {error}"))
}

fn unknown(id: &str) -> ApiError {
    let detail = format!("there is no stream \"{}\": GET /v1/streams lists those that there are", said(id));
    ApiError::new(Code::UnknownStream, detail)
}
