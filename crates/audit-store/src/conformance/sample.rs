//! Events of the suite.

use audit_event::timestamp::TimestampForm;
use audit_event::{
    AuditEvent, EventDraft, EventId, Object, OrganizationId, Statement, Status, Timestamp, Value,
};

/// 2026-01-01T00:00:00Z.
pub const BEGIN: i64 = 1_767_225_600_000_000;

/// A time, in seconds after [`BEGIN`].
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN + seconds * 1_000_000).unwrap()
}

/// The id of number `n`.
#[must_use]
pub fn id(n: u64) -> EventId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    EventId::v7(at(i64::try_from(n).unwrap()), random)
}

/// A frame's id.
#[must_use]
pub fn frame(n: u64) -> [u8; 16] {
    let mut frame = [0xf0; 16];
    frame[8..].copy_from_slice(&n.to_be_bytes());
    frame
}

/// Event number `n`: every organisation, id and time is its own unless the change says otherwise.
#[must_use]
pub fn event(n: u64, change: impl FnOnce(&mut AuditEvent)) -> EventDraft {
    let when = at(i64::try_from(n).unwrap());
    let mut event = AuditEvent {
        id: id(n),
        received_at: at(1_000_000),
        organization_id: OrganizationId::new("org-a"),
        statement: statement(when),
        annotations: Object::new(),
    };
    event
        .statement
        .details
        .insert("number", Value::Number(n.into()));
    change(&mut event);
    EventDraft::new(event).unwrap()
}

/// Events of these numbers, unchanged.
#[must_use]
pub fn events(numbers: impl IntoIterator<Item = u64>) -> Vec<EventDraft> {
    numbers.into_iter().map(|n| event(n, |_same| ())).collect()
}

/// A statement that says as little as one may.
#[must_use]
pub fn statement(timestamp: Timestamp) -> Statement {
    Statement {
        id: None,
        producer: None,
        event_version: None,
        timestamp,
        timestamp_form: TimestampForm::Canonical,
        principal_id: None,
        principal_type: None,
        organization_id: None,
        session_context: None,
        action: "sample.done".to_owned(),
        target_resource_type: None,
        target_resource_id: None,
        status: Status::Success,
        outcome_description: None,
        duration_ms: None,
        severity: None,
        data_classification: None,
        retention_policy: None,
        correlation_id: None,
        traceparent: None,
        source: None,
        producer_proof: None,
        details: Object::new(),
    }
}
