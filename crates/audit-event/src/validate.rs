//! The rules of an event: limits and forms of its members, checked all at once.

use crate::canonical::{Written, escaped_len};
use crate::event::{
    AuditEvent, ProducerProof, ProducerRef, SessionContext, Source, StatedId, Statement,
};
use crate::id::EventId;
use crate::limits;
use crate::problem::{Code, Path, Problem};
use crate::timestamp::{MissingZone, Timestamp, TimestampForm};
use crate::value::{Object, Value};

/// Judges how far ahead of its arrival an event claims to have happened. Once, at accept: a worker never refuses
/// for time.
#[must_use]
pub fn check_skew(
    timestamp: Timestamp,
    received_at: Timestamp,
    max_ahead_micros: i64,
) -> Option<Problem> {
    let ahead = timestamp.micros().saturating_sub(received_at.micros());
    (ahead > max_ahead_micros).then(|| {
        let message = format!("more than {} ms after it arrived", max_ahead_micros / 1_000);
        Problem::at("/timestamp", Code::InFuture, message)
    })
}

/// Every rule of a statement that needs no stamp; paths are those of the canonical event.
#[must_use]
pub fn statement(statement: &Statement) -> Vec<Problem> {
    let mut checks = Checks {
        problems: Vec::new(),
        nul: true,
    };
    checks.statement(statement);
    checks.problems
}

/// The same for a statement that was read from JSON: the reader refuses U+0000.
pub(crate) fn read_statement(statement: &Statement) -> Vec<Problem> {
    let mut checks = Checks {
        problems: Vec::new(),
        nul: false,
    };
    checks.statement(statement);
    checks.problems
}

/// Every rule of an event.
pub(crate) fn event(event: &AuditEvent, written: &Written) -> Vec<Problem> {
    let mut checks = Checks {
        problems: Vec::new(),
        nul: written.nul,
    };
    checks.statement(&event.statement);
    checks.identity(event);
    if written.size > limits::EVENT_BYTES_MAX {
        let message = format!(
            "the event is {} bytes, the limit is {}",
            written.size,
            limits::EVENT_BYTES_MAX
        );
        checks.problem("", Code::TooLarge, message);
    }
    // Found while writing; only now is it worth walking the tree for the paths.
    if written.nul || written.too_deep {
        checks.tree(&Path::from_pointer("/annotations"), &event.annotations, 2);
        checks.tree(&Path::from_pointer("/details"), &event.statement.details, 2);
    }
    checks.problems
}

struct Checks {
    problems: Vec<Problem>,
    /// Whether some text may contain U+0000.
    nul: bool,
}

impl Checks {
    fn problem(&mut self, path: &str, code: Code, message: impl Into<String>) {
        self.problems.push(Problem::at(path, code, message));
    }

    fn statement(&mut self, said: &Statement) {
        self.text("/action", &said.action, limits::INDEXED_TEXT_MAX);
        self.not_empty("/action", &said.action);
        self.optional(
            "/correlationId",
            said.correlation_id.as_deref(),
            limits::INDEXED_TEXT_MAX,
        );
        self.optional(
            "/eventVersion",
            said.event_version.as_deref(),
            limits::EVENT_VERSION_MAX,
        );
        self.optional(
            "/outcomeDescription",
            said.outcome_description.as_deref(),
            limits::OUTCOME_DESCRIPTION_MAX,
        );
        self.optional(
            "/principalId",
            said.principal_id.as_deref(),
            limits::INDEXED_TEXT_MAX,
        );
        self.optional(
            "/principalType",
            said.principal_type.as_deref(),
            limits::PRINCIPAL_TYPE_MAX,
        );
        self.optional(
            "/targetResourceId",
            said.target_resource_id.as_deref(),
            limits::INDEXED_TEXT_MAX,
        );
        self.optional(
            "/targetResourceType",
            said.target_resource_type.as_deref(),
            limits::INDEXED_TEXT_MAX,
        );
        self.handling(said);
        self.stated_id(said.id.as_ref());
        self.timestamp(said.timestamp, &said.timestamp_form);
        self.producer(said.producer.as_ref());
        self.session_context(said.session_context.as_ref());
        self.source(said.source.as_ref());
        self.proof(said.producer_proof.as_ref());
    }

    fn handling(&mut self, said: &Statement) {
        if let Some(organization) = &said.organization_id {
            self.header_text(
                "/organizationId",
                organization.as_str(),
                limits::INDEXED_TEXT_MAX,
            );
        }
        if let Some(policy) = &said.retention_policy {
            self.header_text("/retentionPolicy", policy, limits::RETENTION_POLICY_MAX);
            self.not_empty("/retentionPolicy", policy);
        }
        if said
            .duration_ms
            .as_ref()
            .is_some_and(crate::Number::is_negative)
        {
            self.problem("/durationMs", Code::BadFormat, "must not be negative");
        }
        if said
            .traceparent
            .as_deref()
            .is_some_and(|text| !is_traceparent(text))
        {
            self.problem(
                "/traceparent",
                Code::BadFormat,
                "not a W3C traceparent of version 00",
            );
        }
    }

    fn stated_id(&mut self, id: Option<&StatedId>) {
        if let Some(StatedId::External(external)) = id {
            self.text("/id", external, limits::INDEXED_TEXT_MAX);
            self.not_empty("/id", external);
        }
    }

    /// What can be rebuilt from the form must be the time it stands beside.
    fn timestamp(&mut self, time: Timestamp, form: &TimestampForm) {
        let fits = match form {
            TimestampForm::Canonical => true,
            TimestampForm::Seconds => time.micros() % 1_000_000 == 0,
            TimestampForm::Millis => time.micros() % 1_000 == 0,
            TimestampForm::Text(text) => {
                self.text("/timestampText", text, limits::TIMESTAMP_TEXT_MAX);
                Timestamp::parse(text, MissingZone::Utc)
                    .map_or(true, |read| read == (time, form.clone()))
            }
        };
        if !fits {
            self.problem(
                "/timestamp",
                Code::BadFormat,
                "is not the time that its text says",
            );
        }
    }

    fn producer(&mut self, producer: Option<&ProducerRef>) {
        let Some(producer) = producer else { return };
        self.text("/producer/id", &producer.id, limits::PRODUCER_ID_MAX);
        self.not_empty("/producer/id", &producer.id);
        for (path, value) in [
            ("/producer/epoch", producer.epoch),
            ("/producer/seq", producer.seq),
        ] {
            if value > limits::PRODUCER_NUMBER_MAX {
                self.problem(path, Code::TooLarge, "beyond 2^53 - 1");
            }
        }
    }

    fn session_context(&mut self, context: Option<&SessionContext>) {
        let Some(context) = context else { return };
        self.optional(
            "/sessionContext/geolocation",
            context.geolocation.as_deref(),
            limits::GEOLOCATION_MAX,
        );
        self.optional(
            "/sessionContext/ipAddress",
            context.ip_address.as_deref(),
            limits::IP_ADDRESS_MAX,
        );
        self.optional(
            "/sessionContext/sessionId",
            context.session_id.as_deref(),
            limits::SESSION_ID_MAX,
        );
        self.optional(
            "/sessionContext/userAgent",
            context.user_agent.as_deref(),
            limits::USER_AGENT_MAX,
        );
    }

    fn source(&mut self, source: Option<&Source>) {
        let Some(source) = source else { return };
        self.optional(
            "/source/application",
            source.application.as_deref(),
            limits::APPLICATION_MAX,
        );
        self.optional(
            "/source/environment",
            source.environment.as_deref(),
            limits::ENVIRONMENT_MAX,
        );
        self.optional(
            "/source/version",
            source.version.as_deref(),
            limits::SOURCE_VERSION_MAX,
        );
    }

    fn proof(&mut self, proof: Option<&ProducerProof>) {
        let Some(proof) = proof else { return };
        self.text(
            "/producerProof/scheme",
            &proof.scheme,
            limits::PROOF_NAME_MAX,
        );
        self.not_empty("/producerProof/scheme", &proof.scheme);
        self.optional(
            "/producerProof/algorithm",
            proof.algorithm.as_deref(),
            limits::PROOF_NAME_MAX,
        );
        self.optional(
            "/producerProof/hash",
            proof.hash.as_deref(),
            limits::PROOF_HASH_MAX,
        );
        self.optional(
            "/producerProof/keyId",
            proof.key_id.as_deref(),
            limits::PROOF_NAME_MAX,
        );
        self.optional(
            "/producerProof/preimage",
            proof.preimage.as_deref(),
            limits::EVENT_BYTES_MAX,
        );
        self.optional(
            "/producerProof/reason",
            proof.reason.as_deref(),
            limits::PROOF_REASON_MAX,
        );
        self.optional(
            "/producerProof/signature",
            proof.signature.as_deref(),
            limits::PROOF_SIGNATURE_MAX,
        );
        self.optional(
            "/producerProof/verifiedWith",
            proof.verified_with.as_deref(),
            limits::PROOF_NAME_MAX,
        );
    }

    /// The event's own id and organisation must be those that its statement leads to.
    fn identity(&mut self, event: &AuditEvent) {
        let expected = match &event.statement.id {
            Some(StatedId::Uuid(id)) => *id,
            Some(StatedId::External(external)) => {
                EventId::from_external(&event.organization_id, external)
            }
            None => event.id,
        };
        if expected != event.id {
            self.problem(
                "/id",
                Code::BadFormat,
                "is not the id that the producer's id leads to",
            );
        }
    }

    fn optional(&mut self, path: &str, text: Option<&str>, bytes_max: usize) {
        if let Some(text) = text {
            self.text(path, text, bytes_max);
        }
    }

    fn text(&mut self, path: &str, text: &str, bytes_max: usize) {
        if text.len() > bytes_max {
            self.problem(
                path,
                Code::TooLarge,
                format!("longer than {bytes_max} bytes"),
            );
        }
        if self.nul && text.as_bytes().contains(&0) {
            self.problem(path, Code::NulCharacter, "contains U+0000");
        }
    }

    fn not_empty(&mut self, path: &str, text: &str) {
        if text.is_empty() {
            self.problem(path, Code::Empty, "must not be empty");
        }
    }

    /// Text that stands in the entry header, whose size is limited with its escapes.
    fn header_text(&mut self, path: &str, text: &str, bytes_max: usize) {
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7F) {
            self.problem(path, Code::BadFormat, "contains a control character");
        }
        if escaped_len(text) > bytes_max {
            self.problem(
                path,
                Code::TooLarge,
                format!("longer than {bytes_max} bytes, escapes included"),
            );
        }
    }

    fn tree(&mut self, path: &Path, object: &Object, depth: usize) {
        if self.too_deep(path, depth) {
            return;
        }
        for (name, value) in object.iter() {
            let path = path.member(name);
            if name.as_bytes().contains(&0) {
                self.problem(
                    path.as_str(),
                    Code::NulCharacter,
                    "the name contains U+0000",
                );
            }
            self.node(&path, value, depth + 1);
        }
    }

    fn node(&mut self, path: &Path, value: &Value, depth: usize) {
        match value {
            Value::String(text) if text.as_bytes().contains(&0) => {
                self.problem(path.as_str(), Code::NulCharacter, "contains U+0000");
            }
            Value::Object(object) => self.tree(path, object, depth),
            Value::Array(items) if !self.too_deep(path, depth) => {
                for (index, item) in items.iter().enumerate() {
                    self.node(&path.index(index), item, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn too_deep(&mut self, path: &Path, depth: usize) -> bool {
        let too_deep = depth > limits::DEPTH_MAX;
        if too_deep {
            self.problem(
                path.as_str(),
                Code::TooDeep,
                format!("nested deeper than {} levels", limits::DEPTH_MAX),
            );
        }
        too_deep
    }
}

/// `00-<trace id>-<parent id>-<flags>`: lower-case hex, neither id all zeros; W3C Trace Context section 3.2.2.
fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |part: &str, len: usize| hex(part, len) && part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next(), parts.next(), parts.next(), parts.next());
    version == Some("00")
        && trace.is_some_and(|part| id(part, 32))
        && parent.is_some_and(|part| id(part, 16))
        && flags.is_some_and(|part| hex(part, 2))
        && parts.next().is_none()
}
