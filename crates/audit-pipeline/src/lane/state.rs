//! What a lane knows of its ledger: loaded from the store at the start of every session, and only then.

use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::LaneKey;
use audit_integrity::ledger::Origin;
use audit_integrity::tile::TileBuilder;
use audit_runtime::{Fault, Faulty};
use audit_store::{Lease, StoreError};

use super::{End, LaneParts};
use crate::frontier::frontier;

/// The ledger as the last commit left it.
pub(super) struct LaneState {
    pub(super) lease: Lease,
    pub(super) origin: Origin,
    pub(super) key: LaneKey,
    pub(super) head: Head,
    pub(super) tiles: TileBuilder,
}

impl LaneState {
    /// Loads head and partial tiles, and checks that they are what a lane wrote.
    pub(super) async fn load(
        parts: &LaneParts,
        lease: &Lease,
        origin: &Origin,
    ) -> Result<Self, End> {
        let key = parts.keys.lane_key().await.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the lane key cannot be read"
            );
            End::Reload
        })?;
        let info = parts
            .store
            .ledgers
            .ledger(lease.ledger)
            .await
            .map_err(|error| end_of(&error))?;
        let Some(info) = info else {
            tracing::error!(ledger = %lease.ledger, "the ledger does not exist");
            return Err(End::Stop);
        };
        if !info.head.is_authentic(&key, origin) {
            tracing::error!(ledger = %lease.ledger, "the head's MAC is wrong: the ledger was altered; nothing more is written");
            return Err(End::Stop);
        }
        if info.head.state != LedgerState::Open {
            tracing::error!(ledger = %lease.ledger, state = info.head.state.as_str(), "the ledger takes no entries");
            return Err(End::Stop);
        }
        let tiles = frontier(&*parts.store.ledgers, lease.ledger, info.head.size)
            .await
            .map_err(|error| end_of(&error))?;
        if tiles.range().root() != info.head.range.root() {
            tracing::error!(ledger = %lease.ledger, "tiles and head disagree: the ledger was altered; nothing more is written");
            return Err(End::Stop);
        }
        Ok(Self {
            lease: lease.clone(),
            origin: origin.clone(),
            key,
            head: info.head,
            tiles,
        })
    }

    /// The head after more leaves.
    pub(super) fn seal_head(&self, range: CompactRange) -> Head {
        Head::seal(
            &self.key,
            &self.origin,
            self.lease.epoch,
            LedgerState::Open,
            range,
        )
    }
}

fn end_of(error: &StoreError) -> End {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the ledger cannot be loaded"
    );
    match error.fault() {
        Fault::Outage | Fault::Transient => End::Reload,
        Fault::Rejected | Fault::Fatal => End::Stop,
    }
}
