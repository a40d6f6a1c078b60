//! The batches this process holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A delivery as Redis knows it, and what settling it has to subtract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Id of the stream's entry.
    pub(crate) id: String,
    /// How often it was delivered, this time included: with the consumer's name it makes the delivery ours.
    pub(crate) count: u64,
    /// As in the entry, also of a frame that cannot be read.
    pub(crate) frame_id: Vec<u8>,
    pub(crate) events: u64,
    pub(crate) internal: bool,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Batch<T> {
    what: T,
    /// Redis may hand it out again from here on.
    until: Instant,
}

/// Tokens and what they stand for. The lock is never held across a wait.
#[derive(Debug)]
pub(crate) struct Held<T> {
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    last_token: u64,
    batches: BTreeMap<u64, Batch<T>>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        let inner = Inner {
            last_token: 0,
            batches: BTreeMap::new(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }
}

impl<T: Clone> Held<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Whole after any panic: every change is one call of a map.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for the batch; never 0.
    pub(crate) fn add(&self, what: T, hold: Duration) -> u64 {
        let mut inner = self.lock();
        inner.last_token += 1;
        let token = inner.last_token;
        let until = Instant::now() + hold;
        inner.batches.insert(token, Batch { what, until });
        token
    }

    pub(crate) fn get(&self, token: u64) -> Option<T> {
        let inner = self.lock();
        inner.batches.get(&token).map(|batch| batch.what.clone())
    }

    pub(crate) fn renewed(&self, token: u64, hold: Duration) {
        if let Some(batch) = self.lock().batches.get_mut(&token) {
            batch.until = Instant::now() + hold;
        }
    }

    pub(crate) fn forget(&self, token: u64) {
        self.lock().batches.remove(&token);
    }

    /// Forgets what nobody renewed, and says what is left.
    pub(crate) fn current(&self) -> Vec<T> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.batches.retain(|_, batch| batch.until > now);
        let batches = inner.batches.values();
        batches.map(|batch| batch.what.clone()).collect()
    }

    /// All of them, those included that nobody renewed; these are forgotten.
    pub(crate) fn known(&self) -> Vec<T> {
        let now = Instant::now();
        let mut inner = self.lock();
        let known = inner.batches.values().map(|batch| batch.what.clone());
        let known = known.collect();
        inner.batches.retain(|_, batch| batch.until > now);
        known
    }

    pub(crate) fn tokens(&self) -> Vec<u64> {
        self.lock().batches.keys().copied().collect()
    }
}

/// Leaves the mark of something astray unless it is cleared: Redis may think that we hold what no batch has.
pub(crate) struct Marked<'a>(&'a AtomicBool);

impl<'a> Marked<'a> {
    pub(crate) const fn on(astray: &'a AtomicBool) -> Self {
        Self(astray)
    }

    pub(crate) fn clear(self) {
        std::mem::forget(self);
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
