//! `EventQuery`: filters and scopes.

use audit_event::number::Number;
use audit_event::{Classification, EventDraft, Object, OrganizationId, Severity, Status, Value};
use audit_integrity::ledger::LeafIndex;

use super::TestStore;
use super::sample::{self, event};
use super::scene::{LEDGER, Lane};
use crate::query::{ActionMatch, DetailMatch, OrganizationScope};
use crate::{Filter, Order, PageRequest, Store};

/// The first page of everything that the filter names.
#[must_use]
pub fn request(filter: Filter) -> PageRequest {
    PageRequest {
        filter,
        scope: OrganizationScope::All,
        order: Order::Newest,
        limit: 1_000,
        after: None,
    }
}

/// Leaf indexes of the found events, in both orders, which must be each other's reverse.
async fn search(store: &Store, request: &PageRequest) -> Vec<u64> {
    let mut orders = Vec::new();
    for order in [Order::Newest, Order::Oldest] {
        let request = PageRequest {
            order,
            ..request.clone()
        };
        let page = store.query.search(&request).await.unwrap();
        assert_eq!(page.next, None, "everything fits on one page");
        orders.push(
            page.events
                .iter()
                .map(|event| event.leaf_index.0)
                .collect::<Vec<_>>(),
        );
    }
    let (newest, oldest) = (orders.remove(0), orders.remove(0));
    assert!(
        newest.iter().eq(oldest.iter().rev()),
        "{newest:?} {oldest:?}"
    );
    oldest
}

async fn check(store: &Store, filter: Filter, expected: &[u64]) {
    let request = request(filter);
    assert_eq!(
        search(store, &request).await,
        expected,
        "{:?}",
        request.filter
    );
}

/// Eight events; each second one is the plain sample, so that every filter has something to leave out.
fn various() -> Vec<EventDraft> {
    let text = |text: &str| Some(text.to_owned());
    vec![
        event(0, |_same| ()),
        event(1, |event| {
            let statement = &mut event.statement;
            statement.principal_id = text("alice");
            statement.action = "patient.read".to_owned();
            statement.target_resource_type = text("patient");
            statement.target_resource_id = text("4711");
            statement.correlation_id = text("c-1");
        }),
        event(2, |_same| ()),
        event(3, |event| {
            let statement = &mut event.statement;
            statement.principal_id = text("bob");
            statement.action = "patient.readAll".to_owned();
            statement.target_resource_type = text("patient");
            statement.target_resource_id = text("4712");
            statement.status = Status::Failure;
            statement.severity = Some(Severity::Warning);
            statement.correlation_id = text("c-1");
        }),
        event(4, |event| {
            event.organization_id = OrganizationId::new("org-b")
        }),
        event(5, |event| {
            event.organization_id = OrganizationId::new("org-b");
            let statement = &mut event.statement;
            statement.principal_id = text("alice");
            statement.action = "patient.\u{1f600}".to_owned();
            statement.target_resource_id = text("4711");
            statement.status = Status::Attempt;
            statement.severity = Some(Severity::Critical);
            statement.data_classification = Some(Classification::Phi);
        }),
        event(6, |event| event.organization_id = OrganizationId::none()),
        event(7, |event| {
            event.statement.principal_id = text("Alice");
            event.statement.action = "patient".to_owned();
            event.statement.data_classification = Some(Classification::Public);
        }),
    ]
}

async fn with_various(subject: &mut dyn TestStore) -> Store {
    let mut lane = Lane::open(&subject.store(), LEDGER).await;
    let prepared = lane.prepare(various());
    lane.commit_twice(subject, prepared).await;
    subject.store()
}

/// "What to look for": each member of `Filter` alone.
pub async fn every_filter_finds_exactly_what_it_names(subject: &mut dyn TestStore) {
    let store = with_various(subject).await;
    let none = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let exact = |action: &str| Some(ActionMatch::Exact(action.to_owned()));
    let prefix = |action: &str| Some(ActionMatch::Prefix(action.to_owned()));
    let organization = |name: &str| Some(OrganizationId::new(name));
    let cases: Vec<(Filter, &[u64])> = vec![
        (none(), &[0, 1, 2, 3, 4, 5, 6, 7]),
        (
            Filter {
                since: Some(sample::at(3)),
                ..none()
            },
            &[3, 4, 5, 6, 7],
        ),
        (
            Filter {
                until: Some(sample::at(3)),
                ..none()
            },
            &[0, 1, 2],
        ),
        (
            Filter {
                since: Some(sample::at(3)),
                until: Some(sample::at(4)),
                ..none()
            },
            &[3],
        ),
        (
            Filter {
                since: Some(sample::at(4)),
                until: Some(sample::at(3)),
                ..none()
            },
            &[],
        ),
        (
            Filter {
                principal_id: text("alice"),
                ..none()
            },
            &[1, 5],
        ),
        (
            Filter {
                organization_id: organization("org-b"),
                ..none()
            },
            &[4, 5],
        ),
        (
            Filter {
                organization_id: organization(""),
                ..none()
            },
            &[6],
        ),
        (
            Filter {
                organization_id: organization("org-c"),
                ..none()
            },
            &[],
        ),
        (
            Filter {
                action: exact("patient.read"),
                ..none()
            },
            &[1],
        ),
        (
            Filter {
                action: exact("patient"),
                ..none()
            },
            &[7],
        ),
        (
            Filter {
                action: prefix("patient.read"),
                ..none()
            },
            &[1, 3],
        ),
        (
            Filter {
                action: prefix("patient."),
                ..none()
            },
            &[1, 3, 5],
        ),
        (
            Filter {
                action: prefix("patient"),
                ..none()
            },
            &[1, 3, 5, 7],
        ),
        (
            Filter {
                action: prefix("patient.\u{1f600}"),
                ..none()
            },
            &[5],
        ),
        (
            Filter {
                action: prefix(""),
                ..none()
            },
            &[0, 1, 2, 3, 4, 5, 6, 7],
        ),
        (
            Filter {
                action: prefix("patient%"),
                ..none()
            },
            &[],
        ),
        (
            Filter {
                target_resource_type: text("patient"),
                ..none()
            },
            &[1, 3],
        ),
        (
            Filter {
                target_resource_id: text("4711"),
                ..none()
            },
            &[1, 5],
        ),
        (
            Filter {
                status: Some(Status::Failure),
                ..none()
            },
            &[3],
        ),
        (
            Filter {
                status: Some(Status::Attempt),
                ..none()
            },
            &[5],
        ),
        (
            Filter {
                severity: Some(Severity::Info),
                ..none()
            },
            &[0, 1, 2, 4, 6, 7],
        ),
        (
            Filter {
                severity: Some(Severity::Critical),
                ..none()
            },
            &[5],
        ),
        (
            Filter {
                data_classification: Some(Classification::Internal),
                ..none()
            },
            &[0, 1, 2, 3, 4, 6],
        ),
        (
            Filter {
                data_classification: Some(Classification::Phi),
                ..none()
            },
            &[5],
        ),
        (
            Filter {
                correlation_id: text("c-1"),
                ..none()
            },
            &[1, 3],
        ),
        (
            Filter {
                correlation_id: text("c-2"),
                ..none()
            },
            &[],
        ),
    ];
    for (filter, expected) in cases {
        check(&store, filter, expected).await;
    }
}

/// "every member given must hold."
pub async fn filters_hold_together(subject: &mut dyn TestStore) {
    let store = with_various(subject).await;
    let alice = Filter {
        principal_id: Some("alice".to_owned()),
        ..Filter::default()
    };
    let patient = |id: &str| Filter {
        target_resource_type: Some("patient".to_owned()),
        target_resource_id: Some(id.to_owned()),
        ..Filter::default()
    };
    let joined = Filter {
        correlation_id: Some("c-1".to_owned()),
        ..Filter::default()
    };
    let reads = Some(ActionMatch::Prefix("patient.read".to_owned()));
    let cases: Vec<(Filter, &[u64])> = vec![
        (
            Filter {
                action: reads.clone(),
                ..alice.clone()
            },
            &[1],
        ),
        (
            Filter {
                status: Some(Status::Success),
                ..alice.clone()
            },
            &[1],
        ),
        (
            Filter {
                since: Some(sample::at(2)),
                ..alice.clone()
            },
            &[5],
        ),
        (
            Filter {
                organization_id: Some(OrganizationId::new("org-b")),
                ..alice.clone()
            },
            &[5],
        ),
        (patient("4711"), &[1]),
        (patient("4712"), &[3]),
        (
            Filter {
                principal_id: Some("bob".to_owned()),
                ..patient("4711")
            },
            &[],
        ),
        (
            Filter {
                until: Some(sample::at(3)),
                ..joined.clone()
            },
            &[1],
        ),
        (
            Filter {
                since: Some(sample::at(2)),
                ..joined.clone()
            },
            &[3],
        ),
        (
            Filter {
                status: Some(Status::Failure),
                ..joined.clone()
            },
            &[3],
        ),
        (
            Filter {
                organization_id: Some(OrganizationId::new("org-b")),
                ..joined
            },
            &[],
        ),
        (
            Filter {
                action: reads,
                severity: Some(Severity::Warning),
                ..Filter::default()
            },
            &[3],
        ),
    ];
    for (filter, expected) in cases {
        check(&store, filter, expected).await;
    }
}

/// "Paths into `details` with the text or canonical JSON scalar that must stand there"; "a name of digits also means an
/// array index".
pub async fn details_are_matched_by_path_and_exact_value(subject: &mut dyn TestStore) {
    let store = subject.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    let number = |token: &str| Value::Number(Number::parse(token).unwrap());
    let text = |text: &str| Value::String(text.to_owned());
    let mut members = Object::new();
    members.insert("a.b", text("dotted"));
    members.insert("say \"x\"", text("quo\"ted\\\n"));
    members.insert("0", text("a member, no index"));
    let values = [
        number("9007199254740993"),
        number("9007199254740992"),
        number("1.10"),
        Value::Bool(true),
        Value::Null,
        text("9007199254740993"),
        Value::Array(vec![
            number("1"),
            text("two"),
            Value::Object(members.clone()),
        ]),
        Value::Object(members),
        text(""),
    ];
    let drafts = (0..)
        .zip(values)
        .map(|(n, value)| event(n, |event| drop(event.statement.details.insert("v", value))));
    lane.commit(&store, drafts.collect()).await;
    let cases: [(&[&str], &str, &[u64]); 16] = [
        (&["v"], "9007199254740993", &[0, 5]),
        (&["v"], "9007199254740992", &[1]),
        (&["v"], "1.1", &[2]),
        (&["v"], "1.10", &[]),
        (&["v"], "true", &[3]),
        (&["v"], "null", &[4]),
        (&["v"], "", &[8]),
        (&["v", "0"], "1", &[6]),
        (&["v", "1"], "two", &[6]),
        (&["v", "0"], "a member, no index", &[7]),
        (&["v", "2", "a.b"], "dotted", &[6]),
        (&["v", "a.b"], "dotted", &[7]),
        (&["v", "a", "b"], "dotted", &[]),
        (&["v", "say \"x\""], "quo\"ted\\\n", &[7]),
        (&["v", "3"], "two", &[]),
        (&["absent"], "null", &[]),
    ];
    for (path, value, expected) in cases {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        let details = vec![DetailMatch {
            path,
            value: value.to_owned(),
        }];
        check(
            &store,
            Filter {
                details,
                ..Filter::default()
            },
            expected,
        )
        .await;
    }
    let both = ["number", "v"].map(|name| DetailMatch {
        path: vec![name.to_owned()],
        value: "1".to_owned(),
    });
    check(
        &store,
        Filter {
            details: both.to_vec(),
            ..Filter::default()
        },
        &[],
    )
    .await;
}

/// "Words that must occur anywhere in the event's text"; `TextIndex`: "Indexes rows and moves the cursor to `next`;
/// refused when `from` is not the cursor". A store without a text index has nothing to prove here.
pub async fn text_is_found_once_it_is_indexed(subject: &mut dyn TestStore) {
    let store = subject.store();
    let Some(index) = &store.text else { return };
    let mut lane = Lane::open(&store, LEDGER).await;
    let described = |n: u64, text: &str| {
        event(n, |event| {
            event.statement.outcome_description = Some(text.to_owned())
        })
    };
    let drafts = vec![
        described(0, "The quick brown fox"),
        described(1, "the lazy dog, alice@example.com"),
        described(2, "line\nfox\ttail \"quoted\" AND NOT"),
        event(3, |event| {
            drop(
                event
                    .statement
                    .details
                    .insert("quick", Value::String("Zürich 東京".to_owned())),
            )
        }),
    ];
    lane.commit(&store, drafts).await;
    let text = |text: &str| Filter {
        text: Some(text.to_owned()),
        ..Filter::default()
    };
    check(&store, text("fox"), &[]).await;
    assert_eq!(index.cursor(LEDGER).await.unwrap(), LeafIndex(0));
    index
        .index(LEDGER, LeafIndex(0), LeafIndex(4), &lane.committed)
        .await
        .unwrap();
    let again = index
        .index(LEDGER, LeafIndex(0), LeafIndex(4), &lane.committed)
        .await;
    assert!(
        matches!(again, Err(crate::StoreError::Refused { .. })),
        "{again:?}"
    );
    assert_eq!(index.cursor(LEDGER).await.unwrap(), LeafIndex(4));
    let cases: [(&str, &[u64]); 12] = [
        ("fox", &[0, 2]),
        ("FOX", &[0, 2]),
        ("fox quick", &[0]),
        ("alice@example.com", &[1]),
        ("tail", &[2]),
        ("and not", &[2]),
        ("quoted\" OR \"lazy", &[]),
        ("zürich", &[3]),
        // "quick" is the name of a member there, not a word of the event.
        ("quick", &[0]),
        ("東京", &[3]),
        ("fo", &[]),
        ("lazy -dog", &[1]),
    ];
    for (words, expected) in cases {
        check(&store, text(words), expected).await;
    }
    let filter = Filter {
        since: Some(sample::at(1)),
        ..text("fox")
    };
    check(&store, filter, &[2]).await;
    subject.crash().await;
    check(&subject.store(), text("fox quick"), &[0]).await;
}

/// "Which organisations the caller may see."
pub async fn scopes_keep_organizations_apart(subject: &mut dyn TestStore) {
    let store = with_various(subject).await;
    let only = |names: &[&str]| {
        OrganizationScope::Only(names.iter().map(|name| OrganizationId::new(name)).collect())
    };
    let alice = Filter {
        principal_id: Some("alice".to_owned()),
        ..Filter::default()
    };
    let joined = Filter {
        correlation_id: Some("c-1".to_owned()),
        ..Filter::default()
    };
    let of_b = Filter {
        organization_id: Some(OrganizationId::new("org-b")),
        ..Filter::default()
    };
    let cases: Vec<(Filter, OrganizationScope, &[u64])> = vec![
        (Filter::default(), only(&["org-a"]), &[0, 1, 2, 3, 7]),
        (Filter::default(), only(&["org-b"]), &[4, 5]),
        (Filter::default(), only(&["org-b", "", "org-b"]), &[4, 5, 6]),
        (Filter::default(), only(&[""]), &[6]),
        (Filter::default(), only(&[]), &[]),
        (alice.clone(), only(&["org-b"]), &[5]),
        (alice, only(&["org-a", "org-b"]), &[1, 5]),
        (joined.clone(), only(&["org-b"]), &[]),
        (joined, only(&["org-a"]), &[1, 3]),
        (of_b.clone(), only(&["org-a"]), &[]),
        (of_b, only(&["org-a", "org-b"]), &[4, 5]),
    ];
    for (filter, scope, expected) in cases {
        let request = PageRequest {
            scope,
            ..request(filter)
        };
        assert_eq!(search(&store, &request).await, expected, "{request:?}");
    }
}
