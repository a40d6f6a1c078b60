//! Connections: time-outs that the server keeps, the log of slow statements, what a silent server costs.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::{CommitError, StoreError};
use audit_store_postgres::{PostgresStore, Settings};
use tokio_postgres::NoTls;

use crate::place::{Place, agree, settings};

/// A log in memory.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn slow_statements_are_logged_by_name_and_without_values() {
    let place = Place::new().await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let url = place.server.url(&place.database);
    let quick = PostgresStore::open(settings(&url)).await.unwrap();
    let mut lane = Lane::open(&quick.store(), LEDGER).await;
    lane.commit(&quick.store(), events(0..3)).await;
    assert!(!log.text().contains("slow statement"), "{}", log.text());
    // Everything is slow for whoever has no patience.
    let slow = Settings {
        slow_statement: Duration::ZERO,
        ..settings(&url)
    };
    let slow = PostgresStore::open(slow).await.unwrap().store();
    lane.commit(&slow, events(3..6)).await;
    slow.api_keys.get("s3cret-key-id").await.unwrap();
    drop(guard);
    let text = log.text();
    for name in ["commit", "read an API key"] {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("statement=\"{name}\"")));
        assert!(line.is_some_and(|line| line.contains("millis=")), "{text}");
    }
    assert!(
        !text.contains("s3cret") && !text.contains("sample.done"),
        "{text}"
    );
}

#[tokio::test]
async fn a_commit_that_waits_for_a_lock_gives_up_as_busy_and_leaves_nothing() {
    let place = Place::new().await;
    let short = Settings {
        lock_timeout: Duration::from_millis(100),
        ..settings(&place.server.url(&place.database))
    };
    let store = PostgresStore::open(short).await.unwrap().store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    let (blocker, connection) = tokio_postgres::connect(&place.server.url(&place.database), NoTls)
        .await
        .unwrap();
    let mut connections = tokio::task::JoinSet::new();
    connections.spawn(connection);
    blocker
        .batch_execute("BEGIN; LOCK TABLE audit.ledger_chunk IN SHARE MODE")
        .await
        .unwrap();
    let prepared = lane.prepare(events(3..6)).receipted(1);
    let outcome = store.writer.commit(prepared.commit()).await;
    assert!(matches!(outcome, Err(CommitError::Busy(_))), "{outcome:?}");
    blocker.batch_execute("COMMIT").await.unwrap();
    assert_eq!(agree(&store, LEDGER).await, 3);
    store.writer.commit(prepared.commit()).await.unwrap();
    assert_eq!(agree(&store, LEDGER).await, 6);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server_and_is_an_outage() {
    let place = Place::new().await;
    let short = Settings {
        statement_timeout: Duration::from_millis(200),
        lock_timeout: Duration::from_secs(60),
        ..settings(&place.server.url(&place.database))
    };
    let store = PostgresStore::open(short).await.unwrap().store();
    let lane = Lane::open(&store, LEDGER).await;
    let (blocker, connection) = tokio_postgres::connect(&place.server.url(&place.database), NoTls)
        .await
        .unwrap();
    let mut connections = tokio::task::JoinSet::new();
    connections.spawn(connection);
    blocker
        .batch_execute("BEGIN; LOCK TABLE audit.receipt, audit.cursor IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let prepared = lane.prepare(events(0..3)).receipted(1);
    let outcome = store.writer.commit(prepared.commit()).await;
    assert!(
        matches!(outcome, Err(CommitError::Unavailable(_))),
        "{outcome:?}"
    );
    let outcome = store
        .cursors
        .set("follower", LEDGER, audit_integrity::ledger::LeafIndex(1))
        .await;
    assert!(
        matches!(outcome, Err(StoreError::Unavailable { .. })),
        "{outcome:?}"
    );
    blocker.batch_execute("COMMIT").await.unwrap();
    store.writer.commit(prepared.commit()).await.unwrap();
}

#[tokio::test]
async fn a_closed_store_is_away() {
    let place = Place::new().await;
    let store = place.store();
    let lane = Lane::open(&store, LEDGER).await;
    place.open.close().await;
    place.open.close().await;
    let read = store.ledgers.ledgers().await;
    assert!(
        matches!(read, Err(StoreError::Unavailable { .. })),
        "{read:?}"
    );
    let prepared = lane.prepare(events(0..3));
    let outcome = store.writer.commit(prepared.commit()).await;
    assert!(
        matches!(outcome, Err(CommitError::Unavailable(_))),
        "{outcome:?}"
    );
}
