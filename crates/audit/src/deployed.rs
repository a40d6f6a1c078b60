//! The deployed form: many processes over one PostgreSQL and one Redis.
//!
//! A *worker* has lanes, may become the steward that signs, and serves the whole HTTP surface. An *ingest* takes events,
//! keeps a spool for when the broker is away, and asks the store only what it must.
//!
//! # Keys
//! All processes of a deployment on one machine share one key directory (`keys.dir`): lanes and the direct way of an ingest
//! need the lane key, whoever signs needs the signing keys, and the anchor in it is how the others learn what was signed.

mod ingest;
mod instance;
mod key_copy;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use audit_config::{
    BatchSettings, PostgresSettings, QueueBackend, RedisSettings, Settings, SourceSettings,
    StoreSettings,
};
use audit_integrity::ledger::LedgerId;
use audit_monitor::{Engine, Limits, RuleSet};
use audit_monitor_redis::RedisWindows;
use audit_pipeline::{AcceptSettings, LaneSettings, OnMismatch, ProofPolicy, Registry};
use audit_queue_redis::RedisQueue;
use audit_runtime::{BreakerSettings, Clock, Random, SystemClock, SystemRandom};
use audit_store_postgres::PostgresStore;

use crate::assembly::{Adapters, Assembly, Closing, DetectionPlan, Plan, SharedKeys};
use crate::detection::{Windows, plan_of};
use crate::error::StartError;
use crate::keys::{KeyPlace, lock_start, open_keys};
use crate::reconfigure::Ends;
use crate::running::Audit;
use crate::sources::{self, Opened};
pub(crate) use instance::Instance;

pub(crate) use ingest::SPOOL_EVENTS_MAX;
pub use ingest::start_ingest;

/// Starts a worker: migrates the store if need be, opens the ledgers, and works on those that are free.
///
/// # Errors
/// Which part does not start, and why; nothing runs then.
pub async fn start_worker(settings: &Settings, registry: Registry) -> Result<Audit, StartError> {
    let process = Process::open(settings, "worker")?;
    let postgres = PostgresStore::open(process.postgres.clone())
        .await
        .map_err(|source| StartError::Postgres(Box::new(source)))?;
    let store = postgres.store();
    let keys = {
        let _alone = lock_start(&process.place.dir).await?;
        open_keys(
            &process.place,
            &store,
            &process.all_ledgers(),
            &process.clock,
            &process.random,
        )
        .await?
    };
    // From here on no connection may lead into another deployment's database.
    postgres.belongs_to(keys.dir.deployment_id());
    let queue = Arc::new(process.redis()?);
    let others = sources::open(&settings.sources, &process.random)?;
    let (consumer, together) = sources::together(
        Arc::clone(&queue) as _,
        &others,
        Arc::clone(&keys.dir) as _,
        Arc::clone(&process.random),
        settings.accept_max_ahead,
    );
    let mut closing: Vec<_> = others.iter().map(Opened::closing).collect();
    let ends = Ends {
        store: with_settings(&postgres, settings),
        sources: together,
        ..Ends::of_queue(Arc::clone(&queue) as _)
    };
    let windows = Arc::new(process.windows()?);
    closing.extend([
        Arc::clone(&windows) as Arc<dyn Closing>,
        Arc::clone(&queue) as _,
        Arc::new(postgres),
    ]);
    let adapters = Adapters {
        store,
        producer: Arc::clone(&queue) as _,
        consumer,
        frames: Arc::clone(&queue) as _,
        closing,
    };
    let detection = plan_of(
        Arc::new(settings.clone()),
        Windows::Shared(windows),
        &process.clock,
    )?;
    let assembly = process.assembly(settings, registry, keys, adapters, ends, detection);
    let broker = watch::Broker::new(queue, watch::WhenAway::Failing);
    let probes = others.iter().map(Opened::probe).chain([broker.probe()]);
    let looks = others.iter().map(Opened::look_at).collect();
    let audit = assembly.worker(probes.collect(), looks).await?;
    audit.in_background("broker", |stop| broker.watch(stop));
    audit.in_background("sources", |stop| sources::watch(others, stop));
    Ok(audit)
}

#[async_trait]
impl Closing for PostgresStore {
    async fn close(&self) {
        Self::close(self).await;
    }
}

#[async_trait]
impl Closing for RedisQueue {
    async fn close(&self) {
        Self::close(self).await;
    }
}

#[async_trait]
impl Closing for RedisWindows {
    async fn close(&self) {
        Self::close(self).await;
    }
}

/// What a process of the deployment is, before anything is connected.
struct Process {
    /// Held for as long as it runs.
    instance: Instance,
    place: KeyPlace,
    postgres: audit_store_postgres::Settings,
    redis: audit_queue_redis::Settings,
    ledgers: Vec<LedgerId>,
    direct: LedgerId,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Process {
    fn open(settings: &Settings, kind: &str) -> Result<Self, StartError> {
        let (StoreSettings::Postgres(postgres), QueueBackend::Redis(redis)) =
            (&settings.store, &settings.queue.backend)
        else {
            return Err(StartError::NotDeployed);
        };
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let key_dir = settings.key_directory();
        Ok(Self {
            instance: Instance::open(&settings.data_dir, kind, &*random)?,
            place: KeyPlace {
                verifier_keys: settings.data_dir.join("verifier.key"),
                deployment_id: settings.deployment_id.clone(),
                dir: key_dir,
            },
            postgres: postgres_settings(postgres)?,
            redis: redis_settings(redis, settings)?,
            ledgers: (0..settings.ledgers).map(LedgerId::Events).collect(),
            // After those of the lanes: raising `ledgers` later makes it an ordinary one.
            direct: LedgerId::Events(settings.ledgers),
            clock: Arc::new(SystemClock),
            random,
        })
    }

    fn all_ledgers(&self) -> Vec<LedgerId> {
        self.ledgers.iter().copied().chain([self.direct]).collect()
    }

    fn redis(&self) -> Result<RedisQueue, StartError> {
        RedisQueue::new(self.redis.clone(), Arc::clone(&self.random))
            .map_err(|source| StartError::Redis(Box::new(source)))
    }

    /// The windows of detection, beside the queue and named after it. They get their rules before they are used.
    fn windows(&self) -> Result<RedisWindows, StartError> {
        let mut windows = audit_monitor_redis::Settings::at(self.redis.address.clone());
        windows.name.clone_from(&self.redis.name);
        let rules = Engine::new(Arc::new(RuleSet::default()), Limits::default());
        RedisWindows::new(windows, Arc::new(rules), Arc::clone(&self.random))
            .map_err(|source| StartError::Redis(Box::new(source)))
    }

    fn assembly(
        self,
        settings: &Settings,
        registry: Registry,
        keys: crate::keys::Keys,
        adapters: Adapters,
        ends: Ends,
        detection: DetectionPlan,
    ) -> Assembly {
        let plan = Plan {
            owner: self.instance.owner().to_owned(),
            ledgers: self.ledgers,
            lanes: usize::from(settings.lanes),
            admin_key: self.place.dir.join("admin.key"),
            shared_keys: Some(SharedKeys {
                dir: self.place.dir,
                direct: self.direct,
            }),
            accept: AcceptSettings {
                max_ahead: settings.accept_max_ahead,
                ..AcceptSettings::default()
            },
            lane: LaneSettings {
                batch_by_depth: batch_by_depth(&settings.batch),
                batch_bytes_max: settings.batch.bytes_max,
                proofs: proofs(settings.proofs),
                ..lane_settings(self.redis.hold, &settings.sources)
            },
            breaker: breaker(&settings.breaker),
            shutdown_grace: settings.shutdown_grace,
            detection,
            _instance: Some(self.instance),
        };
        Assembly {
            plan,
            registry: Arc::new(registry),
            keys,
            adapters,
            clock: self.clock,
            random: self.random,
            ends,
        }
    }
}

pub(crate) fn postgres_settings(
    settings: &PostgresSettings,
) -> Result<audit_store_postgres::Settings, StartError> {
    let address = |url: &audit_config::Secret| {
        let parsed: Result<audit_store_postgres::ConnectionString, _> = url.expose().parse();
        parsed.map_err(|source| StartError::Postgres(Box::new(source)))
    };
    let mut postgres = audit_store_postgres::Settings::new(address(&settings.url)?);
    postgres.searches = settings.replica_url.as_ref().map(address).transpose()?;
    postgres.connections_max = settings.connections_max;
    postgres.connect_timeout = settings.connect_timeout;
    postgres.statement_timeout = settings.statement_timeout;
    Ok(postgres)
}

fn redis_settings(
    redis: &RedisSettings,
    settings: &Settings,
) -> Result<audit_queue_redis::Settings, StartError> {
    let address: Result<audit_queue_redis::Address, _> = redis.url.expose().parse();
    let address = address.map_err(|source| StartError::Redis(Box::new(source)))?;
    let mut queue = audit_queue_redis::Settings::at(address);
    queue.name.clone_from(&redis.name);
    queue.events_max = settings.queue.events_max;
    queue.bytes_max = settings.queue.bytes_max;
    queue.accept_loss = redis.accept_loss;
    queue.hold = redis.hold;
    Ok(queue)
}

/// The store, with what it was opened by.
fn with_settings(
    store: &PostgresStore,
    settings: &Settings,
) -> Option<(PostgresStore, PostgresSettings)> {
    match &settings.store {
        StoreSettings::Postgres(postgres) => Some((store.clone(), postgres.clone())),
        StoreSettings::Sqlite => None,
    }
}

/// As it is known where it is used.
#[must_use]
pub const fn breaker(settings: &audit_config::BreakerSettings) -> BreakerSettings {
    BreakerSettings {
        failures_max: settings.failures,
        pause: settings.pause,
    }
}

/// Deliveries of one batch by depth of the queue, as `LaneSettings` has them: one number at every depth when it is configured.
#[must_use]
pub fn batch_by_depth(batch: &BatchSettings) -> Vec<(u64, usize)> {
    match batch.deliveries {
        Some(deliveries) => vec![(0, deliveries)],
        None => LaneSettings::default().batch_by_depth,
    }
}

/// As lanes know it.
#[must_use]
pub const fn proofs(settings: audit_config::ProofSettings) -> ProofPolicy {
    const fn of(settings: audit_config::OnMismatch) -> OnMismatch {
        match settings {
            audit_config::OnMismatch::Record => OnMismatch::Record,
            audit_config::OnMismatch::Alert => OnMismatch::Alert,
            audit_config::OnMismatch::DeadLetter => OnMismatch::DeadLetter,
        }
    }
    ProofPolicy {
        smart_logs: of(settings.smart_logs),
        pake_v1: of(settings.pake),
    }
}

/// A lane renews what it holds four times before any hold runs out, and has given up its calls by half of our own queue's: what
/// another system's queue hands out again meanwhile is recognised.
fn lane_settings(hold: Duration, sources: &[SourceSettings]) -> LaneSettings {
    let usual = LaneSettings::default();
    let holds = sources.iter().filter_map(|source| source.hold);
    let shortest = holds.fold(hold, Duration::min);
    LaneSettings {
        renew_every: usual.renew_every.min(shortest / 4),
        call_timeout: usual.call_timeout.min(hold / 2),
        ..usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_keep_what_they_hold_however_short_the_hold_is() {
        let usual = LaneSettings::default();
        for seconds in [10, 15, 60, 3_600] {
            let text = format!(
                r#"{{"store":{{"backend":"postgres","url":"postgresql://h/d","statementTimeoutMs":4000}},
                    "queue":{{"backend":"redis","url":"redis://h","holdMs":{seconds}000}}}}"#
            );
            let settings = Settings::from_json(&text, &|_name| None).expect("it is fine");
            let QueueBackend::Redis(redis) = &settings.queue.backend else {
                panic!("no Redis in {settings:?}");
            };
            let hold = redis_settings(redis, &settings).expect("an address").hold;
            assert_eq!(hold, Duration::from_secs(seconds));
            let lane = lane_settings(hold, &[]);
            assert!(lane.renew_every <= usual.renew_every && lane.renew_every * 4 <= hold);
            assert!(lane.call_timeout <= usual.call_timeout && lane.call_timeout * 2 <= hold);
        }
        let lane = lane_settings(Duration::from_secs(60), &[]);
        assert_eq!(
            (lane.renew_every, lane.call_timeout),
            (usual.renew_every, usual.call_timeout)
        );
    }
}
