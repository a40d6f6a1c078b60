//! C2SP tlog-tiles: full tiles as a ledger grows, partial ones on demand.

use crate::ledger::Digest;

/// Address of a tile: level 0 holds leaf hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0..=5 in practice.
    pub level: u8,
    /// Position on the level.
    pub index: u64,
}

/// A full tile: 256 hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    /// Its address.
    pub id: TileId,
    /// 256 hashes of 32 bytes.
    pub hashes: Vec<u8>,
}

/// Hashes a tile has.
pub const TILE_WIDTH: u64 = 256;

/// Collects leaves and gives out every tile that fills. Holds at most 255 hashes a level.
///
/// Rebuilt after a restart from the partial tiles of the committed tree.
#[derive(Debug, Clone, Default)]
pub struct TileBuilder {
    levels: Vec<Vec<Digest>>,
    size: u64,
}

impl TileBuilder {
    /// From the unfilled part of every level at this size: level L holds `(size / 256^L) % 256` hashes.
    ///
    /// # Errors
    /// When the parts do not have that shape.
    pub fn from_partials(size: u64, levels: Vec<Vec<Digest>>) -> Result<Self, crate::head::RangeMismatch> {
        todo!()
    }

    /// Appends a leaf; tiles that became full are pushed to `full`.
    pub fn push(&mut self, leaf: Digest, full: &mut Vec<FullTile>) {
        todo!()
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}
