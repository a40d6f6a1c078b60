//! Laws of the tree, over random sizes.

use audit_integrity::digest::{leaf_hash, node_hash, sha256};
use audit_integrity::ledger::{Digest, LeafIndex};
use audit_integrity::tile::{TileBuilder, TileId, TilePath, TileRef, digests_of};
use audit_integrity::tree::{Question, Tree, check_consistency, check_inclusion};
use proptest::prelude::*;

use crate::ledger::Ledger;

fn leaves(count: usize, seed: u64) -> Vec<Digest> {
    (0..count as u64)
        .map(|n| leaf_hash(&[n.to_be_bytes(), seed.to_be_bytes()].concat()))
        .collect()
}

/// RFC 6962 section 2.1, word for word.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let k = 1 << (leaves.len() - 1).ilog2();
            node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
        }
    }
}

/// Every digest that differs from this one in one bit.
fn neighbours(digest: Digest) -> impl Iterator<Item = Digest> {
    (0..256).map(move |bit| {
        let mut other = digest;
        other.0[bit / 8] ^= 1 << (bit % 8);
        other
    })
}

/// Every proof that differs from this one in one bit, or lacks a hash.
fn altered(proof: &[Digest]) -> impl Iterator<Item = Vec<Digest>> {
    (0..proof.len()).flat_map(move |at| {
        let flipped = neighbours(proof[at]).map(move |hash| {
            let mut other = proof.to_vec();
            other[at] = hash;
            other
        });
        flipped.chain(std::iter::once([&proof[..at], &proof[at + 1..]].concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn inclusion_proofs_verify_and_no_single_bit_may_change(size in 1usize..3_000, at in 0.0..1.0f64, seed: u64) {
        let ledger = Ledger::of(leaves(size, seed));
        let index = ((size as f64 * at) as u64).min(size as u64 - 1);
        let (tree, leaf) = (ledger.tree(size), ledger.leaves[index as usize]);
        let proof = ledger.answer(Question::Inclusion { index: LeafIndex(index), size: size as u64 });
        check_inclusion(&proof, &tree, LeafIndex(index), &leaf).unwrap();
        for other in altered(&proof) {
            prop_assert!(check_inclusion(&other, &tree, LeafIndex(index), &leaf).is_err());
        }
        for other in neighbours(leaf) {
            prop_assert!(check_inclusion(&proof, &tree, LeafIndex(index), &other).is_err());
        }
        for root in neighbours(tree.root) {
            let other = Tree { root, ..tree };
            prop_assert!(check_inclusion(&proof, &other, LeafIndex(index), &leaf).is_err());
        }
    }

    #[test]
    fn consistency_proofs_verify_and_no_single_bit_may_change(new in 1usize..3_000, part in 0.0..1.0f64, seed: u64) {
        let ledger = Ledger::of(leaves(new, seed));
        let old = ((new as f64 * part) as usize).max(1);
        let (before, after) = (ledger.tree(old), ledger.tree(new));
        let proof = ledger.answer(Question::Consistency { old: before.size, new: after.size });
        check_consistency(&proof, &before, &after).unwrap();
        for other in altered(&proof) {
            prop_assert!(check_consistency(&other, &before, &after).is_err());
        }
        for root in neighbours(before.root) {
            let other = Tree { root, ..before };
            prop_assert!(check_consistency(&proof, &other, &after).is_err());
        }
        for root in neighbours(after.root) {
            let other = Tree { root, ..after };
            prop_assert!(check_consistency(&proof, &before, &other).is_err());
        }
    }

    #[test]
    fn a_rewritten_history_is_never_consistent(new in 2usize..2_000, part in 0.0..1.0f64, at in 0.0..1.0f64, seed: u64) {
        let old = ((new as f64 * part) as usize).max(1);
        let before = Ledger::of(leaves(old, seed)).tree(old);
        let mut rewritten = leaves(new, seed);
        rewritten[(old as f64 * at) as usize] = Digest([0; 32]);
        let ledger = Ledger::of(rewritten);
        let proof = ledger.answer(Question::Consistency { old: before.size, new: new as u64 });
        prop_assert!(check_consistency(&proof, &before, &ledger.tree(new)).is_err());
    }

    #[test]
    fn range_builder_and_tiles_have_the_root_of_rfc_6962(size in 0usize..3_000, seed: u64) {
        let ledger = Ledger::of(leaves(size, seed));
        let root = naive_root(&ledger.leaves);
        prop_assert_eq!(ledger.range.root(), root);
        prop_assert_eq!(ledger.builder.range(), ledger.range.clone());
        prop_assert_eq!(ledger.answer(Question::Root { size: size as u64 }), vec![root]);
        let again = TileBuilder::from_partials(size as u64, ledger.builder.partials().to_vec()).unwrap();
        prop_assert_eq!(again.range(), ledger.range);
    }

    #[test]
    fn tiles_are_those_of_the_specification(size in 0usize..70_000) {
        let ledger = Ledger::of(leaves(size, 0));
        for level in 0u8..3 {
            let span = 256usize.pow(level.into());
            let nodes: Vec<_> = ledger.leaves.chunks_exact(span).map(naive_root).collect();
            for (index, expected) in nodes.chunks(256).enumerate() {
                let id = TileId { level, index: index as u64 };
                let tile = TileRef::in_tree(id, size as u64).unwrap();
                prop_assert_eq!(usize::from(tile.width), expected.len());
                prop_assert_eq!(tile.is_full(), ledger.full.contains_key(&id));
                prop_assert!(digests_of(&ledger.tile(tile)).eq(expected.iter().copied()));
            }
            let next = TileId { level, index: nodes.len().div_ceil(256) as u64 };
            prop_assert_eq!(TileRef::in_tree(next, size as u64), None);
        }
        prop_assert_eq!(ledger.full.len(), size / 256 + size / 65_536);
    }

    #[test]
    fn tile_paths_round_trip(level in 0u8..64, index: u64, width in 1u16..=256) {
        for path in [TilePath::Tile(TileRef { id: TileId { level, index }, width }), TilePath::Entries { index, width }] {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }
}
