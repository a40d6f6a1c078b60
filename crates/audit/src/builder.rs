//! Assembling the embedded form: which part stands where, and in which order they start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_integrity::checkpoint::CheckpointAnchor;
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LedgerId, Origin};
use audit_keydir::{FileAnchor, KeyDir};
use audit_pipeline::follower::TextFollower;
use audit_pipeline::verification::{Verification, VerificationPorts};
use audit_pipeline::{
    AcceptParts, AcceptSettings, Acceptor, Checkpointed, Directory, DirectoryPorts, Lane,
    LaneParts, LaneSettings, LaneSwitch, Plugin, Processor, Refusal, Registry, Settlements, Signer,
    SignerPorts,
};
use audit_queue_embedded::EmbeddedQueue;
use audit_runtime::{Breaker, Clock, Random, Shutdown, SystemClock, SystemRandom, Tasks};
use audit_store::Store;
use audit_store_sqlite::SqliteStore;
use tokio::sync::Notify;

use crate::error::StartError;
use crate::running::{Audit, Inner};

/// How the embedded form is set up; the defaults suit one process on one disk.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Name of the deployment; drawn at the first start when absent, immutable afterwards.
    pub deployment_id: Option<String>,
    /// Event ledgers. SQLite has one writer, so more than 1 buys nothing here; never lower it on existing data.
    pub ledgers: u16,
    /// Bounds of accept.
    pub accept: AcceptSettings,
    /// Bounds of the lanes.
    pub lane: LaneSettings,
    /// Options of the store.
    pub store: audit_store_sqlite::Options,
    /// Options of the queue.
    pub queue: audit_queue_embedded::Options,
    /// How long shutdown waits for each group of tasks.
    pub shutdown_grace: Duration,
}

impl Settings {
    /// The defaults on a data directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            deployment_id: None,
            ledgers: 1,
            accept: AcceptSettings::default(),
            lane: LaneSettings::default(),
            store: audit_store_sqlite::Options::default(),
            queue: audit_queue_embedded::Options::default(),
            shutdown_grace: Duration::from_secs(20),
        }
    }
}

/// Sets up and starts an [`Audit`].
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
    registry: Registry,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// The name under which this process holds leases. The lock on the data directory makes sure that there is one process,
/// so a restart after a crash may take its predecessor's leases at once; the epoch still fences what it left behind.
const OWNER: &str = "embedded";

impl Builder {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            settings: Settings::new(data_dir),
            registry: Registry::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }

    /// Replaces all settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Adds a processor; they run in the order they were added.
    #[must_use]
    pub fn processor(mut self, processor: impl Processor + 'static) -> Self {
        self.registry.processor(processor);
        self
    }

    /// Adds a processor from a closure.
    #[must_use]
    pub fn processor_fn<F>(mut self, name: &str, process: F) -> Self
    where
        F: Fn(&audit_event::AuditEvent) -> Result<audit_event::Object, Refusal>
            + Send
            + Sync
            + 'static,
    {
        self.registry.processor_fn(name, process);
        self
    }

    /// Adds everything a plug-in brings.
    #[must_use]
    pub fn plugin(mut self, plugin: &dyn Plugin) -> Self {
        self.registry.plugin(plugin);
        self
    }

    /// Takes time from somewhere else.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens everything, recovers what a crash left, and starts the tasks on the current Tokio runtime.
    ///
    /// # Errors
    /// Which part does not start, and why; nothing runs then.
    pub async fn start(self) -> Result<Audit, StartError> {
        let Self {
            settings,
            registry,
            clock,
            random,
        } = self;
        let dir = settings.data_dir.clone();
        let sqlite = SqliteStore::open(&dir, settings.store.clone(), Arc::clone(&clock)).map_err(
            |source| StartError::Store {
                dir: dir.clone(),
                source,
            },
        )?;
        let store = sqlite.store();
        let (keydir, anchor) = open_keys(&settings, &store, &clock, &random).await?;
        let queue_path = dir.join("queue.db");
        let queue = EmbeddedQueue::open(&queue_path, settings.queue.clone(), Arc::clone(&clock))
            .map_err(|source| StartError::Queue {
                dir: dir.clone(),
                source,
            })?;
        let parts = Parts {
            registry: Arc::new(registry),
            deployment_id: keydir.deployment_id().into(),
            keys: keydir,
            anchor,
            queue: Arc::new(queue),
            store,
            sqlite,
            clock,
            random,
            settings,
        };
        parts.run().await
    }
}

/// Opens keys and anchor, and makes sure that they and the store are of one deployment.
async fn open_keys(
    settings: &Settings,
    store: &Store,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<(Arc<KeyDir>, Arc<FileAnchor>), StartError> {
    let dir = settings.data_dir.join("keys");
    let first = !KeyDir::exists(&dir)?;
    let known = store.ledgers.deployment_id().await?;
    let configured = settings.deployment_id.as_deref().or(known.as_deref());
    if first && known.is_some() {
        // New keys cannot continue an old ledger; only the operator can say where the old ones are.
        let store = known.unwrap_or_default();
        return Err(StartError::OtherDeployment {
            keys: "(none)".to_owned(),
            store,
        });
    }
    let keydir = Arc::new(KeyDir::open_or_create(
        &dir,
        configured,
        Arc::clone(random),
        Arc::clone(clock),
    )?);
    let anchor_dir = dir.join("anchor");
    // Only a store that never had a deployment may begin without an anchor.
    let anchor = if known.is_none() {
        FileAnchor::create(&anchor_dir)?
    } else {
        FileAnchor::at(&anchor_dir)
    };
    match known {
        None => {
            let now = Timestamp::from_micros(clock.now_micros()).unwrap_or(Timestamp::EPOCH);
            store
                .ledgers
                .set_deployment_id(keydir.deployment_id(), now)
                .await?;
        }
        Some(store) if store != keydir.deployment_id() => {
            return Err(StartError::OtherDeployment {
                keys: keydir.deployment_id().to_owned(),
                store,
            });
        }
        Some(_same) => {}
    }
    for ledger in ledgers(settings).chain([LedgerId::Directory]) {
        keydir.ensure_ledger(ledger)?;
    }
    keydir.write_verifier_keys(&settings.data_dir.join("verifier.key"))?;
    Ok((keydir, Arc::new(anchor)))
}

fn ledgers(settings: &Settings) -> impl Iterator<Item = LedgerId> {
    (0..settings.ledgers.max(1)).map(LedgerId::Events)
}

/// Everything opened, nothing running yet.
struct Parts {
    settings: Settings,
    registry: Arc<Registry>,
    deployment_id: Arc<str>,
    keys: Arc<KeyDir>,
    anchor: Arc<FileAnchor>,
    queue: Arc<EmbeddedQueue>,
    store: Store,
    sqlite: SqliteStore,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Parts {
    async fn run(self) -> Result<Audit, StartError> {
        let keys: Arc<dyn KeySource> = Arc::clone(&self.keys) as _;
        let anchor: Arc<dyn CheckpointAnchor> = Arc::clone(&self.anchor) as _;
        let ledgers: Vec<LedgerId> = ledgers(&self.settings).collect();
        let directory_ports = DirectoryPorts::new(
            &self.store,
            Arc::clone(&keys),
            Arc::clone(&self.clock),
            Arc::clone(&self.random),
        );
        let directory =
            Directory::open(directory_ports, &self.deployment_id, OWNER, &ledgers).await?;

        let (settlements, checkpointed) = (Settlements::default(), Checkpointed::new());
        let (front, lanes_tasks, back) = (Tasks::new(), Tasks::new(), Tasks::new());
        let (stop_lanes, stop_back) = (Shutdown::new(), Shutdown::new());
        let breaker = Arc::new(Breaker::new(3, Duration::from_secs(1)));
        let acceptor = Acceptor::start(
            AcceptParts {
                queue: Arc::clone(&self.queue) as _,
                events: Arc::clone(&self.store.events),
                keys: Arc::clone(&keys),
                clock: Arc::clone(&self.clock),
                random: Arc::clone(&self.random),
                settlements: settlements.clone(),
                checkpointed: checkpointed.clone(),
                tasks: front.clone(),
            },
            self.settings.accept.clone(),
        );
        let lane_parts = LaneParts {
            store: self.store.clone(),
            consumer: Arc::clone(&self.queue) as _,
            producer: Arc::clone(&self.queue) as _,
            keys: Arc::clone(&keys),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            registry: Arc::clone(&self.registry),
            settlements,
            breaker: Arc::clone(&breaker),
            head_moved: Arc::new(Notify::new()),
            shutdown: stop_lanes.signal(),
        };
        let lanes = self.start_lanes(&lane_parts, &ledgers, &lanes_tasks);
        let signer_ports = SignerPorts::new(&self.store, Arc::clone(&anchor), Arc::clone(&keys));
        back.spawn(
            "signer",
            Signer::new(signer_ports, checkpointed.clone(), OWNER).run(stop_back.signal()),
        );
        back.spawn("directory", directory.run(stop_back.signal()));
        if let Some(follower) = TextFollower::of(&self.store, Arc::clone(&self.random)) {
            back.spawn("text follower", follower.run(stop_back.signal()));
        }
        let verification = Verification::new(
            VerificationPorts::new(
                &self.store,
                anchor,
                Arc::clone(&keys),
                Arc::clone(&self.clock),
                Arc::clone(&self.random),
            ),
            &self.deployment_id,
        );
        Ok(Audit::new(Inner {
            settings: self.settings,
            registry: self.registry,
            deployment_id: self.deployment_id,
            keys,
            queue: self.queue,
            store: self.store,
            sqlite: self.sqlite,
            clock: self.clock,
            random: self.random,
            acceptor,
            checkpointed,
            verification,
            lanes,
            breaker,
            front,
            lanes_tasks,
            back,
            stop_lanes,
            stop_back,
        }))
    }

    fn start_lanes(
        &self,
        parts: &LaneParts,
        ledgers: &[LedgerId],
        tasks: &Tasks,
    ) -> Vec<Arc<LaneSwitch>> {
        let lanes = ledgers.iter().map(|ledger| {
            let origin = Origin::new(&self.deployment_id, *ledger);
            let lane = Lane::new(
                parts.clone(),
                self.settings.lane.clone(),
                *ledger,
                origin,
                OWNER.to_owned(),
            );
            let switch = lane.switch();
            tasks.spawn("lane", lane.run());
            switch
        });
        lanes.collect()
    }
}
