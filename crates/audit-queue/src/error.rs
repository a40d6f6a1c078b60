//! Errors of the queue.

use audit_runtime::{Fault, Faulty};

use crate::frame::FrameError;

/// Source of an error, kept for the log; never shown to a client.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The queue did not do what was asked; a frame whose enqueue failed is not in it, except after [`QueueError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// Past its mark; come back later.
    #[error("the queue is full: {waiting_events} events, {waiting_bytes} bytes waiting")]
    Full {
        /// Events waiting.
        waiting_events: u64,
        /// Bytes waiting.
        waiting_bytes: u64,
    },
    /// The disk is full.
    #[error("no space left for the queue")]
    NoSpace(#[source] Source),
    /// The broker is away.
    #[error("the queue is not available")]
    Unavailable(#[source] Source),
    /// Try again.
    #[error("the queue is busy")]
    Busy(#[source] Source),
    /// The answer was lost: the frame may be in the queue. Enqueueing the same frame again is safe.
    #[error("the outcome is unknown")]
    Unknown(#[source] Source),
    /// This frame can be in no queue: it is larger than a frame may be.
    #[error("the frame is refused")]
    Refused(#[source] FrameError),
    /// It is closing.
    #[error("the queue is closed")]
    Closed,
    /// A delivery of this batch is no longer ours.
    #[error("the batch is no longer held")]
    NotHeld,
}

impl Faulty for QueueError {
    fn fault(&self) -> Fault {
        match self {
            Self::Full { .. } | Self::NoSpace(_) | Self::Unavailable(_) | Self::Closed => {
                Fault::Outage
            }
            Self::Busy(_) | Self::Unknown(_) => Fault::Transient,
            Self::Refused(_) => Fault::Rejected,
            Self::NotHeld => Fault::Fatal,
        }
    }
}
