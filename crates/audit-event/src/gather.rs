//! Collects an event's typed members from JSON, with every problem met on the way.

use std::str::FromStr;

use crate::event::{
    Classification, ProducerProof, ProducerRef, SessionContext, Severity, Source, StatedId,
    Statement, Status, Verdict,
};
use crate::foreign::WHOLE;
use crate::id::{EventId, OrganizationId};
use crate::number::Number;
use crate::problem::{Code, Problem};
use crate::timestamp::{MissingZone, Timestamp, TimestampForm};
use crate::validate;
use crate::value::{Object, Value};

/// The members of a statement as a form fills them. Types are checked here, limits once at the end.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) id: Option<StatedId>,
    pub(crate) timestamp: Option<(Timestamp, TimestampForm)>,
    pub(crate) action: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) event_version: Option<String>,
    pub(crate) principal_id: Option<String>,
    pub(crate) principal_type: Option<String>,
    pub(crate) organization_id: Option<OrganizationId>,
    pub(crate) session_context: SessionContext,
    pub(crate) target_resource_type: Option<String>,
    pub(crate) target_resource_id: Option<String>,
    pub(crate) outcome_description: Option<String>,
    pub(crate) duration_ms: Option<Number>,
    pub(crate) severity: Option<Severity>,
    pub(crate) data_classification: Option<Classification>,
    pub(crate) retention_policy: Option<String>,
    pub(crate) correlation_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) producer: Option<ProducerRef>,
    pub(crate) source: Source,
    pub(crate) producer_proof: Option<ProducerProof>,
    pub(crate) details: Vec<(String, Value)>,
    /// Values of a foreign form that are longer than their typed member may be, whole.
    pub(crate) whole: Object,
    pub(crate) problems: Vec<Problem>,
}

/// Paths of the required members in the form that is read.
pub(crate) struct Required {
    pub(crate) timestamp: &'static str,
    pub(crate) action: &'static str,
    pub(crate) status: &'static str,
}

const CANONICAL: Required = Required {
    timestamp: "/timestamp",
    action: "/action",
    status: "/status",
};

impl Gathered {
    /// Takes a member that the canonical event and the native form share; hands back what is none.
    pub(crate) fn take(&mut self, name: &str, value: Value) -> Option<Value> {
        match name {
            "action" => self.action = self.text("/action", value),
            "correlationId" => self.correlation_id = self.text("/correlationId", value),
            "dataClassification" => {
                self.data_classification =
                    self.choice("/dataClassification", value, Classification::from_name);
            }
            "durationMs" => self.duration_ms = self.number("/durationMs", value),
            "eventVersion" => self.event_version = self.text("/eventVersion", value),
            "id" => self.take_id(value),
            "organizationId" => {
                self.organization_id = self
                    .text("/organizationId", value)
                    .map(|name| OrganizationId::new(&name));
            }
            "outcomeDescription" => {
                self.outcome_description = self.text("/outcomeDescription", value)
            }
            "principalId" => self.principal_id = self.text("/principalId", value),
            "principalType" => self.principal_type = self.text("/principalType", value),
            "producer" => self.take_producer(value),
            "producerProof" => self.take_proof(value),
            "retentionPolicy" => self.retention_policy = self.text("/retentionPolicy", value),
            "sessionContext" => self.take_session_context(value),
            "severity" => self.severity = self.choice("/severity", value, Severity::from_name),
            "source" => self.take_source(value),
            "status" => self.status = self.choice("/status", value, Status::from_name),
            "targetResourceId" => self.target_resource_id = self.text("/targetResourceId", value),
            "targetResourceType" => {
                self.target_resource_type = self.text("/targetResourceType", value)
            }
            "timestamp" => self.timestamp = self.time("/timestamp", value, MissingZone::Refuse),
            "traceparent" => self.traceparent = self.text("/traceparent", value),
            _ => return Some(value),
        }
        None
    }

    /// The statement, when nothing was wrong.
    pub(crate) fn finish(self) -> Result<Statement, Vec<Problem>> {
        self.finish_as(&CANONICAL)
    }

    /// The statement of a foreign form, which has its own names for what is required.
    pub(crate) fn finish_as(mut self, required: &Required) -> Result<Statement, Vec<Problem>> {
        let mut problems = self.take_problems(required);
        let statement = match self.into_statement() {
            Ok(statement) => statement,
            Err(problem) => {
                problems.push(problem);
                return Err(problems);
            }
        };
        // A member that is missing stands here as a value that no rule is broken by.
        problems.extend(validate::read_statement(&statement));
        if problems.is_empty() {
            Ok(statement)
        } else {
            Err(problems)
        }
    }

    /// The statement of a canonical event, whose rules are judged with the event's: what was wrong so far.
    pub(crate) fn finish_unjudged(mut self) -> Result<Statement, Vec<Problem>> {
        let problems = self.take_problems(&CANONICAL);
        if problems.is_empty() {
            self.into_statement().map_err(|problem| vec![problem])
        } else {
            Err(problems)
        }
    }

    fn take_problems(&mut self, required: &Required) -> Vec<Problem> {
        self.require(required.timestamp, self.timestamp.is_none());
        self.require(required.action, self.action.is_none());
        self.require(required.status, self.status.is_none());
        std::mem::take(&mut self.problems)
    }

    fn into_statement(self) -> Result<Statement, Problem> {
        let mut details = self.details;
        if !self.whole.is_empty() {
            details.push((WHOLE.to_owned(), Value::Object(self.whole)));
        }
        let details = Object::from_members(details).map_err(|name| {
            Problem::at(
                format!("/{name}"),
                Code::DuplicateKey,
                "two members map to this one",
            )
        })?;
        let (timestamp, timestamp_form) = self
            .timestamp
            .unwrap_or((Timestamp::EPOCH, TimestampForm::Canonical));
        Ok(Statement {
            id: self.id,
            producer: self.producer,
            event_version: self.event_version,
            timestamp,
            timestamp_form,
            principal_id: self.principal_id,
            principal_type: self.principal_type,
            organization_id: self
                .organization_id
                .filter(|organization| !organization.is_none()),
            session_context: Some(self.session_context)
                .filter(|context| *context != SessionContext::default()),
            action: self.action.unwrap_or_else(|| "missing".to_owned()),
            target_resource_type: self.target_resource_type,
            target_resource_id: self.target_resource_id,
            status: self.status.unwrap_or(Status::Attempt),
            outcome_description: self.outcome_description,
            duration_ms: self.duration_ms,
            severity: self.severity,
            data_classification: self.data_classification,
            retention_policy: self.retention_policy,
            correlation_id: self.correlation_id,
            traceparent: self.traceparent,
            source: Some(self.source).filter(|source| *source != Source::default()),
            producer_proof: self.producer_proof,
            details,
        })
    }

    /// Says that a required member is missing, unless something else was wrong with it.
    pub(crate) fn require(&mut self, path: &str, missing: bool) {
        if missing
            && !self
                .problems
                .iter()
                .any(|problem| problem.path.as_str() == path)
        {
            self.problem(path, Code::Missing, "required");
        }
    }

    pub(crate) fn problem(&mut self, path: &str, code: Code, message: impl Into<String>) {
        self.problems.push(Problem::at(path, code, message));
    }

    fn wrong_type(&mut self, path: &str, expected: &str, value: &Value) {
        self.problem(
            path,
            Code::WrongType,
            format!("must be {expected}, not {}", value.type_name()),
        );
    }

    /// Keeps a member that has no type of its own.
    pub(crate) fn keep(&mut self, name: impl Into<String>, value: Value) {
        self.details.push((name.into(), value));
    }

    pub(crate) fn text(&mut self, path: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text),
            Value::Null => None,
            other => {
                self.wrong_type(path, "a string", &other);
                None
            }
        }
    }

    pub(crate) fn number(&mut self, path: &str, value: Value) -> Option<Number> {
        match value {
            Value::Number(number) => Some(number),
            Value::Null => None,
            other => {
                self.wrong_type(path, "a number", &other);
                None
            }
        }
    }

    pub(crate) fn object(&mut self, path: &str, value: Value) -> Option<Object> {
        match value {
            Value::Object(object) => Some(object),
            Value::Null => None,
            other => {
                self.wrong_type(path, "an object", &other);
                None
            }
        }
    }

    pub(crate) fn choice<T>(
        &mut self,
        path: &str,
        value: Value,
        from_name: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let name = self.text(path, value)?;
        let choice = from_name(&name);
        if choice.is_none() {
            self.problem(path, Code::UnknownValue, "not one of this member's values");
        }
        choice
    }

    pub(crate) fn time(
        &mut self,
        path: &str,
        value: Value,
        missing_zone: MissingZone,
    ) -> Option<(Timestamp, TimestampForm)> {
        let text = self.text(path, value)?;
        match Timestamp::parse(&text, missing_zone) {
            Ok(time) => Some(time),
            Err(error) => {
                self.problem(path, Code::BadFormat, error.to_string());
                None
            }
        }
    }

    fn take_id(&mut self, value: Value) {
        let Some(text) = self.text("/id", value) else {
            return;
        };
        self.id = Some(stated_id(text));
    }

    fn take_session_context(&mut self, value: Value) {
        let Some(object) = self.object("/sessionContext", value) else {
            return;
        };
        let mut context = SessionContext::default();
        let mut rest = Vec::new();
        for (name, value) in object {
            match name.as_str() {
                "geolocation" => {
                    context.geolocation = self.text("/sessionContext/geolocation", value)
                }
                "ipAddress" => context.ip_address = self.text("/sessionContext/ipAddress", value),
                "sessionId" => context.session_id = self.text("/sessionContext/sessionId", value),
                "userAgent" => context.user_agent = self.text("/sessionContext/userAgent", value),
                _ => rest.push((name, value)),
            }
        }
        self.session_context = context;
        self.keep_rest("sessionContext", rest);
    }

    fn take_source(&mut self, value: Value) {
        let Some(object) = self.object("/source", value) else {
            return;
        };
        let mut source = Source::default();
        let mut rest = Vec::new();
        for (name, value) in object {
            match name.as_str() {
                "application" => source.application = self.text("/source/application", value),
                "environment" => source.environment = self.text("/source/environment", value),
                "version" => source.version = self.text("/source/version", value),
                _ => rest.push((name, value)),
            }
        }
        self.source = source;
        self.keep_rest("source", rest);
    }

    fn take_producer(&mut self, value: Value) {
        let Some(object) = self.object("/producer", value) else {
            return;
        };
        let (mut id, mut epoch, mut seq) = (None, None, None);
        let mut rest = Vec::new();
        for (name, value) in object {
            match name.as_str() {
                "epoch" => epoch = self.integer("/producer/epoch", value),
                "id" => id = self.text("/producer/id", value),
                "seq" => seq = self.integer("/producer/seq", value),
                _ => rest.push((name, value)),
            }
        }
        self.require("/producer/epoch", epoch.is_none());
        self.require("/producer/id", id.is_none());
        self.require("/producer/seq", seq.is_none());
        if let (Some(id), Some(epoch), Some(seq)) = (id, epoch, seq) {
            self.producer = Some(ProducerRef { id, epoch, seq });
        }
        self.keep_rest("producer", rest);
    }

    fn integer(&mut self, path: &str, value: Value) -> Option<u64> {
        let number = self.number(path, value)?;
        let integer = number.to_u64();
        if integer.is_none() {
            self.problem(path, Code::BadFormat, "must be an integer of 0 or more");
        }
        integer
    }

    fn take_proof(&mut self, value: Value) {
        let Some(object) = self.object("/producerProof", value) else {
            return;
        };
        let mut proof = ProducerProof::of_scheme("");
        let mut scheme = None;
        let mut rest = Vec::new();
        for (name, value) in object {
            match name.as_str() {
                "algorithm" => proof.algorithm = self.text("/producerProof/algorithm", value),
                "hash" => proof.hash = self.text("/producerProof/hash", value),
                "keyId" => proof.key_id = self.text("/producerProof/keyId", value),
                "preimage" => proof.preimage = self.text("/producerProof/preimage", value),
                "reason" => proof.reason = self.text("/producerProof/reason", value),
                "scheme" => scheme = self.text("/producerProof/scheme", value),
                "signature" => proof.signature = self.text("/producerProof/signature", value),
                "verdict" => {
                    proof.verdict = self.choice("/producerProof/verdict", value, Verdict::from_name)
                }
                "verifiedWith" => {
                    proof.verified_with = self.text("/producerProof/verifiedWith", value)
                }
                _ => rest.push((name, value)),
            }
        }
        self.require("/producerProof/scheme", scheme.is_none());
        proof.preimage_rebuildable = proof.preimage.is_none();
        self.producer_proof = scheme.map(|scheme| ProducerProof { scheme, ..proof });
        self.keep_rest("producerProof", rest);
    }

    /// Unknown members of a typed object stay under its name.
    pub(crate) fn keep_rest(&mut self, name: &'static str, rest: Vec<(String, Value)>) {
        if !rest.is_empty() {
            self.keep(name, Value::Object(rest.into_iter().collect()));
        }
    }
}

/// A hyphenated UUID is kept as the id, any other text becomes one later.
pub(crate) fn stated_id(text: String) -> StatedId {
    EventId::from_str(&text).map_or_else(|_not_a_uuid| StatedId::External(text), StatedId::Uuid)
}
