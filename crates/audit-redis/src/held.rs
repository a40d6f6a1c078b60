//! What every queue on Redis does about what it holds: tokens for batches, the mark of what went astray, a name of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_queue::QueueError;
use audit_runtime::Random;
use tokio::time::Instant;

#[derive(Debug)]
struct Batch<T> {
    what: T,
    /// Redis may hand it out again from here on.
    until: Instant,
}

/// Tokens of the port and what they stand for. The lock is never held across a wait.
#[derive(Debug)]
pub struct Held<T> {
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
    pub fn add(&self, what: T, hold: Duration) -> u64 {
        let mut inner = self.lock();
        inner.last_token += 1;
        let token = inner.last_token;
        let until = Instant::now() + hold;
        inner.batches.insert(token, Batch { what, until });
        token
    }

    /// What the token stands for.
    #[must_use]
    pub fn get(&self, token: u64) -> Option<T> {
        let inner = self.lock();
        inner.batches.get(&token).map(|batch| batch.what.clone())
    }

    /// Redis hands it out again only after so long from now.
    pub fn renewed(&self, token: u64, hold: Duration) {
        if let Some(batch) = self.lock().batches.get_mut(&token) {
            batch.until = Instant::now() + hold;
        }
    }

    /// Held no more.
    pub fn forget(&self, token: u64) {
        self.lock().batches.remove(&token);
    }

    /// Forgets what nobody renewed, and says what is left.
    #[must_use]
    pub fn current(&self) -> Vec<T> {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.batches.retain(|_, batch| batch.until > now);
        let batches = inner.batches.values();
        batches.map(|batch| batch.what.clone()).collect()
    }

    /// All of them, those included that nobody renewed; these are forgotten.
    #[must_use]
    pub fn known(&self) -> Vec<T> {
        let now = Instant::now();
        let mut inner = self.lock();
        let known = inner.batches.values().map(|batch| batch.what.clone());
        let known = known.collect();
        inner.batches.retain(|_, batch| batch.until > now);
        known
    }

    /// Nothing is held any more.
    pub fn forget_all(&self) {
        self.lock().batches.clear();
    }
}

/// Leaves the mark of something astray unless it is cleared: Redis may think that we hold what no batch has.
#[derive(Debug)]
pub struct Marked<'a>(&'a AtomicBool);

impl<'a> Marked<'a> {
    /// Whoever is dropped from here on leaves the mark.
    #[must_use]
    pub const fn on(astray: &'a AtomicBool) -> Self {
        Self(astray)
    }

    /// Nothing went astray.
    pub fn clear(self) {
        std::mem::forget(self);
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What a script's answer means that says how many of the entries it was given were not ours.
///
/// # Errors
/// [`QueueError::NotHeld`] when there was any.
pub const fn all_ours(lost: u64) -> Result<(), QueueError> {
    if lost == 0 {
        Ok(())
    } else {
        Err(QueueError::NotHeld)
    }
}

/// A name that no two processes share.
#[must_use]
pub fn own_name(random: &dyn Random) -> String {
    let mut name = [0; 8];
    random.fill(&mut name);
    format!("{:016x}", u64::from_be_bytes(name))
}
