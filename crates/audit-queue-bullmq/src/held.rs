//! The batches this process holds.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::job::Job;

/// Jobs that one script took, under one lock token, in the order they were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) token: String,
    pub(crate) jobs: Vec<Job>,
    /// By Redis' clock (milliseconds), and by ours.
    pub(crate) taken: (i64, Instant),
}

impl Part {
    /// Now, by Redis' clock (microseconds).
    pub(crate) fn now_micros(&self) -> i64 {
        let (ms, at) = self.taken;
        let since = i64::try_from(at.elapsed().as_micros()).unwrap_or(i64::MAX);
        ms.saturating_mul(1000).saturating_add(since)
    }
}

#[derive(Debug)]
struct Batch {
    parts: Vec<Part>,
    /// Its locks run out here.
    until: Instant,
}

/// Tokens of the port and what they stand for. The lock is never held across a wait.
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
    pub(crate) fn add(&self, parts: Vec<Part>, hold: Duration) -> u64 {
        let mut inner = self.lock();
        inner.last_token += 1;
        let token = inner.last_token;
        let until = Instant::now() + hold;
        inner.batches.insert(token, Batch { parts, until });
        token
    }

    pub(crate) fn parts(&self, token: u64) -> Option<Vec<Part>> {
        let inner = self.lock();
        inner.batches.get(&token).map(|batch| batch.parts.clone())
    }

    pub(crate) fn renewed(&self, token: u64, hold: Duration) {
        if let Some(batch) = self.lock().batches.get_mut(&token) {
            batch.until = Instant::now() + hold;
        }
    }

    pub(crate) fn forget(&self, token: u64) {
        self.lock().batches.remove(&token);
    }

    pub(crate) fn forget_all(&self) {
        self.lock().batches.clear();
    }

    /// Forgets what nobody renewed, and says the lock tokens of what is left.
    pub(crate) fn current(&self) -> HashSet<String> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.batches.retain(|_, batch| batch.until > now);
        let parts = inner.batches.values().flat_map(|batch| &batch.parts);
        parts.map(|part| part.token.clone()).collect()
    }
}
