//! Sending a dead letter again: a new frame with its event, through the same queue and lanes as everything else.

use audit_event::{EventId, Timestamp};
use audit_queue::{Frame, FrameEvent, FrameId, Producer, QueueError};
use audit_runtime::Clock;
use audit_store::{DeadLetter, DeadLetterReason, DeadLetters, StoreError};

/// Why a dead letter was not sent again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is none of that id.
    #[error("no such dead letter")]
    Unknown,
    /// It was sent again before.
    #[error("already sent again")]
    AlreadyReplayed,
    /// It is an item of another system in its own form: put it into that system's queue again.
    #[error(
        "an item of another system, which is no event; put it into its queue again when it is mended"
    )]
    NotAnEvent,
    /// The queue did not take it.
    #[error("the queue did not take it")]
    Queue(#[from] QueueError),
    /// The store did not answer.
    #[error("the dead letter cannot be read or marked")]
    Store(#[from] StoreError),
}

/// Sends a dead letter again and marks it.
///
/// The new frame's id is derived from the dead letter's, so that a crash between enqueue and mark, and a second call, give the
/// same frame: the queue and the receipts recognise it. It counts as accepted again.
///
/// # Errors
/// Nothing was sent, except after [`ReplayError::Store`]; then calling again is safe.
pub async fn replay(
    letters: &dyn DeadLetters,
    queue: &dyn Producer,
    clock: &dyn Clock,
    id: EventId,
) -> Result<FrameId, ReplayError> {
    let DeadLetter { letter, replayed } = letters.get(id).await?.ok_or(ReplayError::Unknown)?;
    if replayed.is_some() {
        return Err(ReplayError::AlreadyReplayed);
    }
    // Read as an event of ours, such an item could name any organisation.
    if letter.reason == DeadLetterReason::NotAnEvent {
        return Err(ReplayError::NotAnEvent);
    }
    let frame_id =
        FrameId(*EventId::v5(&[b"replay".as_slice(), id.as_bytes()].concat()).as_bytes());
    let now = Timestamp::from_micros(clock.now_micros()).unwrap_or(Timestamp::EPOCH);
    let events = vec![FrameEvent {
        canonical: letter.payload,
        api_key_id: String::new(),
    }];
    let frame = Frame {
        id: frame_id,
        internal: false,
        received_at: now,
        traceparent: None,
        events,
    };
    queue.enqueue(frame).await?;
    letters.mark_replayed(id, now, frame_id.0).await?;
    Ok(frame_id)
}
