//! The parts of the deployed form reconfigured while events flow, on real servers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use audit::{Ack, Audit, Health, ReconfigureError, RecordError, Registry, Status, deployed, event};
use audit_config::Settings;
use audit_testkit::net::free_port;
use audit_testkit::postgres::PostgresServer;
use audit_testkit::redis::RedisServer;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);
const CHANGES: u64 = 50;
/// Events that are taken between two changes, at least.
const BETWEEN: u64 = 10;

/// Servers, and a worker's parts in this process.
struct Site {
    postgres: PostgresServer,
    database: String,
    redis: RedisServer,
    dir: tempfile::TempDir,
    acknowledged: AtomicU64,
    /// A high-water mark of one event refuses some.
    refused: AtomicU64,
    done: AtomicBool,
}

impl Site {
    fn new() -> Self {
        let postgres = PostgresServer::start();
        Self {
            database: postgres.create_database(),
            postgres,
            redis: RedisServer::start_durable(),
            dir: tempfile::tempdir().expect("a directory"),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            done: AtomicBool::new(false),
        }
    }

    /// The settings, with `extra` laid over the sections.
    fn settings(&self, extra: &Value) -> Settings {
        let mut config = json!({
            "dataDir": self.dir.path().join("worker"),
            "store": { "backend": "postgres", "url": self.postgres.url(&self.database) },
            "queue": { "backend": "redis", "url": self.redis.url() },
            "batch": {}, "breaker": {}, "accept": {}, "proofs": {},
        });
        for (section, keys) in extra.as_object().expect("sections") {
            for (key, value) in keys.as_object().expect("keys") {
                config[section][key] = value.clone();
            }
        }
        Settings::from_json(&config.to_string(), &|_name| None).expect("it is fine")
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    async fn record(&self, audit: &Audit) {
        let event = event("record.read", Status::Success).principal("u-7");
        match audit.record(event).await {
            Ok(_) => self.acknowledged.fetch_add(1, Ordering::SeqCst),
            Err(RecordError::Unavailable(_)) => self.refused.fetch_add(1, Ordering::SeqCst),
            Err(other) => panic!("{other}"),
        };
    }

    async fn keep_recording(&self, audit: &Audit) {
        while !self.done.load(Ordering::SeqCst) {
            self.record(audit).await;
        }
    }

    /// Until so many more were acknowledged.
    async fn flows(&self, what: &str) {
        let from = self.acknowledged();
        wait_until_async(what, BOUND, async || {
            (self.acknowledged() >= from + BETWEEN).then_some(())
        })
        .await;
    }

    /// Until everything that was acknowledged is stored; then everything must add up.
    async fn check(&self, audit: &Audit) {
        let books = wait_until_async("everything is settled", BOUND, async || {
            let books = audit.status().await.ok()?.producers;
            (books.queued == 0).then_some(books)
        })
        .await;
        assert_eq!(books.stored, self.acknowledged(), "{books:?}");
        let refused = books.duplicate + books.conflict + books.dead_lettered;
        assert_eq!((books.accepted, refused), (books.stored, 0), "{books:?}");
        let report = audit.verify().await.expect("it verifies");
        assert!(report.is_pass(), "{report:?}");
    }
}

/// Settings that differ from one number to the next, in everything that can be replaced while the process runs.
fn change(number: u64, url: &str) -> Value {
    let turn = usize::try_from(number % 3).expect("small");
    let of = |values: [u64; 3]| values[turn];
    let policy = ["record", "alert", "deadLetter"][turn];
    let named = format!("{url}?application_name=change{}", number / 2);
    json!({
        "batch": { "deliveries": of([1, 7, 500]), "bytesMax": of([65_536, 1 << 20, 3 << 20]) },
        "breaker": { "failures": of([1, 3, 5]), "pauseMs": of([10, 100, 1_000]) },
        "store": {
            "url": named,
            "maxConnections": of([2, 5, 10]),
            "connectTimeoutMs": of([2_000, 3_000, 5_000]),
            "statementTimeoutMs": of([5_000, 10_000, 20_000]),
        },
        "queue": {
            "eventsMax": of([1_000_000, 1, 1_000]),
            "bytesMax": of([1 << 20, 1 << 30, 1 << 29]),
        },
        "accept": { "maxAheadMs": of([0, 1_000, 300_000]) },
        "proofs": { "smartLogs": policy },
    })
}

fn state(audit: &Audit, component: &str) -> Health {
    let mut components = audit.components().into_iter();
    let found = components.find(|(name, _)| name == component);
    found.expect("a component").1
}

async fn start(settings: &Settings) -> Audit {
    deployed::start_worker(settings, Registry::default())
        .await
        .expect("it starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_changes_while_events_flow_cost_nothing_that_was_acknowledged() {
    let site = Site::new();
    let audit = start(&site.settings(&json!({}))).await;
    let url = site.postgres.url(&site.database);
    let changes = async {
        site.flows("the first events").await;
        for number in 0..CHANGES {
            audit
                .reconfigure(&site.settings(&change(number, &url)))
                .expect("taken up");
            site.flows(&format!("events after change {number}")).await;
        }
        site.done.store(true, Ordering::SeqCst);
    };
    let senders = || site.keep_recording(&audit);
    tokio::join!(changes, senders(), senders(), senders(), senders());
    site.check(&audit).await;
    let named = "SELECT DISTINCT application_name FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    wait_until_async("only the last connections are left", BOUND, async || {
        (site.postgres.sql(&site.database, named).trim() == "change24").then_some(())
    })
    .await;
    assert!(audit.shutdown().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_is_an_outage_and_the_settings_before_end_it() {
    let site = Site::new();
    let before = site.settings(&json!({}));
    let audit = start(&before).await;
    site.record(&audit).await;
    site.check(&audit).await;
    // Another deployment, with a store of its own on the same server.
    let other = site.postgres.create_database();
    let elsewhere = Site::new();
    let theirs = elsewhere.settings(&json!({ "store": { "url": site.postgres.url(&other) } }));
    let neighbour = start(&theirs).await;
    let one = event("record.read", Status::Success);
    let sealed = neighbour.record_until(one, Ack::Sealed).await;
    assert!(sealed.expect("taken").sealed);
    let nowhere = format!("postgres://postgres@127.0.0.1:{}/none", free_port());
    for url in [nowhere, site.postgres.url(&other)] {
        let wrong = json!({ "store": { "url": url } });
        audit.reconfigure(&site.settings(&wrong)).expect("taken up");
        // Without an event: whoever changed it finds out soon.
        wait_until_async("the store fails", BOUND, async || {
            matches!(state(&audit, "store"), Health::Failing(_)).then_some(())
        })
        .await;
        for _ in 0..20 {
            site.record(&audit).await;
        }
        assert_eq!(site.refused.load(Ordering::SeqCst), 0, "the queue has them");
        audit.reconfigure(&before).expect("taken up");
        site.check(&audit).await;
        assert_eq!(state(&audit, "store"), Health::Working);
    }
    let theirs = neighbour.status().await.expect("it answers").producers;
    assert_eq!(theirs.stored, 1, "nothing of ours is there");
    assert!(neighbour.verify().await.expect("it verifies").is_pass());
    assert!(neighbour.shutdown().await && audit.shutdown().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_backend_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let audit = Audit::builder(dir.path()).start().await.expect("it starts");
    let of = |text: &str| Settings::from_json(text, &|_name| None).expect("it is fine");
    let other = r#"{"store":{"backend":"postgres","url":"postgres://h/d"},"queue":{"backend":"redis","url":"redis://h"}}"#;
    let refused = audit.reconfigure(&of(other)).expect_err("another backend");
    assert!(
        matches!(
            refused,
            ReconfigureError::NeedsRestart {
                key: "store.backend"
            }
        ),
        "{refused}"
    );
    audit.reconfigure(&of("{}")).expect("its own");
    assert!(audit.shutdown().await);
}
