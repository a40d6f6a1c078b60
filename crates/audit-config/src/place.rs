//! Where a value was written.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It follows from other values.
    Derived,
    /// A key of the file: ours, or one of a replaced system.
    File {
        key: &'static str,
        place: Option<Place>,
    },
    /// A flag of the command line.
    Flag(&'static str),
}

/// A file's text, to find places in.
pub(crate) struct Text<'t> {
    pub(crate) file: Arc<str>,
    pub(crate) text: &'t str,
}

impl Text<'_> {
    /// The place of a byte.
    pub(crate) fn place(&self, at: usize) -> Place {
        let mut end = at.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = self.text.get(..end).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: Arc::clone(&self.file),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_in_characters_from_one() {
        let text = Text {
            file: "f".into(),
            text: "ab\n\u{e4}\u{20ac}x",
        };
        for (at, expected) in [
            (0, "f:1:1"),
            (2, "f:1:3"),
            (3, "f:2:1"),
            (4, "f:2:1"),
            (8, "f:2:3"),
            (99, "f:2:4"),
        ] {
            assert_eq!(text.place(at).to_string(), expected, "{at}");
        }
    }
}
