//! Small ports: follower cursors, verification runs, the text index, migrations.

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::EventRow;

use crate::error::StoreError;

/// **Port.** Durable cursors of followers.
#[async_trait]
pub trait Cursors: Send + Sync + std::fmt::Debug {
    /// The next leaf the follower wants; 0 when it never ran.
    async fn get(&self, follower: &str, ledger: LedgerId) -> Result<LeafIndex, StoreError>;

    /// Moves it. Durable on return.
    async fn set(
        &self,
        follower: &str,
        ledger: LedgerId,
        next: LeafIndex,
    ) -> Result<(), StoreError>;
}

/// **Port.** Reports of verification runs, kept as JSON; the newest 100 stay.
#[async_trait]
pub trait Runs: Send + Sync + std::fmt::Debug {
    /// Writes or replaces a run's report.
    async fn put(&self, id: &str, at: Timestamp, report: &str) -> Result<(), StoreError>;

    /// A run's report.
    async fn get(&self, id: &str) -> Result<Option<String>, StoreError>;

    /// Ids and times, newest first, at most `max`.
    async fn list(&self, max: u32) -> Result<Vec<(String, Timestamp)>, StoreError>;
}

/// **Port.** A follower's full-text index, with its own cursor in the same transaction; may lag, may be rebuilt.
#[async_trait]
pub trait TextIndex: Send + Sync + std::fmt::Debug {
    /// The next leaf it wants.
    async fn cursor(&self, ledger: LedgerId) -> Result<LeafIndex, StoreError>;

    /// Indexes rows and moves the cursor to `next`; refused when `from` is not the cursor.
    async fn index(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        next: LeafIndex,
        rows: &[EventRow],
    ) -> Result<(), StoreError>;
}

/// A migration and whether it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Number, from 1.
    pub number: u32,
    /// Name.
    pub name: String,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
}

/// **Port.** Numbered schema migrations, forward and back. One runs at a time; each is one transaction.
#[async_trait]
pub trait Migrations: Send + Sync + std::fmt::Debug {
    /// All that this program knows, and those it does not know but finds applied.
    async fn status(&self) -> Result<Vec<Migration>, StoreError>;

    /// Applies all that are not; gives back the numbers applied.
    async fn up(&self) -> Result<Vec<u32>, StoreError>;

    /// Takes back everything above `target`; refused when that would drop stored events, unless `destroy`.
    async fn down(&self, target: u32, destroy: bool) -> Result<Vec<u32>, StoreError>;
}
