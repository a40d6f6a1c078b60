//! Receipts: what became of each frame; the books behind the conservation law.

use async_trait::async_trait;
use audit_event::Timestamp;

use crate::error::StoreError;

/// What became of one frame, written in the same transaction as its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The frame (a UUID's bytes); unique.
    pub frame_id: [u8; 16],
    /// Where it came from, for people: queue name and position.
    pub source: String,
    /// Whether it holds our own events.
    pub internal: bool,
    /// Events in the frame = stored + duplicate + conflict + dead_lettered.
    pub events: u32,
    /// Stored by this commit.
    pub stored: u32,
    /// Already stored, same claim.
    pub duplicate: u32,
    /// Already stored, other claim; also a dead letter, not counted in `dead_lettered`.
    pub conflict: u32,
    /// Dead letters for any other reason.
    pub dead_lettered: u32,
    /// When.
    pub committed_at: Timestamp,
}

/// Sums over receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "as in Receipt")]
pub struct Totals {
    pub events: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub conflict: u64,
    pub dead_lettered: u64,
}

/// **Port.** Reading receipts. Written only by a commit. Sees every commit that has returned.
#[async_trait]
pub trait Receipts: Send + Sync + std::fmt::Debug {
    /// Those of the frames that have a receipt, in any order; at most 1,000 frames a call.
    async fn find(&self, frames: &[[u8; 16]]) -> Result<Vec<Receipt>, StoreError>;

    /// Sums over all receipts: producers' (`internal` = false) or ours. Constant time, not a scan.
    async fn totals(&self, internal: bool) -> Result<Totals, StoreError>;
}
