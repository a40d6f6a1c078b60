//! Tiles of a ledger as a tree of some size has them, from what a store keeps: full tiles and chunks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::tile::{TILE_WIDTH, TileId, TileRef};

use crate::{Chunk, LedgerRead, StoreError};

/// Roots remembered, 56 bytes each; the edges of a ledger of 2^40 leaves need a quarter of it. Beyond it all are forgotten.
const ROOTS_MAX: usize = 4_096;

/// Reads tiles, and remembers the roots of full ones: a partial tile above level 0 is made of up to 255 of them, every proof
/// needs some of those tiles, and a full tile never changes. Nothing of it need be believed: a wrong root gives a proof that does
/// not check.
#[derive(Debug)]
pub struct Tiles {
    ledgers: Arc<dyn LedgerRead>,
    roots: Mutex<BTreeMap<(LedgerId, TileId), Digest>>,
}

impl Tiles {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(ledgers: Arc<dyn LedgerRead>) -> Self {
        Self {
            ledgers,
            roots: Mutex::default(),
        }
    }

    /// A tile's hashes: stored when full, else computed from what is below. `tile` must be of a tree that the ledger has had.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the store lacks what the tile is made of; otherwise as [`LedgerRead`].
    pub async fn hashes(&self, ledger: LedgerId, tile: TileRef) -> Result<Vec<u8>, StoreError> {
        if tile.is_full() {
            let stored = self.ledgers.tile(ledger, tile.id).await?;
            return stored
                .map(|tile| tile.hashes)
                .ok_or_else(|| StoreError::lacking(ledger, "a full tile"));
        }
        if tile.id.level == 0 {
            return self.leaves(ledger, tile).await;
        }
        let mut roots = self.known(ledger, tile);
        if let Some(first) = tile.below().find(|id| !roots.contains_key(id)) {
            roots.extend(self.learn(ledger, first, tile.width).await?);
        }
        let mut hashes = Vec::with_capacity(32 * usize::from(tile.width));
        for id in tile.below() {
            let root = roots
                .get(&id)
                .ok_or_else(|| StoreError::lacking(ledger, "a full tile"))?;
            hashes.extend_from_slice(&root.0);
        }
        Ok(hashes)
    }

    /// Roots of what is below a tile, as far as they are remembered.
    fn known(&self, ledger: LedgerId, tile: TileRef) -> BTreeMap<TileId, Digest> {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |id| Some((id, *roots.get(&(ledger, id))?));
        tile.below().filter_map(known).collect()
    }

    async fn leaves(&self, ledger: LedgerId, tile: TileRef) -> Result<Vec<u8>, StoreError> {
        let width = usize::from(tile.width);
        let mut hashes = Vec::with_capacity(32 * width);
        let first = LeafIndex(tile.id.index * TILE_WIDTH);
        for_each_chunk(&*self.ledgers, ledger, first, width, |chunk, skip, take| {
            let part = chunk.leaf_hashes.get(32 * skip..32 * (skip + take));
            hashes.extend_from_slice(part.unwrap_or_default());
            Ok(())
        })
        .await?;
        Ok(hashes)
    }

    /// Reads full tiles from this one on, in one go, and remembers their roots.
    async fn learn(
        &self,
        ledger: LedgerId,
        first: TileId,
        max: u16,
    ) -> Result<Vec<(TileId, Digest)>, StoreError> {
        let tiles = self
            .ledgers
            .tiles(ledger, first.before(), max.into())
            .await?;
        let learnt: Vec<_> = tiles.iter().map(|tile| (tile.id, tile.root())).collect();
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if roots.len() + learnt.len() > ROOTS_MAX {
            roots.clear();
        }
        roots.extend(learnt.iter().map(|(id, root)| ((ledger, *id), *root)));
        Ok(learnt)
    }
}

/// Walks the chunks that hold `count` leaves from `first`; hands over each with how many of its leaves to skip, and how many
/// from there count.
///
/// # Errors
/// [`StoreError::Malformed`] when a chunk is missing; what `each` says; otherwise as [`LedgerRead::chunks`].
pub async fn for_each_chunk(
    ledgers: &dyn LedgerRead,
    ledger: LedgerId,
    first: LeafIndex,
    count: usize,
    mut each: impl FnMut(&Chunk, usize, usize) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut done = 0;
    while done < count {
        let next = LeafIndex(first.0 + done as u64);
        let before = done;
        let wanted = u32::try_from(count - done).unwrap_or(u32::MAX);
        for chunk in ledgers.chunks(ledger, next, wanted).await? {
            let at = first.0 + done as u64;
            let holds = usize::try_from(chunk.count).unwrap_or(usize::MAX);
            let skip = usize::try_from(at.saturating_sub(chunk.first_leaf.0)).unwrap_or(usize::MAX);
            let take = holds.saturating_sub(skip).min(count - done);
            each(&chunk, skip, take)?;
            done += take;
        }
        if done == before {
            return Err(StoreError::lacking(ledger, "a chunk"));
        }
    }
    Ok(())
}
