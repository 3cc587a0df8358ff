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
        self.take_up_to(self.0.limit, bytes)
    }

    /// The same for what is not to take all there is: when no more than so many quarters are in use then.
    pub fn take_within(&self, quarters: u64, bytes: u64) -> Option<Charge> {
        let limit = self.0.limit;
        self.take_up_to(limit / 4 * quarters + limit % 4 * quarters / 4, bytes)
    }

    fn take_up_to(&self, limit: u64, bytes: u64) -> Option<Charge> {
        let account = self.0.clone();
        account.take(limit, bytes).then(|| Charge { account, bytes })
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
    fn take(&self, limit: u64, bytes: u64) -> bool {
        let sum = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
}

impl Charge {
    /// Takes more bytes for the same thing; says whether there were so many left.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.account.take(self.account.limit, bytes);
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
        let _half = budget.take_within(2, 50).expect("room");
        assert!(budget.take_within(2, 1).is_none() && budget.take_within(3, 26).is_none());
        assert!(budget.take_within(3, 25).is_some());
    }
}
