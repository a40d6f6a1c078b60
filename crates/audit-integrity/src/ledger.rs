//! Which ledger, where in it, and what a ledger is called.

use std::fmt;

/// Number of a ledger; the directory is the one that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerId {
    /// An event ledger, 0..2^15.
    Events(u16),
    /// The ledger of control entries and snapshots.
    Directory,
}

/// Position of a leaf in its ledger, from 0; below 2^47.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeafIndex(pub u64);

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// The name of a ledger in checkpoints and keys: `<deployment id>/ledger/<n>` or `<deployment id>/directory`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The origin of a ledger of a deployment.
    #[must_use]
    pub fn new(deployment_id: &str, ledger: LedgerId) -> Self {
        match ledger {
            LedgerId::Events(n) => Self(format!("{deployment_id}/ledger/{n}")),
            LedgerId::Directory => Self(format!("{deployment_id}/directory")),
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `0`, `1`, ... or `directory`.
impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(n) => write!(f, "{n}"),
            Self::Directory => f.write_str("directory"),
        }
    }
}

impl std::str::FromStr for LedgerId {
    type Err = NotALedgerId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "directory" {
            return Ok(Self::Directory);
        }
        match text.parse::<u16>() {
            Ok(n) if n < 1 << 15 && text == n.to_string() => Ok(Self::Events(n)),
            _ => Err(NotALedgerId),
        }
    }
}

/// The text names no ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ledger: a number below 32768, or `directory`")]
pub struct NotALedgerId;

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
