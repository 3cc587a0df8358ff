//! Pictures that are posted while the streams run: they go through the same models, and somebody waits for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use vigia_engine::worker::{StopFlag, Worker};

use super::stats::Spread;
use crate::app::{App, PredictOptions, Target};

/// Posts that may be unanswered at a time; more are not sent, and count as failed.
const UNANSWERED: usize = 256;
/// How soon a stop is noticed.
const NOTICE: Duration = Duration::from_millis(100);

/// Somebody who posts a picture.
pub(super) struct Poster {
    pub(super) app: Arc<App>,
    pub(super) target: Arc<Target>,
    pub(super) picture: Bytes,
}

impl Poster {
    async fn post(&self) -> Result<(), String> {
        let options = PredictOptions::default();
        let answer = self.app.predict(&self.target, &options, self.picture.clone(), ()).await;
        answer.map(drop).map_err(|e| e.to_string())
    }

    /// Posts once and waits for the answer.
    pub(super) fn once(&self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| e.to_string())?;
        runtime.block_on(self.post())
    }
}

/// What came of the posts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PostFigures {
    /// Posts a second that were sent.
    pub(super) per_second: f64,
    /// Posts that were sent or should have been.
    pub(super) sent: u64,
    /// Of these, posts without an answer.
    pub(super) failed: u64,
    /// Why the last one of these had none.
    pub(super) error: Option<String>,
    /// From sending to answer.
    pub(super) latency: Option<Spread>,
}

/// Posts at a steady rate, answered or not, until it is dropped. Nothing counts but between [`Posting::begin`] and
/// [`Posting::end`].
pub(super) struct Posting {
    counts: Arc<Counts>,
    begun: Option<Instant>,
    _worker: Worker,
}

#[derive(Default)]
struct Counts {
    is_on: AtomicBool,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    sent: u64,
    failed: u64,
    error: Option<String>,
    latencies: Vec<Duration>,
}

impl Posting {
    /// `rate` posts a second.
    pub(super) fn start(poster: Arc<Poster>, rate: f64) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|e| format!("nothing can be posted: {e}"))?;
        let counts = Arc::new(Counts::default());
        let counter = counts.clone();
        let worker = Worker::start("posts", move |stop| runtime.block_on(post(&poster, rate, &counter, stop)));
        let worker = worker.map_err(|e| format!("nothing can be posted: {e}"))?;
        Ok(Self { counts, begun: None, _worker: worker })
    }

    /// From now on it counts.
    pub(super) fn begin(&mut self) {
        self.begun = Some(Instant::now());
        self.counts.is_on.store(true, Ordering::Relaxed);
    }

    /// What came of those that were sent since the beginning and answered by now.
    pub(super) fn end(&mut self) -> PostFigures {
        self.counts.is_on.store(false, Ordering::Relaxed);
        let seconds = self.begun.take().map_or(f64::INFINITY, |begun| begun.elapsed().as_secs_f64());
        let Counted { sent, failed, error, latencies } = std::mem::take(&mut *self.counts.counted.lock());
        PostFigures { per_second: sent as f64 / seconds, sent, failed, error, latency: Spread::of(latencies) }
    }
}

async fn post(poster: &Poster, rate: f64, counts: &Counts, stop: &StopFlag) {
    let start = Instant::now();
    let mut posts = 0u64;
    let mut unanswered = FuturesUnordered::new();
    loop {
        let due = start + Duration::try_from_secs_f64(posts as f64 / rate).unwrap_or(Duration::MAX / 2);
        let wake = due.min(Instant::now() + NOTICE);
        tokio::select! {
            () = tokio::time::sleep_until(wake.into()) => {
                if stop.is_set() {
                    // What is under way is not waited for: nobody wants its answer.
                    return;
                }
                if wake < due {
                    continue;
                }
                posts += 1;
                let counted = counts.is_on.load(Ordering::Relaxed);
                if counted {
                    counts.counted.lock().sent += 1;
                }
                if unanswered.len() < UNANSWERED {
                    let begun = Instant::now();
                    unanswered.push(async move { (poster.post().await.map(|()| begun.elapsed()), counted) });
                } else if counted {
                    counts.failed(format!("{UNANSWERED} were unanswered already"));
                }
            }
            Some((answer, counted)) = unanswered.next(), if !unanswered.is_empty() => match answer {
                _ if !counted => {}
                Ok(latency) => counts.counted.lock().latencies.push(latency),
                Err(error) => counts.failed(error),
            }
        }
    }
}

impl Counts {
    fn failed(&self, error: String) {
        let mut counted = self.counted.lock();
        counted.failed += 1;
        counted.error = Some(error);
    }
}
