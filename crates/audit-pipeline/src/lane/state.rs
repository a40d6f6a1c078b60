//! What a lane knows of its ledger: loaded from the store at the start of every session, and only then.

use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::LaneKey;
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId, Origin};
use audit_integrity::tile::{TILE_WIDTH, TileBuilder, TileId, digests_of};
use audit_runtime::{Fault, Faulty};
use audit_store::{Lease, LedgerRead, StoreError};

use super::{End, LaneParts};

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
        let tiles = load_tiles(&*parts.store.ledgers, lease.ledger, info.head.size)
            .await
            .map_err(|error| end_of(&error))?;
        let Some(tiles) = tiles.filter(|tiles| tiles.range().root() == info.head.range.root())
        else {
            tracing::error!(ledger = %lease.ledger, "tiles and head disagree: the ledger was altered; nothing more is written");
            return Err(End::Stop);
        };
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

/// Rebuilds the unfilled part of every level; `None` when what is stored does not have the right shape.
pub(crate) async fn load_tiles(
    ledgers: &dyn LedgerRead,
    ledger: LedgerId,
    size: u64,
) -> Result<Option<TileBuilder>, StoreError> {
    let mut levels = Vec::new();
    let mut on_level = size;
    for level in 0_u8.. {
        if on_level == 0 {
            break;
        }
        let (full, part) = (on_level / TILE_WIDTH, on_level % TILE_WIDTH);
        let first = full * TILE_WIDTH;
        let hashes = if level == 0 {
            leaves(ledgers, ledger, first, part).await?
        } else {
            roots(
                ledgers,
                ledger,
                TileId {
                    level: level - 1,
                    index: first,
                },
                part,
            )
            .await?
        };
        match hashes {
            Some(hashes) => levels.push(hashes),
            None => return Ok(None),
        }
        on_level = full;
    }
    Ok(TileBuilder::from_partials(size, levels).ok())
}

async fn leaves(
    ledgers: &dyn LedgerRead,
    ledger: LedgerId,
    first: u64,
    count: u64,
) -> Result<Option<Vec<Digest>>, StoreError> {
    let mut hashes: Vec<Digest> = Vec::new();
    while (hashes.len() as u64) < count {
        let next = first + hashes.len() as u64;
        let chunks = ledgers
            .chunks(
                ledger,
                LeafIndex(next),
                u32::try_from(TILE_WIDTH).unwrap_or(u32::MAX),
            )
            .await?;
        let before = hashes.len();
        for chunk in chunks {
            let at = first + hashes.len() as u64;
            let skip = usize::try_from(at.saturating_sub(chunk.first_leaf.0)).unwrap_or(usize::MAX);
            hashes.extend(digests_of(&chunk.leaf_hashes).skip(skip));
        }
        if hashes.len() == before {
            return Ok(None);
        }
    }
    hashes.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(Some(hashes))
}

async fn roots(
    ledgers: &dyn LedgerRead,
    ledger: LedgerId,
    first: TileId,
    count: u64,
) -> Result<Option<Vec<Digest>>, StoreError> {
    let mut hashes = Vec::new();
    for index in first.index..first.index + count {
        match ledgers
            .tile(
                ledger,
                TileId {
                    level: first.level,
                    index,
                },
            )
            .await?
        {
            Some(tile) => hashes.push(tile.root()),
            None => return Ok(None),
        }
    }
    Ok(Some(hashes))
}
