//! The HTTP surface over the same parts.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use audit_event::timestamp::MissingZone;
use audit_event::{OrganizationId, Timestamp};
use audit_http::{
    AppState, DetectionSurface, HttpSettings, KeyCache, KeyRequest, LastMinute, ProcessStatus,
    ReadAudit, VerifyBody, VerifyRuns, new_api_key,
};
use audit_pipeline::OverflowState;
use audit_pipeline::verification::{Verification, VerifyRequest};
use audit_runtime::{BreakerState, Tasks};
use audit_store::Role;
use audit_store::query::OrganizationScope;
use audit_store::tiles::Tiles;
use tokio::sync::watch;

use crate::error::StartError;
use crate::keys::lock_start;
use crate::private_file;
use crate::running::{Audit, Inner};

/// What the HTTP surface needs besides the running parts.
pub struct HttpParts {
    /// Renders the Prometheus page.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Bounds, which may be replaced while it serves; the defaults when absent, with a cursor key that is drawn.
    pub settings: Option<watch::Receiver<Arc<HttpSettings>>>,
}

impl Audit {
    /// The state behind [`audit_http::router`].
    #[must_use]
    pub fn http(&self, parts: HttpParts) -> AppState {
        let inner = &self.inner;
        let (readiness, process) = (Arc::clone(inner), Arc::clone(inner));
        let settings = parts.settings.unwrap_or_else(|| {
            let mut cursor_key = [0; 32];
            inner.random.fill(&mut cursor_key);
            let settings = HttpSettings::with_cursor_key(cursor_key);
            watch::Sender::new(Arc::new(settings)).subscribe()
        });
        let last_minute = Arc::new(LastMinute::default());
        let keep = Arc::clone(&last_minute).keep(
            Arc::clone(&inner.adapters.store.receipts),
            Arc::clone(&parts.metrics),
            inner.stop_back.signal(),
        );
        inner.back.spawn("last minute", keep);
        AppState {
            store: inner.adapters.store.clone(),
            tiles: Arc::new(Tiles::new(Arc::clone(&inner.adapters.store.ledgers))),
            queue: Arc::clone(&inner.adapters.producer),
            frames: Arc::clone(&inner.adapters.frames),
            acceptor: Arc::clone(&inner.acceptor),
            checkpointed: inner.checkpointed.clone(),
            keys: Arc::clone(&inner.keys),
            clock: Arc::clone(&inner.clock),
            random: Arc::clone(&inner.random),
            registry: Arc::clone(&inner.registry),
            deployment_id: Arc::clone(&inner.deployment_id),
            verify: Arc::new(Runs {
                verification: inner.verification.clone(),
                tasks: inner.front.clone(),
            }),
            metrics: parts.metrics,
            readiness: Arc::new(move || readiness.components()),
            process: Arc::new(move || process.process()),
            rates: inner.observed.rates.clone(),
            settings,
            key_cache: Arc::new(KeyCache::default()),
            read_audit: Arc::new(ReadAudit::new(inner.front.clone())),
            configuration: None,
            detection: inner
                .observed
                .detecting
                .as_ref()
                .map(|detecting| DetectionSurface {
                    desk: Arc::clone(&detecting.desk),
                    alerts: Arc::clone(&inner.adapters.store.alerts),
                    rules: detecting.rules.subscribe(),
                }),
            last_minute,
        }
    }

    /// Makes the first key when there is none, and writes it to `admin.key` (mode 0600) in the data directory, or in the key
    /// directory that the processes of a deployment share. The file's path either way.
    ///
    /// # Errors
    /// When the store does not answer or the file cannot be written.
    pub async fn ensure_admin_key(&self) -> Result<PathBuf, StartError> {
        let inner = &self.inner;
        let path = inner.plan.admin_key.clone();
        // Processes that share a deployment start together, and one key is enough.
        let _alone = match &inner.plan.shared_keys {
            Some(shared) => Some(lock_start(&shared.dir).await?),
            None => None,
        };
        let api_keys = &inner.adapters.store.api_keys;
        if !api_keys.list().await?.is_empty() {
            return Ok(path);
        }
        let request = KeyRequest {
            name: "admin of the first start".to_owned(),
            role: Role::Admin,
            scope: OrganizationScope::All,
            default_organization: OrganizationId::none(),
            expires_at: None,
        };
        let (key, text) = new_api_key(&*inner.random, &*inner.clock, request);
        // The file first: a key that nobody can read would lock everybody out.
        private_file::write(&path, format!("{text}\n").as_bytes()).map_err(|source| {
            StartError::Io {
                path: path.clone(),
                source,
            }
        })?;
        api_keys.create(&key).await?;
        Ok(path)
    }
}

impl Inner {
    fn process(&self) -> ProcessStatus {
        let lanes = self.observed.lanes.iter();
        ProcessStatus {
            owner: self.plan.owner.clone(),
            breaker: match self.breaker.state() {
                BreakerState::Closed => "closed",
                BreakerState::HalfOpen => "half-open",
                BreakerState::Open => "open",
            },
            lanes: lanes
                .map(|(ledger, lane)| (*ledger, lane.is_stopped()))
                .collect(),
            sources: self.observed.sources.iter().map(|look| look()).collect(),
            overflow: self.observed.overflow.as_ref().map(OverflowState::health),
        }
    }
}

/// Verification runs as the HTTP surface asks for them.
struct Runs {
    verification: Verification,
    tasks: Tasks,
}

#[async_trait]
impl VerifyRuns for Runs {
    async fn start(&self, body: VerifyBody) -> Result<String, String> {
        let request = VerifyRequest {
            ledger: body
                .ledger
                .as_deref()
                .map(str::parse)
                .transpose()
                .map_err(|_source| "ledger: a number, or directory".to_owned())?,
            since: time("since", body.since.as_deref())?,
            until: time("until", body.until.as_deref())?,
            checkpoints: body.checkpoints,
        };
        self.verification
            .begin(request, &self.tasks)
            .await
            .map_err(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a verification run was not begun"
                );
                "the run cannot be begun now".to_owned()
            })
    }

    async fn report(&self, run: &str) -> Option<String> {
        match self.verification.report(run).await {
            Ok(report) => report,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a report cannot be read"
                );
                None
            }
        }
    }
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, String> {
    let parsed = text
        .map(|text| Timestamp::parse(text, MissingZone::Refuse))
        .transpose();
    parsed
        .map(|parsed| parsed.map(|(time, _)| time))
        .map_err(|_source| format!("{name}: an RFC 3339 time with a zone"))
}
