//! Several consumers as one, for lanes: our own queue and the queues of other systems.
//!
//! What is foreign becomes a frame of one event on the way in, with the same ids at every delivery, so that receipts and
//! identities recognise what comes again. What is no event in its form becomes a refused item, which a lane keeps among the
//! dead letters as it came.

use audit_event::{EventId, Timestamp};
use audit_queue::{Frame, FrameEvent, FrameId};

/// The frame of one item of another system: its id follows from the position, nothing else.
pub(crate) fn frame_of_item(position: &str, event: Vec<u8>, received_micros: i64) -> Frame {
    let name = [b"frame/".as_slice(), position.as_bytes()].concat();
    Frame {
        id: FrameId(*EventId::v5(&name).as_bytes()),
        internal: false,
        received_at: Timestamp::from_micros(received_micros).unwrap_or(Timestamp::EPOCH),
        traceparent: None,
        events: vec![FrameEvent {
            canonical: event,
            api_key_id: String::new(),
        }],
    }
}
