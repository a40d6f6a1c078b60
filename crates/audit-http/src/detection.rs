//! What the routes of alerts and rules work with.

use std::fmt;
use std::sync::Arc;

use audit_alert::Desk;
use audit_event::OrganizationId;
use audit_monitor::Detector;
use audit_store::Alerts;
use audit_store::query::OrganizationScope;
use axum::http::StatusCode;
use tokio::sync::watch;

use crate::auth::Principal;
use crate::problem::{HttpProblem, HttpResult};
use crate::state::AppState;

/// Detection and alerts of a process. Cheap to clone.
#[derive(Clone)]
pub struct DetectionSurface {
    /// Leads alerts through their life.
    pub desk: Arc<Desk>,
    /// The outbox of what is to be told of them.
    pub alerts: Arc<dyn Alerts>,
    /// The rules in use; whoever detects with them replaces them.
    pub rules: watch::Receiver<Arc<Detector>>,
}

impl fmt::Debug for DetectionSurface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetectionSurface")
            .field("desk", &self.desk)
            .finish_non_exhaustive()
    }
}

impl DetectionSurface {
    /// The rules of this moment; a request asks once.
    pub(crate) fn detector(&self) -> Arc<Detector> {
        Arc::clone(&self.rules.borrow())
    }
}

/// The surface of this process.
///
/// # Errors
/// 404 when it detects nothing.
pub(crate) fn surface(state: &AppState) -> HttpResult<&DetectionSurface> {
    state.detection.as_ref().ok_or_else(|| {
        HttpProblem::new(
            StatusCode::NOT_FOUND,
            "detection_off",
            "detection is off in the process that was asked",
        )
    })
}

/// Whose alerts the caller may see; `None` for everybody's, the system's own among them.
pub(crate) fn organizations(principal: &Principal) -> Option<&[OrganizationId]> {
    match &principal.scope {
        OrganizationScope::All => None,
        OrganizationScope::Only(allowed) => Some(allowed),
    }
}
