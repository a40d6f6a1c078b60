//! Ports that fail on demand, around real ones.
//!
//! Every call is counted under its name (`"writer.commit"`). A planned fault hits the next call of its name, once.

mod keys;
mod queue;
mod store;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit_store::Store;
use tokio::sync::watch;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// It fails, and nothing was done.
    Error,
    /// It is done, and fails.
    ErrorButDone,
    /// It never answers, and nothing was done.
    Hang,
    /// It is done, and never answers.
    HangButDone,
    /// It panics.
    Panic,
}

impl Mode {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Error,
        Self::ErrorButDone,
        Self::Hang,
        Self::HangButDone,
        Self::Panic,
    ];
}

/// A fault made on purpose.
#[derive(Debug, thiserror::Error)]
#[error("a fault on purpose")]
pub(crate) struct OnPurpose;

/// Planned faults, and what was called. Clones are one plan.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    inner: Arc<Mutex<Inner>>,
    hits: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    planned: HashMap<&'static str, VecDeque<Mode>>,
    /// By name and number.
    later: HashMap<(&'static str, u64), Mode>,
    calls: BTreeMap<&'static str, u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            hits: watch::Sender::new(0),
        }
    }
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hits the next call of that name that has no fault planned yet.
    pub(crate) fn plan(&self, call: &'static str, mode: Mode) {
        self.lock().planned.entry(call).or_default().push_back(mode);
    }

    /// Hits the call of that name that comes after so many others of it.
    pub(crate) fn after(&self, call: &'static str, others: u64, mode: Mode) {
        let mut inner = self.lock();
        let made = inner.calls.get(call).copied().unwrap_or(0);
        inner.later.insert((call, made + others + 1), mode);
    }

    /// How often each call was made.
    #[must_use]
    pub(crate) fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.lock().calls.clone()
    }

    /// Counts from nothing again.
    pub(crate) fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// Faults that are planned and did not hit yet.
    #[must_use]
    pub(crate) fn pending(&self) -> usize {
        let inner = self.lock();
        inner.later.len() + inner.planned.values().map(VecDeque::len).sum::<usize>()
    }

    /// Plans nothing any more.
    pub(crate) fn forget_plans(&self) {
        let mut inner = self.lock();
        inner.planned.clear();
        inner.later.clear();
    }

    /// Waits until so many faults have hit. Without a limit of its own.
    pub(crate) async fn hit(&self, count: u64) {
        // The sender lives in `self`, so waiting ends only with the count.
        drop(self.hits.subscribe().wait_for(|hits| *hits >= count).await);
    }

    fn next(&self, call: &'static str) -> Option<Mode> {
        let mut inner = self.lock();
        let made = inner.calls.entry(call).or_default();
        *made += 1;
        let now = (call, *made);
        if let Some(mode) = inner.later.remove(&now) {
            return Some(mode);
        }
        inner.planned.get_mut(call)?.pop_front()
    }

    fn tell(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }

    /// Makes a call, with its fault. `failed` gives the error of a call that did nothing, `lost` of one whose answer was lost.
    pub(crate) async fn around<T, E>(
        &self,
        call: &'static str,
        failed: impl FnOnce() -> E,
        lost: impl FnOnce() -> E,
        real: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(mode) = self.next(call) else {
            return real.await;
        };
        if matches!(mode, Mode::ErrorButDone | Mode::HangButDone) {
            drop(real.await?);
        }
        self.tell();
        match mode {
            Mode::Error => Err(failed()),
            Mode::ErrorButDone => Err(lost()),
            Mode::Hang | Mode::HangButDone => std::future::pending().await,
            Mode::Panic => panic!("{call} panics on purpose"),
        }
    }
}

/// A port around another, with faults.
#[derive(Debug)]
pub(crate) struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    faults: Faults,
}

impl<T: ?Sized> Faulty<T> {
    /// Around `inner`.
    #[must_use]
    pub(crate) fn new(inner: Arc<T>, faults: &Faults) -> Arc<Self> {
        let faults = faults.clone();
        Arc::new(Self { inner, faults })
    }
}

/// The store with faults in the ports that a pipeline uses.
#[must_use]
pub(crate) fn faulty_store(store: Store, faults: &Faults) -> Store {
    Store {
        writer: Faulty::new(store.writer, faults),
        ledgers: Faulty::new(store.ledgers, faults),
        events: Faulty::new(store.events, faults),
        leases: Faulty::new(store.leases, faults),
        dead_letters: Faulty::new(store.dead_letters, faults),
        receipts: Faulty::new(store.receipts, faults),
        cursors: Faulty::new(store.cursors, faults),
        ..store
    }
}
