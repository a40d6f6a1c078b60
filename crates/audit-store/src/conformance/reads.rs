//! `EventRead`.

use audit_event::number::Number;
use audit_event::{
    Classification, EventDraft, Identity, Object, OrganizationId, Severity, Status, Value,
};
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::EventRow;

use super::TestStore;
use super::sample::{self, event, events};
use super::scene::{LEDGER, Lane};
use crate::query::OrganizationScope;
use crate::{Found, StoreError};

fn found(row: &EventRow) -> Found {
    Found {
        identity: Identity {
            id: row.id,
            organization_id: row.organization_id.clone(),
            timestamp: row.timestamp,
        },
        claim: row.claim,
        ledger: row.ledger,
        leaf_index: row.leaf_index,
        leaf_hash: row.leaf_hash,
    }
}

fn in_leaf_order(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|found| (found.ledger, found.leaf_index));
    found
}

/// "Those of the identities that are stored, in any order. At most 10,000 identities a call."
pub async fn identities_are_found_with_their_claims(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let prepared = lane.prepare(events(0..20));
    lane.commit_twice(subject, prepared).await;
    let store = subject.store();
    let mut asked: Vec<_> = lane
        .committed
        .iter()
        .map(|row| found(row).identity)
        .collect();
    let near = asked[3].clone();
    asked.push(Identity {
        timestamp: sample::at(99),
        ..near.clone()
    });
    asked.push(Identity {
        organization_id: OrganizationId::none(),
        ..near.clone()
    });
    asked.push(Identity {
        id: sample::id(99),
        ..near
    });
    let expected: Vec<_> = lane.committed.iter().map(found).collect();
    assert_eq!(
        in_leaf_order(store.events.find(&asked).await.unwrap()),
        expected
    );
    assert_eq!(store.events.find(&[]).await.unwrap(), []);
    let outcome = store.events.find(&vec![asked[0].clone(); 10_001]).await;
    assert!(
        matches!(outcome, Err(StoreError::Refused { .. })),
        "{outcome:?}"
    );
}

/// "All events of that id (and timestamp) that the scope may see."
pub async fn events_are_read_by_id_within_the_scope(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let organization = |name: &str| OrganizationId::new(name);
    let drafts = vec![
        event(1, |event| event.organization_id = organization("org-a")),
        event(1, |event| event.organization_id = organization("org-b")),
        event(1, |event| event.statement.timestamp = sample::at(500)),
        event(2, |_same| ()),
    ];
    lane.commit(&store, drafts).await;
    let read = async |timestamp, scope: &OrganizationScope| {
        let mut events = store
            .events
            .by_id(sample::id(1), timestamp, scope)
            .await
            .unwrap();
        events.sort_by_key(|event| event.leaf_index);
        for event in &events {
            let row = &lane.committed[usize::try_from(event.leaf_index.0).unwrap()];
            assert_eq!(event.canonical, row.canonical);
            assert_eq!(
                (event.id, &event.organization_id),
                (row.id, &row.organization_id)
            );
            assert_eq!(
                (event.timestamp, event.sealed_at),
                (row.timestamp, row.sealed_at)
            );
            assert_eq!((event.ledger, event.leaf_hash), (row.ledger, row.leaf_hash));
        }
        events
            .iter()
            .map(|event| event.leaf_index.0)
            .collect::<Vec<_>>()
    };
    let only = |names: &[&str]| {
        OrganizationScope::Only(names.iter().map(|name| organization(name)).collect())
    };
    assert_eq!(read(None, &OrganizationScope::All).await, [0, 1, 2]);
    assert_eq!(read(None, &only(&["org-b"])).await, [1]);
    assert_eq!(read(None, &only(&["org-a", "org-b"])).await, [0, 1, 2]);
    assert_eq!(read(None, &only(&[])).await, []);
    assert_eq!(
        read(Some(sample::at(500)), &OrganizationScope::All).await,
        [2]
    );
    assert_eq!(
        read(Some(sample::at(501)), &OrganizationScope::All).await,
        []
    );
}

/// "The row at an address, every column"; "Rows of a ledger in leaf order: from `from`, below `to`, at most `max`."
pub async fn rows_are_read_back_as_committed(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let full = event(7, |event| {
        let statement = &mut event.statement;
        statement.principal_id = Some("alice".to_owned());
        statement.action = "chart.read".to_owned();
        statement.target_resource_type = Some("patient".to_owned());
        statement.target_resource_id = Some("4711".to_owned());
        statement.status = Status::Failure;
        statement.severity = Some(Severity::Critical);
        statement.data_classification = Some(Classification::Phi);
        statement.retention_policy = Some("hipaa".to_owned());
        statement.correlation_id = Some("c-1".to_owned());
    });
    let drafts = events(0..5).into_iter().chain([full]).collect();
    let prepared = lane.prepare(drafts);
    lane.commit_twice(subject, prepared).await;
    let store = subject.store();
    let mut next = Lane::open(&store, LedgerId::Events(1)).await;
    next.commit(&store, events(100..103)).await;
    for (row, index) in lane.committed.iter().zip(0..) {
        let read = store.events.row(LEDGER, LeafIndex(index)).await.unwrap();
        assert_eq!(read.as_ref(), Some(row));
        // Every column that was read back is in the entry or the canonical event.
        assert_eq!(
            row.differences(&row.to_entry().unwrap()),
            Vec::<&str>::new()
        );
    }
    assert_eq!(store.events.row(LEDGER, LeafIndex(6)).await.unwrap(), None);
    assert_eq!(
        store
            .events
            .row(LedgerId::Events(9), LeafIndex(0))
            .await
            .unwrap(),
        None
    );
    let rows = async |from, to, max| {
        store
            .events
            .rows(LEDGER, LeafIndex(from), LeafIndex(to), max)
            .await
            .unwrap()
    };
    assert_eq!(rows(0, u64::MAX, u32::MAX).await, lane.committed);
    assert_eq!(rows(2, 4, 100).await, lane.committed[2..4]);
    assert_eq!(rows(2, 6, 1).await, lane.committed[2..3]);
    assert_eq!(rows(6, 9, 9).await, []);
}

/// Canonical bytes are given back byte for byte, whatever they contain.
pub async fn canonical_bytes_survive_storage(subject: &mut dyn TestStore) {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let prepared = lane.prepare(nasty());
    let written: Vec<_> = prepared
        .events
        .iter()
        .map(|event| event.draft.canonical().to_vec())
        .collect();
    lane.commit_twice(subject, prepared).await;
    let rows = subject
        .store()
        .events
        .rows(LEDGER, LeafIndex(0), LeafIndex(u64::MAX), u32::MAX)
        .await
        .unwrap();
    assert_eq!(rows, lane.committed);
    let read: Vec<_> = rows.into_iter().map(|row| row.canonical.unwrap()).collect();
    assert_eq!(read, written);
}

/// Events that stores have been seen to alter: numbers beyond doubles, Unicode beyond the first plane, empty containers.
fn nasty() -> Vec<EventDraft> {
    let numbers = [
        "9007199254740993",
        "18446744073709551615",
        "1e21",
        "-0",
        "1.0",
        "1.10",
        "5e-324",
        "1e308",
        "12345678901234567.89",
        "0.1",
    ];
    let texts = [
        "",
        " ",
        "\u{fb33}",
        "\u{1f600}",
        "\r\n\t",
        "\u{7f}",
        "\u{85}\u{2028}",
        "\\u0000",
        "'; --",
        "e\u{301}",
    ];
    let mut drafts = Vec::new();
    for (n, number) in (0..).zip(numbers) {
        let number = Value::Number(Number::parse(number).unwrap());
        drafts.push(event(n, |event| {
            drop(event.statement.details.insert("nasty", number))
        }));
    }
    for (n, text) in (100..).zip(texts) {
        drafts.push(event(n, |event| {
            event
                .statement
                .details
                .insert(text, Value::String(text.to_owned()));
            event.statement.principal_id = Some(text.to_owned());
            event.statement.outcome_description = Some(text.to_owned());
        }));
    }
    drafts.push(event(200, |event| {
        let empty = [
            Value::Null,
            Value::Object(Object::new()),
            Value::Array(Vec::new()),
            Value::String(String::new()),
        ];
        event
            .statement
            .details
            .insert("empty", Value::Array(empty.to_vec()));
    }));
    drafts.push(event(201, |event| {
        let deep = (0..28).fold(Value::Bool(true), |inner, _| Value::Array(vec![inner]));
        event.statement.details.insert("deep", deep);
    }));
    drafts.push(event(202, |event| {
        event
            .statement
            .details
            .insert("long", Value::String("x".repeat(60_000)));
    }));
    drafts
}

/// "(id, organisation) pairs that are stored under more than one timestamp, at most `max`, each with all its addresses."
pub async fn reused_ids_are_reported_with_all_addresses(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let moved =
        |n: u64, seconds: i64| event(n, |event| event.statement.timestamp = sample::at(seconds));
    let drafts = vec![
        event(1, |_same| ()),
        event(2, |_same| ()),
        moved(2, 1_000),
        moved(2, 2_000),
        // Another organisation may use the same id.
        event(1, |event| {
            event.organization_id = OrganizationId::new("org-b")
        }),
        event(4, |_same| ()),
        moved(4, 1_000),
    ];
    lane.commit(&store, drafts).await;
    let expected: Vec<_> = [1, 2, 3, 5, 6]
        .map(|index: usize| found(&lane.committed[index]))
        .into();
    assert_eq!(
        in_leaf_order(store.events.reused_ids(10).await.unwrap()),
        expected
    );
    let one = store.events.reused_ids(1).await.unwrap();
    assert!(in_leaf_order(one.clone()) == expected[..3] || in_leaf_order(one) == expected[3..]);
}
