//! Past the mark and without the broker: the spool, its drain, and the way of critical events straight to the store.

use std::sync::Arc;
use std::time::Duration;

use audit_event::{Form, OrganizationId};
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_keydir::KeyDir;
use audit_pipeline::overflow::{Direct, DirectParts, OverflowQueue, PastMark, drain};
use audit_pipeline::status::{self, Books};
use audit_pipeline::{
    AcceptParts, AcceptRequest, AcceptSettings, Accepted, Acceptor, Ack, Caller, Checkpointed,
    Item, ItemStatus, Lane, LaneParts, LaneSettings, OverflowSettings, OverflowState, Registry,
    Settlements, Spool,
};
use audit_queue::Producer;
use audit_queue_embedded::EmbeddedQueue;
use audit_runtime::{Breaker, Clock, Shutdown, SystemClock, SystemRandom, Tasks};
use audit_store::Store;
use audit_store::query::OrganizationScope;
use audit_store_sqlite::{Options, SqliteStore};
use audit_testkit::faulty_queue::FaultyQueue;
use audit_testkit::script::{Break, Script};

use crate::scene::{until, within};

const ORDINARY: LedgerId = LedgerId::Events(0);
const DIRECT: LedgerId = LedgerId::Events(1);
/// Events that may wait in the broker.
const MARK: u64 = 10;

/// An ingest over a broker that can be broken, and a lane that can be started.
struct Scene {
    broker: Arc<EmbeddedQueue>,
    faults: Script,
    spool: Arc<EmbeddedQueue>,
    queue: Arc<OverflowQueue>,
    state: OverflowState,
    store: Store,
    keys: Arc<KeyDir>,
    acceptor: Arc<Acceptor>,
    stop: Shutdown,
    tasks: Tasks,
    _open: SqliteStore,
    _dir: tempfile::TempDir,
}

fn open_queue(dir: &tempfile::TempDir, name: &str, events_max: u64) -> Arc<EmbeddedQueue> {
    let options = audit_queue_embedded::Options {
        events_max,
        ..audit_queue_embedded::Options::default()
    };
    let opened = EmbeddedQueue::open(&dir.path().join(name), options, Arc::new(SystemClock));
    Arc::new(opened.unwrap())
}

fn spool_of(queue: &Arc<EmbeddedQueue>) -> Spool {
    Spool {
        producer: queue.clone(),
        consumer: queue.clone(),
        frames: queue.clone(),
    }
}

impl Scene {
    async fn begin(spool_max: u64, settings: OverflowSettings) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keys = KeyDir::open_or_create(
            &dir.path().join("keys"),
            Some("audit.example/t"),
            Arc::new(SystemRandom),
            clock.clone(),
        );
        let keys = Arc::new(keys.unwrap());
        let options = Options {
            text_index: false,
            ballast_bytes: 0,
            ..Options::default()
        };
        let open = SqliteStore::open(&dir.path().join("store"), options, clock.clone()).unwrap();
        let store = open.store();
        for ledger in [ORDINARY, DIRECT] {
            let (origin, key) = (keys.origin(ledger), keys.lane_key().await.unwrap());
            let head = Head::seal(&key, &origin, 0, LedgerState::Open, CompactRange::default());
            store
                .writer
                .open_ledger(ledger, &origin, &head)
                .await
                .unwrap();
        }
        let (broker, spool) = (
            open_queue(&dir, "broker.db", MARK),
            open_queue(&dir, "spool.db", spool_max),
        );
        let faults = Script::new();
        let faulty = Arc::new(FaultyQueue::new(Arc::clone(&broker), faults.clone()));
        let state = OverflowState::default();
        let queue = Arc::new(OverflowQueue::new(
            faulty.clone(),
            faulty.clone(),
            spool_of(&spool),
            state.clone(),
            settings.clone(),
        ));
        let (settlements, tasks, stop) = (Settlements::default(), Tasks::new(), Shutdown::new());
        let direct = Arc::new(Direct::new(DirectParts {
            store: store.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            registry: Arc::new(Registry::default()),
            settlements: settlements.clone(),
            breaker: Arc::new(Breaker::new(3, Duration::from_millis(20))),
            ledger: DIRECT,
            origin: keys.origin(DIRECT),
            owner: "ingest".to_owned(),
            settings: tokio::sync::watch::channel(LaneSettings::default()).1,
        }));
        tasks.spawn("direct", Arc::clone(&direct).run(stop.signal()));
        let draining = drain(
            spool_of(&spool),
            faulty,
            state.clone(),
            settings.clone(),
            Arc::new(SystemRandom),
            stop.signal(),
        );
        tasks.spawn("drain", draining);
        let acceptor = Acceptor::start(
            AcceptParts {
                queue: queue.clone(),
                past_mark: Some(Arc::new(PastMark::new(spool_of(&spool), direct, settings))),
                events: store.events.clone(),
                keys: keys.clone(),
                clock,
                random: Arc::new(SystemRandom),
                settlements,
                checkpointed: Checkpointed::new(),
                tasks: tasks.clone(),
            },
            AcceptSettings::default(),
        );
        Self {
            broker,
            faults,
            spool,
            queue,
            state,
            store,
            keys,
            acceptor,
            stop,
            tasks,
            _open: open,
            _dir: dir,
        }
    }

    async fn send(&self, items: Vec<Item>, ack: Ack) -> Accepted {
        let request = AcceptRequest {
            form: Form::Native,
            items,
            caller: Caller {
                api_key_id: "key-1".to_owned(),
                scope: OrganizationScope::All,
                default_organization: OrganizationId::none(),
                authenticated: true,
            },
            idempotency_key: None,
            ack,
            timeout: Duration::from_secs(30),
            traceparent: None,
            internal: false,
        };
        within("accepting", self.acceptor.accept(request))
            .await
            .unwrap()
    }

    /// A worker's lane over the broker.
    fn work(&self) {
        let parts = LaneParts {
            store: self.store.clone(),
            consumer: self.broker.clone(),
            producer: self.broker.clone(),
            keys: self.keys.clone(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            registry: Arc::new(Registry::default()),
            settlements: Settlements::default(),
            breaker: Arc::new(Breaker::new(3, Duration::from_millis(20))),
            feed: None,
            shutdown: self.stop.signal(),
        };
        let settings = LaneSettings {
            receive_wait: Duration::from_millis(20),
            ..LaneSettings::default()
        };
        let origin = self.keys.origin(ORDINARY);
        let lane = Lane::new(parts, settings, ORDINARY, origin, "worker".to_owned());
        self.tasks.spawn("lane", lane.run());
    }

    async fn size(&self, ledger: LedgerId) -> u64 {
        let info = self.store.ledgers.ledger(ledger).await.unwrap();
        info.unwrap().head.size
    }

    async fn books(&self) -> Books {
        let receipts = &*self.store.receipts;
        let read = status::read(&*self.queue, receipts, &self.acceptor).await;
        read.unwrap().producers
    }

    /// Waits until nothing is under way, and checks that every accepted event is accounted for.
    async fn at_rest(self, accepted: u64) {
        until("nothing waits", || async {
            let waiting = self.queue.depth().await.unwrap();
            waiting.frames == 0
        })
        .await;
        let books = self.books().await;
        assert_eq!(
            (books.accepted, books.stored, books.queued),
            (accepted, accepted, 0),
            "{books:?}"
        );
        assert_eq!(
            self.size(ORDINARY).await + self.size(DIRECT).await,
            accepted,
            "stored once"
        );
        self.stop.begin();
        let tasks = self.tasks.clone();
        // The coalescer ends when nobody can send any more.
        drop(self);
        let left = tasks.join(Duration::from_secs(10)).await;
        assert_eq!((left, tasks.failed()), (vec![], vec![]));
    }
}

fn event(id: u64, severity: &str) -> Item {
    let id = uuid::Uuid::from_u64_pair(1, id);
    let text = format!(
        r#"{{"id":"{id}","timestamp":"2024-01-01T00:00:00Z","action":"record.read","status":"success","principalId":"u-7","severity":"{severity}"}}"#
    );
    Item::Bytes(text.into_bytes().into())
}

fn events(ids: std::ops::Range<u64>, severity: &str) -> Vec<Item> {
    ids.map(|id| event(id, severity)).collect()
}

fn statuses(accepted: &Accepted) -> Vec<ItemStatus> {
    accepted
        .results
        .iter()
        .map(|result| result.status)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_mark_ordinary_events_are_refused_and_critical_ones_stored_at_once() {
    let scene = Scene::begin(1_000, OverflowSettings::default()).await;
    let full = scene.send(events(0..MARK, "info"), Ack::Queued).await;
    assert_eq!(full.retry_after, None);

    let mixed = vec![
        event(100, "info"),
        event(101, "critical"),
        event(102, "warning"),
        event(103, "critical"),
    ];
    let answer = scene.send(mixed, Ack::Stored).await;
    use ItemStatus::{Accepted, Retry};
    assert_eq!(statuses(&answer), [Retry, Accepted, Retry, Accepted]);
    assert!(answer.retry_after.is_some(), "the others are told when");
    let address = answer.results[1].address.expect("stored, no lane runs");
    assert_eq!(address.ledger, DIRECT);
    assert_eq!(scene.size(DIRECT).await, 2);
    assert_eq!(scene.broker.depth().await.unwrap().events, MARK);
    let books = scene.books().await;
    assert_eq!(
        (books.accepted, books.stored, books.queued),
        (MARK + 2, 2, MARK),
        "exact while the broker has not heard of them: {books:?}"
    );

    scene.work();
    scene.at_rest(MARK + 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_of_critical_events_is_given_back_when_none_come() {
    let scene = Scene::begin(1_000, OverflowSettings::default()).await;
    scene.send(events(0..MARK, "info"), Ack::Queued).await;
    scene.send(events(100..101, "critical"), Ack::Stored).await;
    let held = || async {
        let leases = scene.store.leases.list().await.unwrap();
        leases
            .iter()
            .any(|info| info.lease.ledger == DIRECT && info.expires_in_micros > 0)
    };
    assert!(held().await, "held while it is needed");
    until("it is given back", || async { !held().await }).await;
    let again = scene.send(events(101..102, "critical"), Ack::Stored).await;
    assert_eq!(again.results[0].address.map(|at| at.leaf_index.0), Some(1));
    scene.work();
    scene.at_rest(MARK + 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_its_bound_a_keys_critical_events_go_to_the_spool_and_a_full_spool_refuses() {
    let settings = OverflowSettings {
        critical_per_second: 1,
        ..OverflowSettings::default()
    };
    let scene = Scene::begin(3, settings).await;
    scene.send(events(0..MARK, "info"), Ack::Queued).await;
    let mut statuses = Vec::new();
    for id in 100..104 {
        let answer = scene
            .send(events(id..id + 1, "critical"), Ack::Queued)
            .await;
        statuses.push(answer.results[0].status);
    }
    use ItemStatus::{Accepted, Retry};
    assert_eq!(statuses, [Accepted, Accepted, Accepted, Retry]);
    let stored = scene.size(DIRECT).await;
    assert!((1..3).contains(&stored), "the others wait: {stored}");
    scene.work();
    scene.at_rest(MARK + 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_takes_over_from_a_broker_that_is_away_and_drains_when_it_is_back() {
    for how in [
        Break::Before,
        Break::AfterDone,
        Break::Hang,
        Break::HangAfterDone,
    ] {
        let settings = OverflowSettings {
            broker_timeout: Duration::from_millis(100),
            ..OverflowSettings::default()
        };
        let scene = Scene::begin(1_000, settings).await;
        scene.work();
        scene.send(events(0..3, "info"), Ack::Queued).await;
        scene.faults.from_now_on("enqueue", how);
        scene.faults.from_now_on("depth", Break::Before);
        let answer = scene.send(events(3..6, "info"), Ack::Queued).await;
        assert_eq!(statuses(&answer), [ItemStatus::Accepted; 3], "{how:?}");
        assert!(scene.state.health().away.is_some(), "{how:?}");
        assert_eq!(scene.acceptor.trouble(), None, "events are taken");
        scene.send(events(6..8, "critical"), Ack::Queued).await;
        let in_spool = scene.spool.depth().await.unwrap();
        assert_eq!(in_spool.events, 5, "{how:?}");
        scene.faults.mend();
        until("it is back", || async {
            scene.state.health().away.is_none()
        })
        .await;
        scene.at_rest(8).await;
    }
}
