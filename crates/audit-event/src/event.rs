//! The event itself: what a producer said, what accept stamped, and the draft that travels.

use crate::canonical::{Scope, write_event};
use crate::id::{EventId, Identity, OrganizationId};
use crate::number::Number;
use crate::problem::Problem;
use crate::timestamp::{Timestamp, TimestampForm};
use crate::value::Object;
use crate::{stored, validate};

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

impl Status {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Attempt, Self::Success, Self::Failure]
            .into_iter()
            .find(|status| status.as_str() == name)
    }
}

/// How urgent an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical]
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }
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

impl Classification {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "PUBLIC",
            Self::Internal => "INTERNAL",
            Self::Confidential => "CONFIDENTIAL",
            Self::Phi => "PHI",
        }
    }

    /// The classification of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Public, Self::Internal, Self::Confidential, Self::Phi]
            .into_iter()
            .find(|level| level.as_str() == name)
    }
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

impl ProducerProof {
    /// A proof of a scheme, with nothing in it yet.
    #[must_use]
    pub fn of_scheme(scheme: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            preimage: None,
            preimage_rebuildable: true,
            hash: None,
            signature: None,
            algorithm: None,
            key_id: None,
            verdict: None,
            verified_with: None,
            reason: None,
        }
    }
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

impl Verdict {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Mismatch => "mismatch",
            Self::Unverifiable => "unverifiable",
        }
    }

    /// The verdict of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Verified, Self::Mismatch, Self::Unverifiable]
            .into_iter()
            .find(|verdict| verdict.as_str() == name)
    }
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
    /// Stamps a statement: resolves its id and organisation, and writes both back into the statement, so that a
    /// stamped event equals the one read back from its canonical bytes.
    #[must_use]
    pub fn stamp(mut statement: Statement, stamps: &Stamps) -> Self {
        let stated = statement
            .organization_id
            .take()
            .filter(|organization| !organization.is_none());
        let organization_id = stated.unwrap_or_else(|| stamps.default_organization.clone());
        let id = match &statement.id {
            Some(StatedId::Uuid(id)) => *id,
            Some(StatedId::External(external)) => {
                EventId::from_external(&organization_id, external)
            }
            None => stamps.fallback_id,
        };
        let mut event = Self {
            id,
            received_at: stamps.received_at,
            organization_id,
            statement,
            annotations: Object::new(),
        };
        event.normalize();
        event
    }

    /// Gives everything that has one meaning one shape: the shape that canonical bytes read back to.
    fn normalize(&mut self) {
        let statement = &mut self.statement;
        statement.id.get_or_insert(StatedId::Uuid(self.id));
        let organization =
            Some(&self.organization_id).filter(|organization| !organization.is_none());
        if statement.organization_id.as_ref() != organization {
            statement.organization_id = organization.cloned();
        }
        statement
            .session_context
            .take_if(|context| *context == SessionContext::default());
        statement
            .source
            .take_if(|source| *source == Source::default());
    }

    /// Drops a preimage that can be rebuilt: it is not stored, and the verdict has been reached.
    fn drop_rebuildable_preimage(&mut self) {
        if let Some(proof) = &mut self.statement.producer_proof {
            proof.preimage.take_if(|_| proof.preimage_rebuildable);
            proof.preimage_rebuildable = proof.preimage.is_none();
        }
    }

    /// (id, organisation, timestamp).
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            id: self.id,
            organization_id: self.organization_id.clone(),
            timestamp: self.statement.timestamp,
        }
    }

    /// Reads canonical bytes back. `canonical(parse(c)) == c` for every canonical `c`.
    ///
    /// # Errors
    /// Every problem, when the bytes are not exactly a canonical event: storage was altered.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        stored::read_event(bytes)
    }

    /// The canonical bytes, `docs/event-format.md` section 2.
    #[must_use]
    pub fn to_canonical(&self) -> Vec<u8> {
        write_event(self, Scope::Whole).bytes
    }

    /// What the claim is the digest of, without its label; section 3.
    #[must_use]
    pub fn claim_input(&self) -> Vec<u8> {
        write_event(self, Scope::Claim).bytes
    }

    /// The classification that counts: the stated one, or `INTERNAL`.
    #[must_use]
    pub fn effective_classification(&self) -> Classification {
        self.statement
            .data_classification
            .unwrap_or(Classification::Internal)
    }

    /// The retention policy that counts: the stated one, or `standard`.
    #[must_use]
    pub fn effective_retention_policy(&self) -> &str {
        self.statement
            .retention_policy
            .as_deref()
            .unwrap_or("standard")
    }
}

/// A valid event in normal form with its canonical bytes: all that exists of it after accept.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    event: AuditEvent,
    canonical: Vec<u8>,
}

impl EventDraft {
    /// Checks every limit of `docs/event-format.md` and writes the canonical bytes. From here on a producer's
    /// preimage that can be rebuilt is gone: reach the verdict first.
    ///
    /// # Errors
    /// All problems at once, each with its path in the canonical event.
    pub fn new(mut event: AuditEvent) -> Result<Self, Vec<Problem>> {
        event.normalize();
        event.drop_rebuildable_preimage();
        let written = write_event(&event, Scope::Whole);
        let problems = validate::event(&event, &written);
        if problems.is_empty() {
            Ok(Self {
                event,
                canonical: written.bytes,
            })
        } else {
            Err(problems)
        }
    }

    /// Reads a draft back from its canonical bytes (a frame's payload).
    ///
    /// # Errors
    /// As [`AuditEvent::from_canonical`].
    pub fn from_canonical(bytes: Vec<u8>) -> Result<Self, Vec<Problem>> {
        Self::try_from_canonical(bytes).map_err(|(_bytes, problems)| problems)
    }

    /// The same for whoever needs the bytes when they are none.
    ///
    /// # Errors
    /// The bytes, and as [`AuditEvent::from_canonical`].
    pub fn try_from_canonical(bytes: Vec<u8>) -> Result<Self, (Vec<u8>, Vec<Problem>)> {
        match stored::read_event(&bytes) {
            Ok(event) => Ok(Self {
                event,
                canonical: bytes,
            }),
            Err(problems) => Err((bytes, problems)),
        }
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
