//! Points in time, parsed and printed by us only.

use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z; years 0001 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// How a producer wrote a timestamp, so that its text can be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TimestampForm {
    /// Six fraction digits and `Z`: the canonical text.
    #[default]
    Canonical,
    /// No fraction and `Z`.
    Seconds,
    /// Three fraction digits and `Z`.
    Millis,
    /// Any other text, kept whole (at most 64 bytes).
    Text(String),
}

/// What a time without a zone means; only a foreign form may say UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingZone {
    /// An error.
    Refuse,
    /// UTC.
    Utc,
}

/// Why a text is not a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TimestampError {
    #[error("not an RFC 3339 time")]
    Form,
    #[error("no time zone; write Z or an offset")]
    NoZone,
    #[error("no such date or time of day")]
    OutOfRange,
}

impl Timestamp {
    /// From microseconds since the epoch; `None` outside the years 0001 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        todo!()
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 as `docs/event-format.md` section 1 narrows it, and says how it was written.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, missing_zone: MissingZone) -> Result<(Self, TimestampForm), TimestampError> {
        todo!()
    }
}

/// The canonical text, 27 characters.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
