//! Control entries: what the system itself puts into the directory ledger.

use audit_event::{EventId, Timestamp, Value};

use crate::entry::{EntryHeader, Salt};
use crate::ledger::{Digest, LeafIndex};

/// Kinds of control entries; printed as `control.<name>` (`docs/event-format.md` section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ControlKind {
    LedgerOpened,
    LedgerClosed,
    Key,
    Snapshot,
    Retention,
    Erasure,
    HistoryLoss,
}

/// A control entry with its place in the directory.
#[derive(Debug, Clone)]
pub struct SealedControl {
    /// The canonical control document.
    pub document: Vec<u8>,
    /// The header.
    pub header: EntryHeader,
    /// The salt of its body.
    pub salt: Salt,
    /// The leaf input.
    pub entry: Vec<u8>,
    /// The leaf.
    pub leaf_hash: Digest,
}

/// Where and when a control document is sealed.
#[derive(Debug, Clone, Copy)]
pub struct ControlPlace {
    /// Its id.
    pub id: EventId,
    /// The position in the directory.
    pub index: LeafIndex,
    /// The time of sealing.
    pub sealed_at: Timestamp,
    /// The salt.
    pub salt: Salt,
}

/// Gives a control document its place in the directory.
#[must_use]
pub fn seal_control(kind: ControlKind, document: &Value, place: &ControlPlace) -> SealedControl {
    todo!()
}
