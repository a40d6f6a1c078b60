//! What every route works with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_pipeline::{
    Acceptor, Checkpointed, Health, KeyRates, OverflowHealth, Registry, SourceStanding,
};
use audit_queue::{FrameLookup, Producer};
use audit_runtime::{Clock, Random};
use audit_store::Store;
use audit_store::tiles::Tiles;
use serde::{Deserialize, Deserializer};
use tokio::sync::watch;

use crate::auth::KeyCache;
use crate::compat::AnonymousWriters;
use crate::compat::last_minute::LastMinute;
use crate::configuration::ConfigurationControl;
use crate::detection::DetectionSurface;
use crate::read_audit::ReadAudit;

/// Bounds of the HTTP surface. While it serves, each request goes by those in force when it is looked at; `request_timeout`,
/// `concurrency_max` and `cursor_key` hold as it began.
#[derive(Clone)]
pub struct HttpSettings {
    /// Bytes of a request body at most, before and after decompression.
    pub body_bytes_max: usize,
    /// Events of a request at most.
    pub items_max: usize,
    /// Time for a request's body to arrive, and for any answer but a long wait for `ack`.
    pub request_timeout: Duration,
    /// `ack=stored` and `ack=sealed` wait so long when the request does not say.
    pub ack_timeout: Duration,
    /// Requests in work at once; more wait in line.
    pub concurrency_max: usize,
    /// Who may send without a key on the paths of replaced systems; nobody when absent.
    pub anonymous_writers: Option<Arc<AnonymousWriters>>,
    /// Key of the MAC that keeps cursors ours; drawn at start when nothing is configured.
    pub cursor_key: [u8; 32],
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("body_bytes_max", &self.body_bytes_max)
            .field("items_max", &self.items_max)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

impl HttpSettings {
    /// The defaults, with a cursor key of the caller's.
    #[must_use]
    pub fn with_cursor_key(cursor_key: [u8; 32]) -> Self {
        Self {
            body_bytes_max: 16 << 20,
            items_max: 10_000,
            request_timeout: Duration::from_secs(30),
            ack_timeout: Duration::from_secs(10),
            concurrency_max: 512,
            anonymous_writers: None,
            cursor_key,
        }
    }
}

/// **Port.** Verification runs, as the pipeline offers them.
#[async_trait]
pub trait VerifyRuns: Send + Sync {
    /// Begins a run and gives back its id; [`Self::report`] says `running` from then on. The members of the request have
    /// been checked.
    ///
    /// # Errors
    /// When no run can be begun now; the text is for the log.
    async fn start(&self, request: VerifyBody) -> Result<String, String>;

    /// A run's report as JSON text; `None` when there is none of that id.
    async fn report(&self, run: &str) -> Option<String>;
}

/// Body of `POST /v1/verify`; every member is optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyBody {
    /// Only this ledger: its number, or `directory`.
    #[serde(default, deserialize_with = "ledger_name")]
    pub ledger: Option<String>,
    /// Only events not before.
    pub since: Option<String>,
    /// Only events before.
    pub until: Option<String>,
    /// Signed notes the caller kept.
    #[serde(default)]
    pub checkpoints: Vec<String>,
}

/// A ledger is a number or a name.
fn ledger_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Name {
        Number(u64),
        Text(String),
    }
    let name: Option<Name> = Deserialize::deserialize(deserializer)?;
    Ok(name.map(|name| match name {
        Name::Number(number) => number.to_string(),
        Name::Text(text) => text,
    }))
}

/// State of a component: its name, and whether it works.
pub type ComponentHealth = (String, Health);

/// What this process is doing, for `/v1/status`.
#[derive(Debug, Clone, Default)]
pub struct ProcessStatus {
    /// The name under which it holds leases.
    pub owner: String,
    /// State of the store's circuit breaker: `closed`, `half-open` or `open`.
    pub breaker: &'static str,
    /// Its lanes by ledger, and whether each waits for an operator.
    pub lanes: Vec<(LedgerId, bool)>,
    /// Broker and spool, where there is a spool.
    pub overflow: Option<OverflowHealth>,
    /// Queues of other systems that it empties, as they were seconds ago.
    pub sources: Vec<SourceStanding>,
}

/// The parts of one process that the routes use. Cheap to clone.
#[derive(Clone)]
#[expect(missing_docs, reason = "each part's own comment says it")]
pub struct AppState {
    pub store: Store,
    /// Tiles of the store's ledgers.
    pub tiles: Arc<Tiles>,
    pub queue: Arc<dyn Producer>,
    pub frames: Arc<dyn FrameLookup>,
    pub acceptor: Arc<Acceptor>,
    pub checkpointed: Checkpointed,
    pub keys: Arc<dyn KeySource>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub registry: Arc<Registry>,
    pub deployment_id: Arc<str>,
    pub verify: Arc<dyn VerifyRuns>,
    /// Renders the Prometheus page.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// State of every component now; ready when all are fine.
    pub readiness: Arc<dyn Fn() -> Vec<ComponentHealth> + Send + Sync>,
    /// What this process is doing now.
    pub process: Arc<dyn Fn() -> ProcessStatus + Send + Sync>,
    /// Bounds what each API key may send; no bound when absent.
    pub rates: Option<Arc<KeyRates>>,
    /// Whoever configures the surface replaces them. Without a sender they stay as they are.
    pub settings: watch::Receiver<Arc<HttpSettings>>,
    pub key_cache: Arc<KeyCache>,
    pub read_audit: Arc<ReadAudit>,
    /// The configuration, where the process has one that can change.
    pub configuration: Option<Arc<dyn ConfigurationControl>>,
    /// Detection and alerts, where the process has them.
    pub detection: Option<DetectionSurface>,
    /// What the monitoring path of the list worker compares with.
    pub last_minute: Arc<LastMinute>,
}

impl AppState {
    /// The bounds of this moment; a request asks once for those that belong together.
    pub(crate) fn settings(&self) -> Arc<HttpSettings> {
        Arc::clone(&self.settings.borrow())
    }

    /// The time by this process's clock.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::clamped(self.clock.now_micros())
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState")
            .field("deployment_id", &self.deployment_id)
            .finish_non_exhaustive()
    }
}
