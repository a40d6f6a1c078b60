//! `EventQuery`: order, pages, and cursors while events arrive.

use audit_event::OrganizationId;
use audit_integrity::ledger::LedgerId;

use super::TestStore;
use super::sample::{self, event, events};
use super::scene::{LEDGER, Lane};
use super::search::request;
use crate::query::OrganizationScope;
use crate::{Filter, Order, PageRequest, Store, StoreError, StoredEvent};

/// All pages, one after the other; `between` happens after each.
async fn pages(
    store: &Store,
    first: PageRequest,
    mut between: impl AsyncFnMut(),
) -> Vec<StoredEvent> {
    let mut request = first;
    let mut found = Vec::new();
    for _ in 0..1_000 {
        let page = store.query.search(&request).await.unwrap();
        assert!(page.events.len() <= usize::try_from(request.limit).unwrap());
        found.extend(page.events);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return found,
        }
        between().await;
    }
    panic!("the pages do not end");
}

fn numbers(found: &[StoredEvent]) -> Vec<(LedgerId, u64)> {
    found
        .iter()
        .map(|event| (event.ledger, event.leaf_index.0))
        .collect()
}

fn keys(
    found: &[StoredEvent],
) -> Vec<(audit_event::Timestamp, audit_event::EventId, OrganizationId)> {
    found
        .iter()
        .map(|event| (event.timestamp, event.id, event.organization_id.clone()))
        .collect()
}

/// "Order of (timestamp, id)"; "Where to go on; `None` when there is no more."
pub async fn pages_follow_each_other_in_both_orders(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    // Leaf order is not the order of time.
    let drafts = (0..40).map(|n| (n * 7) % 40).map(|n| {
        event(n, |event| {
            let name = ["org-a", "org-b", ""][usize::try_from(n % 3).unwrap()];
            event.organization_id = OrganizationId::new(name);
            event.statement.principal_id = Some(format!("p-{}", n % 2));
        })
    });
    lane.commit(&store, drafts.collect()).await;
    let filters = [
        Filter::default(),
        Filter {
            principal_id: Some("p-1".to_owned()),
            ..Filter::default()
        },
        Filter {
            organization_id: Some(OrganizationId::new("org-b")),
            ..Filter::default()
        },
        Filter {
            since: Some(sample::at(5)),
            until: Some(sample::at(31)),
            ..Filter::default()
        },
    ];
    for filter in filters {
        let whole = store
            .query
            .search(&request(filter.clone()))
            .await
            .unwrap()
            .events;
        assert!(keys(&whole).is_sorted_by(|a, b| a > b), "newest first");
        for order in [Order::Newest, Order::Oldest] {
            for limit in [1, 3, 7, 39, 40, 41] {
                let first = PageRequest {
                    order,
                    limit,
                    ..request(filter.clone())
                };
                let mut found = pages(&store, first, async || ()).await;
                if order == Order::Oldest {
                    found.reverse();
                }
                assert_eq!(found, whole, "{order:?} {limit}");
            }
        }
    }
}

/// "the ledger sizes of the first page: rows committed later stay out."
pub async fn pages_stay_stable_while_events_arrive(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let mut other = Lane::open(&store, LedgerId::Events(1)).await;
    lane.commit(&store, events((0..30).map(|n| n * 10))).await;
    other
        .commit(&store, events((0..30).map(|n| n * 10 + 5)))
        .await;
    for order in [Order::Newest, Order::Oldest] {
        let whole = store
            .query
            .search(&PageRequest {
                order,
                ..request(Filter::default())
            })
            .await
            .unwrap();
        let mut arrived = u64::from(order == Order::Oldest);
        let first = PageRequest {
            order,
            limit: 4,
            ..request(Filter::default())
        };
        let found = pages(&store, first, async || {
            // Times between, before and after those of the pages, in both ledgers and in one that is opened meanwhile.
            arrived += 2;
            lane.commit(&store, events([arrived * 10 + 1, 100_000 + arrived]))
                .await;
            other.commit(&store, events([arrived * 10 + 2])).await;
        })
        .await;
        assert_eq!(numbers(&found), numbers(&whole.events), "{order:?}");
        assert!(arrived > 10, "events did arrive meanwhile");
    }
    let first = PageRequest {
        limit: 4,
        ..request(Filter::default())
    };
    let page = store.query.search(&first).await.unwrap();
    let mut third = Lane::open(&store, LedgerId::Events(2)).await;
    third.commit(&store, events([200_001, 7])).await;
    let rest = pages(
        &store,
        PageRequest {
            after: page.next,
            ..first
        },
        async || (),
    )
    .await;
    assert!(
        rest.iter().all(|event| event.ledger != LedgerId::Events(2)),
        "a ledger opened later stays out"
    );
    let now = store
        .query
        .search(&request(Filter::default()))
        .await
        .unwrap();
    assert!(
        now.events
            .iter()
            .any(|event| event.ledger == LedgerId::Events(2)),
        "a new search sees it"
    );
}

/// "keyset (timestamp, id)": events of one instant are neither lost nor repeated between pages.
pub async fn equal_times_are_paged_by_id_and_organization(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let mut drafts = Vec::new();
    for n in [3, 1, 2, 5, 4] {
        for organization in ["org-b", "", "org-a", "org-aa"] {
            drafts.push(event(n, |event| {
                event.statement.timestamp = sample::at(0);
                event.statement.principal_id = Some("alice".to_owned());
                event.statement.correlation_id = Some("c".to_owned());
                event.organization_id = OrganizationId::new(organization);
            }));
        }
    }
    lane.commit(&store, drafts).await;
    let filters = [
        Filter::default(),
        Filter {
            principal_id: Some("alice".to_owned()),
            ..Filter::default()
        },
        Filter {
            correlation_id: Some("c".to_owned()),
            ..Filter::default()
        },
    ];
    for filter in filters {
        for order in [Order::Newest, Order::Oldest] {
            for limit in [1, 2, 3, 20] {
                let first = PageRequest {
                    order,
                    limit,
                    ..request(filter.clone())
                };
                let mut found = keys(&pages(&store, first, async || ()).await);
                if order == Order::Newest {
                    found.reverse();
                }
                assert_eq!(found.len(), 20, "{filter:?} {order:?} {limit}");
                assert!(
                    found.is_sorted_by(|a, b| a < b),
                    "{filter:?} {order:?} {limit}"
                );
            }
        }
    }
}

/// "At most so many, 1..=1,000."
pub async fn limits_are_checked(subject: &mut dyn TestStore) {
    let store = subject.store();
    for limit in [0, 1_001] {
        let outcome = store
            .query
            .search(&PageRequest {
                limit,
                ..request(Filter::default())
            })
            .await;
        assert!(
            matches!(outcome, Err(StoreError::Refused { .. })),
            "{outcome:?}"
        );
    }
    let scope = OrganizationScope::Only(Vec::new());
    let page = store
        .query
        .search(&PageRequest {
            scope,
            ..request(Filter::default())
        })
        .await
        .unwrap();
    assert_eq!((page.events, page.next), (Vec::new(), None));
}
