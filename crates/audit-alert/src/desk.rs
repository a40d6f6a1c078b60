//! The desk: every alert's life goes over it.

mod draft;
mod life;
mod raise;
mod system;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_event::{OrganizationId, Timestamp};
use audit_monitor::Level;
use audit_runtime::{Clock, Fault, Faulty};
use audit_store::alerts::ALERTS_MAX;
use audit_store::{AlertCount, AlertFilter, AlertId, AlertLevel, Alerts, StoreError};
use tokio::sync::watch;

use crate::alert::Alert;
use crate::policy::Policy;
use crate::trail::Trail;

pub use system::SystemFinding;

/// Bytes that a note has at most.
pub const NOTE_BYTES_MAX: usize = 4_096;
/// Times that a change is made again because another one came first. Nobody changes one alert that often at a time.
const TRIES_MAX: u32 = 20;
/// Alerts of this process whose raising is in the trail, so that it is not told again; then all are forgotten, and some told twice.
const RECORDED_MAX: usize = 4_096;

/// Raises alerts, and leads them through their life. Any number of desks, in any processes, may work on one store.
pub struct Desk {
    alerts: Arc<dyn Alerts>,
    policy: watch::Receiver<Arc<Policy>>,
    trail: Arc<dyn Trail>,
    clock: Arc<dyn Clock>,
    /// Ids whose raising this process has told the trail. Guarded by its lock, which is never held across a wait.
    recorded: Mutex<BTreeSet<AlertId>>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("alerts", &self.alerts)
            .finish_non_exhaustive()
    }
}

/// Why an alert was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// There is none of that id, or it is not the caller's.
    #[error("there is no such alert")]
    NotFound,
    /// It is done with.
    #[error("the alert is resolved already")]
    AlreadyResolved,
    /// The note is longer than [`NOTE_BYTES_MAX`].
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    NoteTooLong,
    /// The store's trouble.
    #[error("the alert could not be changed")]
    Store(#[from] StoreError),
}

impl Faulty for DeskError {
    fn fault(&self) -> Fault {
        match self {
            Self::NotFound | Self::AlreadyResolved | Self::NoteTooLong => Fault::Rejected,
            Self::Store(error) => error.fault(),
        }
    }
}

impl Desk {
    /// A desk over a store. The policy may change under way; an alert goes by the one that is there at the moment.
    #[must_use]
    pub fn new(
        alerts: Arc<dyn Alerts>,
        policy: watch::Receiver<Arc<Policy>>,
        trail: Arc<dyn Trail>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            alerts,
            policy,
            trail,
            clock,
            recorded: Mutex::default(),
        }
    }

    /// Newest first. At most [`ALERTS_MAX`], whatever the filter says.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, filter: &AlertFilter) -> Result<Vec<Alert>, StoreError> {
        let filter = AlertFilter {
            limit: filter.limit.clamp(1, ALERTS_MAX),
            ..filter.clone()
        };
        let records = self.alerts.list(&filter).await?;
        records.iter().map(Alert::of).collect()
    }

    /// One; `None` when there is none, or it is of none of these organisations (`None`: of any).
    ///
    /// # Errors
    /// The store's.
    pub async fn get(
        &self,
        id: AlertId,
        scope: Option<&[OrganizationId]>,
    ) -> Result<Option<Alert>, StoreError> {
        let record = self.alerts.get(id, scope).await?;
        record.as_ref().map(Alert::of).transpose()
    }

    /// How many there are, by rule, level and state.
    ///
    /// # Errors
    /// The store's.
    pub async fn count(&self, filter: &AlertFilter) -> Result<Vec<AlertCount>, StoreError> {
        self.alerts.count(filter).await
    }

    /// Forgets resolved alerts that were raised longer ago than this; how many. One of which somebody waits to be told stays.
    ///
    /// # Errors
    /// The store's. What was forgotten stays forgotten.
    pub async fn forget(&self, older_than: Duration) -> Result<u64, StoreError> {
        let age = i64::try_from(older_than.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::clamped(self.clock.now_micros().saturating_sub(age));
        let mut forgotten = 0;
        loop {
            let some = self.alerts.forget_resolved(before, ALERTS_MAX).await?;
            forgotten += some;
            if some < u64::from(ALERTS_MAX) {
                return Ok(forgotten);
            }
        }
    }

    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    fn now(&self) -> Timestamp {
        Timestamp::clamped(self.clock.now_micros())
    }

    fn was_recorded(&self, id: AlertId) -> bool {
        let recorded = self.recorded.lock();
        recorded
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&id)
    }

    fn remember_recorded(&self, id: AlertId) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() >= RECORDED_MAX {
            recorded.clear();
        }
        recorded.insert(id);
    }
}

/// A rule's level is an alert's.
pub(crate) const fn level_of(level: Level) -> AlertLevel {
    match level {
        Level::Informational => AlertLevel::Informational,
        Level::Low => AlertLevel::Low,
        Level::Medium => AlertLevel::Medium,
        Level::High => AlertLevel::High,
        Level::Critical => AlertLevel::Critical,
    }
}

/// Somebody else was always faster.
fn restless() -> StoreError {
    StoreError::Busy {
        what: "an alert",
        source: "it was changed by others all the time".into(),
    }
}
