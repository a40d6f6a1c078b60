//! Searches on another server: a replica that streams, stands still or is away, and a pooler in transaction mode.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audit_event::{EventId, OrganizationId};
use audit_store::conformance::sample::{at, event, events, id};
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::conformance::search::request;
use audit_store::query::{ActionMatch, DetailMatch, OrganizationScope};
use audit_store::{Filter, PageRequest, Store, Via};
use audit_store_postgres::{PostgresStore, Settings};
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::net::free_address;
use audit_testkit::pgbouncer::PgBouncer;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::wait::wait_until_async;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::place::{Place, settings};

const BOUND: Duration = Duration::from_secs(30);
/// Short, so that nobody waits for it, and long enough that many searches fall into it.
const PAUSE: Duration = Duration::from_millis(500);
/// What a search may take; whoever meets a silent server waits for all of it.
const SEARCH: Duration = Duration::from_secs(1);

/// Counts as a process does, for one test.
#[derive(Debug, Default)]
struct Counts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counts {
    /// Searches that the primary served for this reason.
    fn fallbacks(&self, reason: &str) -> u64 {
        let name = format!("audit_worker_search_fallbacks_total{reason}");
        let counts = self.0.lock().unwrap();
        counts
            .get(&name)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let values: String = key.labels().map(metrics::Label::value).collect();
        let name = format!("{}{values}", key.name());
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(name).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The store of a primary whose searches go to this address.
async fn open(primary: &str, searches: &str) -> PostgresStore {
    let settings = Settings {
        searches: Some(searches.parse().unwrap()),
        searches_pause: PAUSE,
        search_timeout: SEARCH,
        ..settings(primary)
    };
    PostgresStore::open(settings).await.unwrap()
}

/// How many events a search for everything finds.
async fn found(store: &Store) -> usize {
    let page = store.query.search(&request(Filter::default())).await;
    page.unwrap().events.len()
}

/// Ids of all events, by pages of two that begin with this one.
async fn walk(store: &Store, first: &PageRequest) -> Vec<EventId> {
    let mut ids = Vec::new();
    let mut request = first.clone();
    loop {
        let page = store.query.search(&request).await.unwrap();
        ids.extend(page.events.iter().map(|event| event.id));
        match page.next {
            Some(next) => request.after = Some(next),
            None => return ids,
        }
    }
}

/// Whatever must see every commit sees those of events 0 to `size`, whatever searches see.
async fn the_primary_has(store: &Store, lane: &Lane, size: u64) {
    let scope = OrganizationScope::All;
    for n in 0..size {
        let by_id = store.events.by_id(id(n), None, &scope).await.unwrap();
        assert_eq!(by_id.len(), 1, "event {n}");
    }
    let identity = event(size - 1, |_same| ()).event().identity();
    assert_eq!(store.events.find(&[identity]).await.unwrap().len(), 1);
    let ledger = store.ledgers.ledger(LEDGER).await.unwrap().unwrap();
    assert_eq!(ledger.head, lane.head);
    let totals = store.receipts.totals(Via::Queue).await.unwrap();
    assert_eq!(totals.stored, size);
}

/// Commits these events with a receipt.
async fn commit(store: &Store, lane: &mut Lane, numbers: std::ops::Range<u64>) {
    let prepared = lane.prepare(events(numbers.clone())).receipted(numbers.end);
    store.writer.commit(prepared.commit()).await.unwrap();
    lane.advance(&prepared);
}

/// A primary, its standby behind a proxy, and a store whose searches go there. The servers cost seconds, so what may become of a
/// replica is one test after the other.
struct Scene {
    primary: PostgresServer,
    standby: PostgresServer,
    door: FaultProxy,
    database: String,
    store: Store,
    lane: Lane,
}

impl Scene {
    async fn new() -> Self {
        let primary = PostgresServer::start();
        let standby = primary.start_standby();
        let door = FaultProxy::start((Ipv4Addr::LOCALHOST, standby.port()).into());
        let database = primary.create_database();
        let through = format!("postgres://reads@{}/{database}", door.address());
        let store = open(&primary.url(&database), &through).await.store();
        primary.sql(&database, "CREATE ROLE reads LOGIN IN ROLE audit_reader");
        let lane = Lane::open(&store, LEDGER).await;
        Self {
            primary,
            standby,
            door,
            database,
            store,
            lane,
        }
    }

    async fn commit(&mut self, numbers: std::ops::Range<u64>) {
        commit(&self.store, &mut self.lane, numbers).await;
    }

    /// Has the replica stand still where the primary is now.
    fn stop_the_replica_here(&self) {
        self.primary.wait_for_standby(&self.standby);
        self.standby.pause_replay();
    }

    /// Waits until searches go to the replica again, which is known by its not knowing the newest commit.
    async fn replica_is_asked_again(&self, old: usize) {
        wait_until_async("the replica serves searches", BOUND, || async {
            (found(&self.store).await == old).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_replica_serves_searches_alone_and_the_primary_does_when_it_cannot() {
    let counts = Counts::default();
    let _counting = metrics::set_default_local_recorder(&counts);
    let mut scene = Scene::new().await;
    serves_searches_and_nothing_that_must_see_every_commit(&mut scene).await;
    assert_eq!(counts.fallbacks("behind") + counts.fallbacks("away"), 0);
    has_less_than_the_first_page(&mut scene, &counts).await;
    assert_eq!(counts.fallbacks("away"), 0);
    is_away(&mut scene, &counts).await;
    is_silent(&mut scene, &counts).await;
}

async fn serves_searches_and_nothing_that_must_see_every_commit(scene: &mut Scene) {
    scene.commit(0..3).await;
    scene.stop_the_replica_here();
    assert_eq!(found(&scene.store).await, 3);
    scene.commit(3..6).await;
    let old = "the replica's answer is an old one";
    assert_eq!(found(&scene.store).await, 3, "{old}");
    the_primary_has(&scene.store, &scene.lane, 6).await;
}

/// A search that began where more was known goes on there: the replica would leave out what it does not have.
async fn has_less_than_the_first_page(scene: &mut Scene, counts: &Counts) {
    let direct = PostgresStore::open(Settings {
        searches: None,
        ..settings(&scene.primary.url(&scene.database))
    });
    let direct = direct.await.unwrap().store();
    let pages = PageRequest {
        limit: 2,
        ..request(Filter::default())
    };
    let first = direct.query.search(&pages).await.unwrap();
    let rest = PageRequest {
        after: first.next,
        ..pages.clone()
    };
    let newest_first: Vec<_> = (0..6).rev().map(id).collect();
    assert_eq!(walk(&scene.store, &rest).await, newest_first[2..]);
    assert_eq!(counts.fallbacks("behind"), 2, "two pages");
    scene.standby.resume_replay();
    scene.primary.wait_for_standby(&scene.standby);
    assert_eq!(walk(&scene.store, &pages).await, newest_first);
    assert_eq!(counts.fallbacks("behind"), 2, "no more");
}

async fn is_away(scene: &mut Scene, counts: &Counts) {
    scene.stop_the_replica_here();
    scene.commit(6..9).await;
    assert_eq!(found(&scene.store).await, 6, "the replica serves");
    scene.standby.kill();
    for _ in 0..20 {
        assert_eq!(found(&scene.store).await, 9, "the primary serves");
    }
    assert_eq!(counts.fallbacks("away"), 20);
    scene.standby.restart();
    scene.stop_the_replica_here();
    scene.commit(9..12).await;
    scene.replica_is_asked_again(9).await;
}

/// A connection that stands still costs the search that finds out its time and a little more, and no other any.
async fn is_silent(scene: &mut Scene, counts: &Counts) {
    let away = counts.fallbacks("away");
    scene.door.freeze();
    let outage = "an outage is not a broad search";
    assert_eq!(found(&scene.store).await, 12, "{outage}");
    let began = Instant::now();
    assert_eq!(found(&scene.store).await, 12);
    assert!(began.elapsed() < SEARCH, "{:?}", began.elapsed());
    assert_eq!(counts.fallbacks("away"), away + 2);
    scene.door.thaw();
    scene.replica_is_asked_again(9).await;
}

#[tokio::test]
async fn a_replica_that_nobody_can_reach_stops_no_process_from_starting() {
    let place = Place::new().await;
    let nowhere = format!("postgres://postgres@{}/none", free_address());
    let open_one = open(&place.server.url(&place.database), &nowhere).await;
    let store = open_one.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    commit(&store, &mut lane, 0..3).await;
    assert_eq!(found(&store).await, 3);
}

/// One value, asked as `psql` would, through whatever is at this address.
async fn asked(url: &str, sql: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let mut connections = tokio::task::JoinSet::new();
    connections.spawn(connection);
    let messages = client.simple_query(sql).await.unwrap();
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap()
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_serves_searches_and_is_left_as_it_was() {
    let counts = Counts::default();
    let _counting = metrics::set_default_local_recorder(&counts);
    let place = Place::new().await;
    // One connection to the server for all of ours: every search meets what the one before it left behind.
    let mut pooler = PgBouncer::start(place.server, 1);
    let through = pooler.url(&place.database);
    let open_one = open(&place.server.url(&place.database), &through).await;
    let store = open_one.store();
    let mut lane = Lane::open(&store, LEDGER).await;
    commit(&store, &mut lane, 0..30).await;
    let session = asked(&through, "SELECT pg_backend_pid()").await;
    // But for the five that the pooler gives to each client as it wants them.
    let told = "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name NOT IN
        ('application_name', 'client_encoding', 'DateStyle', 'standard_conforming_strings', 'TimeZone')";
    assert_eq!(asked(&through, told).await, "0");

    let pages = PageRequest {
        limit: 2,
        ..request(Filter::default())
    };
    let newest_first: Vec<_> = (0..30).rev().map(id).collect();
    let walks = (0..12).map(|_| walk(&store, &pages));
    for walked in futures::future::join_all(walks).await {
        assert_eq!(walked, newest_first);
    }
    for (filter, expected) in filters() {
        let page = store.query.search(&request(filter.clone())).await.unwrap();
        assert_eq!(page.events.len(), expected, "{filter:?}");
    }
    // A text that no server takes is no outage of this one.
    let never = request(Filter {
        principal_id: Some("a\0b".to_owned()),
        ..Filter::default()
    });
    store.query.search(&never).await.unwrap_err();
    assert_eq!(counts.fallbacks("away") + counts.fallbacks("behind"), 0);
    assert_eq!(asked(&through, "SELECT pg_backend_pid()").await, session);
    assert_eq!(asked(&through, told).await, "0");
    let prepared = "SELECT count(*) FROM pg_prepared_statements";
    assert_eq!(asked(&through, prepared).await, "0");

    pooler.kill();
    assert_eq!(found(&store).await, 30, "the primary serves");
    assert_eq!(counts.fallbacks("away"), 1, "it was the pooler that served");
    pooler.restart();
    wait_until_async("the pooler serves searches", BOUND, || async {
        let before = counts.fallbacks("away");
        assert_eq!(found(&store).await, 30);
        (counts.fallbacks("away") == before).then_some(())
    })
    .await;
}

/// Searches of every kind, with what they find among events 0 to 29.
fn filters() -> [(Filter, usize); 5] {
    let any = Filter::default;
    let organization = Some(OrganizationId::new("org-a"));
    let number = DetailMatch {
        path: vec!["number".to_owned()],
        value: "7".to_owned(),
    };
    [
        (
            Filter {
                organization_id: organization,
                ..any()
            },
            30,
        ),
        (
            Filter {
                details: vec![number],
                ..any()
            },
            1,
        ),
        (
            Filter {
                action: Some(ActionMatch::Prefix("sample".to_owned())),
                ..any()
            },
            30,
        ),
        (
            Filter {
                since: Some(at(10)),
                until: Some(at(20)),
                ..any()
            },
            10,
        ),
        (
            Filter {
                correlation_id: Some("none".to_owned()),
                ..any()
            },
            0,
        ),
    ]
}
