//! The row of a stored event: what adapters write and verification recomputes.
//!
//! Every member is in the entry header or the canonical event, or derived from them; a member added here must be
//! compared in [`EventRow::differences`], which is why stores have no columns of their own.

use audit_event::{Classification, EventId, OrganizationId, Severity, Status, Timestamp};

use crate::entry::{Salt, SealedEvent};
use crate::ledger::{Digest, LeafIndex, LedgerId};

/// A stored event, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Ledger of its entry.
    pub ledger: LedgerId,
    /// Position of its entry.
    pub leaf_index: LeafIndex,
    /// Its leaf.
    pub leaf_hash: Digest,
    /// Id.
    pub id: EventId,
    /// Organisation, "" when none.
    pub organization_id: OrganizationId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When accept took it.
    pub received_at: Timestamp,
    /// When it was numbered.
    pub sealed_at: Timestamp,
    /// Index copy.
    pub principal_id: Option<String>,
    /// Index copy.
    pub action: String,
    /// Index copy.
    pub target_resource_type: Option<String>,
    /// Index copy.
    pub target_resource_id: Option<String>,
    /// Index copy.
    pub status: Status,
    /// Index copy; what was stated, or `Info`.
    pub severity: Severity,
    /// The effective classification.
    pub data_classification: Classification,
    /// The effective policy.
    pub retention_policy: String,
    /// Index copy.
    pub correlation_id: Option<String>,
    /// Digest of what the producer said.
    pub claim: Digest,
    /// The body's salt; gone when expired.
    pub salt: Option<Salt>,
    /// The canonical event; gone when expired.
    pub canonical: Option<Vec<u8>>,
}

impl EventRow {
    /// The row of a sealed event.
    #[must_use]
    pub fn of(sealed: &SealedEvent) -> Self {
        todo!()
    }

    /// Names of the columns in which this row differs from what its own canonical bytes and `entry` say; empty when
    /// it is what a commit wrote.
    #[must_use]
    pub fn differences(&self, entry: &[u8]) -> Vec<&'static str> {
        todo!()
    }
}
