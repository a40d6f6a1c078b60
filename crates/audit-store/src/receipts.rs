//! Receipts: what became of each frame; the books behind the conservation law.

use async_trait::async_trait;
use audit_event::Timestamp;

use crate::error::StoreError;

/// The way by which a frame's events came; the books are kept for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// Producers' events that accept took and our own queue counted.
    Queue,
    /// Our own events, through the same queue.
    Internal,
    /// An item of another system's queue, which counts for itself.
    Source,
}

impl Via {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Internal, Self::Source];
}

/// What became of one frame, written in the same transaction as its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The frame (a UUID's bytes); unique.
    pub frame_id: [u8; 16],
    /// Where it came from, for people: queue name and position.
    pub source: String,
    /// How its events came.
    pub via: Via,
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

impl std::ops::Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_add(other.events),
            stored: self.stored.saturating_add(other.stored),
            duplicate: self.duplicate.saturating_add(other.duplicate),
            conflict: self.conflict.saturating_add(other.conflict),
            dead_lettered: self.dead_lettered.saturating_add(other.dead_lettered),
        }
    }
}

/// **Port.** Reading receipts. Written only by a commit. Sees every commit that has returned.
#[async_trait]
pub trait Receipts: Send + Sync + std::fmt::Debug {
    /// Those of the frames that have a receipt, in any order; at most 1,000 frames a call.
    async fn find(&self, frames: &[[u8; 16]]) -> Result<Vec<Receipt>, StoreError>;

    /// Sums over all receipts of a way. Constant time, not a scan.
    async fn totals(&self, via: Via) -> Result<Totals, StoreError>;
}
