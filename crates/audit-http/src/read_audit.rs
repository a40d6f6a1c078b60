//! Reads of the trail are events too: one per principal, route and minute, under the organisation `_audit`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_event::forms::Form;
use audit_event::id::OrganizationId;
use audit_event::timestamp::Timestamp;
use audit_pipeline::{AcceptRequest, Ack, Caller, Item};
use audit_runtime::Tasks;
use audit_store::query::OrganizationScope;

use crate::auth::Principal;
use crate::state::AppState;

/// The organisation of our own events.
pub const OWN_ORGANIZATION: &str = "_audit";

/// (principal, route) pairs remembered at most; beyond it a minute may be told twice, never forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Remembers what was told this minute.
#[derive(Debug)]
pub struct ReadAudit {
    told: Mutex<(i64, HashSet<(String, &'static str)>)>,
    tasks: Tasks,
}

impl ReadAudit {
    /// Tells through the given tasks.
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        Self {
            told: Mutex::default(),
            tasks,
        }
    }

    /// Notes a read; the event is written in the background.
    pub(crate) fn note(&self, state: &AppState, principal: &Principal, route: &'static str) {
        let now = state.clock.now_micros();
        if !self.is_first(now / 60_000_000, principal, route) {
            return;
        }
        let acceptor = Arc::clone(&state.acceptor);
        let event = serde_json::json!({
            "timestamp": Timestamp::from_micros(now).unwrap_or(Timestamp::EPOCH).to_string(),
            "action": "audit.read",
            "status": "success",
            "principalId": principal.key_id,
            "principalType": "api_key",
            "targetResourceType": "audit",
            "targetResourceId": route,
        });
        self.tasks.spawn("read audit", async move {
            let request = own_event(event.to_string());
            match acceptor.accept(request).await {
                Ok(answer) if answer.frame.is_some() => {}
                other => tracing::warn!(?other, "a read of the trail was not recorded"),
            }
        });
    }

    fn is_first(&self, minute: i64, principal: &Principal, route: &'static str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 != minute || told.1.len() >= REMEMBERED_MAX {
            *told = (minute, HashSet::new());
        }
        told.1.insert((principal.key_id.clone(), route))
    }
}

/// A request with one of our own events.
pub(crate) fn own_event(event: String) -> AcceptRequest {
    AcceptRequest {
        form: Form::Native,
        items: vec![Item::Bytes(event.into())],
        caller: Caller {
            api_key_id: String::new(),
            scope: OrganizationScope::All,
            default_organization: OrganizationId::new(OWN_ORGANIZATION),
        },
        idempotency_key: None,
        ack: Ack::Queued,
        timeout: Duration::from_secs(1),
        traceparent: None,
        internal: true,
    }
}
