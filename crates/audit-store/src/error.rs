//! Errors of the store: variants name what the caller can do.

use audit_event::Identity;
use audit_integrity::ledger::LedgerId;
use audit_runtime::{Fault, Faulty};

/// Source of an error, kept for the log; never shown to a client.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A read or a small write failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is away or full: wait.
    #[error("the store is not available: {what}")]
    Unavailable {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: Source,
    },
    /// Busy for now: try again.
    #[error("the store is busy: {what}")]
    Busy {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: Source,
    },
    /// What is stored cannot be read as what it must be.
    #[error("stored data is malformed: {what}")]
    Malformed {
        /// What was read.
        what: String,
    },
    /// The search took longer than allowed; no index serves it.
    #[error("no index serves this search within the time limit")]
    TooBroad,
    /// The request contradicts itself or the store (an unknown cursor, a used name).
    #[error("refused: {reason}")]
    Refused {
        /// Which rule.
        reason: String,
    },
}

impl StoreError {
    /// A ledger lacks something that it must have.
    #[must_use]
    pub fn lacking(ledger: LedgerId, what: &str) -> Self {
        Self::Malformed {
            what: format!("ledger {ledger} lacks {what}"),
        }
    }
}

/// A commit did not happen; nothing of it is stored, except after [`CommitError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Another epoch owns the ledger.
    #[error("fenced: the ledger has another writer")]
    Fenced,
    /// The head is not where the commit expected it.
    #[error("the head moved: expected {expected}")]
    HeadMoved {
        /// The size the commit expected.
        expected: u64,
    },
    /// At least one identity or receipt is stored already; look up and number again.
    #[error("already stored")]
    AlreadyStored,
    /// The store refuses this one event for what it contains.
    #[error("the store refuses an event: {reason}")]
    Rejected {
        /// Which, when the store says.
        identity: Option<Identity>,
        /// Why, in the store's words.
        reason: String,
    },
    /// Deadlock, serialisation, busy: the same commit may be tried again.
    #[error("busy")]
    Busy(#[source] Source),
    /// The store is away or full.
    #[error("the store is not available")]
    Unavailable(#[source] Source),
    /// The answer was lost: the commit may have happened. Reload the head.
    #[error("the outcome of the commit is unknown")]
    Unknown(#[source] Source),
}

impl Faulty for StoreError {
    fn fault(&self) -> Fault {
        match self {
            Self::Unavailable { .. } => Fault::Outage,
            Self::Busy { .. } => Fault::Transient,
            Self::Malformed { .. } => Fault::Fatal,
            Self::TooBroad | Self::Refused { .. } => Fault::Rejected,
        }
    }
}

impl Faulty for CommitError {
    fn fault(&self) -> Fault {
        match self {
            Self::Unavailable(_) => Fault::Outage,
            Self::Busy(_) | Self::AlreadyStored => Fault::Transient,
            Self::Rejected { .. } => Fault::Rejected,
            Self::Fenced | Self::HeadMoved { .. } | Self::Unknown(_) => Fault::Fatal,
        }
    }
}
