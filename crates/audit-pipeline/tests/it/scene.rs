//! A worker's parts in one directory, with faults between the pipeline and the outside, and what must hold at rest.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::faulty::{Faults, Faulty, faulty_store};
use audit_event::{EventDraft, Form, OrganizationId};
use audit_integrity::bundle::Bundle;
use audit_integrity::claim::claim_of;
use audit_integrity::digest::leaf_hash;
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::tree::root_of_leaves;
use audit_keydir::KeyDir;
use audit_pipeline::detection::Feed;
use audit_pipeline::status::{self, Books};
use audit_pipeline::{
    AcceptParts, AcceptRequest, AcceptSettings, Accepted, Acceptor, Ack, Caller, Checkpointed,
    Item, Lane, LaneParts, LaneSettings, LaneSwitch, Registry, Settlements,
};
use audit_queue::{Budget, Consumer, Producer};
use audit_queue_embedded::EmbeddedQueue;
use audit_runtime::{Breaker, Shutdown, SystemClock, SystemRandom, Tasks};
use audit_store::query::OrganizationScope;
use audit_store::{DeadLetter, DeadLetterFilter, LedgerWriter, Store};
use audit_store_sqlite::{DATABASE_FILE, Options, SqliteStore};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) const LEDGER: LedgerId = LedgerId::Events(0);

/// Nothing here takes so long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    dir: Arc<TempDir>,
    open: SqliteStore,
    pub(crate) store: Store,
    pub(crate) queue: Arc<EmbeddedQueue>,
    keys: Arc<KeyDir>,
    pub(crate) faults: Faults,
    pub(crate) registry: Registry,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) settlements: Settlements,
    breaker: Arc<Breaker>,
    /// Put around the store's writer, below the faults.
    writer: Option<Arc<dyn LedgerWriter>>,
    /// Instead of the queue's consumer, below the faults.
    pub(crate) consumer: Arc<dyn Consumer>,
    /// Where lanes hand over what they commit.
    pub(crate) feed: Option<Feed>,
    pub(crate) settings: LaneSettings,
}

/// A lane at work.
pub(crate) struct Working {
    shutdown: Shutdown,
    task: JoinSet<()>,
    pub(crate) switch: Arc<LaneSwitch>,
    /// What its next batch is bound by.
    pub(crate) settings: watch::Sender<LaneSettings>,
}

impl Working {
    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        self.shutdown.begin();
        within("the lane ends", self.task.join_next())
            .await
            .unwrap()
            .unwrap();
    }

    /// As if the process had died here: nothing is released.
    pub(crate) async fn kill(mut self) {
        self.task.abort_all();
        while self.task.join_next().await.is_some() {}
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_empty()
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited too long: {what}"))
}

/// Waits until the condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(what, wait).await;
}

/// The bytes of an event; `what` decides whether two of one id say the same.
pub(crate) fn event(id: u64, what: &str) -> Item {
    let (year, id) = (2024, uuid::Uuid::from_u64_pair(1, id));
    let text = format!(
        r#"{{"id":"{id}","timestamp":"{year}-01-01T00:00:00Z","action":"record.read","status":"success","principalId":"u-7","targetResourceType":"Patient","targetResourceId":"p-1","what":"{what}"}}"#
    );
    Item::Bytes(text.into_bytes().into())
}

pub(crate) fn events(ids: std::ops::Range<u64>) -> Vec<Item> {
    ids.map(|id| event(id, "same")).collect()
}

pub(crate) fn request(items: Vec<Item>, ack: Ack) -> AcceptRequest {
    AcceptRequest {
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
        timeout: PATIENCE,
        traceparent: None,
        internal: false,
    }
}

/// Short times, so that what has to run out does.
fn settings() -> LaneSettings {
    LaneSettings {
        receive_wait: Duration::from_millis(20),
        renew_every: Duration::from_millis(100),
        call_timeout: Duration::from_millis(400),
        ..LaneSettings::default()
    }
}

fn open_queue(dir: &Path) -> Arc<EmbeddedQueue> {
    let options = audit_queue_embedded::Options {
        hold: Duration::from_secs(2),
        ..audit_queue_embedded::Options::default()
    };
    let queue = EmbeddedQueue::open(&dir.join("queue.db"), options, Arc::new(SystemClock));
    Arc::new(queue.unwrap())
}

fn open_store(dir: &Path) -> SqliteStore {
    let options = Options {
        text_index: false,
        readers: 2,
        write_cache_kib: 2048,
        ballast_bytes: 0,
        ..Options::default()
    };
    SqliteStore::open(&dir.join("store"), options, Arc::new(SystemClock)).unwrap()
}

impl Scene {
    pub(crate) async fn begin() -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
        let keys = KeyDir::open_or_create(
            &dir.path().join("keys"),
            Some("audit.example/t"),
            random,
            clock,
        );
        let scene = Self::of(dir, Arc::new(keys.unwrap()), Faults::default());
        let origin = scene.keys.origin(LEDGER);
        let key = scene.keys.lane_key().await.unwrap();
        let head = Head::seal(&key, &origin, 0, LedgerState::Open, CompactRange::default());
        let opened = scene.open.store().writer;
        opened.open_ledger(LEDGER, &origin, &head).await.unwrap();
        scene
    }

    fn of(dir: Arc<TempDir>, keys: Arc<KeyDir>, faults: Faults) -> Self {
        let (queue, open) = (open_queue(dir.path()), open_store(dir.path()));
        let store = faulty_store(open.store(), &faults);
        let settlements = Settlements::default();
        let parts = AcceptParts {
            queue: Faulty::new(Arc::clone(&queue) as Arc<dyn Producer>, &faults),
            past_mark: None,
            events: Arc::clone(&store.events),
            keys: keys.clone(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            settlements: settlements.clone(),
            checkpointed: Checkpointed::new(),
            tasks: Tasks::new(),
        };
        Self {
            acceptor: Acceptor::start(parts, AcceptSettings::default()),
            dir,
            open,
            store,
            consumer: Arc::clone(&queue) as _,
            queue,
            keys,
            faults,
            settlements,
            registry: Registry::default(),
            breaker: Arc::new(Breaker::new(3, Duration::from_millis(20))),
            writer: None,
            feed: None,
            settings: settings(),
        }
    }

    pub(crate) fn key_source(&self) -> Arc<dyn KeySource> {
        self.keys.clone()
    }

    /// Puts a writer around the store's.
    pub(crate) fn around_writer(
        &mut self,
        around: impl Fn(Arc<dyn LedgerWriter>) -> Arc<dyn LedgerWriter>,
    ) {
        self.writer = Some(around(self.open.store().writer));
    }

    /// What a process finds that starts after this one died. Works only once every lane is stopped or killed.
    pub(crate) async fn reopened(self) -> Self {
        let Self {
            dir,
            open,
            queue,
            keys,
            faults,
            registry,
            settings,
            ..
        } = {
            let scene = self;
            scene.queue.close().await;
            scene.open.close().await;
            scene
        };
        // The file's lock goes with the last handle, which accept's task holds until it sees that nobody sends any more.
        until("nobody has the queue", || async {
            Arc::strong_count(&queue) == 1
        })
        .await;
        drop((queue, open));
        Self {
            registry,
            settings,
            ..Self::of(dir, keys, faults)
        }
    }

    /// Starts a lane.
    pub(crate) fn work(&self) -> Working {
        let shutdown = Shutdown::new();
        let mut store = self.store.clone();
        if let Some(writer) = &self.writer {
            store.writer = Faulty::new(Arc::clone(writer), &self.faults);
        }
        let parts = LaneParts {
            store,
            consumer: Faulty::new(Arc::clone(&self.consumer), &self.faults),
            producer: Faulty::new(Arc::clone(&self.queue) as Arc<dyn Producer>, &self.faults),
            keys: Faulty::new(self.keys.clone() as Arc<dyn KeySource>, &self.faults),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            registry: Arc::new(self.registry.clone()),
            settlements: self.settlements.clone(),
            breaker: Arc::clone(&self.breaker),
            feed: self.feed.clone(),
            shutdown: shutdown.signal(),
        };
        let (settings, origin) = (self.settings.clone(), self.keys.origin(LEDGER));
        let lane = Lane::new(parts, settings, LEDGER, origin, "test".to_owned());
        let (settings, current) = watch::channel(self.settings.clone());
        let lane = lane.following(current);
        let switch = lane.switch();
        let mut task = JoinSet::new();
        task.spawn(lane.run());
        Working {
            shutdown,
            task,
            switch,
            settings,
        }
    }

    pub(crate) async fn accept(&self, items: Vec<Item>, ack: Ack) -> Accepted {
        let accepting = self.acceptor.accept(request(items, ack));
        within("accepting", accepting).await.unwrap()
    }

    pub(crate) async fn queued(&self, items: Vec<Item>) -> Accepted {
        self.accept(items, Ack::Queued).await
    }

    /// Has what waits delivered so often that it is suspect.
    pub(crate) async fn make_suspect(&self) {
        for _ in 0..6 {
            let budget = Budget {
                deliveries: 1_000,
                bytes: 1 << 30,
                wait: Duration::ZERO,
            };
            let batch = self.queue.receive(budget).await.unwrap();
            self.queue.release(batch).await.unwrap();
        }
    }

    /// Alters the store behind everybody's back.
    pub(crate) fn alter(&self, sql: &str) {
        let file = self.dir.path().join("store").join(DATABASE_FILE);
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        assert!(connection.execute(sql, ()).unwrap() > 0, "{sql}");
    }

    /// Waits until the queue has let go of everything.
    pub(crate) async fn settled(&self) {
        until("the queue is empty", || async {
            self.queue.depth().await.unwrap().frames == 0
        })
        .await;
    }

    pub(crate) async fn books(&self) -> Books {
        let receipts = &*self.open.store().receipts;
        let status = status::read(&*self.queue, receipts, &self.acceptor).await;
        status.unwrap().producers
    }

    pub(crate) async fn letters(&self) -> Vec<DeadLetter> {
        let filter = DeadLetterFilter {
            limit: 1_000,
            ..DeadLetterFilter::default()
        };
        self.open.store().dead_letters.list(&filter).await.unwrap()
    }

    /// Everything that must hold while nothing is under way; gives back the books. Recomputes from the rows.
    pub(crate) async fn check(&self) -> Books {
        let store = self.open.store();
        let (origin, key) = (
            self.keys.origin(LEDGER),
            self.keys.lane_key().await.unwrap(),
        );
        let info = store.ledgers.ledger(LEDGER).await.unwrap().unwrap();
        let size = info.head.size;
        assert!(info.head.is_authentic(&key, &origin), "the head's MAC");
        let (zero, all) = (LeafIndex(0), u32::MAX);
        let rows = store
            .events
            .rows(LEDGER, zero, LeafIndex(u64::from(all)), all)
            .await
            .unwrap();
        let chunks = store.ledgers.chunks(LEDGER, zero, all).await.unwrap();
        let entries: Vec<Vec<u8>> = chunks
            .iter()
            .flat_map(|chunk| {
                let bundle = Bundle::decompress(&chunk.entries, chunk.count).unwrap();
                bundle.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(
            (rows.len() as u64, entries.len() as u64),
            (size, size),
            "rows, entries and head"
        );
        let mut identities = HashSet::new();
        for ((index, row), entry) in rows.iter().enumerate().zip(&entries) {
            assert_eq!(row.leaf_index.0, index as u64, "no gaps");
            assert!(row.differences(entry).is_empty(), "row {index}");
            let identity = (row.id, row.organization_id.clone(), row.timestamp);
            assert!(identities.insert(identity), "stored twice: {}", row.id);
        }
        let leaves = entries.iter().map(|entry| leaf_hash(entry));
        assert_eq!(root_of_leaves(leaves), info.head.range.root(), "the root");
        let books = self.books().await;
        let settled = books.stored + books.duplicate + books.conflict + books.dead_lettered;
        assert_eq!(
            (books.accepted, books.queued),
            (settled, 0),
            "conservation: {books:?}"
        );
        assert_eq!(books.stored, size, "stored once means one row: {books:?}");
        let letters = self.letters().await.len() as u64;
        assert_eq!(
            letters,
            books.conflict + books.dead_lettered,
            "one letter each"
        );
        books
    }

    /// Bytes that were accepted and are neither stored with the same claim nor kept as a dead letter.
    pub(crate) async fn lost(&self, accepted: &[Vec<u8>]) -> usize {
        let store = self.open.store();
        let rows = store
            .events
            .rows(LEDGER, LeafIndex(0), LeafIndex(1 << 40), u32::MAX)
            .await
            .unwrap();
        let mut kept: HashMap<_, HashSet<_>> = HashMap::new();
        for row in rows {
            kept.entry(row.id).or_default().insert(row.claim);
        }
        for DeadLetter { letter, .. } in self.letters().await {
            if let Ok(draft) = EventDraft::from_canonical(letter.payload) {
                let claim = claim_of(draft.event());
                kept.entry(draft.event().id).or_default().insert(claim);
            }
        }
        let is_lost = |bytes: &&Vec<u8>| {
            let statement = audit_event::forms::read_statement(Form::Native, bytes).unwrap();
            let stamps = audit_event::Stamps {
                fallback_id: audit_event::EventId::from_bytes([0; 16]),
                received_at: audit_event::Timestamp::EPOCH,
                default_organization: OrganizationId::none(),
            };
            let event = audit_event::AuditEvent::stamp(statement, &stamps);
            let claims = kept.get(&event.id);
            !claims.is_some_and(|claims| claims.contains(&claim_of(&event)))
        };
        accepted.iter().filter(is_lost).count()
    }
}

/// The bytes of an item.
pub(crate) fn bytes_of(item: &Item) -> Vec<u8> {
    match item {
        Item::Bytes(bytes) => bytes.to_vec(),
        Item::Statement(_) => unreachable!("tests send bytes"),
    }
}
