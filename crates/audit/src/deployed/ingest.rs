//! Taking events in a process of its own, whatever of the broker and the store is away.

use std::sync::Arc;
use std::time::Duration;

use audit_config::Settings;
use audit_integrity::keys::KeySource as _;
use audit_keydir::{FileAnchor, KeyDir};
use audit_pipeline::{KeyRates, OverflowSettings, OverflowState, Registry, Spool};
use audit_queue_embedded::EmbeddedQueue;
use audit_store::Store;
use audit_store_postgres::PostgresStore;

use super::key_copy::{CopiedKeys, CopyParts};
use super::watch::{Broker, WhenAway};
use super::{Process, with_settings};
use crate::assembly::{Adapters, DetectionPlan, Overflow};
use crate::error::StartError;
use crate::keys::{Keys, lock_start, open_keys};
use crate::reconfigure::Ends;
use crate::running::Audit;

/// Starts an ingest. With a key directory that a worker has made it needs neither store nor broker to be there.
///
/// # Errors
/// Which part does not start, and why; nothing runs then.
pub async fn start_ingest(settings: &Settings) -> Result<Audit, StartError> {
    let process = Process::open(settings, "ingest")?;
    let postgres = PostgresStore::unconnected(audit_store_postgres::Settings {
        migrate: false,
        ..process.postgres.clone()
    })
    .map_err(|source| StartError::Postgres(Box::new(source)))?;
    let mut store = postgres.store();
    let keys = keys_of(&process, &store).await?;
    postgres.belongs_to(keys.dir.deployment_id());
    let copy = CopiedKeys::open(CopyParts {
        inner: Arc::clone(&store.api_keys),
        file: settings.data_dir.join("api-keys.sealed"),
        lane_key: keys.dir.lane_key().await.map_err(StartError::LaneKey)?,
        clock: Arc::clone(&process.clock),
        random: Arc::clone(&process.random),
    });
    let copy = Arc::new(copy);
    store.api_keys = Arc::clone(&copy) as _;
    let spool = open_spool(settings, &process)?;
    let queue = Arc::new(process.redis()?);
    let ends = Ends {
        store: with_settings(&postgres, settings),
        spool: Some(Arc::clone(&spool)),
        ..Ends::of_queue(Arc::clone(&queue) as _)
    };
    let adapters = Adapters {
        store,
        producer: Arc::clone(&queue) as _,
        consumer: Arc::clone(&queue) as _,
        frames: Arc::clone(&queue) as _,
        closing: vec![
            Arc::clone(&spool) as _,
            Arc::clone(&queue) as _,
            Arc::new(postgres),
        ],
    };
    let overflow = Overflow {
        spool: Spool {
            producer: Arc::clone(&spool) as _,
            consumer: Arc::clone(&spool) as _,
            frames: spool,
        },
        state: OverflowState::default(),
        settings: OverflowSettings {
            critical_per_second: settings.ingest.critical_per_second_per_key,
            ..OverflowSettings::default()
        },
        rates: Arc::new(KeyRates::new(settings.ingest.events_per_second_per_key)),
    };
    let broker = Broker::new(queue, WhenAway::Degraded);
    let probes = vec![broker.probe(), copy.probe()];
    // Workers look at what is stored.
    let detection = DetectionPlan::Off;
    let registry = Registry::default();
    let assembly = process.assembly(settings, registry, keys, adapters, ends, detection);
    let audit = assembly.ingest(overflow, probes);
    audit.in_background("broker", |stop| broker.watch(stop));
    audit.in_background("API keys", |stop| copy.keep(stop));
    Ok(audit)
}

/// How long an ingest that was started before the first worker waits for it.
const FIRST_WORKER_WAIT: Duration = Duration::from_secs(60);

/// The keys: as any process opens them, or, with the store away, from a directory that is complete already.
async fn keys_of(process: &Process, store: &Store) -> Result<Keys, StartError> {
    let deadline = tokio::time::Instant::now() + FIRST_WORKER_WAIT;
    loop {
        match open_once(process, store).await {
            // Nothing of the deployment is there yet: the first worker makes the schema and the keys.
            Err(StartError::Read(error)) if tokio::time::Instant::now() < deadline => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "waiting for a worker to set up the deployment"
                );
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            other => return other,
        }
    }
}

async fn open_once(process: &Process, store: &Store) -> Result<Keys, StartError> {
    let place = &process.place;
    let _alone = lock_start(&place.dir).await?;
    let ledgers = process.all_ledgers();
    let opened = open_keys(place, store, &ledgers, &process.clock, &process.random).await;
    match opened {
        Err(StartError::Read(error)) if KeyDir::exists(&place.dir)? => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store does not answer; the key directory is believed to be its own"
            );
            let dir = KeyDir::open_or_create(
                &place.dir,
                place.deployment_id.as_deref(),
                Arc::clone(&process.random),
                Arc::clone(&process.clock),
            )?;
            Ok(Keys {
                dir: Arc::new(dir),
                anchor: Arc::new(FileAnchor::at(&place.dir.join("anchor"))),
            })
        }
        other => other,
    }
}

/// The spool is bounded by its bytes only.
pub(crate) const SPOOL_EVENTS_MAX: u64 = u64::MAX >> 1;

fn open_spool(settings: &Settings, process: &Process) -> Result<Arc<EmbeddedQueue>, StartError> {
    let options = audit_queue_embedded::Options {
        events_max: SPOOL_EVENTS_MAX,
        bytes_max: settings.ingest.spool_bytes_max,
        ..audit_queue_embedded::Options::default()
    };
    let path = settings.data_dir.join("spool.db");
    let opened = EmbeddedQueue::open(&path, options, Arc::clone(&process.clock));
    let opened = opened.map_err(|source| StartError::Queue {
        dir: settings.data_dir.clone(),
        source,
    })?;
    Ok(Arc::new(opened))
}
