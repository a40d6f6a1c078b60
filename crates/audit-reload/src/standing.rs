//! Where a process stands with its configuration, for health, metrics and answers.

use serde_json::{Value as Json, json};

use crate::history::hex;

/// Where a process stands with its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The version that it runs with; 0 while none is known.
    pub number: u64,
    /// SHA-256 of the document; nothing for the built-in one.
    pub sha256: Option<[u8; 32]>,
    /// Whether that version is being watched.
    pub watched: bool,
    /// Keys whose new value waits for the next start.
    pub needs_restart: Vec<&'static str>,
    /// Whether the source gave something since the start, or at it.
    pub source_answered: bool,
    /// Why it does not run with the newest version, or cannot see whether there is one.
    pub trouble: Option<String>,
}

impl Standing {
    /// For answers.
    #[must_use]
    pub fn to_json(&self) -> Json {
        json!({
            "version": self.number,
            "sha256": self.sha256.as_ref().map(hex),
            "watched": self.watched,
            "needsRestart": self.needs_restart,
            "trouble": self.trouble,
        })
    }
}
