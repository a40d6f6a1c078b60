//! What goes wrong, and when: by the name of a call and its number.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It fails with an outage, and nothing was done.
    Before,
    /// It is done, and the answer is lost: the caller gets an unknown outcome where the port knows one, else an outage.
    AfterDone,
    /// It never returns, and nothing was done. The caller's time-out drops it.
    Hang,
    /// It is done, and never returns.
    HangAfterDone,
    /// It panics before anything is done.
    Panic,
}

/// Shared by a test and the ports it breaks. Calls of one name are counted from 1.
#[derive(Debug, Clone, Default)]
pub struct Script {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    calls: BTreeMap<&'static str, u64>,
    at: BTreeMap<(&'static str, u64), Break>,
    from_now_on: BTreeMap<&'static str, Break>,
}

impl Script {
    /// Nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call of this number (the first is 1) goes wrong, once.
    #[must_use]
    pub fn at(self, call: &'static str, number: u64, how: Break) -> Self {
        self.lock().at.insert((call, number), how);
        self
    }

    /// The next call of this name goes wrong, once.
    pub fn next(&self, call: &'static str, how: Break) {
        let mut inner = self.lock();
        let number = inner.calls.get(call).copied().unwrap_or(0) + 1;
        inner.at.insert((call, number), how);
    }

    /// Every call of this name goes wrong until [`Script::mend`].
    pub fn from_now_on(&self, call: &'static str, how: Break) {
        self.lock().from_now_on.insert(call, how);
    }

    /// Nothing goes wrong any more; the counts stay.
    pub fn mend(&self) {
        let mut inner = self.lock();
        inner.at.clear();
        inner.from_now_on.clear();
    }

    /// How often this was called.
    #[must_use]
    pub fn calls(&self, call: &'static str) -> u64 {
        self.lock().calls.get(call).copied().unwrap_or(0)
    }

    /// Counts all calls from 0 again.
    pub fn reset_counts(&self) {
        self.lock().calls.clear();
    }

    fn count(&self, call: &'static str) -> Option<Break> {
        let mut inner = self.lock();
        let number = inner.calls.entry(call).or_default();
        *number += 1;
        let number = *number;
        inner
            .at
            .remove(&(call, number))
            .or_else(|| inner.from_now_on.get(call).copied())
    }

    /// Runs one call of a port as the script says.
    ///
    /// # Errors
    /// The call's own, `before` when nothing is to be done, `after` when its answer is to be lost.
    ///
    /// # Panics
    /// When the script says so.
    pub async fn run<T, E>(
        &self,
        call: &'static str,
        before: impl FnOnce() -> E + Send,
        after: impl FnOnce() -> E + Send,
        done: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        match self.count(call) {
            None => done.await,
            Some(Break::Before) => Err(before()),
            Some(Break::AfterDone) => {
                done.await?;
                Err(after())
            }
            Some(Break::Hang) => std::future::pending().await,
            Some(Break::HangAfterDone) => {
                done.await?;
                std::future::pending().await
            }
            Some(Break::Panic) => panic!("the script lets {call} panic"),
        }
    }
}

/// The error at the bottom of everything a script breaks.
pub(crate) fn cause() -> Box<dyn std::error::Error + Send + Sync> {
    "broken by the script of a test".into()
}
