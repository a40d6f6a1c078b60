//! Which index serves which search, as the server runs it: it logs the plan of every statement.

use std::sync::atomic::{AtomicU64, Ordering as Atomic};
use std::time::Duration;

use audit_integrity::ledger::LeafIndex;
use audit_store::conformance::sample::event;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::query::{ActionMatch, DetailMatch, Order, OrganizationScope};
use audit_store::{Filter, PageRequest, Store};
use audit_store_postgres::PostgresStore;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::wait::wait_until;

use crate::place::settings;

/// Events of three organisations over a month, and a few that are rare.
async fn fill(store: &Store) {
    let mut lane = Lane::open(store, LEDGER).await;
    for part in 0..10_u64 {
        let drafts = (part * 500..(part + 1) * 500).map(|n| {
            event(n, |event| {
                event.organization_id =
                    audit_event::OrganizationId::new(["org-a", "org-b", "org-c"][(n % 3) as usize]);
                let statement = &mut event.statement;
                statement.timestamp = audit_store::conformance::sample::at((n * 500).cast_signed());
                statement.principal_id = Some(format!("user-{}", n % 97));
                statement.action =
                    format!("record.{}", ["read", "write", "list"][(n % 7 % 3) as usize]);
                statement.target_resource_type = Some(format!("kind-{}", n % 11));
                statement.target_resource_id = Some(format!("id-{n}"));
                statement.correlation_id = (n % 50 == 0).then(|| format!("c-{n}"));
            })
        });
        lane.commit(store, drafts.collect()).await;
    }
}

/// What the server logged of the statements of a search.
async fn plan(server: &PostgresServer, store: &Store, filter: &Filter, order: Order) -> String {
    let search = async {
        let request = PageRequest {
            filter: filter.clone(),
            scope: OrganizationScope::All,
            order,
            limit: 20,
            after: None,
        };
        let page = store.query.search(&request).await.unwrap();
        assert!(!page.events.is_empty(), "{filter:?}");
    };
    logged(server, search).await
}

/// What the server logged meanwhile.
async fn logged(server: &PostgresServer, work: impl Future<Output = ()>) -> String {
    let begin = mark(server);
    work.await;
    let end = mark(server);
    let log = server.log();
    let (_, log) = log.rsplit_once(&begin).unwrap();
    let (log, _) = log.split_once(&end).unwrap();
    log.to_owned()
}

/// Writes a line into the server's log and waits for it.
pub(crate) fn mark(server: &PostgresServer) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mark = format!("mark {}.", COUNT.fetch_add(1, Atomic::Relaxed));
    server.sql(
        "postgres",
        &format!("DO $$ BEGIN RAISE LOG '{mark}'; END $$"),
    );
    wait_until("the log", Duration::from_secs(10), || {
        server
            .log()
            .contains(&format!("LOG:  {mark}"))
            .then_some(())
    });
    format!("LOG:  {mark}")
}

/// A server that logs plans and knows nothing of its rows, with a filled store.
async fn explaining() -> (PostgresServer, String, PostgresStore) {
    let server = PostgresServer::start_with(&[
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("autovacuum", "off"),
    ]);
    let database = server.create_database();
    let open = PostgresStore::open(settings(&server.url(&database)))
        .await
        .unwrap();
    fill(&open.store()).await;
    (server, database, open)
}

// What the signer reads came a moment ago: there are no statistics of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_read_in_the_order_of_their_index_and_never_sorted() {
    let (server, _database, open) = explaining().await;
    let events = open.store().events;
    let plan = logged(&server, async {
        let rows = events.rows(LEDGER, LeafIndex(0), LeafIndex(u64::MAX), u32::MAX);
        assert_eq!(rows.await.unwrap().len(), 5_000);
    })
    .await;
    assert!(plan.contains("_position_idx"), "{plan}");
    assert!(!plan.contains("Sort  (cost"), "{plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_search_is_served_by_the_index_it_should_be() {
    let (server, database, open) = explaining().await;
    let store = open.store();
    server.sql(&database, "ANALYZE audit.audit_event");
    let text = |text: &str| Some(text.to_owned());
    let organization = Some(audit_event::OrganizationId::new("org-a"));
    let of_org = || Filter {
        organization_id: organization.clone(),
        ..Filter::default()
    };
    let exact = |action: &str| Some(ActionMatch::Exact(action.to_owned()));
    let number = |value: &str| DetailMatch {
        path: vec!["number".to_owned()],
        value: value.to_owned(),
    };
    for (filter, index) in [
        (of_org(), "organization_id_timestamp_id_idx"),
        (Filter::default(), "organization_id_timestamp_id_idx"),
        (
            Filter {
                principal_id: text("user-3"),
                ..of_org()
            },
            "organization_id_principal_id_timestamp_idx",
        ),
        (
            Filter {
                principal_id: text("user-3"),
                ..Filter::default()
            },
            "organization_id_principal_id_timestamp_idx",
        ),
        (
            Filter {
                action: Some(ActionMatch::Prefix("record.r".to_owned())),
                ..of_org()
            },
            "organization_id_action_timestamp_idx",
        ),
        (
            Filter {
                target_resource_type: text("kind-3"),
                target_resource_id: text("id-3"),
                ..of_org()
            },
            "organization_id_target_resource_type_ta_idx",
        ),
        (
            Filter {
                target_resource_type: text("kind-3"),
                ..of_org()
            },
            "organization_id_target_resource_type_ta_idx",
        ),
        (
            Filter {
                correlation_id: text("c-50"),
                ..Filter::default()
            },
            "correlation_id_idx",
        ),
        (
            Filter {
                details: vec![number("4711")],
                ..Filter::default()
            },
            "expr_idx",
        ),
    ] {
        for order in [Order::Newest, Order::Oldest] {
            let plan = plan(&server, &store, &filter, order).await;
            assert!(plan.contains(index), "{filter:?}: {plan}");
            assert!(
                !plan.contains("Seq Scan on audit_event"),
                "{filter:?}: {plan}"
            );
        }
    }
    // Common values are walked to in the order of the time, or found by their own index: both end at the limit.
    let plan = plan(
        &server,
        &store,
        &Filter {
            action: exact("record.read"),
            ..of_org()
        },
        Order::Newest,
    )
    .await;
    assert!(
        plan.contains("organization_id_action_timestamp_idx")
            || plan.contains("organization_id_timestamp_id_idx"),
        "{plan}"
    );
    assert!(!plan.contains("Seq Scan on audit_event"), "{plan}");
}
