//! Verification: six outcomes, findings that name the event, and the pure engine that reaches them.
//!
//! Whoever runs it reads; this module decides. One [`LedgerCheck`] a ledger is fed in leaf order: what claims to be its trees
//! (signed notes, the MACed head, a directory snapshot), then chunks with the rows behind them. It holds one level of the tree,
//! the claims that lie ahead and what was found; never the ledger. `docs/verification.md` explains every outcome and kind.

mod controls;
mod judge;
mod ledger;
mod places;
mod report;
mod tiles;
mod trees;

pub use controls::Controls;
pub use ledger::{ChunkBytes, ControlBytes, LedgerCheck, Setup, Window};
pub use report::{Against, Counts, FINDINGS_MAX, Report, RunResult, Source};

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

impl Outcome {
    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::ValidErased => "valid-erased",
            Self::Expired => "expired",
            Self::Missing => "missing",
            Self::Tampered => "tampered",
            Self::Unverifiable => "unverifiable",
        }
    }
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
    Unsealed,
    AnchorUnreadable,
}

impl FindingKind {
    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::RolledBack => "rolled-back",
            Self::BadSignature => "bad-signature",
            Self::BadMac => "bad-mac",
            Self::BadTile => "bad-tile",
            Self::BadChunk => "bad-chunk",
            Self::BadCheckpoint => "bad-checkpoint",
            Self::LedgerMissing => "ledger-missing",
            Self::IdReused => "id-reused",
            Self::KeyMissing => "key-missing",
            Self::ForgedControl => "forged-control",
            Self::Unsealed => "unsealed",
            Self::AnchorUnreadable => "anchor-unreadable",
        }
    }
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
