//! Dead letters: events that could not be stored, kept with their bytes and the reason.

use async_trait::async_trait;
use audit_event::{EventId, OrganizationId, Timestamp};

use crate::error::StoreError;

/// Why an event is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// Same identity, another claim.
    Conflict,
    /// The store refuses it for what it contains.
    RejectedByStore,
    /// A processor refused it.
    RejectedByProcessor,
    /// The payload cannot be read as an event.
    Unreadable,
    /// An item of another system's queue that is no event in its form; the payload is the item as it came.
    NotAnEvent,
    /// The producer's hash or signature does not match, and the policy says that such events are not stored.
    ProofMismatch,
    /// Its own commit kills the process.
    Poison,
}

/// A dead letter to be written by a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// Id of the dead letter, UUIDv7.
    pub id: EventId,
    /// The frame it came in.
    pub frame_id: [u8; 16],
    /// Position in the frame.
    pub frame_index: u32,
    /// The event's id, when it could be read.
    pub event_id: Option<EventId>,
    /// Its organisation, when it could be read.
    pub organization_id: OrganizationId,
    /// Why.
    pub reason: DeadLetterReason,
    /// In words; no event content.
    pub detail: String,
    /// The original bytes.
    pub payload: Vec<u8>,
    /// When accept took it.
    pub received_at: Option<Timestamp>,
    /// When it was given up.
    pub dead_at: Timestamp,
}

/// A dead letter as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// As written.
    pub letter: NewDeadLetter,
    /// When it was sent again, as which frame.
    pub replayed: Option<(Timestamp, [u8; 16])>,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Only of these organisations; `None` for all.
    pub organizations: Option<Vec<OrganizationId>>,
    /// Only for this reason.
    pub reason: Option<DeadLetterReason>,
    /// Also those that were replayed.
    pub include_replayed: bool,
    /// Only after this id (keyset; ids are ordered by time).
    pub after: Option<EventId>,
    /// At most so many, 1..=1,000.
    pub limit: u32,
}

/// **Port.** Operating on dead letters. They are written only by [`crate::LedgerWriter::commit`].
#[async_trait]
pub trait DeadLetters: Send + Sync + std::fmt::Debug {
    /// Oldest first.
    async fn list(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, StoreError>;

    /// One; `None` when there is none of that id.
    async fn get(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError>;

    /// Notes that it was sent again. Durable on return. `false` when it was already, or is gone.
    async fn mark_replayed(
        &self,
        id: EventId,
        at: Timestamp,
        frame_id: [u8; 16],
    ) -> Result<bool, StoreError>;

    /// Removes it for ever. `false` when there was none. Totals over receipts do not change.
    async fn purge(&self, id: EventId) -> Result<bool, StoreError>;

    /// How many wait (not replayed).
    async fn waiting(&self) -> Result<u64, StoreError>;
}
