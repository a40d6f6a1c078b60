//! Versions of a configuration: what processes that share one run with, and how each of them took it.

use std::time::Duration;

use async_trait::async_trait;
use audit_event::Timestamp;

use crate::error::StoreError;

/// Versions of one configuration that are kept; older ones go, and with them their reports. The audit events of the changes stay.
pub const VERSIONS_KEPT: u32 = 200;

/// Which document was to be run with, from when on, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigVersion {
    /// From 1, without gaps, for each configuration.
    pub number: u64,
    /// SHA-256 of the document's bytes. The document itself is never here: it may hold passwords.
    pub sha256: [u8; 32],
    /// Where it came from, for people.
    pub source: String,
    /// Its version there (S3's `versionId`), where the source keeps versions.
    pub source_version: Option<String>,
    /// Who or what asked for it: a principal, a signal, a change of the file.
    pub by: String,
    /// The version whose document this one brings back, when it is a rollback.
    pub restores: Option<u64>,
    /// What changes, as JSON, without secrets.
    pub changes: String,
    /// By the store's clock.
    pub published_at: Timestamp,
    /// What became of it.
    pub state: ConfigState,
    /// When it was put in force or rolled back, by the store's clock; nothing while it is watched.
    pub concluded_at: Option<Timestamp>,
    /// Why it is in that state, when there is a reason worth a sentence.
    pub reason: Option<String>,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigState {
    /// Processes apply it and look whether it hurts; for so long from the answer on. Zero: the time is over, and nobody has
    /// concluded yet.
    Watched(Duration),
    /// It did not hurt.
    InForce,
    /// It was taken back; a newer version says by what.
    RolledBack,
}

/// A version to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConfigVersion {
    /// The newest version there is, which the publisher has seen; 0 when there is none.
    pub after: u64,
    /// See [`ConfigVersion::sha256`].
    pub sha256: [u8; 32],
    /// See [`ConfigVersion::source`].
    pub source: String,
    /// See [`ConfigVersion::source_version`].
    pub source_version: Option<String>,
    /// See [`ConfigVersion::by`].
    pub by: String,
    /// See [`ConfigVersion::restores`].
    pub restores: Option<u64>,
    /// See [`ConfigVersion::changes`].
    pub changes: String,
    /// How long it is watched; zero puts it in force at once.
    pub watch: Duration,
}

/// How one process took a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReport {
    /// The process.
    pub process: String,
    /// The version.
    pub number: u64,
    /// How.
    pub taken: ConfigTaken,
    /// Keys that need a restart, or what failed; empty when there is nothing to say. No secrets.
    pub detail: String,
    /// By the store's clock; set by the store.
    pub at: Timestamp,
}

/// How a process took a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigTaken {
    /// It runs with it, but for keys that need a restart.
    Applied,
    /// It does not have the document yet.
    Waiting,
    /// It could not apply it, or something broke that it changes.
    Failed,
}

/// **Port.** Versions of configurations; each configuration, named by `config`, has its own. All processes that share a document
/// move through its versions together.
///
/// Every method may be called concurrently and by many processes, and is durable on return. Times are the store's.
#[async_trait]
pub trait ConfigVersions: Send + Sync + std::fmt::Debug {
    /// The newest version; `None` when nothing was published.
    async fn newest(&self, config: &str) -> Result<Option<ConfigVersion>, StoreError>;

    /// Newest first, at most `max`; the newest [`VERSIONS_KEPT`] stay.
    async fn list(&self, config: &str, max: u32) -> Result<Vec<ConfigVersion>, StoreError>;

    /// Publishes a version. `false`, and nothing happens, when the newest one is not `after` or is still watched: of two who
    /// publish at the same time one wins.
    async fn publish(&self, config: &str, new: &NewConfigVersion) -> Result<bool, StoreError>;

    /// Puts a watched version in force. `false` when it is not watched (any more).
    async fn confirm(&self, config: &str, number: u64) -> Result<bool, StoreError>;

    /// Takes a watched version back, for a reason, and publishes what comes instead, in one step; `instead.after` is the version
    /// that is taken back, `instead.watch` does not count: what is brought back is in force at once. `false`, and nothing
    /// happens, when `after` is not the newest or is not watched (any more).
    async fn roll_back(
        &self,
        config: &str,
        reason: &str,
        instead: &NewConfigVersion,
    ) -> Result<bool, StoreError>;

    /// Says how a process took a version; replaces what it said of that version before.
    async fn report(&self, config: &str, report: &ConfigReport) -> Result<(), StoreError>;

    /// What processes said of a version, by name.
    async fn reports(&self, config: &str, number: u64) -> Result<Vec<ConfigReport>, StoreError>;
}
