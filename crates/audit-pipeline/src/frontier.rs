//! The growing edge of a ledger's tree, read back from the store.

use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::tile::{TILE_WIDTH, TileBuilder, TileId, digests_of};
use audit_store::{LedgerRead, StoreError};

/// The unfilled tiles of the tree of the first `size` leaves: leaf hashes from chunks, upper levels from full tiles.
///
/// Reads at most 255 tiles a level. Believes nothing: the caller compares the root with one that is signed or MACed.
pub(crate) async fn frontier(
    store: &dyn LedgerRead,
    ledger: LedgerId,
    size: u64,
) -> Result<TileBuilder, StoreError> {
    let mut levels = vec![leaves(store, ledger, size).await?];
    let mut level = 0_u8;
    let mut on_level = size / TILE_WIDTH;
    while on_level > 0 {
        let first = on_level - on_level % TILE_WIDTH;
        let mut roots = Vec::new();
        for index in first..on_level {
            let tile = store.tile(ledger, TileId { level, index }).await?;
            let tile = tile.ok_or_else(|| {
                malformed(format!("tile {level}/{index} of ledger {ledger} is absent"))
            })?;
            roots.push(tile.root());
        }
        levels.push(roots);
        (level, on_level) = (level + 1, on_level / TILE_WIDTH);
    }
    TileBuilder::from_partials(size, levels)
        .map_err(|_shape| malformed(format!("tiles of ledger {ledger} at size {size}")))
}

/// The leaf hashes after the last full tile.
async fn leaves(
    store: &dyn LedgerRead,
    ledger: LedgerId,
    size: u64,
) -> Result<Vec<Digest>, StoreError> {
    let mut next = size - size % TILE_WIDTH;
    let mut leaves = Vec::new();
    while next < size {
        let chunks = store.chunks(ledger, LeafIndex(next), 256).await?;
        let before = next;
        for chunk in chunks {
            if chunk.first_leaf.0 > next {
                break;
            }
            let skip = usize::try_from(next - chunk.first_leaf.0).unwrap_or(usize::MAX);
            let wanted = usize::try_from(size - next).unwrap_or(usize::MAX);
            let found = leaves.len();
            leaves.extend(digests_of(&chunk.leaf_hashes).skip(skip).take(wanted));
            next += (leaves.len() - found) as u64;
        }
        if next == before {
            return Err(malformed(format!(
                "no chunk of ledger {ledger} holds leaf {next}"
            )));
        }
    }
    Ok(leaves)
}

pub(crate) fn malformed(what: String) -> StoreError {
    StoreError::Malformed { what }
}
