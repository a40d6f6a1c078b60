//! C2SP checkpoints and signed notes, and the port of the anchor that keeps the newest one outside the database.

use async_trait::async_trait;

use crate::ledger::{Digest, LedgerId, Origin};

/// A tree a checkpoint speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ledger.
    pub origin: Origin,
    /// Leaves.
    pub size: u64,
    /// Root.
    pub root: Digest,
}

/// A checkpoint with the signed note it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The tree.
    pub checkpoint: Checkpoint,
    /// The whole note, as served.
    pub note: String,
}

impl Checkpoint {
    /// The note's text, before its signatures.
    #[must_use]
    pub fn to_body(&self) -> String {
        todo!()
    }
}

impl SignedCheckpoint {
    /// Reads a note and checks its signature with a verifier key line.
    ///
    /// # Errors
    /// When it is no checkpoint, speaks of another origin than the key, or no signature of the key is right.
    pub fn verify(note: &str, verifier_key: &str) -> Result<Self, NoteError> {
        todo!()
    }
}

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NoteError {
    #[error("not a signed checkpoint")]
    Malformed,
    #[error("the verifier key line is malformed")]
    BadKey,
    #[error("no valid signature of the given key")]
    BadSignature,
    #[error("the checkpoint is of another ledger than the key")]
    OtherOrigin,
}

/// **Port.** The newest checkpoint of every ledger, kept outside the event database.
///
/// Durable when [`Self::append`] returns. Idempotent on (ledger, size, root). Unreadable is an error, never "no anchor".
#[async_trait]
pub trait CheckpointAnchor: Send + Sync + std::fmt::Debug {
    /// Keeps `note` when its size is greater than what is kept; the same size and root again is fine.
    ///
    /// # Errors
    /// [`AnchorError::Conflict`] when the same size has another root, or a greater one is kept.
    async fn append(&self, ledger: LedgerId, checkpoint: &SignedCheckpoint) -> Result<(), AnchorError>;

    /// The newest note of a ledger, as it was appended; `None` when never one was.
    async fn newest(&self, ledger: LedgerId) -> Result<Option<String>, AnchorError>;
}

/// The anchor cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// It cannot be read or written now.
    #[error("the anchor cannot be reached: {place}")]
    Unavailable {
        /// Where it is.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It holds something that excludes what was to be appended.
    #[error("the anchor holds another history: size {kept}, offered {offered}")]
    Conflict {
        /// The size kept.
        kept: u64,
        /// The size offered.
        offered: u64,
    },
}
