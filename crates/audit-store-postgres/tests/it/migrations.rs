//! Migrations, forward and back, by one process at a time.

use audit_store::StoreError;
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store_postgres::{IndexProfile, OpenError, PostgresStore, Settings};
use audit_testkit::postgres::PostgresServer;

use crate::place::{Place, settings};

#[tokio::test]
async fn ten_processes_that_start_together_migrate_once() {
    let server = PostgresServer::shared();
    let url = server.url(&server.create_database());
    let opening: Vec<_> = (0..10)
        .map(|_| PostgresStore::open(settings(&url)))
        .collect();
    for opened in futures::future::join_all(opening).await {
        let store = opened.unwrap();
        assert_eq!(store.store().ledgers.ledgers().await.unwrap(), []);
        let status = store.store().migrations.status().await.unwrap();
        assert!(
            status.iter().all(|one| one.applied_at.is_some()),
            "{status:?}"
        );
        assert_eq!(
            store.store().migrations.up().await.unwrap(),
            Vec::<u32>::new()
        );
        store.close().await;
    }
}

#[tokio::test]
async fn migrations_go_up_and_down_and_say_where_they_are() {
    let server = PostgresServer::shared();
    let url = server.url(&server.create_database());
    let manual = Settings {
        migrate: false,
        ..settings(&url)
    };
    let open = PostgresStore::open(manual).await.unwrap();
    let migrations = open.store().migrations;
    let applied = async || {
        let status = migrations.status().await.unwrap();
        status
            .iter()
            .map(|one| (one.number, one.applied_at.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(applied().await, [(1, false)]);
    let early = open.store().ledgers.ledgers().await;
    assert!(
        matches!(early, Err(StoreError::Unavailable { .. })),
        "there is no schema yet: {early:?}"
    );
    assert_eq!(migrations.up().await.unwrap(), [1]);
    assert_eq!(migrations.up().await.unwrap(), Vec::<u32>::new());
    assert_eq!(applied().await, [(1, true)]);
    assert_eq!(open.store().ledgers.ledgers().await.unwrap(), []);
    assert_eq!(
        migrations.down(0, false).await.unwrap(),
        [1],
        "an empty store is dropped without being forced"
    );
    assert_eq!(applied().await, [(1, false)]);
    assert_eq!(migrations.up().await.unwrap(), [1]);
}

#[tokio::test]
async fn stored_events_are_dropped_only_when_forced() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    let outcome = store.migrations.down(0, false).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "{outcome:?}"
    );
    assert_eq!(crate::place::agree(&store, LEDGER).await, 3);
    assert_eq!(store.migrations.down(0, true).await.unwrap(), [1]);
    assert_eq!(store.migrations.up().await.unwrap(), [1]);
    assert_eq!(store.ledgers.ledgers().await.unwrap(), []);
    // The partitions went with the rest, and are made again.
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_not_opened() {
    let place = Place::new().await;
    place.sql("INSERT INTO audit.schema_migration VALUES (99, 'from_the_future', now())");
    let url = place.server.url(&place.database);
    let refused = PostgresStore::open(settings(&url)).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Newer { found: 99, .. }),
        "{refused}"
    );
    let manual = Settings {
        migrate: false,
        ..settings(&url)
    };
    let open = PostgresStore::open(manual).await.unwrap();
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

#[tokio::test]
async fn the_profile_says_which_indexes_there_are() {
    let server = PostgresServer::shared();
    for (profile, expected) in [(IndexProfile::Full, "t|t|t"), (IndexProfile::Lean, "t|f|f")] {
        let database = server.create_database();
        let settings = Settings {
            profile,
            ..settings(&server.url(&database))
        };
        PostgresStore::open(settings).await.unwrap().close().await;
        let there = "SELECT to_regclass('audit.event_by_time') IS NOT NULL, to_regclass('audit.event_by_target') IS NOT NULL,
            to_regclass('audit.event_by_details') IS NOT NULL";
        assert_eq!(server.sql(&database, there), expected, "{profile:?}");
    }
}

#[tokio::test]
async fn a_server_that_loses_what_it_acknowledges_is_not_opened() {
    let server = PostgresServer::start_with(&[("fsync", "off")]);
    let url = server.url(&server.create_database());
    let refused = PostgresStore::open(settings(&url)).await.unwrap_err();
    assert!(
        matches!(&refused, OpenError::NotDurable { setting, .. } if setting == "fsync"),
        "{refused}"
    );
    let all_the_same = Settings {
        accept_loss: true,
        ..settings(&url)
    };
    PostgresStore::open(all_the_same).await.unwrap();
}
