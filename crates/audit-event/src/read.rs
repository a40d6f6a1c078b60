//! The strict, bounded JSON reader: every error has a path, no number goes through a float.

use crate::problem::Problem;
use crate::value::Value;

/// What the reader may do with half a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoneSurrogates {
    /// An error, with its path.
    Refuse,
    /// U+FFFD; [`ReadValue::replaced_surrogates`] says so. Only for foreign events that carry a legacy hash.
    Replace,
}

/// Bounds of one read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Longest input in bytes.
    pub bytes_max: usize,
    /// Deepest nesting; the outermost value is depth 1.
    pub depth_max: usize,
    /// What to do with half a surrogate pair.
    pub lone_surrogates: LoneSurrogates,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadValue {
    /// The value.
    pub value: Value,
    /// Whether a lone surrogate was replaced.
    pub replaced_surrogates: bool,
}

/// Reads one JSON value and nothing after it.
///
/// # Errors
/// The first problem, with its path: after one, the rest of the text has no meaning.
pub fn read_value(bytes: &[u8], limits: &ReadLimits) -> Result<ReadValue, Problem> {
    todo!()
}

/// Cuts a request body into its items without reading them: an array's items, `{"events":[...]}`'s items, or the
/// body itself when it is one object. Each item is a slice of the body, to be read with [`read_value`].
///
/// # Errors
/// The problem that makes the cut impossible (the body is no JSON, or too many items).
pub fn split_batch(body: &[u8], items_max: usize) -> Result<Vec<&[u8]>, Problem> {
    todo!()
}
