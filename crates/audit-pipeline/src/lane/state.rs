//! What a lane knows of its ledger: loaded from the store at the start of every session, and only then.

use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::LaneKey;
use audit_integrity::ledger::Origin;
use audit_integrity::tile::TileBuilder;
use audit_runtime::{Fault, Faulty};
use audit_store::{Lease, StoreError};

use super::reject_rate::RejectRate;
use super::{End, LaneParts, LaneSettings};
use crate::frontier::frontier;
use crate::outward::within;

/// The ledger as the last commit left it.
pub(super) struct LaneState {
    pub(super) lease: Lease,
    pub(super) origin: Origin,
    pub(super) key: LaneKey,
    pub(super) head: Head,
    pub(super) tiles: TileBuilder,
    /// How much of the session's events the store refused.
    pub(super) rate: RejectRate,
}

impl LaneState {
    /// Loads head and partial tiles, and checks that they are what a lane wrote. Each call ends in time.
    pub(super) async fn load(
        parts: &LaneParts,
        lease: &Lease,
        origin: &Origin,
        settings: &LaneSettings,
    ) -> Result<Self, End> {
        let limit = settings.call_timeout;
        let key = within(limit, parts.keys.lane_key()).await;
        let key = key.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the lane key cannot be read"
            );
            End::Reload
        })?;
        let ledgers = &*parts.store.ledgers;
        let info = within(limit, ledgers.ledger(lease.ledger)).await;
        let Some(info) = info.map_err(|error| end_of(&error))? else {
            return Err(frozen(lease, "the ledger does not exist"));
        };
        if !info.head.is_authentic(&key, origin) {
            return Err(frozen(
                lease,
                "the head's MAC is wrong: the ledger was altered",
            ));
        }
        if info.head.state != LedgerState::Open {
            return Err(frozen(lease, "the ledger is closed or diverged"));
        }
        let tiles = within(limit, frontier(ledgers, lease.ledger, info.head.size)).await;
        let tiles = tiles.map_err(|error| end_of(&error))?;
        if tiles.range().root() != info.head.range.root() {
            return Err(frozen(
                lease,
                "tiles and head disagree: the ledger was altered",
            ));
        }
        Ok(Self {
            lease: lease.clone(),
            origin: origin.clone(),
            key,
            head: info.head,
            tiles,
            rate: RejectRate::new(settings.reject_share_max),
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

/// The ledger stays as it is until somebody has looked at it.
fn frozen(lease: &Lease, reason: &'static str) -> End {
    tracing::error!(alert = true, ledger = %lease.ledger, reason, "nothing more is written to the ledger");
    End::Stop
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
