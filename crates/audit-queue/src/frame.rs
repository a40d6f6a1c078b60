//! The frame: events of one request, or of requests that share a group commit, as one queue item.
//!
//! Header v1: magic `AWF1`, version, frame id, count, raw length, codec, queue-key id, flags; then the (compressed) raw
//! part. To be specified byte by byte here.

use audit_event::Timestamp;

/// Id of a frame: a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub [u8; 16]);

/// One event in a frame: normalised already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameEvent {
    /// The canonical event, with id, organisation and `receivedAt` stamped.
    pub canonical: Vec<u8>,
    /// Id of the API key that sent it; empty when it came from inside.
    pub api_key_id: String,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its id.
    pub id: FrameId,
    /// Whether it holds our own events.
    pub internal: bool,
    /// When accept closed it.
    pub received_at: Timestamp,
    /// W3C trace context of the request, when it had one.
    pub traceparent: Option<String>,
    /// The events.
    pub events: Vec<FrameEvent>,
}

/// Bounds of a frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameLimits {
    /// Raw bytes at most (or one event); DESIGN §3.3: 1 MiB.
    pub raw_bytes_max: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { raw_bytes_max: 1 << 20 }
    }
}

/// Bytes that are not a frame this program reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FrameError {
    #[error("not a frame")]
    NotAFrame,
    #[error("frame version {0} is not known")]
    UnknownVersion(u8),
    #[error("frame is sealed under queue key {0}, which is not known")]
    UnknownKey(u32),
    #[error("frame is larger than allowed: {0} bytes")]
    TooLarge(u64),
    #[error("frame is damaged: {0}")]
    Damaged(&'static str),
}

impl Frame {
    /// The bytes as kept in a queue.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads them back; lengths are checked before anything is allocated.
    ///
    /// # Errors
    /// Why they are no frame of ours.
    pub fn decode(bytes: &[u8], limits: FrameLimits) -> Result<Self, FrameError> {
        todo!()
    }
}
