//! The books: where every accepted event is.

use audit_queue::{Depth, Producer, QueueError};
use audit_store::{Receipts, StoreError, Totals, Via};

use crate::Acceptor;

/// The conservation law's numbers. At a quiescent point `accepted` equals the sum of the last five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Books {
    /// Taken by the queue, ever; and of other systems' queues what has a receipt.
    pub accepted: u64,
    /// Refused since this process started; not part of the sum.
    pub rejected: u64,
    /// Stored.
    pub stored: u64,
    /// Stored already, same claim.
    pub duplicate: u64,
    /// Stored already, other claim.
    pub conflict: u64,
    /// Kept as dead letters for other reasons.
    pub dead_lettered: u64,
    /// Taken and not settled.
    pub queued: u64,
}

/// Producers' events, and ours apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Producers' events.
    pub producers: Books,
    /// Our own events.
    pub internal: Books,
    /// The queue as it is.
    pub depth: Depth,
}

/// The books cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The queue did not answer.
    #[error("the queue's numbers cannot be read")]
    Queue(#[from] QueueError),
    /// The store did not answer.
    #[error("the store's numbers cannot be read")]
    Store(#[from] StoreError),
}

/// Reads the books of a process that has both queue and store.
///
/// `queued` is what accept took and no receipt accounts for; it does not ask how far the queue has let go, so a frame
/// that is committed and not yet settled is not counted twice.
///
/// # Errors
/// When either side does not answer.
pub async fn read(
    queue: &dyn Producer,
    receipts: &dyn Receipts,
    acceptor: &Acceptor,
) -> Result<Status, StatusError> {
    // Receipts first: a frame enqueued in between is counted as queued, never as more than was accepted.
    let producers = receipts.totals(Via::Queue).await?;
    let internal = receipts.totals(Via::Internal).await?;
    let taken = receipts.totals(Via::Source).await?;
    let depth = queue.depth().await?;
    // Another system's queue says what waits there; to us an item is accepted when it is settled.
    let accepted = depth.enqueued.saturating_add(taken.events);
    Ok(Status {
        producers: Books {
            rejected: acceptor.rejected(),
            ..books(accepted, producers + taken)
        },
        internal: books(depth.enqueued_internal, internal),
        depth,
    })
}

fn books(accepted: u64, totals: Totals) -> Books {
    Books {
        accepted,
        rejected: 0,
        stored: totals.stored,
        duplicate: totals.duplicate,
        conflict: totals.conflict,
        dead_lettered: totals.dead_lettered,
        queued: accepted.saturating_sub(totals.events),
    }
}
