//! Entries: the leaf input, and events sealed into a position.

use audit_event::{Classification, EventDraft, EventId, OrganizationId, Timestamp};

use crate::control::ControlKind;
use crate::ledger::{Digest, LeafIndex, LedgerId};

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A producer's event.
    Event,
    /// Something the system did; only in the directory ledger.
    Control(ControlKind),
}

/// The header whose canonical form, behind its label, is the leaf input (`docs/event-format.md` section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHeader {
    /// What it records.
    pub kind: EntryKind,
    /// The ledger it is in.
    pub ledger: LedgerId,
    /// Its position.
    pub index: LeafIndex,
    /// The event's id.
    pub id: EventId,
    /// Its organisation.
    pub organization_id: OrganizationId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When accept took it.
    pub received_at: Timestamp,
    /// When it was numbered.
    pub sealed_at: Timestamp,
    /// The effective classification.
    pub data_classification: Classification,
    /// The effective retention policy.
    pub retention_policy: String,
    /// Digest of the salted body.
    pub body: Digest,
}

/// 16 random bytes that make a body's digest unguessable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// An event with its place in a ledger; made by [`seal`], stored by a commit.
#[derive(Debug, Clone)]
pub struct SealedEvent {
    /// The event and its canonical bytes.
    pub draft: EventDraft,
    /// The header.
    pub header: EntryHeader,
    /// The salt of its body.
    pub salt: Salt,
    /// Digest of what the producer said.
    pub claim: Digest,
    /// The leaf input.
    pub entry: Vec<u8>,
    /// The leaf.
    pub leaf_hash: Digest,
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// Where and when a draft is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The ledger.
    pub ledger: LedgerId,
    /// The position.
    pub index: LeafIndex,
    /// The time of sealing.
    pub sealed_at: Timestamp,
    /// The salt.
    pub salt: Salt,
}

/// Gives a draft its place: salted body, header, entry, leaf. Pure; `claim` is [`crate::claim::claim_of`] of the draft,
/// handed in because duplicates are settled before anything is numbered.
#[must_use]
pub fn seal(draft: EventDraft, claim: Digest, place: &Place) -> SealedEvent {
    todo!()
}

impl EntryHeader {
    /// The leaf input: label and canonical header.
    #[must_use]
    pub fn to_entry(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads a leaf input back; strict: exactly what [`Self::to_entry`] writes.
    ///
    /// # Errors
    /// When the bytes are no entry.
    pub fn from_entry(entry: &[u8]) -> Result<Self, EntryError> {
        todo!()
    }
}

/// Bytes that are not an entry.
#[derive(Debug, thiserror::Error)]
#[error("not an entry: {reason}")]
pub struct EntryError {
    /// What is wrong.
    pub reason: String,
}

/// Digest of a salted body (event or control document).
#[must_use]
pub fn body_digest(salt: &Salt, canonical: &[u8]) -> Digest {
    todo!()
}
