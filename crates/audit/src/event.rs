//! Building an event in Rust, member by member.

use audit_event::event::StatedId;
use audit_event::timestamp::TimestampForm;
use audit_event::{
    Classification, EventId, Number, Object, OrganizationId, SessionContext, Severity, Source,
    Statement, Status, Timestamp, Value,
};

/// What an application wants recorded. Only action and status are required; the time of recording is used when none is
/// given. Limits are checked when it is recorded, all at once.
#[derive(Debug, Clone)]
pub struct Event {
    timestamp: Option<Timestamp>,
    statement: Statement,
}

/// Begins an event: what was done, and whether it was tried, done, or failed.
#[must_use]
pub fn event(action: impl Into<String>, status: Status) -> Event {
    let statement = Statement {
        id: None,
        producer: None,
        event_version: None,
        timestamp: Timestamp::EPOCH,
        timestamp_form: TimestampForm::Canonical,
        principal_id: None,
        principal_type: None,
        organization_id: None,
        session_context: None,
        action: action.into(),
        target_resource_type: None,
        target_resource_id: None,
        status,
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
    };
    Event {
        timestamp: None,
        statement,
    }
}

impl Event {
    /// A stable id, so that recording it twice stores it once.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.statement.id = Some(StatedId::Uuid(id));
        self
    }

    /// When it happened.
    #[must_use]
    pub fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Who did it.
    #[must_use]
    pub fn principal(mut self, id: impl Into<String>) -> Self {
        self.statement.principal_id = Some(id.into());
        self
    }

    /// Whose record it is.
    #[must_use]
    pub fn organization(mut self, id: &str) -> Self {
        self.statement.organization_id = Some(OrganizationId::new(id));
        self
    }

    /// What it was done to.
    #[must_use]
    pub fn target(
        mut self,
        resource_type: impl Into<String>,
        resource_id: impl Into<String>,
    ) -> Self {
        self.statement.target_resource_type = Some(resource_type.into());
        self.statement.target_resource_id = Some(resource_id.into());
        self
    }

    /// In words.
    #[must_use]
    pub fn outcome(mut self, description: impl Into<String>) -> Self {
        self.statement.outcome_description = Some(description.into());
        self
    }

    /// How urgent.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.statement.severity = Some(severity);
        self
    }

    /// How sensitive.
    #[must_use]
    pub fn classification(mut self, classification: Classification) -> Self {
        self.statement.data_classification = Some(classification);
        self
    }

    /// Name of the retention policy.
    #[must_use]
    pub fn retention_policy(mut self, name: impl Into<String>) -> Self {
        self.statement.retention_policy = Some(name.into());
        self
    }

    /// Joins events of one operation.
    #[must_use]
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.statement.correlation_id = Some(id.into());
        self
    }

    /// How long it took.
    #[must_use]
    pub fn duration(mut self, duration: std::time::Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.statement.duration_ms = Some(Number::from(millis));
        self
    }

    /// The session it was done in.
    #[must_use]
    pub fn session(mut self, session: SessionContext) -> Self {
        self.statement.session_context = Some(session);
        self
    }

    /// The application it comes from.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.statement.source = Some(source);
        self
    }

    /// Anything else, under a name of your own.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.statement.details.insert(name, value.into());
        self
    }

    pub(crate) fn into_statement(self, now: Timestamp) -> Statement {
        let mut statement = self.statement;
        statement.timestamp = self.timestamp.unwrap_or(now);
        statement
    }
}
