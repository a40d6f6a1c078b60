//! Months: made when they are first needed, left out when they are not asked for.

use audit_event::Timestamp;
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::{self, event, events};
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::{CommitError, StoreError};
use audit_store_postgres::PostgresStore;

use crate::place::{Place, settings};

/// The beginning of a month of 2026 and later.
fn month(months: i64) -> Timestamp {
    // Far enough from both ends of any month.
    sample::at((months * 30 + 14) * 86_400)
}

fn partitions(place: &Place) -> Vec<String> {
    let sql = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'audit.audit_event'::regclass ORDER BY 1";
    place.sql(sql).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_month_is_made_when_its_first_event_comes() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    assert_eq!(partitions(&place), ["audit_event_old"]);
    let at = |n: u64, when| event(n, move |event| event.statement.timestamp = when);
    let ancient = Timestamp::from_micros(0).unwrap();
    lane.commit(
        &store,
        vec![
            at(1, ancient),
            at(2, month(1)),
            at(3, month(3)),
            at(4, month(1)),
        ],
    )
    .await;
    assert_eq!(
        partitions(&place),
        [
            "audit_event_2026_02",
            "audit_event_2026_04",
            "audit_event_old"
        ]
    );
    let rows =
        "SELECT tableoid::regclass::text, count(*) FROM audit.audit_event GROUP BY 1 ORDER BY 1";
    assert_eq!(
        place.sql(rows),
        "audit.audit_event_2026_02|2\naudit.audit_event_2026_04|1\naudit.audit_event_old|1"
    );
    assert_eq!(crate::place::agree(&store, LEDGER).await, 4);
    // Every month has the indexes as they were made, with what was said about them.
    let short_list = "SELECT count(*) FROM pg_class WHERE reloptions = '{gin_pending_list_limit=256}' AND relkind = 'i'";
    assert_eq!(place.sql(short_list), "3");
}

#[tokio::test]
async fn lanes_that_need_the_same_month_together_make_it_once() {
    let place = Place::new().await;
    let url = place.server.url(&place.database);
    let mut commits = Vec::new();
    for n in 0..6 {
        let open = PostgresStore::open(settings(&url)).await.unwrap();
        let ledger = audit_integrity::ledger::LedgerId::Events(n);
        let lane = Lane::open(&open.store(), ledger).await;
        commits.push(async move {
            let first = u64::from(n) * 100;
            let prepared = lane.prepare(events(first..first + 10));
            open.store().writer.commit(prepared.commit()).await
        });
    }
    for done in futures::future::join_all(commits).await {
        done.unwrap();
    }
    assert_eq!(
        partitions(&place),
        ["audit_event_2026_01", "audit_event_old"]
    );
}

#[tokio::test]
async fn an_operators_own_check_holds_for_months_to_come() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    place.sql("ALTER TABLE audit.audit_event ADD CONSTRAINT no_poison CHECK (action <> 'poison')");
    lane.commit(&store, events(0..3)).await;
    let poison = event(3, |event| event.statement.action = "poison".to_owned());
    let refused = lane.prepare(vec![poison]);
    let refused = store.writer.commit(refused.commit()).await.unwrap_err();
    assert!(
        matches!(&refused, CommitError::Rejected { identity: Some(_), reason } if reason.contains("no_poison")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_month_that_went_away_is_made_again() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    lane.commit(&store, events(0..3)).await;
    place.sql("DROP TABLE audit.audit_event_2026_01");
    let prepared = lane.prepare(events(3..6));
    let outcome = store.writer.commit(prepared.commit()).await;
    assert!(
        matches!(outcome, Err(CommitError::Busy(_))),
        "try again: {outcome:?}"
    );
    store.writer.commit(prepared.commit()).await.unwrap();
}

#[tokio::test]
async fn an_event_of_the_far_future_is_refused_by_name_and_the_rest_is_taken() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let far = sample::at(40 * 366 * 86_400);
    let mut drafts = events(0..3);
    drafts.insert(1, event(9, |event| event.statement.timestamp = far));
    let expected = drafts[1].event().identity();
    let outcome = store.writer.commit(lane.prepare(drafts).commit()).await;
    assert!(
        matches!(&outcome, Err(CommitError::Rejected { identity: Some(identity), .. }) if *identity == expected),
        "{outcome:?}"
    );
    lane.commit(&store, events(0..3)).await;
}

#[tokio::test]
async fn reads_with_a_range_leave_other_months_out() {
    let place = Place::new().await;
    let store = place.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let drafts = (0..4)
        .map(|n| {
            event(n, |event| {
                event.statement.timestamp = month(n.cast_signed())
            })
        })
        .collect();
    lane.commit(&store, drafts).await;
    let plan = place.sql(
        "EXPLAIN SELECT * FROM audit.audit_event WHERE organization_id = 'org-a'
        AND timestamp >= '2026-02-01T00:00:00Z' AND timestamp < '2026-03-01T00:00:00Z' ORDER BY timestamp DESC, id DESC LIMIT 10",
    );
    assert!(plan.contains("audit_event_2026_02"), "{plan}");
    for other in ["2026_01", "2026_03", "2026_04", "_old"] {
        assert!(
            !plan.contains(&format!("audit_event{other}"))
                && !plan.contains(&format!("audit_event_{other}")),
            "{plan}"
        );
    }
}

#[tokio::test]
async fn a_partition_cannot_be_made_for_a_wrong_clock_by_hand_either() {
    let place = Place::new().await;
    let store = place.store();
    let lane = Lane::open(&store, LEDGER).await;
    let far = sample::at(40 * 366 * 86_400);
    let alone = lane.prepare(vec![event(1, |event| event.statement.timestamp = far)]);
    assert!(store.writer.commit(alone.commit()).await.is_err());
    assert_eq!(partitions(&place), ["audit_event_old"]);
    // What was refused is not found, and asking for it is no error.
    let asked = alone.events[0].draft.event().identity();
    let found: Result<Vec<_>, StoreError> = store.events.find(&[asked]).await;
    assert_eq!(found.unwrap(), []);
}
