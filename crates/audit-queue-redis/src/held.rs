//! The batches this process holds.

use std::collections::{BTreeMap, HashSet};
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
struct Batch {
    entries: Vec<Entry>,
    /// Redis may hand it out again from here on.
    until: Instant,
}

/// Tokens and what they stand for. The lock is never held across a wait.
#[derive(Debug, Default)]
pub(crate) struct Held {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last_token: u64,
    batches: BTreeMap<u64, Batch>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whole after any panic: every change is one call of a map.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for the batch; never 0.
    pub(crate) fn add(&self, entries: Vec<Entry>, hold: Duration) -> u64 {
        let mut inner = self.lock();
        inner.last_token += 1;
        let token = inner.last_token;
        let until = Instant::now() + hold;
        inner.batches.insert(token, Batch { entries, until });
        token
    }

    pub(crate) fn entries(&self, token: u64) -> Option<Vec<Entry>> {
        let inner = self.lock();
        inner.batches.get(&token).map(|batch| batch.entries.clone())
    }

    pub(crate) fn renewed(&self, token: u64, hold: Duration) {
        if let Some(batch) = self.lock().batches.get_mut(&token) {
            batch.until = Instant::now() + hold;
        }
    }

    pub(crate) fn forget(&self, token: u64) {
        self.lock().batches.remove(&token);
    }

    /// Forgets what nobody renewed, and says what is left, by entry and count.
    pub(crate) fn current(&self) -> HashSet<(String, u64)> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.batches.retain(|_, batch| batch.until > now);
        let entries = inner.batches.values().flat_map(|batch| &batch.entries);
        entries
            .map(|entry| (entry.id.clone(), entry.count))
            .collect()
    }

    pub(crate) fn tokens(&self) -> Vec<u64> {
        self.lock().batches.keys().copied().collect()
    }
}
