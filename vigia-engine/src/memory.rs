//! Memory that pictures take while they wait, counted and bounded for the whole server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes and no more, for all who wait together. Clones share them.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit: u64,
    used: AtomicU64,
}

/// Bytes that are taken; dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    bytes: u64,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Account { limit, used: AtomicU64::new(0) }))
    }

    /// Takes bytes; `None` when there are not so many left. Never waits.
    pub fn take(&self, bytes: u64) -> Option<Charge> {
        let account = self.0.clone();
        account.take(bytes).then(|| Charge { account, bytes })
    }

    /// Bytes that are taken now.
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes there are in all.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }
}

impl Account {
    fn take(&self, bytes: u64) -> bool {
        let sum = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
}

impl Charge {
    /// Takes more bytes for the same thing; says whether there were so many left.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.account.take(bytes);
        if taken {
            self.bytes += bytes;
        }
        taken
    }

    /// How many are taken.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(100);
        let mut first = budget.take(60).expect("room");
        assert!(budget.take(41).is_none() && budget.take(u64::MAX).is_none());
        assert!(!first.grow(41) && first.grow(40));
        assert_eq!((first.bytes(), budget.used(), budget.limit()), (100, 100, 100));
        drop(first);
        assert_eq!(budget.used(), 0);
    }
}
