//! Ending in order: no new work, what is under way is finished.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Whether the server is ending, and how much is under way. Clones look at the same server.
#[derive(Clone, Debug)]
pub struct Drain {
    ending: Arc<watch::Sender<bool>>,
    under_way: Arc<watch::Sender<usize>>,
}

/// One request under way.
#[derive(Debug)]
pub struct UnderWay(Arc<watch::Sender<usize>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { ending: Arc::new(watch::Sender::new(false)), under_way: Arc::new(watch::Sender::new(0)) }
    }
}

impl Drain {
    /// Begins a request; `None` when the server is ending.
    pub fn begin(&self) -> Option<UnderWay> {
        // Counted first: a server that begins to end in between waits for it.
        self.under_way.send_modify(|count| *count += 1);
        let guard = UnderWay(self.under_way.clone());
        (!self.is_ending()).then_some(guard)
    }

    /// True once the server is ending.
    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Begins to end.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until the server is ending.
    pub async fn ending(&self) {
        let mut ending = self.ending.subscribe();
        // The sender lives in `self`.
        let _ending = ending.wait_for(|ending| *ending).await;
    }

    /// Requests under way.
    pub fn under_way(&self) -> usize {
        *self.under_way.borrow()
    }

    /// Waits until nothing is under way, at most this long; says whether that was reached.
    pub async fn finished(&self, within: Duration) -> bool {
        let mut under_way = self.under_way.subscribe();
        tokio::time::timeout(within, under_way.wait_for(|count| *count == 0)).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ending_waits_for_what_is_under_way() {
        let drain = Drain::default();
        let request = drain.begin().expect("not ending");
        drain.end();
        assert!(drain.begin().is_none());
        assert_eq!(drain.under_way(), 1);
        assert!(!drain.finished(Duration::from_secs(10)).await);
        drop(request);
        assert!(drain.finished(Duration::from_secs(10)).await);
        drain.ending().await;
    }
}
