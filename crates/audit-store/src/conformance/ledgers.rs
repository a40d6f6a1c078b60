//! `LedgerRead`, and `Checkpoints` over the same ledgers.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit_event::{Object, Value};
use audit_integrity::checkpoint::{Checkpoint, SignedCheckpoint};
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId, Origin};
use audit_integrity::tile::{TileId, TileRef};
use audit_integrity::tree::{Question, Tree, check_inclusion};

use super::TestStore;
use super::sample::events;
use super::scene::{LEDGER, Lane, key, origin};
use crate::StoreError;
use crate::checkpoints::StoredNote;
use crate::tiles::Tiles;

/// "Every ledger, ordered by id, the directory last."
pub async fn ledgers_are_listed_with_the_directory_last(subject: &mut dyn TestStore) {
    let store = subject.store();
    assert_eq!(store.ledgers.ledgers().await.unwrap(), []);
    let ids = [
        LedgerId::Directory,
        LedgerId::Events(10),
        LedgerId::Events(2),
        LedgerId::Events(32_767),
    ];
    for id in ids {
        Lane::open(&store, id).await;
    }
    subject.crash().await;
    let listed = subject.store().ledgers.ledgers().await.unwrap();
    let order: Vec<_> = listed.iter().map(|info| info.ledger).collect();
    assert_eq!(
        order,
        [
            LedgerId::Events(2),
            LedgerId::Events(10),
            LedgerId::Events(32_767),
            LedgerId::Directory
        ]
    );
    for info in listed {
        assert_eq!(info.origin, origin(info.ledger).as_str());
        assert_eq!(info.state, LedgerState::Open);
        assert!(info.head.is_authentic(&key(), &origin(info.ledger)));
    }
}

/// "Creates an empty ledger with a head, when it does not exist. Idempotent on `ledger`."
pub async fn opening_a_ledger_again_changes_nothing(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..5)).await;
    let empty = Head::seal(
        &key(),
        &origin(LEDGER),
        0,
        LedgerState::Open,
        CompactRange::default(),
    );
    store
        .writer
        .open_ledger(LEDGER, &origin(LEDGER), &empty)
        .await
        .unwrap();
    assert_eq!(
        store.ledgers.ledger(LEDGER).await.unwrap().unwrap().head,
        lane.head
    );
    let other = Origin::new("audit.invalid/OTHER", LEDGER);
    let outcome = store.writer.open_ledger(LEDGER, &other, &empty).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "a ledger keeps its name: {outcome:?}"
    );
}

/// "Chunks in order, from the one that contains `from` on, until `leaves_max` leaves or the end; at least one".
pub async fn chunks_are_read_from_the_one_that_contains_a_leaf(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let mut written = Vec::new();
    for range in [0..3, 3..4, 4..10] {
        written.push(lane.commit(&store, events(range)).await.chunk.unwrap());
    }
    // A neighbour's chunks are never among them.
    let mut next = Lane::open(&store, LedgerId::Events(1)).await;
    next.commit(&store, events(100..105)).await;
    let check = async |from: u64, leaves_max: u32, expected: &[usize]| {
        let found = store
            .ledgers
            .chunks(LEDGER, LeafIndex(from), leaves_max)
            .await
            .unwrap();
        let expected: Vec<_> = expected.iter().map(|n| written[*n].clone()).collect();
        assert_eq!(found, expected, "from {from}, at most {leaves_max}");
    };
    check(0, u32::MAX, &[0, 1, 2]).await;
    check(2, u32::MAX, &[0, 1, 2]).await;
    check(3, u32::MAX, &[1, 2]).await;
    check(9, u32::MAX, &[2]).await;
    check(10, u32::MAX, &[]).await;
    check(u64::MAX, u32::MAX, &[]).await;
    check(0, 1, &[0]).await;
    check(0, 3, &[0]).await;
    check(0, 4, &[0, 1]).await;
    check(5, 0, &[2]).await;
    assert_eq!(
        store
            .ledgers
            .chunks(LedgerId::Events(9), LeafIndex(0), 10)
            .await
            .unwrap(),
        []
    );
}

/// A proof is computed from tiles of any width, whose hashes are stored or made of what is below, also after the ledger grew.
pub async fn proofs_are_computed_from_tiles(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let tiles = Tiles::new(Arc::clone(&store.ledgers));
    for begin in [0, 700, 1_400] {
        lane.commit(&store, events(begin..begin + 700)).await;
        let size = lane.head.size;
        let root = lane.head.range.root();
        for index in [0, 255, 256, 511, size - 1] {
            let index = LeafIndex(index);
            let question = Question::Inclusion { index, size };
            let mut hashes = BTreeMap::new();
            for tile in question.tiles().unwrap() {
                hashes.insert(tile, tiles.hashes(LEDGER, tile).await.unwrap());
            }
            let proof = question.answer(&hashes).unwrap();
            let row = &lane.committed[usize::try_from(index.0).unwrap()];
            check_inclusion(&proof, &Tree { size, root }, index, &row.leaf_hash).unwrap();
        }
    }
    let id = TileId { level: 1, index: 0 };
    let beyond = TileRef { id, width: 200 };
    let lacking = tiles.hashes(LEDGER, beyond).await;
    assert!(
        matches!(lacking, Err(StoreError::Malformed { .. })),
        "{lacking:?}"
    );
}

/// "A full tile; `None` when it is not stored"; "in order, from `after` (exclusive); at most `max`".
pub async fn tiles_are_read_in_order(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let mut written = Vec::new();
    for begin in [0, 400] {
        let prepared = lane.prepare(events(begin..begin + 400));
        written.extend(prepared.tiles.clone());
        lane.commit_twice(subject, prepared).await;
    }
    assert_eq!(written.len(), 3);
    let store = subject.store();
    assert_eq!(
        store.ledgers.tiles(LEDGER, None, 10).await.unwrap(),
        written
    );
    assert_eq!(
        store
            .ledgers
            .tiles(LEDGER, Some(written[0].id), 10)
            .await
            .unwrap(),
        written[1..]
    );
    assert_eq!(
        store.ledgers.tiles(LEDGER, None, 2).await.unwrap(),
        written[..2]
    );
    assert_eq!(
        store
            .ledgers
            .tiles(LEDGER, Some(written[2].id), 2)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        store
            .ledgers
            .tile(LEDGER, written[1].id)
            .await
            .unwrap()
            .as_ref(),
        Some(&written[1])
    );
    assert_eq!(
        store
            .ledgers
            .tile(LEDGER, TileId { level: 0, index: 3 })
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        store
            .ledgers
            .tile(LedgerId::Events(1), written[0].id)
            .await
            .unwrap(),
        None
    );
}

/// "Control documents in order, from `from`; at most `max`."
pub async fn control_documents_are_read_in_order(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LedgerId::Directory).await;
    let documents: Vec<_> = (0_u64..5)
        .map(|n| {
            let mut document = Object::new();
            document.insert("snapshot", Value::Number(n.into()));
            Value::Object(document)
        })
        .collect();
    let prepared = lane.prepare_controls(&documents);
    let written: Vec<_> = prepared
        .controls
        .iter()
        .map(|control| (control.header.index, control.document.clone()))
        .collect();
    lane.commit_twice(subject, prepared).await;
    let store = subject.store();
    let read = async |from: u64, max: u32| {
        let rows = store.ledgers.controls(LeafIndex(from), max).await.unwrap();
        rows.into_iter()
            .map(|row| (row.leaf_index, row.document))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(0, 100).await, written);
    assert_eq!(read(2, 2).await, written[2..4]);
    assert_eq!(read(5, 2).await, []);
}

/// "The same size with the same note again is fine; with another root it is `StoreError::Refused`".
pub async fn checkpoints_keep_one_root_a_size(subject: &mut dyn TestStore) {
    let checkpoints = subject.store().checkpoints;
    assert_eq!(checkpoints.newest(LEDGER).await.unwrap(), None);
    for size in [10, 30, 20] {
        checkpoints
            .insert(LEDGER, &note(LEDGER, size, 1))
            .await
            .unwrap();
    }
    checkpoints
        .insert(LEDGER, &note(LEDGER, 20, 1))
        .await
        .unwrap();
    let outcome = checkpoints.insert(LEDGER, &note(LEDGER, 20, 2)).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "{outcome:?}"
    );
    let other = LedgerId::Events(1);
    checkpoints
        .insert(other, &note(other, 99, 2))
        .await
        .unwrap();
    subject.crash().await;
    let checkpoints = subject.store().checkpoints;
    let stored = |size| StoredNote {
        size,
        note: note(LEDGER, size, 1).note,
    };
    assert_eq!(checkpoints.newest(LEDGER).await.unwrap(), Some(stored(30)));
    for (size, covering) in [
        (0, Some(10)),
        (10, Some(10)),
        (11, Some(20)),
        (30, Some(30)),
        (31, None),
    ] {
        assert_eq!(
            checkpoints.covering(LEDGER, size).await.unwrap(),
            covering.map(stored),
            "{size}"
        );
    }
    assert_eq!(
        checkpoints.after(LEDGER, 0, 10).await.unwrap(),
        [stored(10), stored(20), stored(30)]
    );
    assert_eq!(
        checkpoints.after(LEDGER, 10, 1).await.unwrap(),
        [stored(20)]
    );
    assert_eq!(checkpoints.after(LEDGER, 30, 1).await.unwrap(), []);
}

/// A note as a signer would write it; the store reads no signatures.
fn note(ledger: LedgerId, size: u64, root: u8) -> SignedCheckpoint {
    let checkpoint = Checkpoint {
        origin: origin(ledger),
        size,
        root: Digest([root; 32]),
    };
    let note = format!(
        "{}\n\u{2014} {} c2lnbmF0dXJl\n",
        checkpoint.to_body(),
        origin(ledger).as_str()
    );
    SignedCheckpoint { checkpoint, note }
}

/// Diverged: "Its history is disputed: readable, never leased, never signed."
pub async fn a_diverged_ledger_stays_readable(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..4)).await;
    let head = Head::seal(
        &key(),
        &origin(LEDGER),
        lane.lease.epoch,
        LedgerState::Diverged,
        lane.head.range.clone(),
    );
    store.writer.set_state(&lane.lease, &head).await.unwrap();
    // For ever: no state follows this one.
    let open = Head::seal(
        &key(),
        &origin(LEDGER),
        lane.lease.epoch,
        LedgerState::Open,
        lane.head.range.clone(),
    );
    assert!(store.writer.set_state(&lane.lease, &open).await.is_err());
    subject.crash().await;
    let store = subject.store();
    assert_eq!(
        store.ledgers.ledger(LEDGER).await.unwrap().unwrap().state,
        LedgerState::Diverged
    );
    let rows = store
        .events
        .rows(LEDGER, LeafIndex(0), LeafIndex(9), 9)
        .await
        .unwrap();
    assert_eq!(rows, lane.committed);
    assert_eq!(
        store
            .ledgers
            .chunks(LEDGER, LeafIndex(0), 9)
            .await
            .unwrap()
            .len(),
        1
    );
}
