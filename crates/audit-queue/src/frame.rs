//! The frame: events of one request, or of requests that share a group commit, as one queue item.
//!
//! # Bytes of version 1
//!
//! Integers are unsigned and big-endian unless said otherwise. A header of 52 bytes comes first:
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 4 | magic, `AWF1` in every version |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | flags: bit 0 (value 1) our own events, bit 1 (value 2) a traceparent is there; all others 0 |
//! | 6 | 1 | codec of the kept part: 0 none, 1 one LZ4 block |
//! | 7 | 1 | 0 |
//! | 8 | 4 | id of the queue key under which the kept part is sealed; 0: not sealed |
//! | 12 | 4 | number of events |
//! | 16 | 16 | frame id |
//! | 32 | 8 | `receivedAt`, microseconds since 1970-01-01T00:00:00Z, signed |
//! | 40 | 4 | length of the raw part |
//! | 44 | 4 | length of the kept part, which is all that follows the header |
//! | 48 | 4 | CRC-32 (IEEE) of bytes 0 to 47 followed by the kept part |
//!
//! The kept part is the raw part, or its LZ4 block when that is shorter. The raw part:
//!
//! 1. length of the traceparent (4 bytes), the traceparent in UTF-8; length 0 when the flag is not set;
//! 2. number of API key ids (4 bytes), then for each its length (4 bytes) and its UTF-8;
//! 3. for each event 8 bytes: where it ends in part 4 (4 bytes), and which API key id sent it, counted from 0 (4 bytes);
//! 4. the canonical events, one after the other. The first begins at 0, each at the end of the one before.
//!
//! Nothing follows part 4. The organisation and `receivedAt` of an event are in its canonical bytes, stamped at accept.
//!
//! # Damage
//!
//! The CRC finds every flipped byte, and a cut or lengthened frame does not have the length it says. It is no
//! protection against an attacker: whoever can write the queue can put in whole frames. A cryptographic digest would cost
//! ten times the CPU and say no more until frames are sealed under a queue key, whose tag then replaces it.

mod read;
#[cfg(test)]
mod tests;
mod write;

use audit_event::Timestamp;

/// Bytes before the kept part.
pub(crate) const HEADER_LEN: usize = 52;
/// Where the length of the raw part stands.
pub(crate) const RAW_LEN_AT: usize = 40;
/// Where the CRC stands.
pub(crate) const CRC_AT: usize = 48;
/// First bytes of every frame, in every version.
pub(crate) const MAGIC: [u8; 4] = *b"AWF1";
/// The version written here.
pub(crate) const VERSION: u8 = 1;
pub(crate) const FLAG_INTERNAL: u8 = 1;
pub(crate) const FLAG_TRACEPARENT: u8 = 2;
pub(crate) const CODEC_NONE: u8 = 0;
pub(crate) const CODEC_LZ4: u8 = 1;
/// Bytes of part 3 for each event.
pub(crate) const EVENT_ROW_LEN: usize = 8;

/// Id of a frame: a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub [u8; 16]);

/// The hyphenated form.
impl std::fmt::Display for FrameId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}

/// One event in a frame: normalised already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameEvent {
    /// The canonical event, with id, organisation and `receivedAt` stamped.
    pub canonical: Vec<u8>,
    /// Id of the API key that sent it; empty when it came from inside.
    pub api_key_id: String,
}

impl FrameEvent {
    /// Raw bytes an event needs in a frame besides its canonical form, its API key's id (at most so long) included.
    pub const OVERHEAD: usize = 64;
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
        Self {
            raw_bytes_max: 1 << 20,
        }
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
    /// The bytes as kept in a queue. A frame that [`Frame::check`] refuses may give bytes that cannot be read back.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        write::encode(self)
    }

    /// Reads them back; lengths are checked before anything is allocated.
    ///
    /// # Errors
    /// Why they are no frame of ours.
    pub fn decode(bytes: &[u8], limits: FrameLimits) -> Result<Self, FrameError> {
        read::decode(bytes, limits)
    }

    /// Whether the frame may be put into a queue: what [`Frame::decode`] under the same limits would read back.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`] when it holds more than one event and more raw bytes than allowed.
    pub fn check(&self, limits: FrameLimits) -> Result<(), FrameError> {
        let raw = self.raw_len();
        if (raw > limits.raw_bytes_max && self.events.len() > 1) || u32::try_from(raw).is_err() {
            return Err(FrameError::TooLarge(raw as u64));
        }
        Ok(())
    }

    /// Bytes of a kept frame when it is unfolded, as its header says: what it will take in memory, known before it is decoded.
    /// Of anything that has no such header the bytes themselves, because that is refused without being unfolded.
    #[must_use]
    pub fn unfolded_len(bytes: &[u8]) -> usize {
        let raw = bytes.get(RAW_LEN_AT..).and_then(|rest| rest.first_chunk());
        let raw = raw.map_or(0, |raw| u32::from_be_bytes(*raw));
        usize::try_from(raw).unwrap_or(usize::MAX).max(bytes.len())
    }

    /// Length of the raw part, at most: API key ids are counted once an event here.
    #[must_use]
    pub fn raw_len(&self) -> usize {
        let event = |event: &FrameEvent| {
            event
                .canonical
                .len()
                .saturating_add(event.api_key_id.len())
                .saturating_add(EVENT_ROW_LEN + 4)
        };
        let events = self
            .events
            .iter()
            .map(event)
            .fold(0_usize, usize::saturating_add);
        events
            .saturating_add(self.traceparent.as_ref().map_or(0, String::len))
            .saturating_add(8)
    }
}
