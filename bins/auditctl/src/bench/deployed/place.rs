//! Where measurements take place: each has a database, a queue, a key directory and processes of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use audit_monitor::{Engine, Limits};
use audit_monitor_redis::RedisWindows;
use audit_queue_redis::bench::Server as RedisServer;
use audit_queue_redis::{Address, RedisQueue};
use audit_runtime::{Random as _, SystemRandom};
use audit_store::{Receipts, Via};
use audit_store_postgres::PostgresStore;
use audit_store_postgres::bench::Server as PostgresServer;

use super::super::measure;
use super::super::process::{Process, program};
use super::Args;
use crate::error::CliError;

/// Time between two looks at the receipts: one small query each.
const POLL: Duration = Duration::from_millis(10);
/// The same while much is missing: the reference has nobody who watches it, and every look costs the server's time.
const POLL_FAR: Duration = Duration::from_millis(100);
/// The same at the queue, before anything is measured.
const HANDED_OUT_POLL: Duration = Duration::from_millis(1);
/// Longest wait without any progress; a lease of a process that was ended runs out within 15 s.
const STALLED: Duration = Duration::from_secs(60);
/// Bytes of a waiting event, generously: nothing is to be refused when a queue is filled.
const WAITING_BYTES: u64 = 2_048;

/// Both servers, and what was made on them.
#[derive(Debug)]
pub(super) struct Place {
    args: Args,
    pub(super) postgres: PostgresServer,
    /// Begins every name.
    prefix: String,
    /// Names of what was made and not removed; held only while a name is added or taken.
    made: Mutex<Vec<String>>,
}

/// A database, a queue and a directory.
#[derive(Debug)]
pub(super) struct Site {
    directory: tempfile::TempDir,
    config: PathBuf,
    store: String,
    queue: String,
    programs: Option<PathBuf>,
    pub(super) receipts: std::sync::Arc<dyn Receipts>,
    pub(super) redis: RedisServer,
    /// Only to be asked how it stands.
    waiting: RedisQueue,
}

/// How far the events of a site are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) events: u64,
    pub(super) at: Instant,
}

impl Place {
    pub(super) fn new(args: &Args) -> Result<Self, CliError> {
        let postgres = PostgresServer::at(&args.postgres).map_err(|error| usage(&error))?;
        let mut random = [0; 6];
        SystemRandom.fill(&mut random);
        Ok(Self {
            args: args.clone(),
            postgres,
            prefix: format!("audit_bench_{}", hex::encode(random)),
            made: Mutex::default(),
        })
    }

    /// A new empty database: its name and address.
    pub(super) async fn database(&self) -> Result<(String, String), CliError> {
        let name = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let name = format!("{}_{}", self.prefix, made.len());
            made.push(name.clone());
            name
        };
        let address = self.postgres.create(&name).await;
        Ok((name, address.map_err(|error| usage(&error))?))
    }

    /// A new site, nothing of it running yet, with or without detection.
    pub(super) async fn site(&self, detects: bool) -> Result<Site, CliError> {
        let (name, store) = self.database().await?;
        let directory = measure::directory(self.args.dir.as_deref())?;
        let events = self.args.events * 2;
        let config = serde_json::json!({
            "keys": { "dir": directory.path().join("keys") },
            "ledgers": self.args.lanes,
            "lanes": self.args.lanes,
            "detection": { "enabled": detects },
            "store": { "backend": "postgres", "url": "${AUDIT_BENCH_STORE}" },
            "queue": {
                "backend": "redis", "url": "${AUDIT_BENCH_QUEUE}", "queueName": name,
                "eventsMax": events, "bytesMax": events * WAITING_BYTES,
            },
        });
        let path = directory.path().join("config.json");
        std::fs::write(&path, config.to_string())
            .map_err(|error| CliError::file("write", &path, &error))?;
        let settings = audit_store_postgres::Settings {
            connections_max: 1,
            ..audit_store_postgres::Settings::new(store.parse().map_err(|error| usage(&error))?)
        };
        let postgres = PostgresStore::unconnected(settings).map_err(|error| usage(&error))?;
        Ok(Site {
            directory,
            config: path,
            store,
            queue: self.args.redis.clone(),
            programs: self.args.programs.clone(),
            receipts: postgres.store().receipts,
            redis: RedisServer::of(self.queue(&name)?).map_err(|error| usage(&error))?,
            waiting: self.observer(&name)?,
        })
    }

    /// How safe is what Redis acknowledges; an error when it would not be safe.
    pub(super) async fn durability(&self) -> Result<String, CliError> {
        let queue = self.observer(&self.prefix)?;
        let ready = queue.ready().await.map_err(|error| usage(&error))?;
        Ok(format!("{ready:?}").to_lowercase())
    }

    /// Removes everything that was made.
    pub(super) async fn clear(&self) -> Result<(), CliError> {
        loop {
            let last = {
                let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                made.last().cloned()
            };
            let Some(name) = last else { return Ok(()) };
            let dropped = self.postgres.drop(&name).await;
            dropped.map_err(|error| usage(&error))?;
            let redis = RedisServer::of(self.queue(&name)?).map_err(|error| usage(&error))?;
            let removed = redis.remove_queue().await;
            removed.map_err(|error| usage(&error))?;
            let removed = self.windows(&name)?.remove().await;
            removed.map_err(|error| usage(&error))?;
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            made.retain(|other| *other != name);
        }
    }

    /// The windows of detection that a worker made beside its queue.
    fn windows(&self, name: &str) -> Result<RedisWindows, CliError> {
        let mut settings = audit_monitor_redis::Settings::at(self.queue(name)?.address);
        name.clone_into(&mut settings.name);
        let rules = Engine::new(std::sync::Arc::default(), Limits::default());
        let random = std::sync::Arc::new(SystemRandom);
        RedisWindows::new(settings, std::sync::Arc::new(rules), random)
            .map_err(|error| usage(&error))
    }

    fn observer(&self, name: &str) -> Result<RedisQueue, CliError> {
        RedisQueue::new(self.queue(name)?, std::sync::Arc::new(SystemRandom))
            .map_err(|error| usage(&error))
    }

    fn queue(&self, name: &str) -> Result<audit_queue_redis::Settings, CliError> {
        let address: Address = self.args.redis.parse().map_err(|error| usage(&error))?;
        let mut settings = audit_queue_redis::Settings::at(address);
        name.clone_into(&mut settings.name);
        Ok(settings)
    }
}

impl Site {
    /// Starts a worker and does not wait for it.
    pub(super) fn start_worker(&self) -> Result<Process, CliError> {
        self.start("worker")
    }

    /// Starts a worker, and waits until it is ready.
    pub(super) async fn worker(&self) -> Result<Process, CliError> {
        let mut worker = self.start("worker")?;
        worker.ready().await?;
        Ok(worker)
    }

    /// Starts an ingest, and waits until it is ready.
    pub(super) async fn ingest(&self) -> Result<Process, CliError> {
        let mut ingest = self.start("audit-ingest")?;
        ingest.ready().await?;
        Ok(ingest)
    }

    fn start(&self, name: &'static str) -> Result<Process, CliError> {
        let directory = self.directory.path();
        let mut command = Command::new(program(self.programs.as_deref(), name)?);
        // Addresses may hold passwords: neither in a file nor among the arguments.
        command
            .env("AUDIT_BENCH_STORE", &self.store)
            .env("AUDIT_BENCH_QUEUE", &self.queue)
            .arg("--config")
            .arg(&self.config)
            .arg("--data-dir")
            .arg(directory.join(name));
        let key_file: &Path = &directory.join("keys").join("admin.key");
        Process::start(name, &mut command, directory, key_file)
    }

    /// Waits until somebody holds a frame, or held it and is done.
    pub(super) async fn handed_out(&self) -> Result<Instant, CliError> {
        let began = Instant::now();
        while began.elapsed() < STALLED {
            let standing = self.waiting.standing().await;
            let standing = standing.map_err(|error| usage(&error))?;
            if standing.held > 0 || standing.depth.frames == 0 {
                return Ok(Instant::now());
            }
            tokio::time::sleep(HANDED_OUT_POLL).await;
        }
        let what = "the worker takes nothing from the queue";
        Err(CliError::Usage(what.to_owned()))
    }

    /// Waits until at least so many events have receipts.
    pub(super) async fn stored(&self, wanted: u64) -> Result<Progress, CliError> {
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            // Right after the start there may be no table yet.
            let totals = self.receipts.totals(Via::Queue).await;
            let events = totals.map_or(0, |totals| totals.events);
            let at = Instant::now();
            if events >= wanted {
                return Ok(Progress { events, at });
            }
            if events > last {
                (last, moved) = (events, at);
            } else if moved.elapsed() > STALLED {
                return Err(CliError::Usage(format!(
                    "the deployment stays at {events} of {wanted} events stored"
                )));
            }
            let is_near = wanted - events <= wanted / 4;
            tokio::time::sleep(if is_near { POLL } else { POLL_FAR }).await;
        }
    }
}

/// The error with everything behind it.
pub(super) fn usage(error: &dyn std::error::Error) -> CliError {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    CliError::Usage(said)
}
