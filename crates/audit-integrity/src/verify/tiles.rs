//! Stored tiles against computed ones.

use std::collections::VecDeque;

use audit_event::EventId;

use super::ledger::LedgerCheck;
use super::{FindingKind, Outcome};
use crate::ledger::Digest;
use crate::tile::{FullTile, TILE_WIDTH, TileBuilder, TileId, digests_of};

/// What is remembered for comparing tiles.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    builder: TileBuilder,
    full: Vec<FullTile>,
    /// Events of leaves whose tile was not compared yet, in order.
    recent: VecDeque<(u64, Option<EventId>)>,
    /// Leaves at which a stored tile differs: a bad tile, or altered leaves, which the next signed root tells.
    pub(super) differing: Vec<(u64, Option<EventId>)>,
}

impl Tiles {
    pub(super) fn push(&mut self, index: u64, leaf: Digest, id: Option<EventId>) {
        self.recent.push_back((index, id));
        self.builder.push(leaf, &mut self.full);
    }
}

impl LedgerCheck {
    /// Tiles that filled since the last call; each is to be compared with the stored one.
    pub fn take_full_tiles(&mut self) -> Vec<FullTile> {
        std::mem::take(&mut self.tiles.full)
    }

    /// Compares a tile from [`Self::take_full_tiles`] with what is stored under its id.
    pub fn compare_tile(&mut self, computed: &FullTile, stored: Option<&FullTile>) {
        let TileId { level, index } = computed.id;
        let first = index.saturating_mul(TILE_WIDTH);
        match stored {
            None => self.tell(
                Outcome::Tampered,
                FindingKind::BadTile,
                None,
                None,
                format!("tile {level}/{index} is absent"),
            ),
            Some(stored) if stored.hashes.len() != computed.hashes.len() => {
                let detail = format!("tile {level}/{index} has {} bytes", stored.hashes.len());
                self.tell(Outcome::Tampered, FindingKind::BadTile, None, None, detail);
            }
            Some(stored) if level == 0 => {
                let pairs = digests_of(&computed.hashes)
                    .zip(digests_of(&stored.hashes))
                    .zip(first..);
                for leaf in pairs
                    .filter_map(|((computed, stored), leaf)| (computed != stored).then_some(leaf))
                {
                    let id = self
                        .tiles
                        .recent
                        .iter()
                        .find(|(at, _)| *at == leaf)
                        .and_then(|(_, id)| *id);
                    self.tiles.differing.push((leaf, id));
                }
            }
            Some(stored) if stored.hashes != computed.hashes => {
                self.tell(
                    Outcome::Tampered,
                    FindingKind::BadTile,
                    None,
                    None,
                    format!("tile {level}/{index} was altered"),
                );
            }
            Some(_) => {}
        }
        if level == 0 {
            while self
                .tiles
                .recent
                .front()
                .is_some_and(|(leaf, _)| *leaf < first + TILE_WIDTH)
            {
                self.tiles.recent.pop_front();
            }
        }
    }

    /// A stored tile that the ledger is too small to have.
    pub fn surplus_tile(&mut self, id: TileId) {
        let detail = format!("tile {}/{} is beyond the ledger", id.level, id.index);
        self.tell(Outcome::Tampered, FindingKind::BadTile, None, None, detail);
    }

    /// Tells what the tiles that differ mean: below the first signed tree that disagreed the leaves are what was signed, and the
    /// tile is wrong; from there on it is the leaf. Tiles are compared some time after their leaves were read, so where a leaf
    /// lies decides, not when it is looked at.
    pub(super) fn settle_tiles(&mut self) {
        let mut differing = std::mem::take(&mut self.tiles.differing);
        let altered_from = self.altered_from.unwrap_or(u64::MAX);
        for (leaf, id) in differing.extract_if(.., |(leaf, _)| *leaf >= altered_from) {
            let detail =
                "row, entry and leaf hash were rewritten; the tile still has the sealed leaf"
                    .to_owned();
            self.tell(
                Outcome::Tampered,
                FindingKind::Edited,
                Some(leaf),
                id,
                detail,
            );
        }
        for tile in differing.chunk_by(|(a, _), (b, _)| a / TILE_WIDTH == b / TILE_WIDTH) {
            if let Some((leaf, id)) = tile.first() {
                let detail = format!(
                    "tile 0/{} was altered: {} of its hashes, the first is this leaf's",
                    leaf / TILE_WIDTH,
                    tile.len()
                );
                self.tell(
                    Outcome::Tampered,
                    FindingKind::BadTile,
                    Some(*leaf),
                    *id,
                    detail,
                );
            }
        }
    }
}
