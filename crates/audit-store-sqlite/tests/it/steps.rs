//! Long reads go in steps whose seams cannot be seen; searches that take too long are given up.

use std::time::Duration;

use audit_event::{OrganizationId, Timestamp};
use audit_integrity::ledger::LeafIndex;
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::{self, event};
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::conformance::search::request;
use audit_store::query::ActionMatch;
use audit_store::{Filter, Order, PageRequest, Store, StoreError};
use audit_store_sqlite::{Options, SqliteStore};

use crate::place::{HandClock, Place, agree, options};

/// More than one step of 10,000 rows, and more than the 5,000 matches that are sorted.
const EVENTS: u64 = 20_500;

/// Every second event has a common action, a few a rare one; two ids are used twice, one at each end of the index.
async fn filled(place: &Place) -> Lane {
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    for begin in (0..EVENTS).step_by(500) {
        let drafts = (begin..begin + 500).map(|n| {
            event(n, |event| {
                let action = match n {
                    _ if n % 4_000 == 1 => "rare.read",
                    _ if n % 2 == 0 => "common.read",
                    _ => "other",
                };
                event.statement.action = action.to_owned();
                event.organization_id =
                    OrganizationId::new(if n % 3 == 0 { "org-b" } else { "org-a" });
                if n == 3 || n == EVENTS - 1 {
                    event.id = sample::id(n - 2);
                    event.organization_id =
                        OrganizationId::new(if (n - 2) % 3 == 0 { "org-b" } else { "org-a" });
                }
            })
        });
        lane.commit(&place.store(), drafts.collect()).await;
    }
    lane
}

#[tokio::test]
async fn reads_longer_than_a_step_are_complete() {
    let place = Place::new();
    let lane = filled(&place).await;
    let store = place.store();
    assert_eq!(agree(&store, LEDGER).await, EVENTS);
    let rows = store
        .events
        .rows(LEDGER, LeafIndex(0), LeafIndex(u64::MAX), 15_000)
        .await
        .unwrap();
    assert!(rows == lane.committed[..15_000]);
    let reused = store.events.reused_ids(10).await.unwrap();
    let mut leaves: Vec<_> = reused.iter().map(|found| found.leaf_index.0).collect();
    leaves.sort_unstable();
    assert_eq!(leaves, [1, 3, EVENTS - 3, EVENTS - 1]);
    let all = Filter {
        target_resource_id: Some("absent".to_owned()),
        ..Filter::default()
    };
    let page = store.query.search(&request(all)).await.unwrap();
    assert_eq!(
        page.events,
        [],
        "no index serves it, every event is looked at"
    );
}

/// Times of all pages of a prefix search.
async fn times(store: &Store, prefix: &str, order: Order) -> Vec<Timestamp> {
    let action = Some(ActionMatch::Prefix(prefix.to_owned()));
    let filter = Filter {
        action,
        ..Filter::default()
    };
    let mut request = PageRequest {
        order,
        ..request(filter)
    };
    let mut times = Vec::new();
    loop {
        let page = store.query.search(&request).await.unwrap();
        times.extend(page.events.iter().map(|event| event.timestamp));
        match page.next {
            Some(next) => request.after = Some(next),
            None => return times,
        }
    }
}

#[tokio::test]
async fn a_common_prefix_is_walked_and_a_rare_one_sorted_with_the_same_outcome() {
    let place = Place::new();
    let lane = filled(&place).await;
    let store = place.store();
    for prefix in ["rare.", "common."] {
        let rows = lane
            .committed
            .iter()
            .filter(|row| row.action.starts_with(prefix));
        let expected: Vec<_> = rows.map(|row| row.timestamp).collect();
        assert_eq!(expected.len() > 5_000, prefix == "common.");
        assert!(times(&store, prefix, Order::Oldest).await == expected);
        let newest = times(&store, prefix, Order::Newest).await;
        assert!(newest.iter().rev().eq(&expected));
    }
}

#[tokio::test]
async fn a_search_beyond_its_time_is_too_broad() {
    let directory = tempfile::tempdir().unwrap();
    let hasty = Options {
        search_timeout: Duration::ZERO,
        ..options()
    };
    let open = SqliteStore::open(directory.path(), hasty, HandClock::new()).unwrap();
    let mut lane = Lane::open(&open.store(), LEDGER).await;
    lane.commit(&open.store(), sample::events(0..10)).await;
    let outcome = open.store().query.search(&request(Filter::default())).await;
    assert!(matches!(outcome, Err(StoreError::TooBroad)), "{outcome:?}");
    // The connection is not left under the deadline.
    assert_eq!(agree(&open.store(), LEDGER).await, 10);
}
