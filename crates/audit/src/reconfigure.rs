//! Replacing settings while everything works.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use audit_config::{PostgresSettings, Settings, StoreSettings};
use audit_pipeline::{KeyRates, LaneSettings, Sources};
use audit_queue::Marks;
use audit_queue_embedded::EmbeddedQueue;
use audit_queue_redis::RedisQueue;
use audit_runtime::{Fault, Faulty as _};
use audit_store::ConfigVersions;
use audit_store_postgres::PostgresStore;
use tokio::sync::watch;

use crate::deployed::{SPOOL_EVENTS_MAX, batch_by_depth, breaker, postgres_settings, proofs};
use crate::error::StartError;
use crate::running::{Audit, Inner};

/// Connections for versions of the configuration: a query every half second.
const VERSIONS_CONNECTIONS: u32 = 1;

/// Settings are not taken up; those before stay in force, all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// Another backend than the running one.
    #[error("{key} cannot be another without a restart")]
    NeedsRestart {
        /// The key.
        key: &'static str,
    },
    /// The store's settings cannot be.
    #[error("the settings of the store cannot be")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Those of detection or alerts cannot be.
    #[error("the settings of detection cannot be")]
    Detection(#[from] crate::detection::DetectionProblem),
}

/// **Internal.** A queue whose high-water mark can be moved.
pub(crate) trait HighWater: Send + Sync {
    fn set_marks(&self, marks: Marks);
}

impl HighWater for EmbeddedQueue {
    fn set_marks(&self, marks: Marks) {
        Self::set_marks(self, marks);
    }
}

impl HighWater for RedisQueue {
    fn set_marks(&self, marks: Marks) {
        Self::set_marks(self, marks);
    }
}

/// What a form has at its ends.
pub(crate) struct Ends {
    pub(crate) queue: Arc<dyn HighWater>,
    /// Absent where the store has nothing to be reconfigured; with the settings that it was opened by.
    pub(crate) store: Option<(PostgresStore, PostgresSettings)>,
    pub(crate) sources: Option<Arc<Sources>>,
    pub(crate) spool: Option<Arc<EmbeddedQueue>>,
}

impl Ends {
    pub(crate) fn of_queue(queue: Arc<dyn HighWater>) -> Self {
        Self {
            queue,
            store: None,
            sources: None,
            spool: None,
        }
    }
}

/// What is reconfigured besides acceptor, breaker and rates.
pub(crate) struct Adjustable {
    ends: Ends,
    lane: watch::Sender<LaneSettings>,
    critical: Option<Arc<KeyRates>>,
    /// The settings of the store that are in force. Held through a reconfiguration: one after the other.
    store_settings: Mutex<Option<PostgresSettings>>,
    /// How often the store was reconfigured.
    generation: Arc<AtomicU64>,
    /// What leads to the versions of configurations: taken again as long as settings lead to the same place.
    versions: Mutex<Option<PostgresStore>>,
}

impl Adjustable {
    pub(crate) fn new(
        ends: Ends,
        lane: watch::Sender<LaneSettings>,
        critical: Option<Arc<KeyRates>>,
    ) -> Self {
        Self {
            store_settings: Mutex::new(ends.store.as_ref().map(|(_, settings)| settings.clone())),
            ends,
            lane,
            critical,
            generation: Arc::default(),
            versions: Mutex::default(),
        }
    }
}

impl Audit {
    /// Has everything go by these settings that can while it runs (`docs/configuration.md`, "on reload: at once"); what needs a
    /// restart stays as it is, and whoever calls has looked for that. Batches, statements and requests under way end as they
    /// began; nothing that was acknowledged is lost by any change.
    ///
    /// First what can be refused, the store, which connects to nothing here: an address where nobody answers, or which belongs
    /// to another deployment, is an outage of the component `store`, and these same calls with the settings before end it. Then,
    /// without fail: breaker, high-water marks, bounds of accept and of API keys, and the lanes.
    ///
    /// # Errors
    /// When the settings cannot be taken up; those before stay in force for every part.
    pub fn reconfigure(&self, settings: &Settings) -> Result<(), ReconfigureError> {
        let inner = &self.inner;
        let adjustable = &inner.adjustable;
        let mut store_settings = adjustable
            .store_settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ends = &adjustable.ends;
        let detection = crate::detection::options_of(settings, &inner.clock)?;
        match (&ends.store, &settings.store) {
            (Some((store, _)), StoreSettings::Postgres(postgres)) => {
                if store_settings.as_ref() != Some(postgres) {
                    let done = store.reconfigure(store_settings_of(postgres)?);
                    done.map_err(|source| ReconfigureError::Store(Box::new(source)))?;
                    *store_settings = Some(postgres.clone());
                    inner.look_at_new_store();
                }
            }
            (None, StoreSettings::Sqlite) => {}
            _ => {
                return Err(ReconfigureError::NeedsRestart {
                    key: "store.backend",
                });
            }
        }
        inner.breaker.set(breaker(&settings.breaker));
        ends.queue.set_marks(Marks {
            events_max: settings.queue.events_max,
            bytes_max: settings.queue.bytes_max,
        });
        if let Some(spool) = &ends.spool {
            spool.set_marks(Marks {
                events_max: SPOOL_EVENTS_MAX,
                bytes_max: settings.ingest.spool_bytes_max,
            });
        }
        inner.acceptor.set_max_ahead(settings.accept_max_ahead);
        if let Some(sources) = &ends.sources {
            sources.set_max_ahead(settings.accept_max_ahead);
        }
        if let Some(rates) = &inner.observed.rates {
            rates.set(settings.ingest.events_per_second_per_key);
        }
        if let Some(critical) = &adjustable.critical {
            critical.set(Some(settings.ingest.critical_per_second_per_key));
        }
        if let Some(detecting) = &inner.observed.detecting {
            detecting.go_by(settings, detection);
        }
        adjustable.lane.send_modify(|lane| {
            lane.batch_by_depth = batch_by_depth(&settings.batch);
            lane.batch_bytes_max = settings.batch.bytes_max;
            lane.proofs = proofs(settings.proofs);
        });
        Ok(())
    }

    /// Whether [`Self::reconfigure`] would take these settings up, without doing so.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check_settings(&self, settings: &Settings) -> Result<(), ReconfigureError> {
        crate::detection::options_of(settings, &self.inner.clock)?;
        match self.way_to_versions(settings)? {
            Some(few) => unconnected(few).map(drop),
            None => Ok(()),
        }
    }

    /// The versions of configurations in the store that settings name, which may be another than the running one's, of this
    /// deployment all the same. Connects to nothing yet.
    ///
    /// # Errors
    /// When [`Self::reconfigure`] would not take the settings up.
    pub fn versions_in(
        &self,
        settings: &Settings,
    ) -> Result<Arc<dyn ConfigVersions>, ReconfigureError> {
        let inner = &self.inner;
        let Some(few) = self.way_to_versions(settings)? else {
            return Ok(Arc::clone(&inner.adapters.store.configs));
        };
        let mut versions = inner
            .adjustable
            .versions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = versions.take().filter(|known| known.connects_as(&few));
        let named = match known {
            Some(known) => {
                let done = known.reconfigure(few);
                done.map_err(|source| ReconfigureError::Store(Box::new(source)))?;
                known
            }
            None => {
                let named = unconnected(few)?;
                named.belongs_to(&inner.deployment_id);
                named
            }
        };
        Ok(versions.insert(named).store().configs)
    }

    /// How the versions are reached that these settings lead to; `None` for those in the store of this process.
    fn way_to_versions(
        &self,
        settings: &Settings,
    ) -> Result<Option<audit_store_postgres::Settings>, ReconfigureError> {
        match (&self.inner.adjustable.ends.store, &settings.store) {
            (Some(_), StoreSettings::Postgres(postgres)) => {
                let mut few = store_settings_of(postgres)?;
                few.connections_max = VERSIONS_CONNECTIONS;
                few.searches = None;
                Ok(Some(few))
            }
            (None, StoreSettings::Sqlite) => Ok(None),
            _ => Err(ReconfigureError::NeedsRestart {
                key: "store.backend",
            }),
        }
    }
}

fn unconnected(
    settings: audit_store_postgres::Settings,
) -> Result<PostgresStore, ReconfigureError> {
    let named = PostgresStore::unconnected(settings);
    named.map_err(|source| ReconfigureError::Store(Box::new(source)))
}

fn store_settings_of(
    settings: &PostgresSettings,
) -> Result<audit_store_postgres::Settings, ReconfigureError> {
    postgres_settings(settings).map_err(|error| match error {
        StartError::Postgres(source) => ReconfigureError::Store(source),
        other => ReconfigureError::Store(Box::new(other)),
    })
}

impl Inner {
    /// Whoever replaced the settings wants to know soon whether the store answers, also when no lane has work: asks it until it
    /// answers or the breaker has opened.
    fn look_at_new_store(&self) {
        let generation = Arc::clone(&self.adjustable.generation);
        let mine = generation.fetch_add(1, Ordering::SeqCst) + 1;
        if self.observed.lanes.is_empty() {
            return;
        }
        let (writer, breaker) = (
            Arc::clone(&self.adapters.store.writer),
            Arc::clone(&self.breaker),
        );
        let stopping = self.stop_back.signal();
        self.back.spawn("look at the new store", async move {
            while breaker.state() == audit_runtime::BreakerState::Closed && !stopping.is_begun() {
                let answer = writer.probe().await;
                if generation.load(Ordering::SeqCst) != mine {
                    return;
                }
                match answer {
                    Err(error) if error.fault() == Fault::Outage => breaker.failed(),
                    // Whatever else is wrong is a lane's to say.
                    _ => return,
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use audit_event::Timestamp;
    use audit_pipeline::OnMismatch;
    use audit_runtime::{BreakerState, Random as _, SystemRandom};
    use audit_testkit::net::free_port;

    use super::*;
    use crate::deployed::start_ingest;
    use crate::{RecordError, Status, event};

    fn settings(text: &str) -> Settings {
        Settings::from_json(text, &|_name| None).expect("it is fine")
    }

    async fn record(audit: &Audit) -> Result<(), RecordError> {
        let event = event("record.read", Status::Success);
        audit.record(event).await.map(|_recorded| ())
    }

    #[tokio::test]
    async fn every_part_of_a_worker_goes_by_the_new_settings() {
        let dir = tempfile::tempdir().expect("a directory");
        let audit = Audit::builder(dir.path()).start().await.expect("it starts");
        let inner = &audit.inner;
        // What is recorded from here on waits.
        inner.stop_lanes.begin();
        let left = inner.lanes_tasks.join(Duration::from_secs(20)).await;
        assert!(left.is_empty(), "{left:?}");
        let next = r#"{"queue":{"eventsMax":2},"breaker":{"failures":1},"batch":{"deliveries":7,"bytesMax":70000},
            "proofs":{"pake":"deadLetter"},"accept":{"maxAheadMs":86400000}}"#;
        audit.reconfigure(&settings(next)).expect("taken up");
        {
            let lane = inner.adjustable.lane.borrow();
            assert_eq!(lane.batch_by_depth, [(0, 7)]);
            assert_eq!(lane.batch_bytes_max, 70_000);
            assert_eq!(lane.proofs.pake_v1, OnMismatch::DeadLetter);
        }
        let soon = inner.clock.now_micros() + 3_600_000_000;
        let soon = Timestamp::from_micros(soon).expect("a time");
        let ahead = || event("record.read", Status::Success).at(soon);
        audit.record(ahead()).await.expect("an hour is allowed");
        record(&audit).await.expect("the second");
        let third = record(&audit).await;
        assert!(
            matches!(third, Err(RecordError::Unavailable(_))),
            "{third:?}"
        );
        inner.breaker.failed();
        assert_eq!(inner.breaker.state(), BreakerState::Open);

        audit.reconfigure(&settings("{}")).expect("taken up");
        record(&audit).await.expect("the third");
        let refused = audit.record(ahead()).await;
        assert!(
            matches!(refused, Err(RecordError::Rejected(_))),
            "{refused:?}"
        );
        assert!(audit.shutdown().await);
    }

    /// Of an ingest whose store and broker are away, with the keys that are in a directory.
    fn ingest(dir: &Path, extra: &str) -> Settings {
        let (store, broker) = (free_port(), free_port());
        settings(&format!(
            r#"{{"dataDir":{:?},"keys":{{"dir":{:?}}},"ingest":{{{extra}}},
                "store":{{"backend":"postgres","url":"postgres://u@127.0.0.1:{store}/d"}},
                "queue":{{"backend":"redis","url":"redis://127.0.0.1:{broker}"}}}}"#,
            dir.join("ingest"),
            dir.join("keys"),
        ))
    }

    #[tokio::test]
    async fn every_part_of_an_ingest_goes_by_the_new_settings() {
        let dir = tempfile::tempdir().expect("a directory");
        let maker = Audit::builder(dir.path()).start().await.expect("it starts");
        assert!(maker.shutdown().await);
        let audit = start_ingest(&ingest(dir.path(), ""))
            .await
            .expect("it starts");
        let rates = audit.inner.observed.rates.as_ref().expect("always there");
        let critical = audit.inner.adjustable.critical.as_ref().expect("there");
        assert!(rates.admit("a", 1_000_000).is_ok());
        record(&audit).await.expect("the spool has it");
        let next =
            r#""eventsPerSecondPerKey":5,"criticalPerSecondPerKey":2,"spoolBytesMax":1048576"#;
        audit
            .reconfigure(&ingest(dir.path(), next))
            .expect("taken up");
        assert!(rates.admit("a", 5).is_ok() && rates.admit("a", 1).is_err());
        assert!(critical.admit("a", 2).is_ok() && critical.admit("a", 1).is_err());
        // Of random text, which cannot be folded.
        let large = || {
            let mut noise = [0; 10_000];
            SystemRandom.fill(&mut noise);
            event("record.read", Status::Success).detail("noise", hex::encode(noise))
        };
        let mut taken = 0;
        while audit.record(large()).await.is_ok() {
            taken += 1;
            assert!(taken < 1_000, "the mark of the spool is not kept");
        }
        let more = r#""spoolBytesMax":16777216"#;
        audit
            .reconfigure(&ingest(dir.path(), more))
            .expect("taken up");
        audit.record(large()).await.expect("there is room again");
        assert!(audit.shutdown().await);
    }
}
