//! The real write port of a store, failing as a script says. Names of calls: those of the port's methods.

use std::sync::Arc;

use async_trait::async_trait;
use audit_integrity::head::Head;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_store::{Commit, CommitError, Lease, LedgerWriter, StoreError};

use crate::script::{Script, cause};

/// Wraps a [`LedgerWriter`].
#[derive(Debug, Clone)]
pub struct FaultyStore {
    script: Script,
    writer: Arc<dyn LedgerWriter>,
}

impl FaultyStore {
    /// Goes between a store's write port and its callers.
    #[must_use]
    pub fn new(writer: Arc<dyn LedgerWriter>, script: Script) -> Self {
        Self { script, writer }
    }

    /// What goes wrong, and the counts.
    #[must_use]
    pub const fn script(&self) -> &Script {
        &self.script
    }
}

fn commit_away() -> CommitError {
    CommitError::Unavailable(cause())
}

fn commit_unknown() -> CommitError {
    CommitError::Unknown(cause())
}

fn away() -> StoreError {
    StoreError::Unavailable {
        what: "a faulty store",
        source: cause(),
    }
}

#[async_trait]
impl LedgerWriter for FaultyStore {
    async fn commit(&self, commit: Commit<'_>) -> Result<(), CommitError> {
        self.script
            .run(
                "commit",
                commit_away,
                commit_unknown,
                self.writer.commit(commit),
            )
            .await
    }

    async fn open_ledger(
        &self,
        ledger: LedgerId,
        origin: &Origin,
        head: &Head,
    ) -> Result<(), StoreError> {
        self.script
            .run(
                "open_ledger",
                away,
                away,
                self.writer.open_ledger(ledger, origin, head),
            )
            .await
    }

    async fn set_state(&self, lease: &Lease, head: &Head) -> Result<(), CommitError> {
        self.script
            .run(
                "set_state",
                commit_away,
                commit_unknown,
                self.writer.set_state(lease, head),
            )
            .await
    }

    fn writers(&self) -> usize {
        self.writer.writers()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.script
            .run("probe", away, away, self.writer.probe())
            .await
    }
}
