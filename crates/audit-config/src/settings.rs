//! What the two processes of a deployment are told: one tree for both, so that they can share a file.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::resolve::resolve;
use crate::values::Values;
use audit_runtime::Secret;

mod alerts;
mod detection;

pub use alerts::{
    AlertHandlerKind, AlertHandlerSettings, AlertLevel, AlertSettings, EscalationSettings, Share,
    SuppressionSettings, SystemAlertSettings,
};
pub use detection::{CustomsSettings, DetectionSettings, OrganizationCustoms, RuleTuningSettings};

/// What the `worker` and `audit-ingest` binaries are told. Each reads what concerns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `dataDir`: where this process keeps what is its own; default `./data`. One process a directory. Whoever can change it
    /// can hide the record.
    pub data_dir: PathBuf,
    /// `keys.dir`: the key directory; default `keys` in `dataDir`. All processes of a deployment on one machine share one.
    /// Whoever can read it can forge what the database says.
    pub keys_dir: Option<PathBuf>,
    /// `listen`: address and port of the worker; default `127.0.0.1:3001`. Beyond loopback, put TLS in front.
    pub listen: SocketAddr,
    /// `deploymentId`: name of the deployment; drawn at the first start when absent, immutable afterwards.
    pub deployment_id: Option<String>,
    /// `logFormat`: `human` or `json`; default `human`.
    pub log_format: LogFormat,
    /// `logFilter`: what is logged, in the syntax of `tracing`'s `EnvFilter`; default `info`.
    pub log_filter: String,
    /// `ledgers`: event ledgers of the deployment; default 4 with PostgreSQL, 1 with SQLite. Never lower it on existing data.
    pub ledgers: u16,
    /// `lanes`: ledgers that one worker leases at once at most; default all of them. Others are left to other workers.
    pub lanes: u16,
    /// `batch.*`: what a lane takes at once.
    pub batch: BatchSettings,
    /// `breaker.*`: what happens while the store is away.
    pub breaker: BreakerSettings,
    /// `store.*`: where events are kept.
    pub store: StoreSettings,
    /// `queue.*`: where events wait.
    pub queue: QueueSettings,
    /// `ingest.*`: what concerns `audit-ingest` only.
    pub ingest: IngestSettings,
    /// `compat.*`: what concerns producers of replaced systems.
    pub compat: CompatSettings,
    /// `http.bodyBytesMax`: bytes of a request body, also decompressed; default 16,777,216.
    pub http_body_bytes_max: u64,
    /// `http.itemsMax`: events of a request; default 10,000.
    pub http_items_max: u64,
    /// `accept.maxAheadMs`: how far ahead of its arrival an event may say it happened; default 300,000.
    pub accept_max_ahead: Duration,
    /// `shutdown.drainDelayMs`: how long `/readyz` says 503 before the listener closes; default 0.
    pub drain_delay: Duration,
    /// `shutdown.graceMs`: how long each group of tasks may take to end; default 20,000.
    pub shutdown_grace: Duration,
    /// `sources`: queues of other systems that workers empty.
    pub sources: Vec<SourceSettings>,
    /// `configuration.*`: how a change of the configuration is noticed and taken.
    pub reload: ReloadSettings,
    /// `proofs.*`: what is done with events whose producer's own hash or signature does not match.
    pub proofs: ProofSettings,
    /// `detection.*`: which rules look at stored events, and how.
    pub detection: DetectionSettings,
    /// `alerts.*`: who is told of what, and when not.
    pub alerts: AlertSettings,
}

/// `batch.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSettings {
    /// `batch.deliveries`, or `reliableProcessor.batchProcessing.batchSize`: deliveries of one batch at most; by default as many
    /// as the depth of the queue asks for.
    pub deliveries: Option<usize>,
    /// `batch.bytesMax`: bytes of one batch at most, unfolded; default 3,145,728.
    pub bytes_max: usize,
}

/// `breaker.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// `breaker.failures`: outages in a row after which the store is left alone for a while; default 3.
    pub failures: u32,
    /// `breaker.pauseMs`: how long; default 1,000.
    pub pause: Duration,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Where events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreSettings {
    /// A file in the data directory, for one process.
    Sqlite,
    /// A PostgreSQL server, for many.
    Postgres(PostgresSettings),
}

/// `store.*` with `store.backend` = `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `store.url`, or `enhancedClient.connectionString`: `postgresql://user:password@host:port/database?sslmode=verify-full`.
    /// Must reach the server itself: lanes keep sessions, which a pooler in transaction mode breaks.
    pub url: Secret,
    /// `store.maxConnections`, or `enhancedClient.maxConnections`: connections of one process at most; default 10.
    pub connections_max: u32,
    /// `store.connectTimeoutMs`: how long a connection may take to be made; default 5,000.
    pub connect_timeout: Duration,
    /// `store.statementTimeoutMs`: how long the server may work on one statement; default 20,000.
    pub statement_timeout: Duration,
    /// `store.replicaUrl`: a read replica, or a pooler, for searches; default none. May lag: a search may then, too. While it is
    /// away the primary serves them.
    pub replica_url: Option<Secret>,
}

/// `queue.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// `queue.eventsMax`: the high-water mark: events that may wait before ordinary ones get 503; default 1,000,000.
    pub events_max: u64,
    /// `queue.bytesMax`: the same in bytes, as kept; whichever comes first; default 536,870,912.
    pub bytes_max: u64,
    /// `queue.backend`.
    pub backend: QueueBackend,
}

/// What stands behind the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueBackend {
    /// A file in the data directory, for one process.
    Embedded,
    /// A Redis server, for many.
    Redis(RedisSettings),
}

/// `queue.*` with `queue.backend` = `redis`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// `queue.url`, or made of `redis.host`, `redis.port`, `redis.password` and `redis.db`: `redis://user:password@host:port/db`.
    pub url: Secret,
    /// `queue.queueName`, or `reliableProcessor.queueName`: part of every key, so that deployments can share a server; default
    /// `audit-events`.
    pub name: String,
    /// `queue.acceptLoss`: takes events although the server may lose them; default `false`. The answers then say so.
    pub accept_loss: bool,
    /// `queue.holdMs`: how long what a worker received stays its own without a sign of life; then others get it; default 60,000,
    /// from 10,000 to 3,600,000, more than twice `store.statementTimeoutMs`. Whoever sets it low has a worker that stood still
    /// do its work twice (it is recognised and stored once).
    pub hold: Duration,
}

/// `ingest.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestSettings {
    /// `ingest.listen`: address and port of `audit-ingest`; default `127.0.0.1:3002`. Beyond loopback, put TLS in front.
    pub listen: SocketAddr,
    /// `ingest.spoolBytesMax`: bytes that may wait on this disk while the broker is away; default 268,435,456.
    pub spool_bytes_max: u64,
    /// `ingest.eventsPerSecondPerKey`: events that one API key may send each second; default no limit.
    pub events_per_second_per_key: Option<u32>,
    /// `ingest.criticalPerSecondPerKey`: events of severity `critical` that one API key may have written past the mark, straight
    /// to the store, each second; default 100. More go to the spool.
    pub critical_per_second_per_key: u32,
}

/// `compat.*`: senders that have no API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompatSettings {
    /// `compat.organizationId`: the organisation whose events may be sent without a key, and the only one; default none, and
    /// then nobody sends without a key.
    pub organization_id: Option<String>,
    /// `compat.anonymousWriters`: ranges of addresses (CIDR) that may; default the loopback ranges for a listener that is bound to
    /// loopback, else none. The address is that of the connection: behind a proxy every sender has the proxy's.
    pub anonymous_writers: Option<Vec<IpNet>>,
    /// `compat.anonymousPerSecond`: events of one such address each second; default 100.
    pub anonymous_per_second: u32,
}

impl CompatSettings {
    /// Who may send without a key through a listener, and for which organisation; `None` when nobody may.
    #[must_use]
    pub fn anonymous_at(&self, listen: SocketAddr) -> Option<(&str, Vec<IpNet>)> {
        let organization = self.organization_id.as_deref()?;
        let ranges = match &self.anonymous_writers {
            Some(named) => named.clone(),
            None if listen.ip().to_canonical().is_loopback() => loopback(),
            None => Vec::new(),
        };
        (!ranges.is_empty()).then_some((organization, ranges))
    }
}

/// 127.0.0.0/8 and ::1/128.
fn loopback() -> Vec<IpNet> {
    let v4 = Ipv4Net::new(Ipv4Addr::LOCALHOST, 8).map(|net| IpNet::V4(net.trunc()));
    let v6 = Ipv6Net::new(Ipv6Addr::LOCALHOST, 128).map(IpNet::V6);
    v4.into_iter().chain(v6).collect()
}

/// One of `sources`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// What it is.
    pub queue: SourceQueue,
    /// `url`: of the Redis that it is in; default `queue.url`.
    pub url: Secret,
    /// `organizationId`: of events that name none, and the only one that others may name.
    pub organization: Option<String>,
    /// `holdMs`: how long what a worker took stays its own without a sign of life; the adapter's default when absent.
    pub hold: Option<Duration>,
    /// Where it is, without credentials, when another source elsewhere has its kind and keys: ends its name.
    pub told_apart_by: Option<String>,
}

impl SourceSettings {
    /// Its name in logs, metrics and health.
    #[must_use]
    pub fn name(&self) -> String {
        let name = match &self.queue {
            SourceQueue::Bullmq { queue, prefix, .. } => format!("bullmq:{prefix}:{queue}"),
            SourceQueue::RedisList { key, .. } => format!("redisList:{key}"),
        };
        match &self.told_apart_by {
            Some(place) => format!("{name}@{place}"),
            None => name,
        }
    }
}

/// A queue of another system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceQueue {
    /// `kind` = `bullmq`.
    Bullmq {
        /// `queueName`: of the producers' `Queue`.
        queue: String,
        /// `prefix`: the producers' prefix.
        prefix: String,
        /// `form`: of what the jobs carry.
        form: String,
        /// `deadLetterQueue`: where refused jobs are shown as well.
        dead_letter_queue: Option<String>,
    },
    /// `kind` = `redisList`.
    RedisList {
        /// `key`: the list that producers push to.
        key: String,
        /// `failedKey`: the list where refused items are shown as well.
        failed_key: String,
        /// `failedMax`: items in that list, at most.
        failed_max: u64,
    },
}

/// `configuration.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadSettings {
    /// `configuration.pollMs`: time between two looks at the source; zero never looks by itself. Default 30,000.
    pub poll: Duration,
    /// `configuration.watchMs`: how long a change is watched before it counts as good; zero does not watch. Default 30,000.
    pub watch: Duration,
    /// `configuration.onRestartKeys`.
    pub on_restart_keys: OnRestartKeys,
}

/// What is done with a change of keys that need a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRestartKeys {
    /// The rest is applied; they are named and wait for the next start.
    Defer,
    /// Nothing is applied.
    Refuse,
}

/// `proofs.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofSettings {
    /// `proofs.smartLogs`.
    pub smart_logs: OnMismatch,
    /// `proofs.pake`.
    pub pake: OnMismatch,
}

/// What is done with an event whose proof does not match; in every case the verdict is kept with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMismatch {
    /// It is stored, and counted.
    Record,
    /// An alert is raised, too.
    Alert,
    /// It is kept as a dead letter, and an alert is raised.
    DeadLetter,
}

impl Default for Settings {
    /// What holds without a configuration.
    fn default() -> Self {
        resolve(&mut Values::default(), &mut Vec::new())
    }
}

impl Settings {
    /// The key directory, wherever it is.
    #[must_use]
    pub fn key_directory(&self) -> PathBuf {
        self.keys_dir
            .clone()
            .unwrap_or_else(|| self.data_dir.join("keys"))
    }

    /// Whether the processes of this deployment share store and queue.
    #[must_use]
    pub const fn is_deployed(&self) -> bool {
        matches!(self.store, StoreSettings::Postgres(_))
    }
}
