//! Exact decimal numbers in canonical layout.

use std::fmt;

/// A number as its canonical text (`docs/event-format.md` section 1): equal text, equal number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

/// Why a token is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum NumberError {
    #[error("not a JSON number")]
    Syntax,
    #[error("more than 100 significant digits")]
    TooPrecise,
    #[error("beyond the range of a double")]
    OutOfRange,
}

impl Number {
    /// From a JSON number token.
    ///
    /// # Errors
    /// When the token is not one, or cannot be kept exactly.
    pub fn parse(token: &str) -> Result<Self, NumberError> {
        todo!()
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many bytes it counts for in the size of an event: an exponent beyond ±40 counts written out.
    #[must_use]
    pub fn counted_len(&self) -> usize {
        todo!()
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        todo!()
    }

    /// The value when it is an integer in 0..2^64.
    #[must_use]
    pub fn to_u64(&self) -> Option<u64> {
        todo!()
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        todo!()
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        todo!()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
