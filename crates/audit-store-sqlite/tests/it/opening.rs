//! Opening, closing, backing up; one process a directory.

use std::path::Path;

use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::{CommitError, StoreError};
use audit_store_sqlite::{DATABASE_FILE, OpenError, SqliteStore};

use crate::place::{HandClock, Place, agree, options};

fn open(directory: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(directory, options(), HandClock::new())
}

#[tokio::test]
async fn a_second_opener_is_refused_and_told_the_process() {
    let place = Place::new();
    let refused = open(place.directory.path()).unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, OpenError::InUse { .. }), "{text}");
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    assert!(text.contains("lock"), "{text}");
    place.open.close().await;
    open(place.directory.path()).unwrap();
}

#[tokio::test]
async fn dropping_everything_closes_the_store() {
    let mut place = Place::new();
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    lane.commit(&place.store(), events(0..10)).await;
    let directory = tempfile::tempdir().unwrap();
    let spare = open(directory.path()).unwrap();
    drop(std::mem::replace(&mut place.open, spare));
    let again = open(place.directory.path()).unwrap();
    assert_eq!(agree(&again.store(), LEDGER).await, 10);
}

#[tokio::test]
async fn a_closed_store_is_not_available() {
    let place = Place::new();
    let store = place.store();
    let lane = Lane::open(&store, LEDGER).await;
    place.open.close().await;
    place.open.close().await;
    let outcome = store
        .writer
        .commit(lane.prepare(events(0..2)).commit())
        .await;
    assert!(
        matches!(outcome, Err(CommitError::Unavailable(_))),
        "{outcome:?}"
    );
    let outcome = store.ledgers.ledgers().await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert!(
        !place.directory.path().join("audit.db-wal").exists(),
        "the log is in the database file"
    );
}

#[tokio::test]
async fn a_backup_is_a_store_and_overwrites_nothing() {
    let place = Place::new();
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    lane.commit(&place.store(), events(0..300)).await;
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join(DATABASE_FILE);
    place.open.backup(&copy).await.unwrap();
    let outcome = place.open.backup(&copy).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "{outcome:?}"
    );
    lane.commit(&place.store(), events(300..310)).await;
    let restored = open(directory.path()).unwrap();
    assert_eq!(agree(&restored.store(), LEDGER).await, 300);
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(DATABASE_FILE);
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE recipe (name TEXT)")
        .unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let refused = open(directory.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn an_altered_row_is_reported_by_its_address() {
    let place = Place::new();
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    lane.commit(&place.store(), events(0..4)).await;
    let intruder = rusqlite::Connection::open(place.directory.path().join(DATABASE_FILE)).unwrap();
    intruder
        .execute("UPDATE audit_event SET status = 77 WHERE position = 2", ())
        .unwrap();
    let all = audit_integrity::ledger::LeafIndex(u64::MAX);
    let first = audit_integrity::ledger::LeafIndex(0);
    let outcome = place.store().events.rows(LEDGER, first, all, 10).await;
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("ledger 0, leaf 2: status"), "{text}");
}
