//! The head of a ledger: size, compact range, epoch, state, and the MAC that only a lane can make.

use crate::keys::LaneKey;
use crate::ledger::{Digest, Origin};

/// What may still happen to a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LedgerState {
    /// Takes entries.
    Open,
    /// Complete; takes no more.
    Closed,
    /// Its history is disputed: readable, never leased, never signed.
    Diverged,
}

/// The head of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// Epoch of the writer that wrote it.
    pub epoch: u64,
    /// State.
    pub state: LedgerState,
    /// Roots of the maximal full subtrees, largest first.
    pub range: CompactRange,
    /// See `docs/event-format.md` section 5.
    pub mac: [u8; 32],
}

/// The compact range of a tree: enough to append and to compute the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    roots: Vec<Digest>,
}

impl CompactRange {
    /// From stored roots.
    ///
    /// # Errors
    /// When the number of roots does not fit the size.
    pub fn from_parts(size: u64, roots: Vec<Digest>) -> Result<Self, RangeMismatch> {
        todo!()
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        todo!()
    }

    /// Root of the tree; SHA-256 of nothing when empty.
    #[must_use]
    pub fn root(&self) -> Digest {
        todo!()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots, largest subtree first.
    #[must_use]
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }
}

/// The number of roots is not the number of one-bits in the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the roots do not fit the size")]
pub struct RangeMismatch;

impl Head {
    /// Writes the head of a range, with its MAC.
    #[must_use]
    pub fn seal(key: &LaneKey, origin: &Origin, epoch: u64, state: LedgerState, range: CompactRange) -> Self {
        todo!()
    }

    /// Whether size and range agree and the MAC is right. Constant time.
    #[must_use]
    pub fn is_authentic(&self, key: &LaneKey, origin: &Origin) -> bool {
        todo!()
    }
}
