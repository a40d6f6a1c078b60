//! A configuration as it was written: values with their place in the text, whatever the format.

use zeroize::Zeroizing;

/// A value. Has no `Debug`: it may hold a secret.
pub(crate) struct Node {
    /// Where it begins, in bytes from the start of the text.
    pub(crate) at: usize,
    pub(crate) raw: Raw,
}

/// What was written.
pub(crate) enum Raw {
    Null,
    Flag(bool),
    /// As written; formats differ in what a number is.
    Number(String),
    Text(Zeroizing<String>),
    List(Vec<Node>),
    Table(Vec<Member>),
    /// What TOML has besides, a date or a time.
    Date,
}

/// A member of a table, in the order of the text.
pub(crate) struct Member {
    pub(crate) name: String,
    /// Where the name begins.
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// Why a text cannot be read at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) at: usize,
    /// Holds nothing of the text.
    pub(crate) reason: String,
}

/// Tables and lists within each other at most: no configuration needs more, and reading goes as deep as they do.
pub(crate) const DEPTH_MAX: usize = 32;

impl Broken {
    pub(crate) fn new(at: usize, reason: impl Into<String>) -> Self {
        Self {
            at,
            reason: reason.into(),
        }
    }

    pub(crate) fn too_deep(at: usize) -> Self {
        Self::new(at, format!("more than {DEPTH_MAX} levels"))
    }
}

impl Node {
    /// What it is, for people; nothing of the value.
    pub(crate) const fn what(&self) -> &'static str {
        match self.raw {
            Raw::Null => "null",
            Raw::Flag(_) => "true or false",
            Raw::Number(_) => "a number",
            Raw::Text(_) => "text",
            Raw::List(_) => "a list",
            Raw::Table(_) => "an object",
            Raw::Date => "a date",
        }
    }
}
