//! What is wrong with a configuration, and what is worth saying although it is right.

use std::fmt;

use crate::place::Place;

/// Something wrong with a configuration. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigProblem {
    /// The key's path, `(file)` for the whole file.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
    /// What was given, redacted; where showing it says more than the reason.
    pub value: Option<String>,
    /// Where it was given.
    pub place: Option<Place>,
}

impl ConfigProblem {
    /// A problem of no place in a file.
    #[must_use]
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            reason: reason.into(),
            value: None,
            place: None,
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.key, self.reason)?;
        match &self.value {
            Some(value) => write!(f, ", not {value}"),
            None => Ok(()),
        }
    }
}

/// Something that a person should know about a configuration that is in force all the same. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The key's path.
    pub key: String,
    /// A whole sentence, which names the key.
    pub text: String,
    /// Where it was given.
    pub place: Option<Place>,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
