//! What is wrong with an input, where, and a code that a program can branch on.

use std::fmt;

/// One problem found in an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a JSON pointer (RFC 6901), "" for the whole.
    pub path: Path,
    /// What, for programs.
    pub code: Code,
    /// What, for people; names the rule, never repeats the value.
    pub message: String,
}

impl Problem {
    /// A problem at a JSON pointer.
    #[must_use]
    pub fn at(pointer: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self {
            path: Path::from_pointer(pointer),
            code,
            message: message.into(),
        }
    }
}

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// The whole input.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// A pointer as text.
    #[must_use]
    pub fn from_pointer(pointer: impl Into<String>) -> Self {
        Self(pointer.into())
    }

    /// A member of what this points at. A name of more than 256 bytes is cut: the input decides how long it is, and
    /// the path stands in answers and logs.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        let shown = name
            .get(..name.floor_char_boundary(NAME_SHOWN_MAX))
            .unwrap_or(name);
        let cut = if shown.len() < name.len() { "…" } else { "" };
        Self(format!(
            "{}/{}{cut}",
            self.0,
            shown.replace('~', "~0").replace('/', "~1")
        ))
    }

    /// An item of what this points at.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// The pointer as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Longest member name in a path, in bytes; longer than any name a person would look for.
const NAME_SHOWN_MAX: usize = 256;

/// Stable codes of [`Problem`]; printed in snake case, part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// Not JSON, or cut off.
    Syntax,
    /// Bytes are not UTF-8.
    Encoding,
    /// The same member twice.
    DuplicateKey,
    /// Nested deeper than the limit.
    TooDeep,
    /// U+0000 in a string or key.
    NulCharacter,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// More digits, or a larger or smaller value, than is kept exactly.
    NumberOutOfRange,
    /// A required member is missing or null.
    Missing,
    /// Another JSON type than this member has.
    WrongType,
    /// A value outside this member's list.
    UnknownValue,
    /// Text that does not have the required form.
    BadFormat,
    /// Empty where something must be said.
    Empty,
    /// Longer or larger than the limit.
    TooLarge,
    /// A member only the system may write.
    Reserved,
    /// The time is too far ahead of the time of arrival.
    InFuture,
    /// Names an organisation that the caller may not write for.
    Forbidden,
    /// A processor refused the event.
    Refused,
    /// Not taken for now; nothing is wrong with it.
    Unavailable,
}

impl Code {
    /// The code as it stands in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Encoding => "encoding",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::NulCharacter => "nul_character",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::Missing => "missing",
            Self::WrongType => "wrong_type",
            Self::UnknownValue => "unknown_value",
            Self::BadFormat => "bad_format",
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::Reserved => "reserved",
            Self::InFuture => "in_future",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at {:?}: {}",
            self.code.as_str(),
            self.path.as_str(),
            self.message
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_json_pointer_of_bounded_names() {
        let path = Path::root().member("a/b~c").index(3).member("");
        assert_eq!(path.as_str(), "/a~1b~0c/3/");
        let long = Path::root().member(&"é".repeat(100_000));
        assert_eq!(long.as_str(), format!("/{}…", "é".repeat(128)));
    }
}
