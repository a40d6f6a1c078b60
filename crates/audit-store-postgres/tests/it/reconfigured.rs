//! Settings that are replaced while the store works.

use std::collections::BTreeSet;
use std::time::Duration;

use audit_event::Timestamp;
use audit_integrity::ledger::LeafIndex;
use audit_runtime::{Fault, Faulty};
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::conformance::search::request;
use audit_store::{CommitError, Filter, Store, StoreError};
use audit_store_postgres::{PostgresStore, Settings};
use audit_testkit::net::free_port;
use audit_testkit::wait::{wait_until, wait_until_async};
use tokio_postgres::NoTls;

use crate::place::{Place, agree, settings};

const BOUND: Duration = Duration::from_secs(30);

/// Of a deployment of this name.
async fn deployed(name: &str) -> Place {
    let place = Place::new().await;
    let ledgers = place.store().ledgers;
    ledgers
        .set_deployment_id(name, Timestamp::EPOCH)
        .await
        .unwrap();
    place.open.belongs_to(name);
    place
}

fn url(place: &Place) -> String {
    place.server.url(&place.database)
}

/// Connections of the store to this database, by the name that they gave.
fn connections(place: &Place, name: &str) -> u32 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{name}'"
    );
    place.sql(&sql).trim().parse().unwrap()
}

async fn move_cursor(store: &Store, to: u64) -> Result<(), StoreError> {
    store.cursors.set("follower", LEDGER, LeafIndex(to)).await
}

/// Every way to the database fails as in an outage, and says why.
async fn is_away(store: &Store, lane: &Lane, why: &str) {
    let read = store.ledgers.ledgers().await.expect_err("a read");
    let written = move_cursor(store, 9).await.expect_err("a write");
    for error in [&read, &written] {
        assert_eq!(error.fault(), Fault::Outage, "{error:?}");
        assert!(format!("{error:?}").contains(why), "{error:?}");
    }
    let prepared = lane.prepare(events(50..53));
    match store.writer.commit(prepared.commit()).await {
        Err(CommitError::Unavailable(source)) => {
            assert!(format!("{source:?}").contains(why), "{source:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_call_and_every_lane_goes_on_over_new_connections_and_none_of_the_old_is_left() {
    let place = deployed("audit.example/a").await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    assert!(connections(&place, "audit-worker") > 0);
    let named = settings(&format!("{}?application_name=second", url(&place)));
    place.open.reconfigure(named.clone()).unwrap();
    lane.commit(&store, events(3..6)).await;
    move_cursor(&store, 6).await.unwrap();
    wait_until("the old connections are gone", BOUND, || {
        (connections(&place, "audit-worker") == 0).then_some(())
    });
    let now = connections(&place, "second");
    assert!(now >= 2, "{now}: the lane's own and the pool's");
    // The same settings again change nothing.
    place.open.reconfigure(named).unwrap();
    assert_eq!(connections(&place, "second"), now);
    assert_eq!(agree(&store, LEDGER).await, 6);
}

/// Processes of the server that serve the store.
fn served_by(place: &Place) -> BTreeSet<String> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'audit-worker'";
    place.sql(sql).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn where_the_address_stays_connections_go_on_and_are_told_what_holds_now() {
    let place = deployed("audit.example/a").await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    let (moved, found) = tokio::join!(move_cursor(&store, 3), store.ledgers.ledgers());
    assert!(moved.is_ok() && found.is_ok(), "{moved:?} {found:?}");
    let before = served_by(&place);
    assert!(
        before.len() >= 3,
        "{before:?}: the lane's own and the pool's"
    );
    let short = Settings {
        statement_timeout: Duration::from_millis(100),
        lock_timeout: Duration::from_secs(60),
        connections_max: 5,
        ..settings(&url(&place))
    };
    place.open.reconfigure(short.clone()).unwrap();
    move_cursor(&store, 4).await.unwrap();
    lane.commit(&store, events(3..6)).await;
    let after = served_by(&place);
    assert!(after.is_subset(&before), "{after:?} {before:?}");
    // With what was said before it would wait five seconds for the lock, and be busy then.
    let (blocker, connection) = tokio_postgres::connect(&url(&place), NoTls).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(connection);
    let lock = "BEGIN; LOCK TABLE audit.receipt IN EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();
    let prepared = lane.prepare(events(6..9)).receipted(1);
    let ended = store.writer.commit(prepared.commit()).await;
    assert!(
        matches!(ended, Err(CommitError::Unavailable(_))),
        "{ended:?}"
    );
    blocker.batch_execute("COMMIT").await.unwrap();

    let one = Settings {
        connections_max: 1,
        ..short
    };
    place.open.reconfigure(one).unwrap();
    move_cursor(&store, 5).await.unwrap();
    let few = async || (served_by(&place).len() <= 2).then_some(());
    wait_until_async("all but the lane's own and one are gone", BOUND, few).await;
    assert_eq!(agree(&store, LEDGER).await, 6);
}

#[tokio::test]
async fn what_is_under_way_ends_on_the_connection_it_began_on() {
    let place = deployed("audit.example/a").await;
    let store = place.store();
    let patient = Settings {
        lock_timeout: BOUND,
        statement_timeout: BOUND,
        ..settings(&url(&place))
    };
    place.open.reconfigure(patient).unwrap();
    let lane = Lane::open(&store, LEDGER).await;
    let (blocker, connection) = tokio_postgres::connect(&url(&place), NoTls).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(connection);
    let lock = "BEGIN; LOCK TABLE audit.receipt, audit.cursor IN EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();
    let prepared = lane.prepare(events(0..3)).receipted(1);
    let others = async {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'audit-worker'
            AND datname = current_database() AND wait_event_type = 'Lock'";
        // Not over the blocker's connection: within a transaction this view stands still.
        let both = async || (place.sql(waiting).trim() == "2").then_some(());
        wait_until_async("both wait", BOUND, both).await;
        let nowhere = format!("postgres://u@127.0.0.1:{}/none", free_port());
        place.open.reconfigure(settings(&nowhere)).unwrap();
        blocker.batch_execute("COMMIT").await.unwrap();
    };
    let (committed, moved, ()) = tokio::join!(
        store.writer.commit(prepared.commit()),
        move_cursor(&store, 3),
        others
    );
    committed.unwrap();
    moved.unwrap();
    is_away(&store, &lane, "Connection refused").await;
    place.open.reconfigure(settings(&url(&place))).unwrap();
    assert_eq!(agree(&store, LEDGER).await, 3);
}

#[tokio::test]
async fn the_new_time_outs_hold_for_the_next_statement() {
    let place = deployed("audit.example/a").await;
    let store = place.store();
    let (blocker, connection) = tokio_postgres::connect(&url(&place), NoTls).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(connection);
    let lock = "BEGIN; LOCK TABLE audit.cursor IN EXCLUSIVE MODE";
    blocker.batch_execute(lock).await.unwrap();
    let short = Settings {
        statement_timeout: Duration::from_millis(100),
        lock_timeout: Duration::from_secs(60),
        ..settings(&url(&place))
    };
    place.open.reconfigure(short).unwrap();
    // Without them it would wait five seconds for the lock, and be busy then.
    let ended = move_cursor(&store, 3).await;
    assert!(
        matches!(ended, Err(StoreError::Unavailable { .. })),
        "{ended:?}"
    );
    let one = Settings {
        connections_max: 1,
        connect_timeout: Duration::from_millis(300),
        ..settings(&url(&place))
    };
    place.open.reconfigure(one).unwrap();
    let (first, second) = tokio::join!(move_cursor(&store, 4), store.ledgers.ledgers());
    assert!(matches!(first, Err(StoreError::Busy { .. })), "{first:?}");
    assert!(
        matches!(second, Err(StoreError::Unavailable { .. })),
        "{second:?}"
    );
    blocker.batch_execute("COMMIT").await.unwrap();
    move_cursor(&store, 5).await.unwrap();
}

#[tokio::test]
async fn the_database_of_another_deployment_or_of_none_is_never_touched() {
    let (ours, other) = (
        deployed("audit.example/a").await,
        deployed("audit.example/b").await,
    );
    let store = ours.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    // Ledger, epoch, owner and size would fit.
    Lane::open(&other.store(), LEDGER)
        .await
        .commit(&other.store(), events(0..3))
        .await;
    ours.open.reconfigure(settings(&url(&other))).unwrap();
    is_away(
        &store,
        &lane,
        "is of deployment audit.example/b, ours is audit.example/a",
    )
    .await;
    other.sql("DELETE FROM audit.meta");
    is_away(
        &store,
        &lane,
        "is of no deployment, ours is audit.example/a",
    )
    .await;
    let looked_at = PostgresStore::open(settings(&url(&other))).await.unwrap();
    assert_eq!(agree(&looked_at.store(), LEDGER).await, 3);
    // A replica of another deployment is not asked either: the primary serves.
    let elsewhere = Settings {
        searches: Some(url(&other).parse().unwrap()),
        ..settings(&url(&ours))
    };
    ours.open.reconfigure(elsewhere).unwrap();
    lane.commit(&store, events(3..6)).await;
    assert_eq!(agree(&store, LEDGER).await, 6);
    let page = store.query.search(&request(Filter::default())).await;
    assert_eq!(page.unwrap().events.len(), 6);
}

#[tokio::test]
async fn a_closed_store_stays_closed_and_settings_that_cannot_be_change_nothing() {
    let place = deployed("audit.example/a").await;
    let store = place.store();
    let none = Settings {
        connections_max: 0,
        ..settings(&url(&place))
    };
    assert!(place.open.reconfigure(none).is_err());
    move_cursor(&store, 1).await.unwrap();
    place.open.close().await;
    let named = settings(&format!("{}?application_name=second", url(&place)));
    place.open.reconfigure(named).unwrap();
    let read = store.ledgers.ledgers().await;
    assert!(
        matches!(read, Err(StoreError::Unavailable { .. })),
        "{read:?}"
    );
}
