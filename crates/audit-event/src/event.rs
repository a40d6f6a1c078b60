//! The event itself: what a producer said, what accept stamped, and the draft that travels.

use crate::id::{EventId, Identity, OrganizationId};
use crate::number::Number;
use crate::problem::Problem;
use crate::timestamp::{Timestamp, TimestampForm};
use crate::value::Object;

/// What a producer said about one action, after parsing and before anything was stamped.
///
/// Every member but the three required ones may be absent; absent is not the same as a default.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The producer's id, when it gave one.
    pub id: Option<StatedId>,
    /// Position in the producer's own sequence, for completeness checks.
    pub producer: Option<ProducerRef>,
    /// Version of the producer's event schema.
    pub event_version: Option<String>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// How the producer wrote the timestamp.
    pub timestamp_form: TimestampForm,
    /// Who did it.
    pub principal_id: Option<String>,
    /// What kind of principal: user, service, api_key, ...
    pub principal_type: Option<String>,
    /// The organisation the producer named; `None` when it named none.
    pub organization_id: Option<OrganizationId>,
    /// The session it was done in.
    pub session_context: Option<SessionContext>,
    /// What was done; never empty.
    pub action: String,
    /// Type of the thing it was done to.
    pub target_resource_type: Option<String>,
    /// Id of the thing it was done to.
    pub target_resource_id: Option<String>,
    /// Whether it was tried, done, or failed.
    pub status: Status,
    /// In the producer's words.
    pub outcome_description: Option<String>,
    /// How long it took, in milliseconds; not negative.
    pub duration_ms: Option<Number>,
    /// How urgent.
    pub severity: Option<Severity>,
    /// How sensitive; absent counts as [`Classification::Internal`].
    pub data_classification: Option<Classification>,
    /// Name of the retention policy; absent counts as `standard`.
    pub retention_policy: Option<String>,
    /// Joins events of one operation.
    pub correlation_id: Option<String>,
    /// W3C Trace Context header value, version 00.
    pub traceparent: Option<String>,
    /// The application it came from.
    pub source: Option<Source>,
    /// What the producer hashed or signed.
    pub producer_proof: Option<ProducerProof>,
    /// Every other member, under the producer's names.
    pub details: Object,
}

/// An id as a producer gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatedId {
    /// A hyphenated UUID.
    Uuid(EventId),
    /// Any other text; it becomes a UUIDv5 once the organisation is known.
    External(String),
}

/// Position of an event in its producer's sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerRef {
    /// The producer's name.
    pub id: String,
    /// Counts the producer's restarts.
    pub epoch: u64,
    /// Counts events within an epoch.
    pub seq: u64,
}

/// The session an action was done in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionContext {
    /// Session id.
    pub session_id: Option<String>,
    /// Address of the client, as text; not parsed, because producers send `unknown` too.
    pub ip_address: Option<String>,
    /// User agent.
    pub user_agent: Option<String>,
    /// Geolocation, in the producer's words.
    pub geolocation: Option<String>,
}

/// The application an event came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Name.
    pub application: Option<String>,
    /// Environment: production, staging, ...
    pub environment: Option<String>,
    /// Version.
    pub version: Option<String>,
}

/// Whether an action was tried, done, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Status {
    Attempt,
    Success,
    Failure,
}

/// How urgent an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// How sensitive an event's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Classification {
    Public,
    Internal,
    Confidential,
    /// Protected health information (HIPAA).
    Phi,
}

/// What the producer hashed or signed, and our verdict on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerProof {
    /// Which scheme: `smart-logs`, `pake-v1`.
    pub scheme: String,
    /// The signed text; kept in the stored event only when it cannot be rebuilt from the other members.
    pub preimage: Option<String>,
    /// Whether `preimage` can be rebuilt from the stored members; decides whether it is written.
    pub preimage_rebuildable: bool,
    /// The digest the producer sent.
    pub hash: Option<String>,
    /// The signature the producer sent.
    pub signature: Option<String>,
    /// The algorithm it named.
    pub algorithm: Option<String>,
    /// The key it named.
    pub key_id: Option<String>,
    /// Our verdict; `None` until accept has reached it.
    pub verdict: Option<Verdict>,
    /// Id of the key the verdict was reached with.
    pub verified_with: Option<String>,
    /// Why, when the verdict is not `Verified`.
    pub reason: Option<String>,
}

/// Our verdict on a producer's proof, reached once, from the original bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything the producer sent was recomputed and matched.
    Verified,
    /// Something did not match.
    Mismatch,
    /// We have no key, or do not know the algorithm.
    Unverifiable,
}

/// What accept adds to a statement. All of it is decided by the caller: this crate asks no clock.
#[derive(Debug, Clone)]
pub struct Stamps {
    /// Used when the statement carries no id.
    pub fallback_id: EventId,
    /// When accept took it.
    pub received_at: Timestamp,
    /// The organisation for statements that name none.
    pub default_organization: OrganizationId,
}

/// A complete event: a statement, its stamps, and what processors added.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// The event's id.
    pub id: EventId,
    /// When accept took it.
    pub received_at: Timestamp,
    /// Whose record it is; empty when nobody's.
    pub organization_id: OrganizationId,
    /// What the producer said.
    pub statement: Statement,
    /// What our processors added.
    pub annotations: Object,
}

impl AuditEvent {
    /// Stamps a statement: resolves its id and organisation.
    #[must_use]
    pub fn stamp(statement: Statement, stamps: &Stamps) -> Self {
        todo!()
    }

    /// (id, organisation, timestamp).
    #[must_use]
    pub fn identity(&self) -> Identity {
        todo!()
    }

    /// Reads canonical bytes back. `canonical(parse(c)) == c` for every canonical `c`.
    ///
    /// # Errors
    /// Every problem, when the bytes are not exactly a canonical event: storage was altered.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        todo!()
    }

    /// The canonical bytes, `docs/event-format.md` section 2.
    #[must_use]
    pub fn to_canonical(&self) -> Vec<u8> {
        todo!()
    }

    /// What the claim is the digest of, without its label; section 3.
    #[must_use]
    pub fn claim_input(&self) -> Vec<u8> {
        todo!()
    }

    /// The classification that counts: the stated one, or `INTERNAL`.
    #[must_use]
    pub fn effective_classification(&self) -> Classification {
        self.statement.data_classification.unwrap_or(Classification::Internal)
    }

    /// The retention policy that counts: the stated one, or `standard`.
    #[must_use]
    pub fn effective_retention_policy(&self) -> &str {
        self.statement.retention_policy.as_deref().unwrap_or("standard")
    }
}

/// A valid event in normal form with its canonical bytes: all that exists of it after accept.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    event: AuditEvent,
    canonical: Vec<u8>,
}

impl EventDraft {
    /// Checks every limit of `docs/event-format.md` and writes the canonical bytes.
    ///
    /// # Errors
    /// All problems at once, each with its path.
    pub fn new(event: AuditEvent) -> Result<Self, Vec<Problem>> {
        todo!()
    }

    /// Reads a draft back from its canonical bytes (a frame's payload).
    ///
    /// # Errors
    /// As [`AuditEvent::from_canonical`].
    pub fn from_canonical(bytes: Vec<u8>) -> Result<Self, Vec<Problem>> {
        todo!()
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &AuditEvent {
        &self.event
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// Takes the draft apart.
    #[must_use]
    pub fn into_parts(self) -> (AuditEvent, Vec<u8>) {
        (self.event, self.canonical)
    }
}
