//! The embedded form at work.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use audit_alert::Desk;
use audit_event::{EventId, Form, OrganizationId, Timestamp};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::LedgerId;
use audit_integrity::verify::Report;
use audit_pipeline::status::{self, Status, StatusError};
use audit_pipeline::verification::{Verification, VerifyError, VerifyRequest};
use audit_pipeline::{
    AcceptError, AcceptRequest, Acceptor, Ack, Address, Caller, Checkpointed, Health, Item,
    ItemStatus, KeyRates, LaneSwitch, OverflowState, Registry, SourceStanding,
};
#[cfg(feature = "deployed")]
use audit_runtime::ShutdownSignal;
use audit_runtime::{Breaker, BreakerState, Clock, Random, Shutdown, Tasks};
use audit_store::query::OrganizationScope;
use audit_store::{Filter, Order, Page, PageRequest, Store, StoreError, StoredEvent};

use crate::assembly::{Adapters, Plan};
use crate::builder::Builder;
use crate::detection::Detecting;
use crate::error::RecordError;
use crate::event::Event;
#[cfg(feature = "deployed")]
use crate::reconfigure::Adjustable;

/// The embedded form: a queue, a store, a ledger and the tasks between them. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) plan: Plan,
    pub(crate) registry: Arc<Registry>,
    pub(crate) deployment_id: Arc<str>,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) adapters: Adapters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) checkpointed: Checkpointed,
    pub(crate) verification: Verification,
    pub(crate) observed: Observed,
    pub(crate) breaker: Arc<Breaker>,
    /// What is reconfigured besides acceptor, breaker and rates.
    #[cfg(feature = "deployed")]
    pub(crate) adjustable: Adjustable,
    /// Accepting: coalescer, verification runs, HTTP's own.
    pub(crate) front: Tasks,
    pub(crate) lanes_tasks: Tasks,
    /// What follows commits: signer, directory.
    pub(crate) back: Tasks,
    pub(crate) stop_lanes: Shutdown,
    pub(crate) stop_back: Shutdown,
}

/// Looks at a component; never waits.
pub(crate) type Probe = Arc<dyn Fn() -> Component + Send + Sync>;

/// Where another system's queue stood when it was last asked; never waits.
pub(crate) type SourceLook = Arc<dyn Fn() -> SourceStanding + Send + Sync>;

/// What readiness and status look at, and what requests are held to.
pub(crate) struct Observed {
    /// Every lane with the switch that says whether it stopped.
    pub(crate) lanes: Vec<(LedgerId, Arc<LaneSwitch>)>,
    /// What looks at stored events, where it does.
    pub(crate) detecting: Option<Detecting>,
    /// Components that only this form has.
    pub(crate) probes: Vec<Probe>,
    /// Broker and spool, where there is a spool.
    pub(crate) overflow: Option<OverflowState>,
    /// Queues of other systems that its lanes empty.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "shown over HTTP only")
    )]
    pub(crate) sources: Vec<SourceLook>,
    /// Bounds what each API key may send.
    pub(crate) rates: Option<Arc<KeyRates>>,
}

/// A component and whether it works.
pub type Component = (String, Health);

/// What is known of a recorded event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: EventId,
    /// Where it is stored; known when it was waited for.
    pub address: Option<Address>,
    /// Whether a signed checkpoint covers it.
    pub sealed: bool,
}

impl Audit {
    /// Begins to set up the embedded form on a data directory.
    #[must_use]
    pub fn builder(data_dir: impl AsRef<Path>) -> Builder {
        Builder::new(data_dir.as_ref())
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Records an event; it is on disk (fsync'd) when this returns.
    ///
    /// # Errors
    /// When the event is at fault, or is not taken now.
    pub async fn record(&self, event: Event) -> Result<Recorded, RecordError> {
        self.record_until(event, Ack::Queued).await
    }

    /// Records an event and waits until it is stored, or sealed under a signed checkpoint; at most ten seconds, after which
    /// it is durable all the same and what is known is returned.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_until(&self, event: Event, ack: Ack) -> Result<Recorded, RecordError> {
        let now = Timestamp::from_micros(self.inner.clock.now_micros()).unwrap_or(Timestamp::EPOCH);
        let request = AcceptRequest {
            form: Form::Native,
            items: vec![Item::Statement(Box::new(event.into_statement(now)))],
            caller: Caller {
                api_key_id: String::new(),
                scope: OrganizationScope::All,
                default_organization: OrganizationId::none(),
                authenticated: true,
            },
            idempotency_key: None,
            ack,
            timeout: Duration::from_secs(10),
            traceparent: None,
            internal: false,
        };
        let accepted = self
            .inner
            .acceptor
            .accept(request)
            .await
            .map_err(|error| match error {
                AcceptError::Busy { .. } => {
                    RecordError::Unavailable("too much is in work".to_owned())
                }
                other => RecordError::Unavailable(other.to_string()),
            })?;
        let result = accepted.results.into_iter().next();
        let result = result.ok_or_else(|| RecordError::Unavailable("no answer".to_owned()))?;
        match (result.status, result.id) {
            (ItemStatus::Rejected, _) => Err(RecordError::Rejected(result.errors)),
            (ItemStatus::Retry, _) | (_, None) => {
                let why = result
                    .errors
                    .first()
                    .map(|problem| problem.message.clone())
                    .unwrap_or_default();
                Err(RecordError::Unavailable(why))
            }
            (_, Some(id)) => Ok(Recorded {
                id,
                address: result.address,
                sealed: result.sealed,
            }),
        }
    }

    /// The newest 100 events that match.
    ///
    /// # Errors
    /// When the store does not answer, or no index serves the search in time.
    pub async fn search(&self, filter: Filter) -> Result<Vec<StoredEvent>, StoreError> {
        let request = PageRequest {
            filter,
            scope: OrganizationScope::All,
            order: Order::Newest,
            limit: 100,
            after: None,
        };
        Ok(self.search_page(&request).await?.events)
    }

    /// One page of a search.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub async fn search_page(&self, request: &PageRequest) -> Result<Page, StoreError> {
        self.inner.adapters.store.query.search(request).await
    }

    /// Verifies everything that is stored, against the signed checkpoints and the anchor.
    ///
    /// # Errors
    /// When the store or the keys cannot be read; what is wrong with the record is in the report.
    pub async fn verify(&self) -> Result<Report, VerifyError> {
        self.inner
            .verification
            .verify(&VerifyRequest::default())
            .await
    }

    /// The conservation law's numbers.
    ///
    /// # Errors
    /// When queue or store do not answer.
    pub async fn status(&self) -> Result<Status, StatusError> {
        let inner = &self.inner;
        let receipts = &*inner.adapters.store.receipts;
        status::read(&*inner.adapters.producer, receipts, &inner.acceptor).await
    }

    /// The store's ports, for what this handle does not offer.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.adapters.store
    }

    /// Where alerts are listed, acknowledged and resolved; `None` where nothing looks at stored events.
    #[must_use]
    pub fn alerts(&self) -> Option<&Arc<Desk>> {
        self.inner.observed.detecting.as_ref().map(|it| &it.desk)
    }

    /// The deployment's id.
    #[must_use]
    pub fn deployment_id(&self) -> &str {
        &self.inner.deployment_id
    }

    /// Every component's state now; ready when all are fine.
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        self.inner.components()
    }

    /// Runs something of its own until shutdown has come to what follows commits.
    #[cfg(feature = "deployed")]
    pub(crate) fn in_background<F>(&self, name: &'static str, run: impl FnOnce(ShutdownSignal) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner
            .back
            .spawn(name, run(self.inner.stop_back.signal()));
    }

    /// Ends in order: no more accepting, the lanes finish what they hold, the last commits are signed, files are closed.
    /// `false` when something did not end in time; what it held is recovered at the next start.
    pub async fn shutdown(&self) -> bool {
        let inner = &self.inner;
        let grace = inner.plan.shutdown_grace;
        inner.stop_lanes.begin();
        let mut left = inner.lanes_tasks.join(grace).await;
        inner.stop_back.begin();
        left.extend(inner.back.join(grace).await);
        for adapter in &inner.adapters.closing {
            adapter.close().await;
        }
        if !left.is_empty() {
            tracing::error!(?left, "tasks did not end in time");
        }
        left.is_empty()
    }
}

impl Inner {
    pub(crate) fn components(&self) -> Vec<Component> {
        let queue = self.acceptor.trouble().map_or(Ok(()), Err);
        let store = match self.breaker.state() {
            BreakerState::Closed => Ok(()),
            BreakerState::Open | BreakerState::HalfOpen => {
                Err("the store takes no writes".to_owned())
            }
        };
        let stopped = self
            .observed
            .lanes
            .iter()
            .filter(|(_, lane)| lane.is_stopped())
            .count();
        let lanes = if stopped == 0 {
            Ok(())
        } else {
            Err(format!("{stopped} lanes stopped; the log says why"))
        };
        let failed = [&self.front, &self.lanes_tasks, &self.back]
            .iter()
            .flat_map(|tasks| tasks.failed())
            .count();
        let tasks = if failed == 0 {
            Ok(())
        } else {
            Err(format!("{failed} tasks panicked"))
        };
        let mut components = vec![("queue", queue)];
        // A process without lanes looks at the store in its own way.
        if !self.observed.lanes.is_empty() {
            components.extend([("store", store), ("lanes", lanes)]);
        }
        components.push(("tasks", tasks));
        components
            .into_iter()
            .map(|(name, health)| (name.to_owned(), Health::from(health)))
            .chain(self.observed.probes.iter().map(|probe| probe()))
            .collect()
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("deployment_id", &self.inner.deployment_id)
            .finish_non_exhaustive()
    }
}
