//! Signed checkpoints as the store keeps them.

use async_trait::async_trait;
use audit_integrity::checkpoint::SignedCheckpoint;
use audit_integrity::ledger::LedgerId;

use crate::error::StoreError;

/// **Port.** Checkpoints, insert-only. Unique on (ledger, size).
#[async_trait]
pub trait Checkpoints: Send + Sync + std::fmt::Debug {
    /// Keeps a checkpoint. Durable on return. The same size with the same note again is fine; with another root it is
    /// [`StoreError::Refused`], which the signer treats as fatal.
    async fn insert(
        &self,
        ledger: LedgerId,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), StoreError>;

    /// The note of the greatest size.
    async fn newest(&self, ledger: LedgerId) -> Result<Option<StoredNote>, StoreError>;

    /// The note of the smallest size that covers `size`, when there is one.
    async fn covering(&self, ledger: LedgerId, size: u64)
    -> Result<Option<StoredNote>, StoreError>;

    /// Notes in order of size, after `size`, at most `max`; verification checks them all.
    async fn after(
        &self,
        ledger: LedgerId,
        size: u64,
        max: u32,
    ) -> Result<Vec<StoredNote>, StoreError>;
}

/// A note and the size it is kept under; the note itself says what is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNote {
    /// The size it is kept under.
    pub size: u64,
    /// The signed note.
    pub note: String,
}
