//! From one item to a draft: read, decide whose it is, judge the producer's proof, stamp, check.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use audit_event::forms::read_statement;
use audit_event::id::IdempotentRequest;
use audit_event::{
    AuditEvent, Code, EventDraft, EventId, OrganizationId, Problem, Stamps, Statement, Timestamp,
    Value, validate,
};
use audit_integrity::keys::KeySource;
use audit_integrity::producer;
use audit_runtime::Random;
use audit_store::query::OrganizationScope;

use super::{AcceptRequest, Caller, Item};

/// The annotation of events whose sender did not prove who it is. No processor may add one of this name.
const AUTHENTICATED: &str = "authenticated";

/// Reads, judges and stamps; the same for requests and for items of other systems' queues.
#[derive(Debug)]
pub(crate) struct Drafter {
    keys: Arc<dyn KeySource>,
    random: Arc<dyn Random>,
    /// Replaced while it drafts; each item is judged by what it finds.
    max_ahead_micros: AtomicI64,
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Drafter {
    pub(crate) fn new(
        keys: Arc<dyn KeySource>,
        random: Arc<dyn Random>,
        max_ahead: Duration,
    ) -> Self {
        Self {
            keys,
            random,
            max_ahead_micros: AtomicI64::new(micros(max_ahead)),
        }
    }

    pub(crate) fn set_max_ahead(&self, max_ahead: Duration) {
        self.max_ahead_micros
            .store(micros(max_ahead), Ordering::Relaxed);
    }

    /// The draft of a request's item, or every problem of it.
    pub(super) async fn draft(
        &self,
        request: &AcceptRequest,
        index: usize,
        item: &Item,
        received_at: Timestamp,
    ) -> Result<EventDraft, Vec<Problem>> {
        let statement = match item {
            Item::Bytes(bytes) => read_statement(request.form, bytes)?,
            Item::Statement(statement) => (**statement).clone(),
        };
        let id = self.fallback_id(request, index, &statement, received_at);
        self.of_statement(statement, id, &request.caller, received_at)
            .await
    }

    /// The draft of what a caller said, or every problem of it. The id is for an event that has none.
    pub(crate) async fn of_statement(
        &self,
        mut statement: Statement,
        fallback_id: EventId,
        caller: &Caller,
        received_at: Timestamp,
    ) -> Result<EventDraft, Vec<Problem>> {
        let mut problems = Vec::new();
        problems.extend(foreign_organization(&statement, caller));
        problems.extend(validate::check_skew(
            statement.timestamp,
            received_at,
            self.max_ahead_micros.load(Ordering::Relaxed),
        ));
        if !problems.is_empty() {
            return Err(problems);
        }
        self.judge(&mut statement).await;
        let stamps = Stamps {
            fallback_id,
            received_at,
            default_organization: caller.default_organization.clone(),
        };
        let mut event = AuditEvent::stamp(statement, &stamps);
        if !caller.authenticated {
            event.annotations.insert(AUTHENTICATED, Value::Bool(false));
        }
        EventDraft::new(event)
    }

    fn fallback_id(
        &self,
        request: &AcceptRequest,
        index: usize,
        statement: &Statement,
        now: Timestamp,
    ) -> EventId {
        if statement.id.is_some() {
            // Never used; spares the random source.
            return EventId::from_bytes([0; 16]);
        }
        match &request.idempotency_key {
            Some(key) => {
                let request = IdempotentRequest {
                    api_key_id: &request.caller.api_key_id,
                    idempotency_key: key,
                };
                EventId::from_idempotency_key(request, u64::try_from(index).unwrap_or(u64::MAX))
            }
            None => {
                let mut bytes = [0; 10];
                self.random.fill(&mut bytes);
                EventId::v7(now, bytes)
            }
        }
    }

    /// Reaches the verdict on the producer's proof now, while its own text is at hand.
    async fn judge(&self, statement: &mut Statement) {
        let Some(proof) = statement.producer_proof.as_mut() else {
            return;
        };
        let secret = match self
            .keys
            .producer_secret(&proof.scheme, proof.key_id.as_deref())
            .await
        {
            Ok(secret) => secret,
            Err(error) => {
                // The verdict says "unverifiable"; the event itself is not at fault.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "producer keys cannot be read"
                );
                None
            }
        };
        producer::judge(proof, secret.as_ref());
    }
}

/// A problem when the event names an organisation the caller may not write for.
fn foreign_organization(statement: &Statement, caller: &Caller) -> Option<Problem> {
    let named = statement
        .organization_id
        .as_ref()
        .filter(|named| !named.is_none())?;
    (!may_write(&caller.scope, named)).then(|| {
        Problem::at(
            "/organizationId",
            Code::Forbidden,
            "this API key may not write for the organisation named here",
        )
    })
}

fn may_write(scope: &OrganizationScope, organization: &OrganizationId) -> bool {
    match scope {
        OrganizationScope::All => true,
        OrganizationScope::Only(allowed) => allowed.contains(organization),
    }
}
