//! Events to keep, and how to look at what was kept.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use vigia::config::EventsConfig;
use vigia::error::{ApiError, Code};
use vigia::events::{Events, Query};
use vigia::news::Notice;
use vigia_core::event::EndedTrack;
use vigia_engine::hub::{Delivery, Subscription};

pub(crate) use crate::tracks::{bare, ended};

/// Longest that anything may take here; only what hangs gets there.
pub(crate) const GUARD: Duration = Duration::from_mins(2);

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + GUARD;
    while !is() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Events that a test looks at.
pub(crate) struct Kept {
    pub(crate) events: Events,
    runtime: Runtime,
}

impl Kept {
    /// In a folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self::open(&EventsConfig::default(), folder)
    }

    pub(crate) fn open(config: &EventsConfig, folder: &Path) -> Self {
        Self::of(Events::open(config, folder, GUARD).expect("they can be kept"))
    }

    pub(crate) fn of(events: Events) -> Self {
        Self { events, runtime: Builder::new_current_thread().enable_all().build().expect("a runtime") }
    }

    pub(crate) fn record(&self, ended: EndedTrack) {
        self.events.record(ended, "face".to_owned());
    }

    /// A page.
    pub(crate) fn page(&self, query: Query) -> Value {
        let page = self.runtime.block_on(self.events.list(query)).expect("it can be read");
        serde_json::from_slice(&page).expect("JSON")
    }

    /// All of them, page by page, the newest first.
    pub(crate) fn all(&self) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.page(Query { limit: 500, cursor, ..Query::default() });
            all.extend(page["events"].as_array().expect("a list").iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.parse().expect("a cursor")),
                None => return all,
            }
        }
    }

    /// The ids of all of them.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.all().iter().map(id).collect()
    }

    pub(crate) fn get(&self, id: &str) -> Result<Value, ApiError> {
        let found = self.runtime.block_on(self.events.get(id))?;
        Ok(serde_json::from_slice(&found).expect("JSON"))
    }

    pub(crate) fn picture(&self, id: &str) -> Result<bytes::Bytes, ApiError> {
        self.runtime.block_on(self.events.picture(id))
    }

    /// News from now on.
    pub(crate) fn news(&self) -> News<'_> {
        News { kept: self, news: self.events.news(None) }
    }

    /// The metrics that it shows.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut registry = prometheus_client::registry::Registry::with_prefix("vigia");
        self.events.metrics().register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| unreachable!("no {name} in {text}"))
    }
}

/// What is told.
pub(crate) struct News<'a> {
    kept: &'a Kept,
    news: Subscription<Notice>,
}

impl News<'_> {
    /// The next track that ended.
    pub(crate) fn next(&mut self) -> Value {
        let told = self.kept.runtime.block_on(async { tokio::time::timeout(GUARD, self.news.next()).await });
        match told.expect("it is told") {
            Some(Delivery::Item(_, Notice { kind, data })) => {
                assert_eq!(kind, Notice::TRACK_ENDED);
                serde_json::from_slice(&data).expect("JSON")
            }
            other => unreachable!("not {other:?}"),
        }
    }
}

/// An event's id.
pub(crate) fn id(event: &Value) -> String {
    event["id"].as_str().expect("an id").to_owned()
}

/// What is wrong, when it is of this kind.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, ApiError>, code: Code) -> String {
    let error = outcome.expect_err("refused");
    assert_eq!(error.code(), code, "{error}");
    error.to_string()
}

/// A program that is ended with its owner.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("it starts"))
    }

    /// It is no more.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("it can be asked").is_some()
    }

    /// SIGKILL; it has gone when this returns.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        self.0.wait().expect("its end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
