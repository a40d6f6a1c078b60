//! Reading events back by address, identity and id.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use audit_event::{EventId, Identity, OrganizationId, Timestamp};
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::row::{EventRow, Leaves, Rows, StoredRow};

use crate::error::StoreError;
use crate::query::OrganizationScope;

/// A stored event as answers show it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Id.
    pub id: EventId,
    /// Its organisation.
    pub organization_id: OrganizationId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The canonical event; `None` when its body has expired.
    pub canonical: Option<Vec<u8>>,
    /// Ledger of its entry.
    pub ledger: LedgerId,
    /// Position of its entry.
    pub leaf_index: LeafIndex,
    /// Its leaf.
    pub leaf_hash: Digest,
    /// When it was numbered.
    pub sealed_at: Timestamp,
}

/// What is stored under an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The identity.
    pub identity: Identity,
    /// Digest of what its producer said.
    pub claim: Digest,
    /// Where it is.
    pub ledger: LedgerId,
    /// Where it is.
    pub leaf_index: LeafIndex,
    /// Its leaf.
    pub leaf_hash: Digest,
}

/// What looks at the rows of [`EventRead::visit`].
pub type Look = Box<dyn FnOnce(&mut dyn Rows) + Send>;

/// What looks at the leaves of [`EventRead::visit_leaves`].
pub type LookAtLeaves = Box<dyn FnOnce(&mut dyn Leaves) + Send>;

/// **Port.** Events by address. Sees every commit that has returned; callable concurrently; cancellable.
#[async_trait]
pub trait EventRead: Send + Sync + std::fmt::Debug {
    /// Those of the identities that are stored, in any order. At most 10,000 identities a call.
    async fn find(&self, identities: &[Identity]) -> Result<Vec<Found>, StoreError>;

    /// All events of that id (and timestamp) that the scope may see.
    async fn by_id(
        &self,
        id: EventId,
        timestamp: Option<Timestamp>,
        scope: &OrganizationScope,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// The row at an address, every column; `None` when no row is there.
    async fn row(&self, ledger: LedgerId, index: LeafIndex)
    -> Result<Option<EventRow>, StoreError>;

    /// Rows of a ledger in leaf order: from `from`, below `to`, at most `max`. Gaps are left out.
    ///
    /// Rows that cannot be read as rows are an error naming the address.
    async fn rows(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
    ) -> Result<Vec<EventRow>, StoreError>;

    /// As [`Self::rows`], for verification: a row that cannot be read is told, with the column, instead of failing the call.
    async fn scan(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
    ) -> Result<Vec<StoredRow>, StoreError>;

    /// As [`Self::scan`], with the rows shown to `look` one by one instead of given back.
    ///
    /// An adapter that reads on a thread of its own calls `look` there: a row is looked at where it was read, neither copied
    /// nor taken to another core. When it fails, `look` may have seen some of the rows. It must not be long: a connection waits for it.
    async fn visit(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
        look: Look,
    ) -> Result<(), StoreError> {
        look(&mut self.scan(ledger, from, to, max).await?.into_iter());
        Ok(())
    }

    /// As [`Self::visit`], with only what of each row its leaf is made of: an adapter may read less for it.
    async fn visit_leaves(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        to: LeafIndex,
        max: u32,
        look: LookAtLeaves,
    ) -> Result<(), StoreError> {
        let look: Look = Box::new(move |mut rows| look(&mut rows));
        self.visit(ledger, from, to, max, look).await
    }

    /// Rows at addresses that no event ledger of `ledgers` has (another ledger, or beyond every leaf), at most `max`.
    async fn strays(&self, ledgers: &[LedgerId], max: u32) -> Result<Vec<StoredRow>, StoreError>;

    /// (id, organisation) pairs that are stored under more than one timestamp, at most `max`, each with all its addresses.
    async fn reused_ids(&self, max: u32) -> Result<Vec<Found>, StoreError>;
}

impl dyn EventRead + '_ {
    /// [`EventRead::visit`], with what `look` found.
    ///
    /// # Errors
    /// As [`EventRead::scan`].
    pub async fn look_at<T, F>(
        &self,
        ledger: LedgerId,
        leaves: Range<LeafIndex>,
        max: u32,
        look: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Rows) -> T + Send + 'static,
    {
        let found = Answer::default();
        let seen = found.clone();
        let look: Look = Box::new(move |rows| seen.give(look(rows)));
        self.visit(ledger, leaves.start, leaves.end, max, look)
            .await?;
        found.take()
    }

    /// [`EventRead::visit_leaves`], with what `look` found.
    ///
    /// # Errors
    /// As [`EventRead::scan`].
    pub async fn look_at_leaves<T, F>(
        &self,
        ledger: LedgerId,
        leaves: Range<LeafIndex>,
        max: u32,
        look: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Leaves) -> T + Send + 'static,
    {
        let found = Answer::default();
        let seen = found.clone();
        let look: LookAtLeaves = Box::new(move |leaves| seen.give(look(leaves)));
        self.visit_leaves(ledger, leaves.start, leaves.end, max, look)
            .await?;
        found.take()
    }
}

/// What a look found, on its way back from wherever it looked.
struct Answer<T>(Arc<Mutex<Option<T>>>);

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Answer<T> {
    fn give(&self, found: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    fn take(&self) -> Result<T, StoreError> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.take().ok_or_else(|| StoreError::Unavailable {
            what: "look at event rows",
            source: "the adapter handed over none".into(),
        })
    }
}
