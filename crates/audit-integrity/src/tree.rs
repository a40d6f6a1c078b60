//! Proofs in the tree of RFC 6962, computed from tiles and checked without them.
//!
//! Reading tiles may mean waiting, and this crate does not wait. So a proof takes two steps: [`Question::tiles`] lists
//! what it needs, the caller fetches that in any way it likes, and [`Question::answer`] computes from it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tlog_tiles::tlog;

use crate::digest::sha256;
use crate::head::CompactRange;
use crate::ledger::{Digest, LeafIndex};
use crate::tile::{TILE_WIDTH, TileId, TileRef, digests_of};

/// Largest tree: positions are below 2^47, see [`LeafIndex`].
pub const SIZE_MAX: u64 = 1 << 47;

/// Most hashes a proof in such a tree can have.
pub const PROOF_HASHES_MAX: usize = 64;

/// What a tree is: how many leaves, and their root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Number of leaves.
    pub size: u64,
    /// Root.
    pub root: Digest,
}

/// **Port.** Tiles in memory. Nothing is believed: a wrong tile gives a proof that does not check.
pub trait TileSource {
    /// The tile's hashes, exactly `32 * tile.width` bytes; `None` when it is not there.
    fn tile(&self, tile: TileRef) -> Option<&[u8]>;
}

impl TileSource for BTreeMap<TileRef, Vec<u8>> {
    fn tile(&self, tile: TileRef) -> Option<&[u8]> {
        self.get(&tile).map(Vec::as_slice)
    }
}

/// What is asked of the tiles of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// That the leaf at `index` is in the tree of `size` leaves: RFC 6962 section 2.1.1.
    Inclusion {
        /// Position of the leaf.
        index: LeafIndex,
        /// Leaves of the tree.
        size: u64,
    },
    /// That the tree of `new` leaves begins with the tree of `old` leaves: RFC 6962 section 2.1.2.
    Consistency {
        /// Leaves of the earlier tree; with 0 the proof is empty.
        old: u64,
        /// Leaves of the later tree.
        new: u64,
    },
    /// The root of the tree of `size` leaves; the answer is this one hash.
    Root {
        /// Leaves of the tree.
        size: u64,
    },
}

impl Question {
    /// The tiles that [`Self::answer`] will read, each once, in order. A tile that is not full has the width it has in the
    /// tree asked about; it is computed from the leaf hashes (level 0) or from [`TileRef::below`].
    ///
    /// # Errors
    /// [`TreeError::NoSuchTree`] when the question names no leaf or no tree.
    pub fn tiles(&self) -> Result<Vec<TileRef>, TreeError> {
        let mut tiles = self
            .nodes()?
            .into_iter()
            .map(|node| self.tile_of(node))
            .collect::<Result<Vec<_>, _>>()?;
        tiles.sort_unstable();
        tiles.dedup();
        Ok(tiles)
    }

    /// The hashes of the proof, or the one root.
    ///
    /// # Errors
    /// As [`Self::tiles`]; [`TreeError::Tile`] when a tile is absent or has another length.
    pub fn answer(&self, source: &impl TileSource) -> Result<Vec<Digest>, TreeError> {
        let nodes = self.nodes()?;
        let hashes = nodes
            .into_iter()
            .map(|node| self.hash_of(node, source))
            .collect::<Result<Vec<_>, _>>()?;
        let reader = Reader {
            asked: RefCell::default(),
            answers: Some(hashes),
        };
        self.run(&reader)
    }

    fn size(&self) -> u64 {
        match *self {
            Self::Inclusion { size, .. } | Self::Root { size } => size,
            Self::Consistency { new, .. } => new,
        }
    }

    fn check(&self) -> Result<(), TreeError> {
        let possible = match *self {
            Self::Inclusion { index, size } => index.0 < size,
            Self::Consistency { old, new } => old <= new,
            Self::Root { .. } => true,
        };
        if possible && self.size() <= SIZE_MAX {
            Ok(())
        } else {
            Err(TreeError::NoSuchTree)
        }
    }

    /// The inner nodes whose hashes are needed, in the order in which they are asked for.
    fn nodes(&self) -> Result<Vec<Node>, TreeError> {
        self.check()?;
        let reader = Reader {
            asked: RefCell::default(),
            answers: None,
        };
        self.run(&reader)?;
        Ok(reader.asked.into_inner())
    }

    fn run(&self, reader: &Reader) -> Result<Vec<Digest>, TreeError> {
        let hashes = match *self {
            Self::Inclusion { index, size } => tlog::prove_record(size, index.0, reader),
            Self::Consistency { old: 0, .. } => Ok(Vec::new()),
            Self::Consistency { old, new } => tlog::prove_tree(new, old, reader),
            Self::Root { size } => tlog::tree_hash(size, reader).map(|root| vec![root]),
        };
        let hashes = hashes.map_err(|source| TreeError::Refused {
            source: Box::new(source),
        })?;
        Ok(hashes.into_iter().map(|hash| Digest(hash.0)).collect())
    }

    /// The tile in which a node is, or whose hashes give it.
    fn tile_of(&self, node: Node) -> Result<TileRef, TreeError> {
        let id = TileId {
            level: node.level / 8,
            index: node.first_in_row() / TILE_WIDTH,
        };
        TileRef::in_tree(id, self.size()).ok_or(TreeError::NoSuchTree)
    }

    fn hash_of(&self, node: Node, source: &impl TileSource) -> Result<Digest, TreeError> {
        let tile = self.tile_of(node)?;
        let hashes = source.tile(tile).ok_or(TreeError::Tile { tile })?;
        if hashes.len() != 32 * usize::from(tile.width) {
            return Err(TreeError::Tile { tile });
        }
        let skip = usize::try_from(node.first_in_row() % TILE_WIDTH)
            .map_err(|_beyond| TreeError::NoSuchTree)?;
        Ok(root_of_leaves(
            digests_of(hashes).skip(skip).take(1 << (node.level % 8)),
        ))
    }
}

/// The root of a full subtree: the `index`-th that has `2^level` leaves.
#[derive(Debug, Clone, Copy)]
struct Node {
    level: u8,
    index: u64,
}

impl Node {
    /// Position of the node's first hash among all hashes of its tile level.
    fn first_in_row(self) -> u64 {
        self.index << (self.level % 8)
    }
}

/// Writes down which nodes are asked for, then hands in their hashes: so listing and computing are the same code.
struct Reader {
    asked: RefCell<Vec<Node>>,
    answers: Option<Vec<Digest>>,
}

impl tlog::HashReader for Reader {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        match &self.answers {
            Some(answers) => Ok(answers.iter().map(|hash| tlog::Hash(hash.0)).collect()),
            None => {
                let nodes = indexes
                    .iter()
                    .map(|stored| tlog::split_stored_hash_index(*stored));
                self.asked
                    .borrow_mut()
                    .extend(nodes.map(|(level, index)| Node { level, index }));
                Ok(vec![tlog::EMPTY_HASH; indexes.len()])
            }
        }
    }
}

/// Root of the tree of these leaves.
#[must_use]
pub fn root_of_leaves(leaves: impl IntoIterator<Item = Digest>) -> Digest {
    let mut range = CompactRange::default();
    leaves.into_iter().for_each(|leaf| range.push(leaf));
    range.root()
}

/// Checks that the tree has this leaf at this position.
///
/// # Errors
/// [`TreeError::WrongProof`] when the proof does not say so.
pub fn check_inclusion(
    proof: &[Digest],
    tree: &Tree,
    index: LeafIndex,
    leaf: &Digest,
) -> Result<(), TreeError> {
    if index.0 >= tree.size || proof.len() > PROOF_HASHES_MAX {
        return Err(TreeError::WrongProof);
    }
    tlog::check_record(
        &hashes(proof),
        tree.size,
        tlog::Hash(tree.root.0),
        index.0,
        tlog::Hash(leaf.0),
    )
    .map_err(|_refused| TreeError::WrongProof)
}

/// Checks that the later tree begins with the earlier one. Every tree begins with the empty one.
///
/// # Errors
/// [`TreeError::WrongProof`] when the proof does not say so.
pub fn check_consistency(proof: &[Digest], old: &Tree, new: &Tree) -> Result<(), TreeError> {
    if old.size > new.size || proof.len() > PROOF_HASHES_MAX {
        return Err(TreeError::WrongProof);
    }
    if old.size == 0 {
        let trivial =
            proof.is_empty() && old.root == sha256(&[]) && (new.size > 0 || new.root == old.root);
        return if trivial {
            Ok(())
        } else {
            Err(TreeError::WrongProof)
        };
    }
    tlog::check_tree(
        &hashes(proof),
        new.size,
        tlog::Hash(new.root.0),
        old.size,
        tlog::Hash(old.root.0),
    )
    .map_err(|_refused| TreeError::WrongProof)
}

fn hashes(proof: &[Digest]) -> Vec<tlog::Hash> {
    proof.iter().map(|digest| tlog::Hash(digest.0)).collect()
}

/// A proof cannot be made, or is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The question names a leaf or a tree that cannot be.
    #[error("no such leaf or tree")]
    NoSuchTree,
    /// A tile is absent, or not as wide as it has to be.
    #[error("tile is absent or has another width: level {}, index {}, width {}", .tile.id.level, .tile.id.index, .tile.width)]
    Tile {
        /// Which.
        tile: TileRef,
    },
    /// The computation refused the question.
    #[error("the proof cannot be computed")]
    Refused {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The proof does not prove this.
    #[error("the proof is wrong")]
    WrongProof,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::leaf_hash;
    use crate::tile::bytes_of;

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn tree(leaves: &[Digest]) -> Tree {
        Tree {
            size: leaves.len() as u64,
            root: root_of_leaves(leaves.iter().copied()),
        }
    }

    /// The tiles a question asks for, straight from their definition in c2sp.org/tlog-tiles.
    fn tiles(question: &Question, leaves: &[Digest]) -> BTreeMap<TileRef, Vec<u8>> {
        let build = |tile: TileRef| {
            let span = 256usize.pow(tile.id.level.into());
            let first = tile.id.index as usize * 256;
            let hash = |i: usize| {
                root_of_leaves(
                    leaves[(first + i) * span..(first + i + 1) * span]
                        .iter()
                        .copied(),
                )
            };
            (
                tile,
                bytes_of(&(0..tile.width.into()).map(hash).collect::<Vec<_>>()),
            )
        };
        question.tiles().unwrap().into_iter().map(build).collect()
    }

    #[test]
    fn inclusion_proofs_check_and_nothing_else_does() {
        let all = leaves(70_000);
        for (size, index) in [
            (1, 0),
            (2, 1),
            (256, 255),
            (257, 256),
            (300, 7),
            (65_536, 65_535),
            (70_000, 69_999),
        ] {
            let tree = tree(&all[..size]);
            let question = Question::Inclusion {
                index: LeafIndex(index),
                size: size as u64,
            };
            let proof = question.answer(&tiles(&question, &all[..size])).unwrap();
            let leaf = &all[index as usize];
            check_inclusion(&proof, &tree, LeafIndex(index), leaf).unwrap();
            assert!(check_inclusion(&proof, &tree, LeafIndex(index + 1), leaf).is_err());
            assert!(
                check_inclusion(&proof, &tree, LeafIndex(index), &leaf_hash(b"other")).is_err()
            );
            assert!(
                check_inclusion(
                    &proof,
                    &Tree {
                        root: *leaf,
                        size: tree.size + 1
                    },
                    LeafIndex(index),
                    leaf
                )
                .is_err()
            );
            assert!(
                check_inclusion(
                    &[proof.clone(), vec![*leaf]].concat(),
                    &tree,
                    LeafIndex(index),
                    leaf
                )
                .is_err()
            );
        }
    }

    #[test]
    fn consistency_proofs_check_and_nothing_else_does() {
        let all = leaves(66_000);
        for (old, new) in [
            (0, 0),
            (0, 5),
            (1, 1),
            (1, 2),
            (255, 256),
            (256, 257),
            (257, 600),
            (65_535, 66_000),
        ] {
            let (before, after) = (tree(&all[..old]), tree(&all[..new]));
            let question = Question::Consistency {
                old: before.size,
                new: after.size,
            };
            let proof = question.answer(&tiles(&question, &all[..new])).unwrap();
            check_consistency(&proof, &before, &after).unwrap();
            assert!(
                check_consistency(
                    &proof,
                    &Tree {
                        root: Digest([1; 32]),
                        ..before
                    },
                    &after
                )
                .is_err()
            );
            // Nothing ties the empty tree to a later root: any tree begins with it.
            let forged = Tree {
                root: Digest([1; 32]),
                ..after
            };
            assert_eq!(
                check_consistency(&proof, &before, &forged).is_err(),
                old > 0 || new == 0
            );
            assert_eq!(
                check_consistency(&proof, &after, &before).is_err(),
                old != new
            );
        }
    }

    #[test]
    fn roots_come_from_tiles() {
        let all = leaves(66_000);
        for size in [0usize, 1, 255, 256, 257, 65_535, 65_536, 66_000] {
            let question = Question::Root { size: size as u64 };
            let answer = question.answer(&tiles(&question, &all[..size])).unwrap();
            assert_eq!(answer, [tree(&all[..size]).root], "{size}");
        }
    }

    #[test]
    fn impossible_questions_and_bad_tiles_are_errors() {
        for question in [
            Question::Inclusion {
                index: LeafIndex(3),
                size: 3,
            },
            Question::Inclusion {
                index: LeafIndex(0),
                size: SIZE_MAX + 1,
            },
            Question::Consistency { old: 4, new: 3 },
            Question::Root { size: u64::MAX },
        ] {
            assert!(
                matches!(question.tiles(), Err(TreeError::NoSuchTree)),
                "{question:?}"
            );
        }
        let question = Question::Root { size: SIZE_MAX };
        assert_eq!(question.tiles().unwrap().len(), 1);
        let all = leaves(300);
        let question = Question::Inclusion {
            index: LeafIndex(299),
            size: 300,
        };
        let mut source = tiles(&question, &all);
        let tile = *source.keys().next().unwrap();
        source.get_mut(&tile).unwrap().pop();
        assert!(
            matches!(question.answer(&source), Err(TreeError::Tile { tile: named }) if named == tile)
        );
        source.clear();
        assert!(matches!(
            question.answer(&source),
            Err(TreeError::Tile { .. })
        ));
    }
}
