//! Setting up the embedded form: one process, its own queue and store in one directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use audit_integrity::ledger::LedgerId;
use audit_pipeline::{AcceptSettings, LaneSettings, Plugin, Processor, Refusal, Registry};
use audit_queue_embedded::EmbeddedQueue;
use audit_runtime::{BreakerSettings, Clock, Random, SystemClock, SystemRandom};
use audit_store_sqlite::SqliteStore;

use crate::assembly::{Adapters, Assembly, DetectionPlan, Plan};
use crate::detection::{DetectionOptions, Windows};
use crate::error::StartError;
use crate::keys::{KeyPlace, open_keys};
use crate::running::Audit;

/// How the embedded form is set up; the defaults suit one process on one disk.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The key directory; `keys` in the data directory when absent.
    pub keys_dir: Option<PathBuf>,
    /// Name of the deployment; drawn at the first start when absent, immutable afterwards.
    pub deployment_id: Option<String>,
    /// Event ledgers. SQLite has one writer, so more than 1 buys nothing here; never lower it on existing data.
    pub ledgers: u16,
    /// Bounds of accept.
    pub accept: AcceptSettings,
    /// Bounds of the lanes.
    pub lane: LaneSettings,
    /// When lanes leave the store alone for a while.
    pub breaker: BreakerSettings,
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
            keys_dir: None,
            deployment_id: None,
            ledgers: 1,
            accept: AcceptSettings::default(),
            lane: LaneSettings::default(),
            breaker: BreakerSettings::default(),
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
    detection: Look,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// The name under which this process holds leases. The lock on the data directory makes sure that there is one process,
/// so a restart after a crash may take its predecessor's leases at once; the epoch still fences what it left behind.
const OWNER: &str = "embedded";

/// What is looked for in stored events.
#[derive(Debug)]
enum Look {
    Off,
    By(Box<DetectionOptions>),
    #[cfg(feature = "deployed")]
    Configured(Arc<audit_config::Settings>),
}

impl Default for Look {
    fn default() -> Self {
        Self::By(Box::default())
    }
}

impl Look {
    #[cfg_attr(
        not(feature = "deployed"),
        expect(clippy::unnecessary_wraps, reason = "a configuration can be wrong")
    )]
    fn plan(self, dir: PathBuf, clock: &Arc<dyn Clock>) -> Result<DetectionPlan, StartError> {
        #[cfg(not(feature = "deployed"))]
        let _ = clock;
        Ok(match self {
            Self::Off => DetectionPlan::Off,
            Self::By(options) => DetectionPlan::By(options, Windows::Own(dir)),
            #[cfg(feature = "deployed")]
            Self::Configured(settings) => {
                crate::detection::plan_of(settings, Windows::Own(dir), clock)?
            }
        })
    }
}

impl Builder {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self {
            settings: Settings::new(data_dir),
            registry: Registry::default(),
            detection: Look::default(),
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

    /// Looks at stored events by these rules, and tells these handlers; `None` looks at nothing. Without this the built-in rules are
    /// in use, and alerts are kept and told to nobody.
    #[must_use]
    pub fn detection(mut self, options: Option<DetectionOptions>) -> Self {
        self.detection = options.map_or(Look::Off, |options| Look::By(Box::new(options)));
        self
    }

    /// The same as a configuration says, with rules from where it says.
    #[cfg(feature = "deployed")]
    #[must_use]
    pub fn detection_of(mut self, settings: &audit_config::Settings) -> Self {
        self.detection = Look::Configured(Arc::new(settings.clone()));
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
            detection,
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
        let place = KeyPlace {
            dir: settings.keys_dir.unwrap_or_else(|| dir.join("keys")),
            deployment_id: settings.deployment_id.clone(),
            verifier_keys: dir.join("verifier.key"),
        };
        let ledgers: Vec<LedgerId> = (0..settings.ledgers.max(1)).map(LedgerId::Events).collect();
        let opened = open_keys(&place, &store, &ledgers, &clock, &random).await?;
        let queue_path = dir.join("queue.db");
        let queue = EmbeddedQueue::open(&queue_path, settings.queue.clone(), Arc::clone(&clock))
            .map_err(|source| StartError::Queue {
                dir: dir.clone(),
                source,
            })?;
        let queue = Arc::new(queue);
        #[cfg(feature = "deployed")]
        let ends = crate::reconfigure::Ends::of_queue(Arc::clone(&queue) as _);
        let adapters = Adapters {
            store,
            producer: Arc::clone(&queue) as _,
            consumer: Arc::clone(&queue) as _,
            frames: Arc::clone(&queue) as _,
            closing: vec![queue, Arc::new(sqlite)],
        };
        let plan = Plan {
            owner: OWNER.to_owned(),
            lanes: ledgers.len(),
            ledgers,
            admin_key: dir.join("admin.key"),
            shared_keys: None,
            accept: settings.accept,
            lane: settings.lane,
            breaker: settings.breaker,
            shutdown_grace: settings.shutdown_grace,
            detection: detection.plan(dir.clone(), &clock)?,
            #[cfg(feature = "deployed")]
            _instance: None,
        };
        let assembly = Assembly {
            plan,
            registry: Arc::new(registry),
            keys: opened,
            adapters,
            clock,
            random,
            #[cfg(feature = "deployed")]
            ends,
        };
        assembly.worker(Vec::new(), Vec::new()).await
    }
}
