//! Settings.

use std::time::Duration;

use audit_redis::{Address, LinkError, LinkSettings};

/// Settings of windows in Redis. [`Settings::at`] has defaults for all but the address.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Redis is.
    pub address: Address,
    /// What the names of the keys begin with, in braces. Whoever shares the windows says the same.
    pub name: String,
    /// Batches that may wait to be evaluated or to be in a snapshot; with more, none is applied.
    pub entries_max: u64,
    /// Bytes of such batches.
    pub bytes_max: u64,
    /// A larger snapshot is not written; the log then grows to its bounds. Redis takes 512 MB at the most.
    pub snapshot_bytes_max: usize,
    /// A snapshot is taken after so many batches, or sooner when the log is half full.
    pub snapshot_batches: u64,
    /// A snapshot is taken after so long, when anything changed.
    pub snapshot_every: Duration,
    /// How long the evaluator's turn lasts when it calls no more.
    pub turn: Duration,
    /// A source's clock that moved less than this, with nothing observed, makes no entry of the log.
    pub quiet: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one answer may take. A connection that exceeds it is replaced.
    pub response_timeout: Duration,
    /// How long a call goes on trying after Redis was first found away.
    pub patience: Duration,
}

impl Settings {
    /// The defaults, at this address.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self {
            address,
            name: "audit".into(),
            entries_max: 100_000,
            bytes_max: 128 << 20,
            snapshot_bytes_max: 64 << 20,
            snapshot_batches: 2_000,
            snapshot_every: Duration::from_secs(30),
            turn: Duration::from_secs(15),
            quiet: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(3),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if self.name.is_empty() || self.name.contains(['{', '}']) {
            return Err(SettingsError::Name);
        }
        if self.turn < Duration::from_millis(1) {
            return Err(SettingsError::TooShort("turn"));
        }
        Ok(())
    }

    pub(crate) fn link(&self) -> LinkSettings {
        LinkSettings {
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            patience: self.patience,
            ..LinkSettings::at(self.address.clone())
        }
    }
}

/// No windows can be kept with these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Braces would break the hash tag.
    #[error("the name of the windows is empty or has a brace in it")]
    Name,
    /// A time of nothing never suffices.
    #[error("the {0} is shorter than a millisecond")]
    TooShort(&'static str),
    /// Redis cannot be reached so.
    #[error(transparent)]
    Link(#[from] LinkError),
}
