//! Verification: six outcomes, findings that name the event, and the pure engine that reaches them.

use audit_event::EventId;

use crate::ledger::{LeafIndex, LedgerId};

/// What verification says of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Everything agrees up to a signed checkpoint.
    Valid,
    /// Body erased, and the erasure entry names its data key.
    ValidErased,
    /// Expired under a policy that was sealed before.
    Expired,
    /// The ledger has an entry and the store has no event.
    Missing,
    /// Something was altered.
    Tampered,
    /// Cannot be decided (a key or checkpoint is absent).
    Unverifiable,
}

/// What was found wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the names are the field's; docs/verification.md explains each"
)]
pub enum FindingKind {
    Edited,
    Deleted,
    Inserted,
    Reordered,
    RolledBack,
    BadSignature,
    BadMac,
    BadTile,
    BadChunk,
    BadCheckpoint,
    LedgerMissing,
    IdReused,
    KeyMissing,
    ForgedControl,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it means for the event.
    pub outcome: Outcome,
    /// What is wrong.
    pub kind: FindingKind,
    /// In which ledger.
    pub ledger: LedgerId,
    /// At which position, where one is known.
    pub leaf_index: Option<LeafIndex>,
    /// Which event, where one is known.
    pub event_id: Option<EventId>,
    /// For people: which column, which sizes; no event content.
    pub detail: String,
}
