//! Which index serves which search, as SQLite plans it.

use audit_store::query::{ActionMatch, OrganizationScope};
use audit_store::{Filter, Order, PageRequest};
use rusqlite::{Connection, params_from_iter};

use super::candidates::{Candidates, Range};
use super::path::{self, Words, prefix_end};

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&crate::schema::all_sql()).unwrap();
    connection
        .execute_batch("ATTACH ':memory:' AS search")
        .unwrap();
    let text = "CREATE VIRTUAL TABLE search.event_text USING fts5 (words, content = '')";
    connection.execute_batch(text).unwrap();
    connection
}

/// The plan of each stream of a search over one organisation.
fn plan(filter: &Filter, order: Order) -> String {
    let connection = database();
    let words = Words::of(filter.text.as_deref(), true).unwrap();
    let paths = path::choose(&connection, filter, &["org-a".to_owned()], words.as_ref()).unwrap();
    let scope = OrganizationScope::All;
    let request = PageRequest {
        filter: filter.clone(),
        scope,
        order,
        limit: 10,
        after: None,
    };
    let mut lines = Vec::new();
    for path in paths {
        let candidates = Candidates::new(path, order, Range::of(&request), 1);
        let sql = format!("EXPLAIN QUERY PLAN {}", candidates.sql());
        let mut statement = connection.prepare(&sql).unwrap();
        let mut rows = statement
            .query(params_from_iter(candidates.values()))
            .unwrap();
        while let Some(row) = rows.next().unwrap() {
            lines.push(row.get::<_, String>(3).unwrap());
        }
    }
    lines.join("; ")
}

fn check(filter: &Filter, expected: &str) {
    for order in [Order::Newest, Order::Oldest] {
        let plan = plan(filter, order);
        assert!(plan.contains(expected), "{plan}");
        assert!(!plan.contains("SCAN audit_event"), "{plan}");
    }
}

#[test]
fn every_search_is_served_by_the_index_it_should_be() {
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    let action = |action| Filter {
        action: Some(action),
        ..none()
    };
    let time = "USING COVERING INDEX event_by_time (organization_id=? AND (timestamp,id";
    check(&none(), time);
    check(
        &Filter {
            target_resource_id: text("4711"),
            ..none()
        },
        time,
    );
    check(
        &Filter {
            principal_id: text("alice"),
            ..none()
        },
        "USING INDEX event_by_principal (organization_id=? AND principal_id=? AND timestamp",
    );
    check(
        &action(ActionMatch::Exact("read".to_owned())),
        "USING INDEX event_by_action (organization_id=? AND action=? AND timestamp",
    );
    check(
        &action(ActionMatch::Prefix("read".to_owned())),
        "USING INDEX event_by_action (organization_id=? AND action>? AND action<?)",
    );
    let target = Filter {
        target_resource_type: text("patient"),
        ..none()
    };
    check(
        &target,
        "USING INDEX event_by_target (organization_id=? AND target_resource_type=?)",
    );
    check(
        &Filter {
            target_resource_id: text("4711"),
            ..target
        },
        "USING INDEX event_by_target (organization_id=? AND target_resource_type=? AND target_resource_id=? AND timestamp",
    );
    check(
        &Filter {
            correlation_id: text("c"),
            ..none()
        },
        "USING INDEX event_by_correlation (correlation_id=?)",
    );
    check(
        &Filter {
            text: text("fox"),
            ..none()
        },
        "USING INTEGER PRIMARY KEY (rowid=?)",
    );
}

#[test]
fn the_time_index_gives_its_order_without_sorting() {
    for order in [Order::Newest, Order::Oldest] {
        let plan = plan(&Filter::default(), order);
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[test]
fn the_end_of_a_prefix_is_the_next_text_that_lacks_it() {
    let check = |prefix: &str, end: Option<&str>| {
        assert_eq!(prefix_end(prefix).as_deref(), end, "{prefix:?}")
    };
    check("patient.", Some("patient/"));
    check("a\u{7f}", Some("a\u{80}"));
    // The surrogates are no characters.
    check("\u{d7ff}", Some("\u{e000}"));
    check("b\u{10ffff}", Some("c"));
    check("\u{10ffff}", None);
    check("", None);
}
