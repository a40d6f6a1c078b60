//! A store that fails at times.

use async_trait::async_trait;
use audit_event::{EventId, Identity, Timestamp};
use audit_integrity::head::Head;
use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::row::{EventRow, StoredRow};
use audit_integrity::tile::{FullTile, TileId};
use audit_store::query::OrganizationScope;
use audit_store::{
    Chunk, Commit, CommitError, ControlRow, Cursors, DeadLetter, DeadLetterFilter, DeadLetters,
    EventRead, Found, Lease, LeaseInfo, Leases, LedgerInfo, LedgerRead, LedgerWriter, Receipt,
    Receipts, StoreError, StoredEvent, Totals, Via,
};

use super::{Faulty, OnPurpose};

fn away() -> StoreError {
    StoreError::Unavailable {
        what: "do as asked",
        source: Box::new(OnPurpose),
    }
}

fn not_committed() -> CommitError {
    CommitError::Unavailable(Box::new(OnPurpose))
}

fn maybe_committed() -> CommitError {
    CommitError::Unknown(Box::new(OnPurpose))
}

impl<T: ?Sized> Faulty<T> {
    async fn read<R>(
        &self,
        call: &'static str,
        real: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        self.faults.around(call, away, away, real).await
    }
}

#[async_trait]
impl LedgerWriter for Faulty<dyn LedgerWriter> {
    async fn commit(&self, commit: Commit<'_>) -> Result<(), CommitError> {
        let real = self.inner.commit(commit);
        let around = self
            .faults
            .around("writer.commit", not_committed, maybe_committed, real);
        around.await
    }

    async fn open_ledger(
        &self,
        ledger: LedgerId,
        origin: &Origin,
        head: &Head,
    ) -> Result<(), StoreError> {
        let real = self.inner.open_ledger(ledger, origin, head);
        self.read("writer.open_ledger", real).await
    }

    async fn set_state(&self, lease: &Lease, head: &Head) -> Result<(), CommitError> {
        let real = self.inner.set_state(lease, head);
        let around = self
            .faults
            .around("writer.set_state", not_committed, maybe_committed, real);
        around.await
    }

    fn writers(&self) -> usize {
        self.inner.writers()
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.read("writer.probe", self.inner.probe()).await
    }
}

#[async_trait]
impl LedgerRead for Faulty<dyn LedgerRead> {
    async fn ledgers(&self) -> Result<Vec<LedgerInfo>, StoreError> {
        self.read("ledgers.ledgers", self.inner.ledgers()).await
    }

    async fn ledger(&self, ledger: LedgerId) -> Result<Option<LedgerInfo>, StoreError> {
        self.read("ledgers.ledger", self.inner.ledger(ledger)).await
    }

    async fn chunks(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        leaves_max: u32,
    ) -> Result<Vec<Chunk>, StoreError> {
        let real = self.inner.chunks(ledger, from, leaves_max);
        self.read("ledgers.chunks", real).await
    }

    async fn tile(&self, ledger: LedgerId, id: TileId) -> Result<Option<FullTile>, StoreError> {
        self.read("ledgers.tile", self.inner.tile(ledger, id)).await
    }

    async fn tiles(
        &self,
        ledger: LedgerId,
        after: Option<TileId>,
        max: u32,
    ) -> Result<Vec<FullTile>, StoreError> {
        let real = self.inner.tiles(ledger, after, max);
        self.read("ledgers.tiles", real).await
    }

    async fn controls(&self, from: LeafIndex, max: u32) -> Result<Vec<ControlRow>, StoreError> {
        let real = self.inner.controls(from, max);
        self.read("ledgers.controls", real).await
    }

    async fn deployment_id(&self) -> Result<Option<String>, StoreError> {
        let real = self.inner.deployment_id();
        self.read("ledgers.deployment_id", real).await
    }

    async fn set_deployment_id(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let real = self.inner.set_deployment_id(id, at);
        self.read("ledgers.set_deployment_id", real).await
    }
}

#[async_trait]
impl EventRead for Faulty<dyn EventRead> {
    async fn find(&self, identities: &[Identity]) -> Result<Vec<Found>, StoreError> {
        self.read("events.find", self.inner.find(identities)).await
    }

    async fn by_id(
        &self,
        id: EventId,
        timestamp: Option<Timestamp>,
        scope: &OrganizationScope,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let real = self.inner.by_id(id, timestamp, scope);
        self.read("events.by_id", real).await
    }

    async fn row(
        &self,
        ledger: LedgerId,
        index: LeafIndex,
    ) -> Result<Option<EventRow>, StoreError> {
        self.read("events.row", self.inner.row(ledger, index)).await
    }

    async fn rows(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let real = self.inner.rows(ledger, from, to, max);
        self.read("events.rows", real).await
    }

    async fn scan(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let real = self.inner.scan(ledger, from, to, max);
        self.read("events.scan", real).await
    }

    async fn strays(&self, ledgers: &[LedgerId], max: u32) -> Result<Vec<StoredRow>, StoreError> {
        let real = self.inner.strays(ledgers, max);
        self.read("events.strays", real).await
    }

    async fn reused_ids(&self, max: u32) -> Result<Vec<Found>, StoreError> {
        self.read("events.reused_ids", self.inner.reused_ids(max))
            .await
    }
}

#[async_trait]
impl Leases for Faulty<dyn Leases> {
    async fn acquire(&self, ledger: LedgerId, owner: &str) -> Result<Option<Lease>, StoreError> {
        let real = self.inner.acquire(ledger, owner);
        self.read("leases.acquire", real).await
    }

    async fn renew(&self, lease: &Lease) -> Result<bool, StoreError> {
        self.read("leases.renew", self.inner.renew(lease)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.read("leases.release", self.inner.release(lease)).await
    }

    async fn list(&self) -> Result<Vec<LeaseInfo>, StoreError> {
        self.read("leases.list", self.inner.list()).await
    }
}

#[async_trait]
impl DeadLetters for Faulty<dyn DeadLetters> {
    async fn list(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetter>, StoreError> {
        self.read("letters.list", self.inner.list(filter)).await
    }

    async fn get(&self, id: EventId) -> Result<Option<DeadLetter>, StoreError> {
        self.read("letters.get", self.inner.get(id)).await
    }

    async fn mark_replayed(
        &self,
        id: EventId,
        at: Timestamp,
        frame_id: [u8; 16],
    ) -> Result<bool, StoreError> {
        let real = self.inner.mark_replayed(id, at, frame_id);
        self.read("letters.mark_replayed", real).await
    }

    async fn purge(&self, id: EventId) -> Result<bool, StoreError> {
        self.read("letters.purge", self.inner.purge(id)).await
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        self.read("letters.waiting", self.inner.waiting()).await
    }
}

#[async_trait]
impl Receipts for Faulty<dyn Receipts> {
    async fn find(&self, frames: &[[u8; 16]]) -> Result<Vec<Receipt>, StoreError> {
        self.read("receipts.find", self.inner.find(frames)).await
    }

    async fn totals(&self, via: Via) -> Result<Totals, StoreError> {
        self.read("receipts.totals", self.inner.totals(via)).await
    }
}

#[async_trait]
impl Cursors for Faulty<dyn Cursors> {
    async fn get(&self, follower: &str, ledger: LedgerId) -> Result<LeafIndex, StoreError> {
        self.read("cursors.get", self.inner.get(follower, ledger))
            .await
    }

    async fn set(
        &self,
        follower: &str,
        ledger: LedgerId,
        next: LeafIndex,
    ) -> Result<(), StoreError> {
        let real = self.inner.set(follower, ledger, next);
        self.read("cursors.set", real).await
    }
}
