//! A whole worker in this process: every part as it runs in production, on a directory of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audit_event::timestamp::MissingZone;
use audit_event::{OrganizationId, Timestamp};
use audit_http::{
    AnonymousWriters, AppState, ComponentHealth, HttpSettings, KeyCache, KeyRequest, ProcessStatus,
    ReadAudit, VerifyBody, VerifyRuns, new_api_key, router, serve,
};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_keydir::{FileAnchor, KeyDir};
use audit_pipeline::verification::{Verification, VerificationPorts, VerifyRequest};
use audit_pipeline::{
    AcceptParts, AcceptSettings, Acceptor, Checkpointed, Directory, DirectoryPorts, Health, Lane,
    LaneParts, LaneSettings, Registry, Settlements, Signer, SignerPorts, TextFollower,
};
use audit_queue_embedded::EmbeddedQueue;
use audit_runtime::{Breaker, Shutdown, SystemClock, SystemRandom, Tasks};
use audit_store::query::OrganizationScope;
use audit_store::tiles::Tiles;
use audit_store::{Role, Store};
use audit_store_sqlite::SqliteStore;
use audit_testkit::wait::wait_until_async;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// No wait in these tests takes longer on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What differs from production's defaults.
pub(crate) struct Options {
    /// Bounds of the HTTP surface.
    pub(crate) settings: HttpSettings,
    /// Processors.
    pub(crate) registry: Registry,
    /// Whether lanes store what the queue holds.
    pub(crate) lanes: bool,
    /// Whether the signer signs what is stored.
    pub(crate) signer: bool,
    /// Whether there are rules and alerts.
    pub(crate) detection: bool,
    /// Secrets of producers, by `scheme/keyId`.
    pub(crate) producers: &'static [(&'static str, &'static str)],
    /// What every component says.
    pub(crate) readiness: fn() -> Vec<ComponentHealth>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: HttpSettings::with_cursor_key([7; 32]),
            registry: Registry::default(),
            lanes: true,
            signer: true,
            detection: false,
            producers: &[],
            readiness: || vec![("store".to_owned(), Health::Working)],
        }
    }
}

/// Settings under which whoever is at loopback may send for an organisation without a key.
pub(crate) fn open_to_loopback(organization: &str, per_second: u32) -> HttpSettings {
    let ranges = vec!["127.0.0.0/8".parse().expect("a range")];
    let organization = OrganizationId::new(organization);
    let writers = AnonymousWriters::new(ranges, organization, per_second);
    HttpSettings {
        anonymous_writers: Some(Arc::new(writers)),
        ..HttpSettings::with_cursor_key([7; 32])
    }
}

/// The running worker. Its tasks end with the test's runtime.
pub(crate) struct Rig {
    pub(crate) base: String,
    pub(crate) client: reqwest::Client,
    /// Key of role admin that sees all organisations.
    pub(crate) admin: String,
    pub(crate) state: AppState,
    /// What it goes by, to be replaced while it serves.
    pub(crate) settings: watch::Sender<Arc<HttpSettings>>,
    _stop: Shutdown,
    _dir: tempfile::TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (stop, tasks, lanes) = (Shutdown::new(), Tasks::new(), options.lanes);
        let mut state = assemble(dir.path(), options, &stop, &tasks).await;
        let (settings, current) = watch::channel(state.settings.borrow().clone());
        state.settings = current;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let (signal, router, connections) = (stop.signal(), router(state.clone()), tasks.clone());
        tasks.spawn("http", async move {
            serve(listener, router, signal, &connections)
                .await
                .expect("serves");
        });
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let mut rig = Self {
            base,
            client,
            admin: String::new(),
            state,
            settings,
            _stop: stop,
            _dir: dir,
        };
        rig.admin = rig.key(Role::Admin, OrganizationScope::All).await;
        if lanes {
            rig.has_a_lane().await;
        }
        rig
    }

    /// Until the lane works.
    async fn has_a_lane(&self) {
        wait_until_async("a lane has its ledger", PATIENCE, || async {
            let leases = self.state.store.leases.list().await.expect("a store");
            leases
                .iter()
                .any(|info| info.lease.ledger == LEDGER)
                .then_some(())
        })
        .await;
    }

    /// A new key; its organisation by default is the first it is for.
    pub(crate) async fn key(&self, role: Role, scope: OrganizationScope) -> String {
        let default_organization = match &scope {
            OrganizationScope::All => OrganizationId::none(),
            OrganizationScope::Only(names) => names.first().cloned().unwrap_or_default(),
        };
        let request = KeyRequest {
            name: "test".to_owned(),
            role,
            scope,
            default_organization,
            expires_at: None,
        };
        let (key, text) = new_api_key(&*self.state.random, &*self.state.clock, request);
        self.state
            .store
            .api_keys
            .create(&key)
            .await
            .expect("created");
        text
    }

    pub(crate) async fn key_of(&self, role: Role, organization: &str) -> String {
        self.key(
            role,
            OrganizationScope::Only(vec![OrganizationId::new(organization)]),
        )
        .await
    }

    /// A request as the admin.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(&self.admin, method, path)
    }

    pub(crate) fn request_as(&self, key: &str, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(key)
    }

    /// Asks as the admin.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_as(&self, key: &str, path: &str) -> Answer {
        send(self.request_as(key, Method::GET, path)).await
    }

    /// Sends events as JSON, as the admin.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(&self.admin, path, body).await
    }

    pub(crate) async fn post_as(&self, key: &str, path: &str, body: &Value) -> Answer {
        send(self.request_as(key, Method::POST, path).json(body)).await
    }

    /// Sends events and waits until they are stored.
    pub(crate) async fn store(&self, events: &Value) -> Answer {
        let answer = self
            .post("/v1/events?ack=stored&timeoutMs=60000", events)
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer
    }

    /// The status once nothing waits in the queue any more, our own events included.
    pub(crate) async fn at_rest(&self) -> Value {
        wait_until_async("the queue is empty", PATIENCE, || async {
            let status = self.get("/v1/status").await.json();
            (status["queued"] == 0
                && status["internal"]["queued"] == 0
                && status["queue"]["frames"] == 0)
                .then_some(status)
        })
        .await
    }
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) bytes: Vec<u8>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The problem's code, once it is sure that this is a problem as RFC 9457 has them.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        let body = self.json();
        assert_eq!(body["status"], status);
        assert!(
            body["title"].is_string() && body["detail"].is_string(),
            "{body}"
        );
        body["code"].as_str().expect("a code").to_owned()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.expect("a whole answer").to_vec();
    Answer {
        status,
        headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
        bytes,
    }
}

/// A good event; the number makes it another one.
pub(crate) fn event(number: u64) -> Value {
    json!({
        "timestamp": format!("2026-03-01T10:{:02}:{:02}Z", number / 60 % 60, number % 60),
        "action": "record.read", "status": "success", "principalId": format!("user-{number}"), "number": number,
    })
}

/// A good event of an organisation.
pub(crate) fn event_of(organization: &str, number: u64) -> Value {
    let mut event = event(number);
    event["organizationId"] = organization.into();
    event
}

async fn assemble(dir: &Path, options: Options, stop: &Shutdown, tasks: &Tasks) -> AppState {
    let parts = Parts::open(dir, options.registry).await;
    for (place, secret) in options.producers {
        let path = dir.join("keys/producers").join(place);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(&path, secret).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
    }
    let directory = DirectoryPorts::new(
        &parts.store,
        parts.keys(),
        parts.clock.clone(),
        parts.random.clone(),
    );
    let directory = Directory::open(directory, parts.keydir.deployment_id(), OWNER, &[LEDGER])
        .await
        .expect("a directory");
    if options.lanes {
        tasks.spawn("lane", parts.lane(stop).run());
    }
    if options.signer {
        let ports = SignerPorts::new(&parts.store, parts.anchor.clone(), parts.keys());
        tasks.spawn(
            "signer",
            Signer::new(ports, parts.checkpointed.clone(), OWNER).run(stop.signal()),
        );
        tasks.spawn("directory", directory.run(stop.signal()));
    }
    let follower =
        TextFollower::of(&parts.store, parts.random.clone()).expect("SQLite has a text index");
    tasks.spawn("text", follower.run(stop.signal()));
    let mut state = parts.state(options.settings, tasks);
    state.readiness = Arc::new(options.readiness);
    state.detection = options
        .detection
        .then(|| crate::desk::surface(&state, stop, tasks));
    state
}

/// The name under which this process holds leases.
const OWNER: &str = "rig";
const LEDGER: LedgerId = LedgerId::Events(0);

/// Everything opened, nothing running yet.
struct Parts {
    store: Store,
    keydir: Arc<KeyDir>,
    anchor: Arc<FileAnchor>,
    queue: Arc<EmbeddedQueue>,
    clock: Arc<SystemClock>,
    random: Arc<SystemRandom>,
    registry: Arc<Registry>,
    settlements: Settlements,
    checkpointed: Checkpointed,
}

impl Parts {
    async fn open(dir: &Path, registry: Registry) -> Self {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let store = audit_store_sqlite::Options::default();
        let store = SqliteStore::open(dir, store, clock.clone())
            .expect("a store")
            .store();
        let keydir = KeyDir::open_or_create(&dir.join("keys"), None, random.clone(), clock.clone())
            .expect("keys");
        for ledger in [LEDGER, LedgerId::Directory] {
            keydir.ensure_ledger(ledger).expect("a key");
        }
        store
            .ledgers
            .set_deployment_id(keydir.deployment_id(), Timestamp::EPOCH)
            .await
            .expect("set");
        let queue = audit_queue_embedded::Options::default();
        let queue =
            EmbeddedQueue::open(&dir.join("queue.db"), queue, clock.clone()).expect("a queue");
        Self {
            store,
            keydir: Arc::new(keydir),
            anchor: Arc::new(FileAnchor::create(&dir.join("anchor")).expect("an anchor")),
            queue: Arc::new(queue),
            clock,
            random,
            registry: Arc::new(registry),
            settlements: Settlements::default(),
            checkpointed: Checkpointed::new(),
        }
    }

    fn keys(&self) -> Arc<dyn KeySource> {
        self.keydir.clone()
    }

    fn lane(&self, stop: &Shutdown) -> Lane {
        let parts = LaneParts {
            store: self.store.clone(),
            consumer: self.queue.clone(),
            producer: self.queue.clone(),
            keys: self.keys(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            registry: self.registry.clone(),
            settlements: self.settlements.clone(),
            breaker: Arc::new(Breaker::new(3, Duration::from_secs(1))),
            feed: None,
            shutdown: stop.signal(),
        };
        Lane::new(
            parts,
            LaneSettings::default(),
            LEDGER,
            self.keydir.origin(LEDGER),
            OWNER.to_owned(),
        )
    }

    fn acceptor(&self, tasks: &Tasks) -> Arc<Acceptor> {
        let parts = AcceptParts {
            queue: self.queue.clone(),
            past_mark: None,
            events: self.store.events.clone(),
            keys: self.keys(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            settlements: self.settlements.clone(),
            checkpointed: self.checkpointed.clone(),
            tasks: tasks.clone(),
        };
        Acceptor::start(parts, AcceptSettings::default())
    }

    fn state(self, settings: HttpSettings, tasks: &Tasks) -> AppState {
        let anchor = self.anchor.clone();
        let ports = VerificationPorts::new(
            &self.store,
            anchor,
            self.keys(),
            self.clock.clone(),
            self.random.clone(),
        );
        let verification = Verification::new(ports, self.keydir.deployment_id());
        AppState {
            acceptor: self.acceptor(tasks),
            keys: self.keys(),
            deployment_id: self.keydir.deployment_id().into(),
            tiles: Arc::new(Tiles::new(Arc::clone(&self.store.ledgers))),
            store: self.store,
            queue: self.queue.clone(),
            frames: self.queue,
            checkpointed: self.checkpointed,
            clock: self.clock,
            random: self.random,
            registry: self.registry,
            verify: Arc::new(Runs {
                verification,
                tasks: tasks.clone(),
            }),
            metrics: Arc::new(|| "# nothing\n".to_owned()),
            readiness: Arc::new(|| vec![("store".to_owned(), Health::Working)]),
            process: Arc::new(ProcessStatus::default),
            rates: None,
            settings: watch::channel(Arc::new(settings)).1,
            key_cache: Arc::new(KeyCache::default()),
            read_audit: Arc::new(ReadAudit::new(tasks.clone())),
            configuration: None,
            detection: None,
            last_minute: Arc::default(),
        }
    }
}

struct Runs {
    verification: Verification,
    tasks: Tasks,
}

#[async_trait]
impl VerifyRuns for Runs {
    async fn start(&self, body: VerifyBody) -> Result<String, String> {
        let time = |text: Option<String>| {
            text.map(|text| {
                Timestamp::parse(&text, MissingZone::Refuse)
                    .expect("checked")
                    .0
            })
        };
        let request = VerifyRequest {
            ledger: body.ledger.map(|name| name.parse().expect("checked")),
            since: time(body.since),
            until: time(body.until),
            checkpoints: body.checkpoints,
        };
        self.verification
            .begin(request, &self.tasks)
            .await
            .map_err(|error| error.to_string())
    }

    async fn report(&self, run: &str) -> Option<String> {
        self.verification
            .report(run)
            .await
            .expect("the store answers")
    }
}
