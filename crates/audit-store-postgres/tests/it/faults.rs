//! What is an outage, what is an event's fault, and what a killed server leaves.

use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_runtime::{Fault, Faulty};
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::{self, event, events};
use audit_store::conformance::scene::{LEDGER, Lane, Prepared};
use audit_store::{AlertState, CommitError, Store, Via};
use audit_store_postgres::{PostgresStore, Settings};
use audit_testkit::postgres::PostgresServer;
use audit_testkit::wait::wait_until_async;
use tokio::task::JoinSet;

use crate::place::{Place, agree, settings};

async fn outcome(store: &Store, prepared: &Prepared) -> Result<(), CommitError> {
    store.writer.commit(prepared.commit()).await
}

fn is_outage(outcome: &Result<(), CommitError>) -> bool {
    matches!(outcome, Err(error) if error.fault() == Fault::Outage)
}

/// A store of a user that has the rights of a worker and no others.
async fn as_worker(place: &Place) -> PostgresStore {
    let user = format!("worker_of_{}", place.database);
    place.sql(&format!("CREATE ROLE {user} LOGIN IN ROLE audit_writer"));
    let settings = Settings {
        migrate: false,
        ..settings(&place.server.url_as(&user, &place.database))
    };
    PostgresStore::open(settings).await.unwrap()
}

/// Everything that a worker does with alerts.
async fn alert_and_forget(store: &Store) {
    let alerts = &store.alerts;
    let mut alert = audit_store::conformance::alerts::alert(1, 1);
    alerts.write(std::slice::from_ref(&alert)).await.unwrap();
    (alert.expected, alert.state) = (1, AlertState::Resolved);
    alerts.write(&[alert]).await.unwrap();
    let taken = alerts.take("webhook", Duration::ZERO, 1).await.unwrap();
    let number = taken[0].number;
    alerts.put_off(&taken[0], Duration::ZERO, "").await.unwrap();
    alerts.give_up(&taken[0], "").await.unwrap();
    assert_eq!(alerts.revive("webhook").await.unwrap(), 1);
    alerts.delivered(number).await.unwrap();
    let later = Timestamp::clamped(i64::MAX);
    assert_eq!(alerts.forget_resolved(later, 1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_worker_needs_no_more_than_the_role_of_a_writer() {
    let place = Place::new().await;
    let worker = as_worker(&place).await;
    let store = worker.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let mut prepared = lane.prepare(events(0..300)).receipted(1);
    let letter = audit_store::conformance::dead_letters::letter(1);
    prepared.dead_letters.push(letter.clone());
    outcome(&store, &prepared).await.unwrap();
    lane.advance(&prepared);
    store.writer.probe().await.unwrap();
    assert!(store.leases.renew(&lane.lease).await.unwrap());
    assert!(
        store
            .dead_letters
            .mark_replayed(letter.id, sample::at(1), sample::frame(7))
            .await
            .unwrap()
    );
    assert!(store.dead_letters.purge(letter.id).await.unwrap());
    store
        .cursors
        .set("follower", LEDGER, audit_integrity::ledger::LeafIndex(1))
        .await
        .unwrap();
    store.runs.put("run", sample::at(1), "{}").await.unwrap();
    store
        .ledgers
        .set_deployment_id("deployment", sample::at(1))
        .await
        .unwrap();
    alert_and_forget(&store).await;
    store.leases.release(&lane.lease).await.unwrap();
    assert_eq!(agree(&store, LEDGER).await, 300);
}

#[tokio::test]
async fn a_worker_cannot_change_what_was_committed() {
    let place = Place::new().await;
    let worker = as_worker(&place).await;
    let mut lane = Lane::open(&worker.store(), LEDGER).await;
    lane.commit(&worker.store(), events(0..300)).await;
    let user = format!("worker_of_{}", place.database);
    for statement in [
        "UPDATE audit.audit_event SET action = ''x''",
        "DELETE FROM audit.audit_event",
        "TRUNCATE audit.audit_event",
        "DELETE FROM audit.audit_event_2026_01",
        "UPDATE audit.ledger_chunk SET entries = ''x''",
        "DELETE FROM audit.ledger_chunk",
        "DELETE FROM audit.ledger_tile",
        "DELETE FROM audit.ledger_head",
        "UPDATE audit.ledger SET origin = ''x''",
        "UPDATE audit.checkpoint SET note = ''x''",
        "DELETE FROM audit.receipt",
        "UPDATE audit.meta SET value = ''x''",
        "UPDATE audit.dead_letter SET payload = ''x''",
        "UPDATE audit.api_key SET role = ''admin''",
        "DROP TABLE audit.audit_event_2026_01",
        "CREATE TABLE audit.mine (x integer)",
    ] {
        let refused = place.sql(&format!(
            "SET ROLE {user};
            DO $$ BEGIN EXECUTE '{statement}'; RAISE EXCEPTION 'done: {}';
            EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;
            SELECT 'refused'",
            statement.replace('\'', "")
        ));
        assert_eq!(refused, "refused", "{statement}");
    }
}

#[tokio::test]
async fn a_revoked_right_or_a_missing_column_is_an_outage_and_blames_no_event() {
    let place = Place::new().await;
    let worker = as_worker(&place).await;
    let store = worker.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    let mut next = 3;
    for (breaks, mends) in [
        (
            "REVOKE INSERT ON audit.audit_event FROM audit_writer",
            "GRANT INSERT ON audit.audit_event TO audit_writer",
        ),
        (
            "REVOKE INSERT ON audit.ledger_chunk FROM audit_writer",
            "GRANT INSERT ON audit.ledger_chunk TO audit_writer",
        ),
        (
            "REVOKE UPDATE ON audit.ledger_head FROM audit_writer",
            "GRANT UPDATE ON audit.ledger_head TO audit_writer",
        ),
        (
            "ALTER TABLE audit.audit_event RENAME COLUMN claim TO claimed",
            "ALTER TABLE audit.audit_event RENAME COLUMN claimed TO claim",
        ),
        (
            "ALTER TABLE audit.audit_event ADD COLUMN wanted integer; ALTER TABLE audit.audit_event ADD CONSTRAINT set CHECK (true);
             ALTER TABLE audit.audit_event ALTER COLUMN wanted SET DEFAULT 1; UPDATE audit.audit_event SET wanted = 1;
             ALTER TABLE audit.audit_event ALTER COLUMN wanted SET NOT NULL, ALTER COLUMN wanted DROP DEFAULT",
            "ALTER TABLE audit.audit_event DROP COLUMN wanted, DROP CONSTRAINT set",
        ),
        (
            "ALTER TABLE audit.receipt RENAME TO receipts",
            "ALTER TABLE audit.receipts RENAME TO receipt",
        ),
    ] {
        place.sql(breaks);
        let prepared = lane.prepare(events(next..next + 3)).receipted(next);
        for _ in 0..2 {
            let refused = outcome(&store, &prepared).await;
            assert!(is_outage(&refused), "{breaks}: {refused:?}");
        }
        place.sql(mends);
        outcome(&store, &prepared).await.unwrap();
        lane.advance(&prepared);
        next += 3;
    }
    assert_eq!(agree(&store, LEDGER).await, next);
}

#[tokio::test]
async fn an_event_that_the_server_refuses_is_named_and_no_other() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    place.sql(
        "ALTER TABLE audit.audit_event ADD CONSTRAINT no_poison CHECK (principal_id <> 'poison')",
    );
    // An index row has its limit as well: text that does not compress.
    place.sql("CREATE INDEX event_by_outcome ON audit.audit_event ((canonical::jsonb ->> 'outcomeDescription'))");
    let noise: String = (0..400_u64)
        .map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    for (poisoned, change) in [(700_u64, 0), (3, 0), (1_002, 0), (251, 1)] {
        let drafts: Vec<_> = (3..1_003)
            .map(|n| {
                event(n, |event| match (n == poisoned, change) {
                    (true, 0) => event.statement.principal_id = Some("poison".to_owned()),
                    (true, _) => event.statement.outcome_description = Some(noise.clone()),
                    (false, _) => {}
                })
            })
            .collect();
        let expected = drafts
            .iter()
            .find(|draft| draft.event().id == sample::id(poisoned))
            .unwrap()
            .event()
            .identity();
        let refused = outcome(&store, &lane.prepare(drafts)).await;
        let Err(CommitError::Rejected { identity, reason }) = refused else {
            panic!("{poisoned}: {refused:?}")
        };
        assert_eq!(identity, Some(expected), "{reason}");
        assert!(
            reason.contains("SQLSTATE") && !reason.contains("sample.done"),
            "a code, and nothing of the event: {reason}"
        );
    }
    assert_eq!(agree(&store, LEDGER).await, 3, "nothing of them was stored");
    lane.commit(&store, events(3..1_003)).await;
}

#[tokio::test]
async fn a_server_killed_again_and_again_loses_nothing_it_acknowledged() {
    let mut server = PostgresServer::start();
    let url = server.url(&server.create_database());
    let open = PostgresStore::open(settings(&url)).await.unwrap();
    let kills = match std::env::var_os("AUDIT_TEST_FULL") {
        Some(full) if full == "true" => 20,
        _ => 4,
    };
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let store = open.store();
    let lane = Lane::open(&store, LEDGER).await;
    let mut committing = JoinSet::new();
    committing.spawn(commit_until(store.clone(), lane, Arc::clone(&stop)));
    for n in 0..kills {
        let before = n * 5;
        // Some commits go through between two kills, and one is under way.
        wait_until_async("commits", Duration::from_secs(30), || async {
            let info = store.ledgers.ledger(LEDGER).await.ok()??;
            (info.head.size > before * 7).then_some(())
        })
        .await;
        server = tokio::task::spawn_blocking(move || {
            if n % 2 == 0 {
                server.kill();
            } else {
                server.stop_immediately();
            }
            server.restart();
            server
        })
        .await
        .unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let acknowledged = committing.join_next().await.unwrap().unwrap();
    let size = agree(&store, LEDGER).await;
    assert_eq!(size, acknowledged);
    let totals = store.receipts.totals(Via::Queue).await.unwrap();
    assert_eq!((totals.events, totals.stored), (size, size));
}

/// Commits seven events at a time, as a lane does: after an answer that was lost it looks where the head is. Gives back how
/// many events it knows to be stored.
async fn commit_until(
    store: Store,
    mut lane: Lane,
    stop: Arc<std::sync::atomic::AtomicBool>,
) -> u64 {
    let mut frame = 0;
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        let first = lane.head.size;
        frame += 1;
        let prepared = lane.prepare(events(first..first + 7)).receipted(frame);
        loop {
            match outcome(&store, &prepared).await {
                Ok(()) => break lane.advance(&prepared),
                Err(error) if error.fault() == Fault::Outage => {
                    tokio::task::yield_now().await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(CommitError::Unknown(_)) => {
                    let head = wait_until_async("the head", Duration::from_secs(30), || async {
                        store.ledgers.ledger(LEDGER).await.ok()?
                    })
                    .await
                    .head;
                    if head == prepared.head {
                        break lane.advance(&prepared);
                    }
                    assert_eq!(head, lane.head, "all of it or nothing");
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    lane.head.size
}
