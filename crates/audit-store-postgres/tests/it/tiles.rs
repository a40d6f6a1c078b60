//! What a proof costs does not grow with its ledger.

use std::sync::Arc;

use audit_integrity::tile::{TileId, TileRef};
use audit_store::StoreError;
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::tiles::Tiles;

use crate::place::Place;

#[tokio::test]
async fn roots_of_full_tiles_are_read_once() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..600)).await;
    let id = TileId { level: 1, index: 0 };
    let (two, three) = (TileRef { id, width: 2 }, TileRef { id, width: 3 });
    let tiles = Tiles::new(Arc::clone(&store.ledgers));
    let read = tiles.hashes(LEDGER, two).await.unwrap();
    // What is not there cannot be read again.
    place.sql("DELETE FROM audit.ledger_tile");
    assert_eq!(tiles.hashes(LEDGER, two).await.unwrap(), read);
    lane.commit(&store, events(600..800)).await;
    let grown = tiles.hashes(LEDGER, three).await.unwrap();
    assert_eq!((grown.len(), &grown[..64]), (96, &read[..]));
    let other = Tiles::new(store.ledgers).hashes(LEDGER, three).await;
    assert!(
        matches!(other, Err(StoreError::Malformed { .. })),
        "{other:?}"
    );
}
