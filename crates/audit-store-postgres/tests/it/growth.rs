//! Two years of events are stored already: searches look into the months they name and stop at their limit, and what a commit, a
//! look-up or a proof costs does not grow. 200,000 rows; 10 million, with times that are judged, when `AUDIT_TEST_FULL` is set.

mod seed;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_event::{EventId, OrganizationId, Timestamp};
use audit_integrity::ledger::LeafIndex;
use audit_integrity::tree::{Question, Tree, check_inclusion};
use audit_store::query::{ActionMatch, DetailMatch, Order, OrganizationScope};
use audit_store::tiles::Tiles;
use audit_store::{Filter, PageRequest, Store};
use audit_store_postgres::PostgresStore;
use audit_testkit::postgres::PostgresServer;

use crate::load::months_come_and_go;
use crate::place::settings;
use crate::plans::mark;
use seed::{SEED, leaf, seed};
use times::{Rated, Times};

/// 2024-01-01 and 2025-03-01, in seconds.
const BEGIN: i64 = 1_704_067_200;
const MARCH: i64 = 1_740_787_200;
const DAYS: i64 = 731;

fn is_full() -> bool {
    std::env::var_os("AUDIT_TEST_FULL").is_some_and(|full| full == "true")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

/// A row in the middle of the month that is searched.
fn in_march(rows: u64) -> u64 {
    let seconds = u64::try_from(MARCH + 15 * 86_400 - BEGIN).unwrap();
    seconds * rows / (u64::try_from(DAYS).unwrap() * 86_400)
}

/// One filter for each search of DESIGN §3.5 that finds row `n`, with its name and the index that serves it.
fn searches(n: u64) -> [(&'static str, Filter, &'static str); 6] {
    let of_org = Filter {
        organization_id: Some(OrganizationId::new(&format!("org-{}", n % 7))),
        ..Filter::default()
    };
    let action = ["read", "write", "list", "export"][usize::try_from(n % 4).unwrap()];
    let correlated = n - n % 50;
    [
        (
            "organisation",
            of_org.clone(),
            "organization_id_timestamp_id_idx",
        ),
        (
            "principal",
            Filter {
                principal_id: Some(format!("user-{}", n % 9973)),
                ..of_org.clone()
            },
            "organization_id_principal_id_timestamp_idx",
        ),
        (
            "action",
            Filter {
                action: Some(ActionMatch::Exact(format!("record.{action}"))),
                ..of_org.clone()
            },
            "organization_id_",
        ),
        (
            "target",
            Filter {
                target_resource_type: Some("Patient".to_owned()),
                target_resource_id: Some(format!("rec-{n}")),
                ..of_org.clone()
            },
            "organization_id_target_resource_type_ta_idx",
        ),
        (
            "correlation",
            Filter {
                correlation_id: Some(format!("c-{correlated}")),
                ..Filter::default()
            },
            "correlation_id_idx",
        ),
        (
            "details",
            Filter {
                details: vec![DetailMatch {
                    path: vec!["number".to_owned()],
                    value: n.to_string(),
                }],
                ..of_org
            },
            "expr_idx",
        ),
    ]
}

fn in_month(filter: &Filter) -> Filter {
    Filter {
        since: Some(at(MARCH)),
        until: Some(at(MARCH + 31 * 86_400)),
        ..filter.clone()
    }
}

async fn found(store: &Store, filter: &Filter) -> usize {
    let request = PageRequest {
        filter: filter.clone(),
        scope: OrganizationScope::All,
        order: Order::Newest,
        limit: 20,
        after: None,
    };
    store.query.search(&request).await.unwrap().events.len()
}

/// Lines of the server's log about what a search read, each with the name of a partition.
async fn scans(server: &PostgresServer, store: &Store, filter: &Filter) -> Vec<String> {
    let begin = mark(server);
    assert!(found(store, filter).await > 0, "{filter:?}");
    let log = logged_since(server, &begin);
    let lines = log.lines().filter(|line| line.contains(" on audit_event_"));
    lines.map(str::to_owned).collect()
}

fn logged_since(server: &PostgresServer, begin: &str) -> String {
    let end = mark(server);
    let log = server.log();
    let (_, log) = log.rsplit_once(begin).unwrap();
    let (log, _) = log.split_once(&end).unwrap();
    log.to_owned()
}

/// The partition that a line of a plan reads.
fn partition(line: &str) -> String {
    let (_, name) = line.split_once(" on audit_event_").unwrap();
    name.chars().take("2025_03".len()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_years_of_events_do_not_slow_down_what_names_a_month_or_an_id() {
    let rows = if is_full() { 10_000_000 } else { 200_000 };
    let server = PostgresServer::start_with(&[
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
        ("shared_buffers", "256MB"),
        ("max_wal_size", "2GB"),
        ("autovacuum", "off"),
    ]);
    let mut empty = Rated::open(&server, &server.create_database()).await;
    let database = server.create_database();
    let mut full = Rated::open(&server, &database).await;
    let tree = seed(&server, &database, rows).await;

    let logged = "options=-c%20auto_explain.log_min_duration%3D0";
    let logged = format!("{}?{logged}", server.url(&database));
    let explained = PostgresStore::open(settings(&logged)).await.unwrap();
    check_plans(&server, &explained.store(), in_march(rows) / 50 * 50).await;
    // All is told before any of it is judged.
    let mut fast = are_times_fine(&full.store, &tree).await;
    fast &= times::are_rates_fine(&mut empty, &mut full).await;
    fast &= is_newest_fine(&full).await;
    if is_full() {
        let longest = months_come_and_go(&server, &database, 1_000).await;
        fast &= longest < Duration::from_secs(1);
    }
    assert!(fast, "something took too long, see above");
}

/// What the server reads: of the month that is named, by the index that serves.
async fn check_plans(server: &PostgresServer, store: &Store, n: u64) {
    for (name, filter, index) in searches(n) {
        let lines = scans(server, store, &in_month(&filter)).await;
        let read: BTreeSet<_> = lines.iter().map(|line| partition(line)).collect();
        assert_eq!(
            read,
            BTreeSet::from(["2025_03".to_owned()]),
            "{name}: {lines:?}"
        );
        let index = format!("audit_event_2025_03_{index}");
        assert!(
            lines.iter().any(|line| line.contains(&index)),
            "{name}: {lines:?}"
        );
        assert!(
            lines.iter().all(|line| !line.contains("Seq Scan")),
            "{name}: {lines:?}"
        );
    }
    // Without a range the newest months are enough: the search stops at its limit.
    let (_, of_org, _) = &searches(n)[0];
    let lines = scans(server, store, of_org).await;
    let executed = lines.iter().filter(|line| !line.contains("never executed"));
    assert!((1..=4).contains(&executed.count()), "{lines:?}");
    assert!(lines.len() > 20, "all months are in the plan: {lines:?}");
    // Look-ups have one plan for all values, from the first on: planning is what they would cost.
    let begin = mark(server);
    store
        .events
        .by_id(seeded(n), None, &OrganizationScope::All)
        .await
        .unwrap();
    store.events.row(SEED, LeafIndex(n)).await.unwrap().unwrap();
    let log = logged_since(server, &begin);
    for condition in ["(id = $1)", "(\"position\" = $1)"] {
        let parts = log.lines().filter(|line| line.contains(condition));
        assert!(parts.count() > 20, "{condition}: {log}");
    }
}

/// The id of row `n`.
fn seeded(n: u64) -> EventId {
    format!("0193a5c0-0000-7000-8000-{n:012x}").parse().unwrap()
}

/// A search of what was committed a moment ago: not all of it is sorted into the index of details.
async fn is_newest_fine(full: &Rated) -> bool {
    let mut times = Times::default();
    for k in 1..=40 {
        let wanted = DetailMatch {
            path: vec!["number".to_owned()],
            value: (full.size() - k * 100).to_string(),
        };
        let filter = Filter {
            organization_id: Some(OrganizationId::new("org-a")),
            details: vec![wanted],
            ..Filter::default()
        };
        let began = Instant::now();
        assert_eq!(found(&full.store, &filter).await, 1);
        times.add(began);
    }
    let bound = Duration::from_millis(50);
    times.are_below("search by new details", bound)
}

/// Searches without a range, look-ups and proofs: of events from all months.
async fn are_times_fine(store: &Store, tree: &Tree) -> bool {
    let samples = if is_full() { 400 } else { 40 };
    let spread = |k: u64| tree.size / (samples + 5) * k + k;
    let mut fast = true;
    for kind in 0..6 {
        let mut times = Times::default();
        for k in 1..=samples {
            let (_, filter, _) = &searches(spread(k) / 50 * 50)[kind];
            let began = Instant::now();
            assert!(found(store, filter).await > 0, "{filter:?}");
            times.add(began);
        }
        let (name, _, _) = searches(0)[kind];
        fast &= times.are_below(&format!("search by {name}"), Duration::from_millis(50));
    }
    let bound = Duration::from_millis(5);
    let (mut by_id, mut by_address, mut proofs) =
        (Times::default(), Times::default(), Times::default());
    let tiles = Tiles::new(Arc::clone(&store.ledgers));
    for k in 1..=samples {
        let n = spread(k);
        let id = seeded(n);
        let began = Instant::now();
        let events = store.events.by_id(id, None, &OrganizationScope::All).await;
        by_id.add(began);
        assert_eq!(events.unwrap()[0].leaf_index, LeafIndex(n));
        let began = Instant::now();
        let row = store.events.row(SEED, LeafIndex(n)).await.unwrap().unwrap();
        by_address.add(began);
        assert_eq!(row.id, id);
        let began = Instant::now();
        let question = Question::Inclusion {
            index: LeafIndex(n),
            size: tree.size,
        };
        let mut hashes = BTreeMap::new();
        for tile in question.tiles().unwrap() {
            hashes.insert(tile, tiles.hashes(SEED, tile).await.unwrap());
        }
        let proof = question.answer(&hashes).unwrap();
        proofs.add(began);
        check_inclusion(&proof, tree, LeafIndex(n), &leaf(n)).unwrap();
    }
    fast &= by_id.are_below("look-up by id", bound);
    fast &= by_address.are_below("look-up by address", bound);
    fast & proofs.are_below("inclusion proof", bound)
}
