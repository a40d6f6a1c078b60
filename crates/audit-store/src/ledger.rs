//! The one write port of the ledgers, and reading what it wrote.

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::control::SealedControl;
use audit_integrity::entry::{Salt, SealedEvent};
use audit_integrity::head::{Head, LedgerState};
use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::tile::{FullTile, TileId};

use crate::dead_letters::NewDeadLetter;
use crate::error::{CommitError, StoreError};
use crate::leases::Lease;
use crate::receipts::Receipt;

/// The entries of one commit, as they are stored and fed to followers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Position of its first entry.
    pub first_leaf: LeafIndex,
    /// How many entries.
    pub count: u32,
    /// Compressed entry bundle (`docs/event-format.md` section 5).
    pub entries: Vec<u8>,
    /// 32 bytes an entry.
    pub leaf_hashes: Vec<u8>,
}

/// Everything one commit changes; all of it happens or nothing.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The lease under which the caller writes.
    pub lease: &'a Lease,
    /// The size the ledger must have.
    pub expected_size: u64,
    /// The new entries; `None` when only receipts or dead letters are written.
    pub chunk: Option<Chunk>,
    /// Events of the chunk, in leaf order.
    pub events: &'a [SealedEvent],
    /// Control documents of the chunk, in leaf order; only in the directory.
    pub controls: &'a [SealedControl],
    /// Tiles that became full.
    pub tiles: &'a [FullTile],
    /// The new head; the old one again when there is no chunk.
    pub head: &'a Head,
    /// Dead letters of the same deliveries.
    pub dead_letters: &'a [NewDeadLetter],
    /// One receipt a frame that this commit completes.
    pub receipts: &'a [Receipt],
}

impl Commit<'_> {
    /// Whether its parts speak of the same ledger and sizes; a caller whose parts do not has lost track of the head.
    pub fn check(&self) -> Result<(), CommitError> {
        let moved = CommitError::HeadMoved {
            expected: self.expected_size,
        };
        let count = self
            .chunk
            .as_ref()
            .map_or(0, |chunk| u64::from(chunk.count));
        let documents = self.events.len().saturating_add(self.controls.len()) as u64;
        let misplaced = match self.lease.ledger {
            LedgerId::Directory => !self.events.is_empty(),
            LedgerId::Events(_) => !self.controls.is_empty(),
        };
        let first = self
            .chunk
            .as_ref()
            .map_or(self.expected_size, |chunk| chunk.first_leaf.0);
        if misplaced
            || first != self.expected_size
            || documents != count
            || self.head.size != first.saturating_add(count)
        {
            return Err(moved);
        }
        let ledger = self.lease.ledger;
        let headers = self
            .events
            .iter()
            .map(|event| &event.header)
            .chain(self.controls.iter().map(|control| &control.header));
        for (header, index) in headers.zip(first..) {
            if header.ledger != ledger || header.index.0 != index {
                return Err(moved);
            }
        }
        if self.chunk.is_some() && self.head.epoch != self.lease.epoch {
            return Err(CommitError::Fenced);
        }
        Ok(())
    }
}

/// **Port.** The only way events, entries and the pipeline's dead letters get into the store.
///
/// Durable (fsync'd) when `commit` returns `Ok`; a crash at any moment leaves all of it or nothing. The head moves only
/// when epoch and size are what the commit expects, in the same transaction; it is written last. Unique on identity and on
/// `Receipt::frame_id`. One commit at a time per lease; different ledgers may commit concurrently as far as
/// [`LedgerWriter::writers`] allows. If the future is dropped the commit may still happen: treat it as
/// [`CommitError::Unknown`]. The caller retries; the store sets its own time-out.
#[async_trait]
pub trait LedgerWriter: Send + Sync + std::fmt::Debug {
    /// Commits.
    async fn commit(&self, commit: Commit<'_>) -> Result<(), CommitError>;

    /// Creates an empty ledger with a head, when it does not exist. Idempotent on `ledger`.
    async fn open_ledger(
        &self,
        ledger: LedgerId,
        origin: &Origin,
        head: &Head,
    ) -> Result<(), StoreError>;

    /// Changes a ledger's state (closed, diverged) with the re-MACed head, if epoch and size still match. Never commits entries.
    async fn set_state(&self, lease: &Lease, head: &Head) -> Result<(), CommitError>;

    /// How many commits can really run at once: 1 for a store with a single writer.
    fn writers(&self) -> usize;

    /// A commit that writes and rolls back or writes a marker: proves that the store takes writes now.
    async fn probe(&self) -> Result<(), StoreError>;
}

/// A ledger as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerInfo {
    /// Which.
    pub ledger: LedgerId,
    /// Its name.
    pub origin: String,
    /// State, also in the head.
    pub state: LedgerState,
    /// The head.
    pub head: Head,
}

/// A control document as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlRow {
    /// Position in the directory.
    pub leaf_index: LeafIndex,
    /// Salt of its body.
    pub salt: Salt,
    /// The canonical document.
    pub document: Vec<u8>,
}

/// **Port.** Reading ledgers: heads, chunks, tiles, control documents.
///
/// Sees every commit that has returned. Callable concurrently and cancellable. Bounded by the limits given.
#[async_trait]
pub trait LedgerRead: Send + Sync + std::fmt::Debug {
    /// Every ledger, ordered by id, the directory last.
    async fn ledgers(&self) -> Result<Vec<LedgerInfo>, StoreError>;

    /// One ledger; `None` when it does not exist.
    async fn ledger(&self, ledger: LedgerId) -> Result<Option<LedgerInfo>, StoreError>;

    /// Chunks in order, from the one that contains `from` on, until `leaves_max` leaves or the end; at least one when there is one.
    async fn chunks(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        leaves_max: u32,
    ) -> Result<Vec<Chunk>, StoreError>;

    /// A full tile; `None` when it is not stored.
    async fn tile(&self, ledger: LedgerId, id: TileId) -> Result<Option<FullTile>, StoreError>;

    /// Ids of all stored tiles of a ledger, in order, from `after` (exclusive); at most `max`.
    async fn tiles(
        &self,
        ledger: LedgerId,
        after: Option<TileId>,
        max: u32,
    ) -> Result<Vec<FullTile>, StoreError>;

    /// Control documents in order, from `from`; at most `max`.
    async fn controls(&self, from: LeafIndex, max: u32) -> Result<Vec<ControlRow>, StoreError>;

    /// The deployment's id; drawn at the first migration and immutable.
    async fn deployment_id(&self) -> Result<Option<String>, StoreError>;

    /// Writes the deployment's id once; an error when another is there.
    async fn set_deployment_id(&self, id: &str, at: Timestamp) -> Result<(), StoreError>;
}
