//! Migrations, forward and back.

use audit_store::StoreError;
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store_sqlite::{DATABASE_FILE, OpenError, Options, SqliteStore};

use crate::place::{HandClock, Place, options};

#[tokio::test]
async fn migrations_go_up_and_down_and_say_where_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let manual = Options {
        migrate: false,
        ..options()
    };
    let open = SqliteStore::open(directory.path(), manual, HandClock::new()).unwrap();
    let migrations = open.store().migrations;
    let status = migrations.status().await.unwrap();
    assert_eq!(
        status
            .iter()
            .map(|one| (one.number, one.applied_at))
            .collect::<Vec<_>>(),
        [(1, None)]
    );
    assert!(
        open.store().ledgers.ledgers().await.is_err(),
        "there is no schema yet"
    );
    assert_eq!(migrations.up().await.unwrap(), [1]);
    assert_eq!(migrations.up().await.unwrap(), Vec::<u32>::new());
    assert!(
        migrations
            .status()
            .await
            .unwrap()
            .iter()
            .all(|one| one.applied_at.is_some())
    );
    assert_eq!(open.store().ledgers.ledgers().await.unwrap(), []);
    assert_eq!(
        migrations.down(0, false).await.unwrap(),
        [1],
        "an empty store is dropped without being forced"
    );
    assert_eq!(migrations.up().await.unwrap(), [1]);
}

#[tokio::test]
async fn stored_events_are_dropped_only_when_forced() {
    let place = Place::new();
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    lane.commit(&place.store(), events(0..3)).await;
    let migrations = place.store().migrations;
    let outcome = migrations.down(0, false).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "{outcome:?}"
    );
    assert_eq!(crate::place::agree(&place.store(), LEDGER).await, 3);
    assert_eq!(migrations.down(0, true).await.unwrap(), [1]);
    assert_eq!(migrations.up().await.unwrap(), [1]);
    assert_eq!(place.store().ledgers.ledgers().await.unwrap(), []);
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_not_opened() {
    let place = Place::new();
    place.open.close().await;
    let database = rusqlite::Connection::open(place.directory.path().join(DATABASE_FILE)).unwrap();
    database
        .execute(
            "INSERT INTO schema_migration VALUES (99, 'from_the_future', 0)",
            (),
        )
        .unwrap();
    let refused =
        SqliteStore::open(place.directory.path(), options(), HandClock::new()).unwrap_err();
    assert!(
        matches!(refused, OpenError::Newer { found: 99, .. }),
        "{refused}"
    );
    let manual = Options {
        migrate: false,
        ..options()
    };
    let open = SqliteStore::open(place.directory.path(), manual, HandClock::new()).unwrap();
    let status = open.store().migrations.status().await.unwrap();
    assert!(
        status
            .iter()
            .any(|one| one.number == 99 && one.name == "from_the_future")
    );
    let outcome = open.store().migrations.down(0, true).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "what is unknown is not taken back: {outcome:?}"
    );
}
