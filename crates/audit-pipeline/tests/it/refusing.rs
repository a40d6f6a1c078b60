//! Writers around the store's: one that refuses events, one that is away, one that an event kills.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use audit_event::Value;
use audit_integrity::entry::SealedEvent;
use audit_integrity::head::Head;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_store::{Commit, CommitError, Lease, LedgerWriter, StoreError};
use tokio::sync::Notify;

/// What a writer does besides writing.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Refuses events that say so, and names the first.
    pub(crate) refuses_naming: AtomicBool,
    /// Refuses events that say so, and does not say which.
    pub(crate) refuses_silently: AtomicBool,
    /// Refuses every event.
    pub(crate) refuses_all: AtomicBool,
    /// What the next commits answer, last first; nothing is done.
    pub(crate) errors: Mutex<Vec<CommitError>>,
    /// So many commits and probes from now on find the store away.
    pub(crate) away: AtomicUsize,
    /// A commit with an event that says so never ends.
    pub(crate) killed: Notify,
    pub(crate) kills: AtomicBool,
}

#[derive(Debug)]
pub(crate) struct Refusing {
    pub(crate) inner: Arc<dyn LedgerWriter>,
    pub(crate) rules: Arc<Rules>,
}

fn says(event: &SealedEvent, what: &str) -> bool {
    let details = &event.draft.event().statement.details;
    details.get("what").and_then(Value::as_str) == Some(what)
}

impl Refusing {
    fn is_away(&self) -> bool {
        let away = &self.rules.away;
        away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    }

    fn refused(&self, commit: &Commit<'_>) -> Option<CommitError> {
        let set = |rule: &AtomicBool| rule.load(Ordering::SeqCst);
        let (named, silent) = (
            set(&self.rules.refuses_naming),
            set(&self.rules.refuses_silently),
        );
        let all = set(&self.rules.refuses_all);
        let mut events = commit.events.iter();
        let refused = events.find(|event| all || ((named || silent) && says(event, "poison")))?;
        Some(CommitError::Rejected {
            identity: (!silent).then(|| refused.draft.event().identity()),
            reason: "refused on purpose".to_owned(),
        })
    }
}

#[async_trait]
impl LedgerWriter for Refusing {
    async fn commit(&self, commit: Commit<'_>) -> Result<(), CommitError> {
        if self.is_away() {
            return Err(CommitError::Unavailable("away on purpose".into()));
        }
        let planned = self.rules.errors.lock().unwrap().pop();
        if let Some(error) = planned {
            return Err(error);
        }
        if self.rules.kills.load(Ordering::SeqCst)
            && commit.events.iter().any(|event| says(event, "killer"))
        {
            self.rules.killed.notify_one();
            std::future::pending::<()>().await;
        }
        match self.refused(&commit) {
            Some(error) => Err(error),
            None => self.inner.commit(commit).await,
        }
    }

    async fn open_ledger(
        &self,
        ledger: LedgerId,
        origin: &Origin,
        head: &Head,
    ) -> Result<(), StoreError> {
        self.inner.open_ledger(ledger, origin, head).await
    }

    async fn set_state(&self, lease: &Lease, head: &Head) -> Result<(), CommitError> {
        self.inner.set_state(lease, head).await
    }

    fn writers(&self) -> usize {
        self.inner.writers()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        if self.is_away() {
            return Err(StoreError::Unavailable {
                what: "probe",
                source: "away on purpose".into(),
            });
        }
        self.inner.probe().await
    }
}
