//! Our own events: reads of the trail (one per principal, route and minute) and administration (each), under the
//! organisation `_audit`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use audit_event::Timestamp;
pub use audit_pipeline::own_event;
use audit_runtime::Tasks;
use serde_json::json;

use crate::auth::Principal;
use crate::state::AppState;

/// (principal, route) pairs remembered at most; beyond it a minute may be told twice, never forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Writes our own events, and remembers which reads were told this minute.
#[derive(Debug)]
pub struct ReadAudit {
    told: Mutex<(i64, HashSet<(String, &'static str)>)>,
    tasks: Tasks,
}

/// What was acted on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) kind: &'static str,
    pub(crate) id: &'a str,
}

impl ReadAudit {
    /// Accepts its events on the given tasks.
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        Self {
            told: Mutex::default(),
            tasks,
        }
    }

    /// Notes a read of the trail.
    pub(crate) fn read(&self, state: &AppState, principal: &Principal, route: &'static str) {
        let minute = state.clock.now_micros() / 60_000_000;
        if self.is_first(minute, principal, route) {
            self.record(
                state,
                principal,
                "audit.read",
                Target {
                    kind: "route",
                    id: route,
                },
            );
        }
    }

    /// Records an act; the event is accepted in the background, so that it never delays the answer.
    pub(crate) fn record(
        &self,
        state: &AppState,
        principal: &Principal,
        action: &'static str,
        target: Target<'_>,
    ) {
        let event = json!({
            "timestamp": Timestamp::clamped(state.clock.now_micros()).to_string(),
            "action": action,
            "status": "success",
            "principalId": principal.key_id,
            "principalType": "api_key",
            "targetResourceType": target.kind,
            "targetResourceId": target.id,
        });
        let acceptor = Arc::clone(&state.acceptor);
        self.tasks.spawn("own event", async move {
            match acceptor.accept(own_event(event.to_string())).await {
                Ok(answer) if answer.frame.is_some() => {}
                Ok(answer) => tracing::warn!(?answer, action, "an event of our own was not taken"),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        action,
                        "an event of our own was not taken"
                    );
                }
            }
        });
    }

    fn is_first(&self, minute: i64, principal: &Principal, route: &'static str) -> bool {
        // A set of names is whole after any panic.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 != minute || told.1.len() >= REMEMBERED_MAX {
            *told = (minute, HashSet::new());
        }
        told.1.insert((principal.key_id.clone(), route))
    }
}

#[cfg(test)]
mod tests {
    use audit_event::OrganizationId;
    use audit_store::Role;
    use audit_store::query::OrganizationScope;

    use super::*;

    #[test]
    fn a_read_is_told_once_a_minute_for_each_principal_and_route() {
        let own = ReadAudit::new(Tasks::new());
        let principal = |id: &str| Principal {
            key_id: id.to_owned(),
            role: Role::Viewer,
            scope: OrganizationScope::All,
            default_organization: OrganizationId::none(),
        };
        let calls = [
            (1, "a", "x"),
            (1, "a", "x"),
            (1, "a", "y"),
            (1, "b", "x"),
            (2, "a", "x"),
            (2, "a", "x"),
        ];
        let first: Vec<bool> = calls
            .map(|(minute, id, route)| own.is_first(minute, &principal(id), route))
            .into();
        assert_eq!(first, [true, false, true, true, true, false]);
    }
}
