//! From what the script answers to deliveries.

use audit_queue::{Delivery, Frame, FrameLimits, Payload, SourcePosition};

/// A delivery as Redis knows it, and what settling it has to subtract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Id of the stream's entry.
    pub(crate) id: String,
    /// How often it was delivered, this time included: with the consumer's name it makes the delivery ours.
    pub(crate) count: u64,
    /// As in the entry, also of a frame that cannot be read.
    pub(crate) frame_id: Vec<u8>,
    pub(crate) events: u64,
    pub(crate) internal: bool,
    pub(crate) bytes: u64,
}

/// As `receive.lua` answers: entry, deliveries so far, frame id, events, internal, frame.
pub(crate) type Row = (String, u64, Vec<u8>, u64, u64, Vec<u8>);

pub(crate) struct Received {
    pub(crate) entry: Entry,
    pub(crate) delivery: Delivery,
}

impl Received {
    /// `stream` makes the position unique among queues.
    pub(crate) fn read(row: Row, stream: &str, limits: FrameLimits) -> Self {
        let (id, count, frame_id, events, internal, bytes) = row;
        let payload = match Frame::decode(&bytes, limits) {
            Ok(frame) => Payload::Frame(frame),
            Err(error) => Payload::Unreadable {
                reason: error.to_string(),
            },
        };
        let redelivered = u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX);
        Self {
            delivery: Delivery {
                source: SourcePosition(format!("{stream}/{id}")),
                redelivered,
                payload,
            },
            entry: Entry {
                id,
                count,
                frame_id,
                events,
                internal: internal == 1,
                bytes: bytes.len() as u64,
            },
        }
    }

    const fn is_unreadable(&self) -> bool {
        matches!(self.delivery.payload, Payload::Unreadable { .. })
    }
}

/// How many of the first belong into one batch: a frame that cannot be read stays alone, because its batch is never settled.
pub(crate) fn together(received: &[Received]) -> usize {
    match received.iter().position(Received::is_unreadable) {
        None => received.len(),
        Some(0) => 1,
        Some(before) => before,
    }
}
