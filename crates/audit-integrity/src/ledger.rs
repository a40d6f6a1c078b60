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

    /// From text that names a ledger, for example out of a checkpoint; `None` when it does not end as an origin does, or
    /// cannot be the name of a key (c2sp.org/signed-note).
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let origin = Self(text.to_owned());
        origin
            .ledger()
            .filter(|_named| signed_note::is_key_name_valid(text))
            .map(|_named| origin)
    }

    /// The ledger it names.
    #[must_use]
    pub fn ledger(&self) -> Option<LedgerId> {
        let (before, last) = self.0.rsplit_once('/')?;
        let (deployment, ledger) = match before.strip_suffix("/ledger") {
            Some(deployment) => (
                deployment,
                last.parse()
                    .ok()
                    .filter(|ledger| *ledger != LedgerId::Directory)?,
            ),
            None => (
                before,
                if last == "directory" {
                    LedgerId::Directory
                } else {
                    return None;
                },
            ),
        };
        (!deployment.is_empty()).then_some(ledger)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_round_trip_and_other_names_are_refused() {
        for ledger in [
            LedgerId::Directory,
            LedgerId::Events(0),
            LedgerId::Events(32_767),
        ] {
            let origin = Origin::new("audit.invalid/01ARZ3NDEKTSV4RRFFQ69G5FAV", ledger);
            assert_eq!(origin.ledger(), Some(ledger));
            assert_eq!(Origin::from_text(origin.as_str()), Some(origin));
        }
        for text in [
            "",
            "x",
            "directory",
            "/directory",
            "/ledger/1",
            "x/ledger/",
            "x/ledger/01",
            "x/ledger/32768",
            "x/1",
        ] {
            assert_eq!(Origin::from_text(text), None, "{text}");
        }
        for text in [
            "x/ledger/directory",
            "x y/ledger/1",
            "x+y/ledger/1",
            "x/ledger/1\n",
        ] {
            assert_eq!(Origin::from_text(text), None, "{text}");
        }
    }
}
