//! Another process takes a ledger over: whatever the first one was doing, it does no harm.

use audit_runtime::{Fault, Faulty};
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane, OWNER};
use audit_store::leases::LEASE_MICROS;
use audit_store::{CommitError, Lease, Store};
use audit_store_postgres::PostgresStore;
use audit_testkit::wait::wait_until_async;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::place::{Place, agree, settings};

/// How long the things of this file may take.
const BOUND: Duration = Duration::from_secs(20);

/// Another process on the same database.
async fn another(place: &Place) -> Store {
    let url = place.server.url(&place.database);
    PostgresStore::open(settings(&url)).await.unwrap().store()
}

async fn take_over(store: &Store) -> Lease {
    let taken = store.leases.acquire(LEDGER, "lane-2").await.unwrap();
    taken.expect("the lease ran out")
}

/// Sessions of the lane that the lease names.
fn sessions_of_the_lease(place: &Place) -> String {
    place.sql(
        "SELECT count(*) FROM pg_stat_activity JOIN audit.lease ON pid = session_pid AND backend_start = session_start",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_stands_still_inside_a_commit_is_ended_and_fenced() {
    let mut place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    // What stands in the way of the first lane's commit: its tile cannot be written.
    let (blocker, connection) = tokio_postgres::connect(&place.server.url(&place.database), NoTls)
        .await
        .unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    blocker
        .batch_execute("BEGIN; LOCK TABLE audit.ledger_tile IN SHARE MODE")
        .await
        .unwrap();
    let stuck = lane.prepare(events(3..300)).receipted(1);
    let mut committing = JoinSet::new();
    let (writer, commit) = (store.writer.clone(), stuck.clone());
    committing.spawn(async move { writer.commit(commit.commit()).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_until_async("the commit to stand still", BOUND, || async {
        (place.sql(waits) == "1").then_some(())
    })
    .await;
    place.pass(LEASE_MICROS + 1).await;
    let second = another(&place).await;
    let lease = take_over(&second).await;
    let first = committing.join_next().await.unwrap().unwrap();
    assert!(
        matches!(&first, Err(error) if error.fault() == Fault::Outage),
        "its session was ended: {first:?}"
    );
    blocker.batch_execute("COMMIT").await.unwrap();
    // It tries again, as a lane does, and learns that it has been replaced.
    let again = store.writer.commit(stuck.commit()).await;
    assert!(matches!(again, Err(CommitError::Fenced)), "{again:?}");
    assert_eq!(agree(&second, LEDGER).await, 3, "nothing of it was stored");
    lane.lease = lease;
    let prepared = lane.prepare(events(3..300)).receipted(1);
    second.writer.commit(prepared.commit()).await.unwrap();
    assert_eq!(agree(&second, LEDGER).await, 300);
    drop(blocker);
    connections.join_next().await.unwrap().unwrap().unwrap();
}

/// The session of the first lane cannot be ended (it is not written down): the commit itself is the fence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_lost_inside_a_commit_fences_it() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    let (blocker, connection) = tokio_postgres::connect(&place.server.url(&place.database), NoTls)
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    blocker
        .batch_execute("BEGIN; LOCK TABLE audit.ledger_tile IN SHARE MODE")
        .await
        .unwrap();
    let mut committing = JoinSet::new();
    let (writer, commit) = (
        store.writer.clone(),
        lane.prepare(events(3..300)).receipted(1),
    );
    committing.spawn(async move { writer.commit(commit.commit()).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_until_async("the commit to stand still", BOUND, || async {
        (place.sql(waits) == "1").then_some(())
    })
    .await;
    place.sql("UPDATE audit.lease SET epoch = epoch + 1, owner = 'lane-2'");
    blocker.batch_execute("COMMIT").await.unwrap();
    let outcome = committing.join_next().await.unwrap().unwrap();
    assert!(matches!(outcome, Err(CommitError::Fenced)), "{outcome:?}");
    assert_eq!(agree(&store, LEDGER).await, 3, "nothing of it was stored");
}

#[tokio::test]
async fn a_takeover_ends_the_idle_session_of_the_last_holder() {
    let mut place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    assert_eq!(sessions_of_the_lease(&place), "1");
    place.pass(LEASE_MICROS + 1).await;
    take_over(&another(&place).await).await;
    assert_eq!(sessions_of_the_lease(&place), "0");
}

#[tokio::test]
async fn a_session_that_only_has_the_same_process_id_is_left_alone() {
    let mut place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    let pid = place.sql("SELECT session_pid FROM audit.lease");
    place.sql("UPDATE audit.lease SET session_start = session_start - interval '1 second'");
    place.pass(LEASE_MICROS + 1).await;
    take_over(&another(&place).await).await;
    let alive = place.sql(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
    ));
    assert_eq!(alive, "1");
}

#[tokio::test]
async fn a_holder_that_takes_its_own_lease_again_keeps_its_session() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    let session = "SELECT session_pid, session_start FROM audit.lease";
    let before = place.sql(session);
    lane.lease = store.leases.acquire(LEDGER, OWNER).await.unwrap().unwrap();
    lane.commit(&store, events(3..6)).await;
    assert_eq!(place.sql(session), before);
    store.leases.release(&lane.lease).await.unwrap();
    wait_until_async("the end of the lane's session", BOUND, || async {
        let pid = before.split('|').next().unwrap_or_default();
        let alive = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
        (place.sql(&alive) == "0").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_lanes_that_both_believe_they_hold_it_one_commits_at_each_size() {
    let place = Place::new().await;
    let (first, second) = (place.store(), another(&place).await);
    let mut lane = Lane::open(&first, LEDGER).await;
    // Both use the same lease, so that nothing but the size at which the head stands can tell.
    for n in 0..20 {
        let (one, other) = (
            lane.prepare(events(n * 10..n * 10 + 5)).receipted(n * 2),
            lane.prepare(events(n * 10 + 5..n * 10 + 10))
                .receipted(n * 2 + 1),
        );
        let (a, b) = tokio::join!(
            first.writer.commit(one.commit()),
            second.writer.commit(other.commit())
        );
        match (a, b) {
            (Ok(()), Err(CommitError::HeadMoved { .. })) => lane.advance(&one),
            (Err(CommitError::HeadMoved { .. }), Ok(())) => lane.advance(&other),
            outcomes => panic!("{outcomes:?}"),
        }
        assert_eq!(agree(&first, LEDGER).await, (n + 1) * 5);
    }
}
