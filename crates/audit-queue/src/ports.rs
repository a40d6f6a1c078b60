//! The two ports.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::QueueError;
use crate::frame::{Frame, FrameId};

/// How safe an enqueued frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On disk, fsync'd.
    Fsynced,
    /// On so many replicas besides.
    Replicated(u16),
    /// In memory or a page cache only; may be lost.
    Buffered,
}

/// What waits in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Producers' events enqueued for ever since the queue was made.
    pub enqueued: u64,
    /// Our own events enqueued for ever.
    pub enqueued_internal: u64,
    /// Frames not settled.
    pub frames: u64,
    /// Producers' events not settled.
    pub events: u64,
    /// Our own events not settled.
    pub events_internal: u64,
    /// Bytes not settled, as kept.
    pub bytes: u64,
    /// Time of arrival (microseconds) of the oldest frame not settled.
    pub oldest_micros: Option<i64>,
}

/// How much may wait before a producer is refused (DESIGN §3.3): whichever comes first. A frame that would pass it is refused
/// unless nothing waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Producers' events.
    pub events_max: u64,
    /// Bytes of producers' frames, as kept.
    pub bytes_max: u64,
}

/// **Port.** Putting frames in.
///
/// Durable as the returned [`Durability`] says. Idempotent on [`FrameId`]: a frame that is in the queue, or was settled
/// recently, is not put in twice. Callable concurrently; concurrent calls may share one fsync. If the future is dropped the frame
/// may be in the queue. The caller retries. Bounded: past its mark it answers [`QueueError::Full`] and takes nothing.
#[async_trait]
pub trait Producer: Send + Sync + std::fmt::Debug {
    /// Puts one frame in.
    async fn enqueue(&self, frame: Frame) -> Result<Durability, QueueError>;

    /// What waits now.
    async fn depth(&self) -> Result<Depth, QueueError>;

    /// How many of the frames that wait are handed out at the moment, by all consumers together; `None` where nobody counts them.
    async fn pending(&self) -> Result<Option<u64>, QueueError> {
        Ok(None)
    }
}

/// How much one `receive` may bring.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Deliveries at most.
    pub deliveries: usize,
    /// Bytes at most, but always one delivery. Of a frame count the bytes of its raw part ([`Frame::unfolded_len`]), not those it is
    /// kept in: equal events fold to a hundredth, and the budget is there to bound the receiver's memory.
    pub bytes: usize,
    /// How long to wait for the first.
    pub wait: Duration,
}

/// Where a delivery stands in its source: stable across redelivery and unique for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourcePosition(pub String);

/// What a delivery carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// One of our frames.
    Frame(Frame),
    /// A frame this program cannot read (newer version, unknown key): leave it pending, raise an alarm.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// An event of another system, in its own form. The pipeline's `Sources` translates or refuses it.
    Foreign {
        /// Name of the form (`audit_event::Form::as_str`).
        form: &'static str,
        /// The bytes.
        bytes: Vec<u8>,
        /// Time the broker took it (microseconds), which becomes `receivedAt`.
        received_micros: i64,
    },
    /// An event of another system, translated: its canonical bytes, with id, organisation and `receivedAt` stamped.
    Translated {
        /// As in [`crate::FrameEvent`].
        canonical: Vec<u8>,
        /// As in [`Payload::Foreign`].
        received_micros: i64,
    },
    /// An event of another system that can never be one of ours. It goes to the dead letters as it came.
    Refused {
        /// The item's bytes.
        bytes: Vec<u8>,
        /// Every problem, in words.
        detail: String,
        /// As in [`Payload::Foreign`].
        received_micros: i64,
    },
}

/// One delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Where it stands.
    pub source: SourcePosition,
    /// How often it was delivered before; never a reason to give an event up.
    pub redelivered: u32,
    /// What it carries.
    pub payload: Payload,
}

/// Deliveries held together; settled or released together.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// Part of the queue it came from; batches of one partition are settled in order.
    pub partition: u32,
    /// Names the batch to the adapter, which needs nothing else to settle, renew or release it; 0 when the wait ran out.
    pub token: u64,
    /// The deliveries, in queue order; the receiver may take them out.
    pub deliveries: Vec<Delivery>,
    /// Filled in by the receiver before it settles: deliveries of which nothing was stored. Empty when they are received.
    pub refused: Vec<Refused>,
}

impl Batch {
    /// What names a batch; enough to settle, renew or release it.
    #[must_use]
    pub const fn named(partition: u32, token: u64) -> Self {
        Self {
            partition,
            token,
            deliveries: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// The wait ran out. Token 0 is held by nobody, and settling or releasing nothing is fine.
    #[must_use]
    pub const fn nothing() -> Self {
        Self::named(0, 0)
    }
}

/// A delivery that ended among the dead letters. They are the record; a source whose own tools have a place for failed
/// items shows it there as well. Told again from the receipt when a crash came in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The delivery.
    pub source: SourcePosition,
    /// Why, for people.
    pub reason: String,
}

/// **Port.** Taking frames out: at least once, in order within a partition.
///
/// A received batch stays in the queue until it is settled; when the process dies without settling it is delivered again. `settle`
/// is called once, after the store has committed, may be lazy on disk (a crash then redelivers; receipts recognise it).
/// Callable concurrently; `receive` is cancellable without losing anything. No call dead-letters anything.
#[async_trait]
pub trait Consumer: Send + Sync + std::fmt::Debug {
    /// Takes a batch of deliveries that nobody else holds.
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError>;

    /// Takes the batch's deliveries out of the queue.
    async fn settle(&self, batch: Batch) -> Result<(), QueueError>;

    /// Holds the batch for longer.
    async fn renew(&self, batch: &Batch) -> Result<(), QueueError>;

    /// Gives the batch back, to be delivered again at once.
    async fn release(&self, batch: Batch) -> Result<(), QueueError>;
}

/// Whether a frame still waits; for `GET /v1/frames/{id}`.
#[async_trait]
pub trait FrameLookup: Send + Sync + std::fmt::Debug {
    /// Whether the frame is in the queue and not settled.
    async fn is_waiting(&self, id: FrameId) -> Result<bool, QueueError>;
}
