//! A ledger in memory, grown as a lane grows one.

use std::collections::BTreeMap;

use audit_integrity::head::CompactRange;
use audit_integrity::ledger::Digest;
use audit_integrity::tile::{FullTile, TileBuilder, TileId, TileRef, bytes_of};
use audit_integrity::tree::{Question, Tree, root_of_leaves};

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) leaves: Vec<Digest>,
    pub(crate) full: BTreeMap<TileId, FullTile>,
    pub(crate) builder: TileBuilder,
    pub(crate) range: CompactRange,
}

impl Ledger {
    pub(crate) fn of(leaves: impl IntoIterator<Item = Digest>) -> Self {
        let mut ledger = Self::default();
        leaves.into_iter().for_each(|leaf| ledger.push(leaf));
        ledger
    }

    pub(crate) fn push(&mut self, leaf: Digest) {
        let mut full = Vec::new();
        self.leaves.push(leaf);
        self.range.push(leaf);
        self.builder.push(leaf, &mut full);
        self.full
            .extend(full.into_iter().map(|tile| (tile.id, tile)));
    }

    pub(crate) fn tree(&self, size: usize) -> Tree {
        Tree {
            size: size as u64,
            root: root_of_leaves(self.leaves[..size].iter().copied()),
        }
    }

    /// A tile of this ledger or of an earlier size of it: a partial tile is the beginning of what filled later.
    pub(crate) fn tile(&self, tile: TileRef) -> Vec<u8> {
        let mut bytes = match self.full.get(&tile.id) {
            Some(full) => full.hashes.clone(),
            None => bytes_of(&self.builder.partials()[usize::from(tile.id.level)]),
        };
        bytes.truncate(32 * usize::from(tile.width));
        bytes
    }

    /// The answer to a question, with exactly the tiles it asks for.
    pub(crate) fn answer(&self, question: Question) -> Vec<Digest> {
        let tiles: BTreeMap<_, _> = question
            .tiles()
            .unwrap()
            .into_iter()
            .map(|tile| (tile, self.tile(tile)))
            .collect();
        question.answer(&tiles).unwrap()
    }
}
