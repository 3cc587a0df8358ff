//! The dictionary of streams: who is there under which id.
//!
//! Each addition gets a generation of its own, so that nothing of an earlier life of an id reaches a later one. The lock is
//! held for looking up only: streams are started before they are put in and ended after they are taken out, the latter on
//! a thread of the registry's own, since a source may take its time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use vigia_core::id::{StreamId, StreamRef};

use crate::worker::Worker;

/// Streams that may still be ending while another one starts anew.
const ENDING: usize = 64;

/// What the dictionary holds.
pub trait Entry: Send + Sync + 'static {
    /// Asks for the end without waiting for it; what was taken in is still answered.
    fn stop(&self);
    /// Asks for the end without waiting for it; nobody wants what still waits.
    fn discard(&self);
    /// Waits for the end, which was asked for.
    fn join(&self);
}

/// Why a stream cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is one of this id.
    #[error("the id {0} is in use")]
    InUse(StreamId),
    /// As many are there, or are still ending, as may.
    #[error("there are {0} streams already, which is as many as may be")]
    Full(usize),
    /// The server is ending.
    #[error("the server is shutting down")]
    Closing,
}

/// The streams that there are. Dropping it ends them all and waits for it.
#[derive(Debug)]
pub struct Registry<S: Entry> {
    shared: Arc<Shared<S>>,
    reaper: Option<Worker>,
}

#[derive(Debug)]
struct Shared<S> {
    state: Mutex<State<S>>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug)]
struct State<S> {
    streams: BTreeMap<StreamId, (u64, Option<Arc<S>>)>,
    generation: u64,
    /// Taken out, being asked to end.
    asking: usize,
    /// Taken out, asked to end, not joined yet.
    leaving: VecDeque<Arc<S>>,
    /// The one that is being joined.
    joining: usize,
    closing: bool,
}

/// An id that nobody else can take. Dropping it without filling it gives the id back.
#[derive(Debug)]
pub struct Reservation<'a, S: Entry> {
    registry: &'a Registry<S>,
    stream: StreamRef,
    filled: bool,
}

/// Takes out one life of a stream; for those that end by themselves.
pub struct Remover<S>(Arc<Shared<S>>);

impl<S> Clone for Remover<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Entry> Remover<S> {
    /// Takes this life of the stream out, if it is still there.
    pub fn remove(&self, stream: &StreamRef) -> Option<Arc<S>> {
        let mut state = self.0.state.lock();
        state.place(stream)?;
        let (_, entry) = state.streams.remove(&stream.id)?;
        let entry = entry?;
        state.asking += 1;
        drop(state);
        // Whoever waits for its frames is told by this: not under the lock.
        entry.discard();
        // Only now: who joins it takes for granted that it was asked to end.
        let mut state = self.0.state.lock();
        state.asking -= 1;
        state.leaving.push_back(entry.clone());
        drop(state);
        self.0.changed.notify_all();
        Some(entry)
    }
}

impl<S: Entry> Registry<S> {
    /// A dictionary of at most `limit` streams.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(limit: usize) -> std::io::Result<Self> {
        Self::after(limit, 0)
    }

    /// The same, whose generations begin above `generation`: that of an earlier life of the program, as a rule.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn after(limit: usize, generation: u64) -> std::io::Result<Self> {
        let state = State {
            streams: BTreeMap::new(),
            generation,
            asking: 0,
            leaving: VecDeque::new(),
            joining: 0,
            closing: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), limit });
        let reaped = shared.clone();
        let reaper = Worker::start("stream-reaper", move |_stop| reap(&reaped))?;
        Ok(Self { shared, reaper: Some(reaper) })
    }

    /// Takes an id for a stream that is about to be started, under a new generation.
    ///
    /// # Errors
    /// When the id is in use, there are too many, or the server is ending.
    pub fn reserve(&self, id: &str) -> Result<Reservation<'_, S>, AddError> {
        // Those that are still ending count: a source that will not end is not to be added without end.
        self.reserve_among(id, |state| state.streams.len() + state.ending())
    }

    /// The same for a stream that starts anew and was just taken out: that it is still ending is not held against it.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub fn reserve_again(&self, id: &str) -> Result<Reservation<'_, S>, AddError> {
        self.reserve_among(id, |state| state.streams.len())
    }

    /// Whether a stream may start anew: not when very many are still ending.
    pub fn may_start_anew(&self) -> bool {
        self.shared.state.lock().ending() < ENDING
    }

    fn reserve_among(&self, id: &str, there: impl Fn(&State<S>) -> usize) -> Result<Reservation<'_, S>, AddError> {
        let id = StreamId::new(id);
        let mut state = self.shared.state.lock();
        if state.closing {
            return Err(AddError::Closing);
        }
        if state.streams.contains_key(&id) {
            return Err(AddError::InUse(id));
        }
        let there = there(&state);
        if there >= self.shared.limit {
            return Err(AddError::Full(there));
        }
        state.generation += 1;
        let generation = state.generation;
        state.streams.insert(id.clone(), (generation, None));
        Ok(Reservation { registry: self, stream: StreamRef { id, generation }, filled: false })
    }

    /// The stream of this id.
    pub fn get(&self, id: &str) -> Option<Arc<S>> {
        self.shared.state.lock().streams.get(id)?.1.clone()
    }

    /// All of them, in the order of their ids.
    pub fn list(&self) -> Vec<Arc<S>> {
        self.shared.state.lock().streams.values().filter_map(|(_, entry)| entry.clone()).collect()
    }

    /// Takes a stream out; it ends by and by, and nothing of it is seen any more.
    pub fn remove(&self, id: &str) -> Option<Arc<S>> {
        let generation = self.shared.state.lock().streams.get(id)?.0;
        self.remover().remove(&StreamRef { id: StreamId::new(id), generation })
    }

    /// What takes out streams that end by themselves.
    pub fn remover(&self) -> Remover<S> {
        Remover(self.shared.clone())
    }

    /// Takes no more streams and asks all to end, without waiting for it.
    pub fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closing = true;
        let all: Vec<_> = state.streams.values().filter_map(|(_, entry)| entry.clone()).collect();
        drop(state);
        for entry in all {
            entry.stop();
        }
    }
}

impl<S: Entry> Reservation<'_, S> {
    /// The id and its generation.
    pub fn stream(&self) -> &StreamRef {
        &self.stream
    }

    /// Puts the stream in.
    pub fn fill(mut self, entry: &Arc<S>) {
        self.filled = true;
        let shared = &self.registry.shared;
        let mut state = shared.state.lock();
        let closing = state.closing;
        if let Some(place) = state.place(&self.stream) {
            *place = Some(entry.clone());
            drop(state);
            if closing {
                entry.stop();
            }
        } else {
            // It was taken out before it was in: it ended at once, or nobody wants it any more.
            entry.discard();
            state.leaving.push_back(entry.clone());
            drop(state);
            shared.changed.notify_all();
        }
    }
}

impl<S> State<S> {
    /// Streams that were taken out and have not ended yet.
    fn ending(&self) -> usize {
        self.asking + self.leaving.len() + self.joining
    }

    /// Where this life of a stream stands, while it does.
    fn place(&mut self, stream: &StreamRef) -> Option<&mut Option<Arc<S>>> {
        self.streams
            .get_mut(&stream.id)
            .filter(|(generation, _)| *generation == stream.generation)
            .map(|(_, entry)| entry)
    }
}

impl<S: Entry> Drop for Reservation<'_, S> {
    fn drop(&mut self) {
        if !self.filled {
            let mut state = self.registry.shared.state.lock();
            if state.place(&self.stream).is_some() {
                state.streams.remove(&self.stream.id);
            }
        }
    }
}

impl<S: Entry> Drop for Registry<S> {
    fn drop(&mut self) {
        self.close();
        let mut state = self.shared.state.lock();
        let left = std::mem::take(&mut state.streams).into_values().filter_map(|(_, entry)| entry);
        let left: Vec<_> = left.collect();
        state.leaving.extend(left);
        drop(state);
        self.shared.changed.notify_all();
        self.reaper = None;
    }
}

/// Joins the streams that were taken out, until the registry is gone.
fn reap<S: Entry>(shared: &Shared<S>) {
    let mut state = shared.state.lock();
    loop {
        match state.leaving.pop_front() {
            Some(entry) => {
                state.joining = 1;
                drop(state);
                entry.join();
                drop(entry);
                state = shared.state.lock();
                state.joining = 0;
            }
            None if state.closing && state.streams.is_empty() && state.asking == 0 => return,
            None => shared.changed.wait(&mut state),
        }
    }
}
