//! What a stream publishes, to whoever listens.
//!
//! A [`Hub`] keeps the last items in a ring; each listener has a place in it and reads at its own speed. One that falls
//! behind the ring is told how many it missed and goes on with what is there. So a slow listener costs nothing, and
//! publishing never waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::watch;

/// What a listener gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery<T> {
    /// An item and its number, from 1.
    Item(u64, T),
    /// So many items are gone that the listener was too slow for.
    Missed(u64),
}

#[derive(Debug)]
struct Ring<T> {
    items: VecDeque<T>,
    /// Number of the next item, from 1.
    next: u64,
    /// Nothing more comes.
    closed: bool,
}

#[derive(Debug)]
struct Shared<T> {
    ring: Mutex<Ring<T>>,
    keep: usize,
}

/// The publishing side. Closing or dropping it ends every subscription, once it has read what is left.
#[derive(Debug)]
pub struct Hub<T> {
    shared: Arc<Shared<T>>,
    /// Number of the newest item; 0 before the first.
    newest: watch::Sender<u64>,
}

/// One listener.
#[derive(Debug)]
pub struct Subscription<T> {
    shared: Arc<Shared<T>>,
    newest: watch::Receiver<u64>,
    /// Number of the item to be read next.
    next: u64,
}

impl<T: Clone> Hub<T> {
    /// A hub that keeps the last `keep` items, at least 1.
    pub fn new(keep: usize) -> Self {
        let keep = keep.max(1);
        let ring = Mutex::new(Ring { items: VecDeque::with_capacity(keep), next: 1, closed: false });
        Self { shared: Arc::new(Shared { ring, keep }), newest: watch::Sender::new(0) }
    }

    /// Hands an item to every listener. Never waits.
    pub fn publish(&self, item: T) {
        let mut ring = self.shared.ring.lock();
        let oldest = if ring.items.len() == self.shared.keep { ring.items.pop_front() } else { None };
        ring.items.push_back(item);
        let number = ring.next;
        ring.next += 1;
        drop(ring);
        // Not under the lock: it may be the last owner of much.
        drop(oldest);
        self.newest.send_replace(number);
    }

    /// Says that nothing more comes.
    pub fn close(&self) {
        self.shared.ring.lock().closed = true;
        self.newest.send_modify(|_same| ());
    }

    /// The newest item.
    pub fn latest(&self) -> Option<(u64, T)> {
        let ring = self.shared.ring.lock();
        ring.items.back().map(|item| (ring.next - 1, item.clone()))
    }

    /// A listener that gets what comes from now on; or, where it says which item it had last, what came since. A number
    /// that was never given out is that of an earlier life of the stream, and counts for nothing.
    pub fn subscribe(&self, last: Option<u64>) -> Subscription<T> {
        let newest = self.newest.subscribe();
        let upcoming = self.shared.ring.lock().next;
        let next = last.filter(|&last| last < upcoming).map_or(upcoming, |last| last + 1);
        Subscription { shared: self.shared.clone(), newest, next }
    }
}

impl<T: Clone> Subscription<T> {
    /// The next item, or how many were missed; `None` when the hub is gone and everything was read.
    ///
    /// Cancel safe: an item is lost only together with the subscription.
    pub async fn next(&mut self) -> Option<Delivery<T>> {
        loop {
            if let Poll::Ready(delivery) = self.take() {
                return delivery;
            }
            if self.newest.changed().await.is_err() {
                // A hub that is gone may have published in between.
                return match self.take() {
                    Poll::Ready(delivery) => delivery,
                    Poll::Pending => None,
                };
            }
        }
    }

    /// What is there now; `None` inside when nothing more comes.
    fn take(&mut self) -> Poll<Option<Delivery<T>>> {
        let ring = self.shared.ring.lock();
        let first = ring.next - ring.items.len() as u64;
        if self.next < first {
            let missed = first - self.next;
            self.next = first;
            return Poll::Ready(Some(Delivery::Missed(missed)));
        }
        let index = usize::try_from(self.next - first).ok();
        match index.and_then(|index| ring.items.get(index)).cloned() {
            Some(item) => {
                self.next += 1;
                Poll::Ready(Some(Delivery::Item(self.next - 1, item)))
            }
            None if ring.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    /// What is there without waiting; `None` inside means the end.
    fn now(subscription: &mut Subscription<u32>) -> Poll<Option<Delivery<u32>>> {
        pin!(subscription.next()).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_listener_gets_what_comes_from_now_on_in_order() {
        let hub = Hub::new(4);
        assert_eq!(hub.latest(), None);
        hub.publish(10);
        let mut listener = hub.subscribe(None);
        assert!(now(&mut listener).is_pending());
        hub.publish(11);
        hub.publish(12);
        assert_eq!(now(&mut listener), Poll::Ready(Some(Delivery::Item(2, 11))));
        assert_eq!(now(&mut listener), Poll::Ready(Some(Delivery::Item(3, 12))));
        assert!(now(&mut listener).is_pending());
        assert_eq!(hub.latest(), Some((3, 12)));
    }

    #[test]
    fn one_that_is_too_slow_is_told_how_many_it_missed() {
        let hub = Hub::new(2);
        let mut slow = hub.subscribe(None);
        for item in 1..=5 {
            hub.publish(item);
        }
        assert_eq!(now(&mut slow), Poll::Ready(Some(Delivery::Missed(3))));
        assert_eq!(now(&mut slow), Poll::Ready(Some(Delivery::Item(4, 4))));
        assert_eq!(now(&mut slow), Poll::Ready(Some(Delivery::Item(5, 5))));
    }

    #[test]
    fn one_that_comes_back_goes_on_where_it_was() {
        let hub = Hub::new(3);
        for item in 1..=5 {
            hub.publish(item);
        }
        assert_eq!(now(&mut hub.subscribe(Some(3))), Poll::Ready(Some(Delivery::Item(4, 4))));
        assert_eq!(now(&mut hub.subscribe(Some(1))), Poll::Ready(Some(Delivery::Missed(1))));
        assert!(now(&mut hub.subscribe(Some(5))).is_pending());
        assert!(now(&mut hub.subscribe(Some(99))).is_pending());
        assert!(now(&mut hub.subscribe(Some(u64::MAX))).is_pending());
    }

    #[test]
    fn closing_ends_who_listens_and_who_comes_later() {
        let hub = Hub::new(3);
        let mut listener = hub.subscribe(None);
        assert!(now(&mut listener).is_pending());
        hub.publish(1);
        hub.close();
        assert_eq!(now(&mut listener), Poll::Ready(Some(Delivery::Item(1, 1))));
        assert_eq!(now(&mut listener), Poll::Ready(None));
        assert_eq!(now(&mut hub.subscribe(Some(0))), Poll::Ready(Some(Delivery::Item(1, 1))));
        assert_eq!((now(&mut hub.subscribe(None)), hub.latest()), (Poll::Ready(None), Some((1, 1))));
    }

    #[test]
    fn the_end_comes_after_what_was_published() {
        let hub = Hub::new(3);
        let mut listener = hub.subscribe(None);
        hub.publish(1);
        drop(hub);
        assert_eq!(now(&mut listener), Poll::Ready(Some(Delivery::Item(1, 1))));
        assert_eq!(now(&mut listener), Poll::Ready(None));
    }
}
