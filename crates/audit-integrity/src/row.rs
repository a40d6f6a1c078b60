//! The row of a stored event: what adapters write and verification recomputes.
//!
//! Every member is in the entry header or the canonical event, or derived from them; a member added here must be
//! compared in [`EventRow::differences`], which is why stores have no columns of their own.

use audit_event::timestamp::{MissingZone, TimestampForm};
use audit_event::{Classification, EventId, OrganizationId, Severity, Status, Timestamp};

use crate::entry::{EntryHeader, EntryKind, Salt, SealedEvent, body_digest};
use crate::ledger::{Digest, LeafIndex, LedgerId};
use crate::spans::{self, Member, Members};

/// A stored event, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Ledger of its entry.
    pub ledger: LedgerId,
    /// Position of its entry.
    pub leaf_index: LeafIndex,
    /// Its leaf.
    pub leaf_hash: Digest,
    /// Id.
    pub id: EventId,
    /// Organisation, "" when none.
    pub organization_id: OrganizationId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When accept took it.
    pub received_at: Timestamp,
    /// When it was numbered.
    pub sealed_at: Timestamp,
    /// Index copy.
    pub principal_id: Option<String>,
    /// Index copy.
    pub action: String,
    /// Index copy.
    pub target_resource_type: Option<String>,
    /// Index copy.
    pub target_resource_id: Option<String>,
    /// Index copy.
    pub status: Status,
    /// Index copy; what was stated, or `Info`.
    pub severity: Severity,
    /// The effective classification.
    pub data_classification: Classification,
    /// The effective policy.
    pub retention_policy: String,
    /// Index copy.
    pub correlation_id: Option<String>,
    /// Digest of what the producer said.
    pub claim: Digest,
    /// The body's salt; gone when expired.
    pub salt: Option<Salt>,
    /// The canonical event; gone when expired.
    pub canonical: Option<Vec<u8>>,
}

/// Columns of an event row, by the names that [`EventRow::differences`] gives; a store's table has these and no others.
pub const COLUMNS: [&str; 20] = [
    "ledger",
    "leaf_index",
    "leaf_hash",
    "id",
    "organization_id",
    "timestamp",
    "received_at",
    "sealed_at",
    "principal_id",
    "action",
    "target_resource_type",
    "target_resource_id",
    "status",
    "severity",
    "data_classification",
    "retention_policy",
    "correlation_id",
    "claim",
    "salt",
    "canonical",
];

impl EventRow {
    /// The row of a sealed event.
    #[must_use]
    pub fn of(sealed: &SealedEvent) -> Self {
        let (event, header) = (sealed.draft.event(), &sealed.header);
        let statement = &event.statement;
        Self {
            ledger: header.ledger,
            leaf_index: header.index,
            leaf_hash: sealed.leaf_hash,
            id: event.id,
            organization_id: event.organization_id.clone(),
            timestamp: statement.timestamp,
            received_at: event.received_at,
            sealed_at: header.sealed_at,
            principal_id: statement.principal_id.clone(),
            action: statement.action.clone(),
            target_resource_type: statement.target_resource_type.clone(),
            target_resource_id: statement.target_resource_id.clone(),
            status: statement.status,
            severity: statement.severity.unwrap_or(Severity::Info),
            data_classification: event.effective_classification(),
            retention_policy: event.effective_retention_policy().to_owned(),
            correlation_id: statement.correlation_id.clone(),
            claim: sealed.claim,
            salt: Some(sealed.salt),
            canonical: Some(sealed.draft.canonical().to_vec()),
        }
    }

    /// The entry header that this row was committed with, made from its columns alone; `None` when the body is gone.
    ///
    /// The signer hashes this against the entry in the chunk, so that what is signed was reached on two ways.
    #[must_use]
    pub fn header(&self) -> Option<EntryHeader> {
        let body = body_digest(self.salt.as_ref()?, self.canonical.as_deref()?);
        Some(EntryHeader {
            kind: EntryKind::Event,
            ledger: self.ledger,
            index: self.leaf_index,
            id: self.id,
            organization_id: self.organization_id.clone(),
            timestamp: self.timestamp,
            received_at: self.received_at,
            sealed_at: self.sealed_at,
            data_classification: self.data_classification,
            retention_policy: self.retention_policy.clone(),
            body,
        })
    }

    /// Names of the columns in which this row differs from what its own canonical bytes and `entry` say; empty when
    /// it is what a commit wrote.
    ///
    /// `entry` is the leaf input and is believed (the tree answers for it). When salt and canonical bytes do not give the
    /// header's body, one of them was altered: both are named when nothing tells which. A row without salt and canonical bytes
    /// is compared with its header only; whether they may be gone is for [`crate::verify`] to say.
    #[must_use]
    pub fn differences(&self, entry: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        let Some(header) = entry.strip_prefix(ENTRY_LABEL).and_then(HeaderSpans::of) else {
            return vec!["leaf_index"];
        };
        self.compare_header(&header, &mut found);
        note(&mut found, "leaf_hash", self.leaf_hash == leaf_of(entry));
        match (&self.salt, &self.canonical) {
            (Some(salt), Some(canonical)) => {
                self.compare_body(&header, salt, canonical, &mut found)
            }
            (None, None) => {}
            (None, Some(_)) => found.push("salt"),
            (Some(_), None) => found.push("canonical"),
        }
        found
    }

    fn compare_header(&self, header: &HeaderSpans<'_>, found: &mut Vec<&'static str>) {
        note(found, "ledger", is_ledger(header.ledger, self.ledger));
        note(
            found,
            "leaf_index",
            is_number(header.index, self.leaf_index.0),
        );
        note(found, "id", is_id(header.id, self.id));
        note(
            found,
            "organization_id",
            is_text(
                header.organization_id,
                none_if_empty(self.organization_id.as_str()),
            ),
        );
        note(
            found,
            "timestamp",
            is_time(header.timestamp, self.timestamp),
        );
        note(
            found,
            "received_at",
            is_time(header.received_at, self.received_at),
        );
        note(
            found,
            "sealed_at",
            is_time(header.sealed_at, self.sealed_at),
        );
        note(
            found,
            "data_classification",
            is_text(
                header.data_classification,
                Some(classification(self.data_classification)),
            ),
        );
        note(
            found,
            "retention_policy",
            is_text(header.retention_policy, Some(&self.retention_policy)),
        );
    }

    fn compare_body(
        &self,
        header: &HeaderSpans<'_>,
        salt: &Salt,
        canonical: &[u8],
        found: &mut Vec<&'static str>,
    ) {
        let body = body_digest(salt, canonical);
        let said = EventSpans::of(canonical);
        let authentic = is_hex(header.body, &body);
        match said {
            Some(said) if said.agrees_with(header) => {
                let claimed = said.claim == self.claim;
                match (authentic, claimed) {
                    (true, _) => note(found, "claim", claimed),
                    // Intact as far as the claim reaches: the salt, or a member that the claim leaves out.
                    (false, true) => found.extend(["canonical", "salt"]),
                    (false, false) => found.push("canonical"),
                }
                if authentic || claimed {
                    self.compare_copies(&said, found);
                }
            }
            _ => found.push("canonical"),
        }
    }

    fn compare_copies(&self, said: &EventSpans<'_>, found: &mut Vec<&'static str>) {
        note(
            found,
            "principal_id",
            is_text(said.principal_id, self.principal_id.as_deref()),
        );
        note(found, "action", is_text(said.action, Some(&self.action)));
        note(
            found,
            "target_resource_type",
            is_text(
                said.target_resource_type,
                self.target_resource_type.as_deref(),
            ),
        );
        note(
            found,
            "target_resource_id",
            is_text(said.target_resource_id, self.target_resource_id.as_deref()),
        );
        note(
            found,
            "status",
            is_text(said.status, Some(status(self.status))),
        );
        note(
            found,
            "severity",
            is_text(
                said.severity.or(Some(b"\"info\"")),
                Some(severity(self.severity)),
            ),
        );
        note(
            found,
            "correlation_id",
            is_text(said.correlation_id, self.correlation_id.as_deref()),
        );
    }
}

const ENTRY_LABEL: &[u8] = b"audit-entry/1\n";

/// Raw values of an event entry's header.
#[derive(Debug, Default)]
struct HeaderSpans<'a> {
    body: Option<&'a [u8]>,
    data_classification: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    index: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    ledger: Option<&'a [u8]>,
    organization_id: Option<&'a [u8]>,
    received_at: Option<&'a [u8]>,
    retention_policy: Option<&'a [u8]>,
    sealed_at: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
}

impl<'a> HeaderSpans<'a> {
    /// `None` when it is not the header of an event.
    fn of(header: &'a [u8]) -> Option<Self> {
        let mut spans = Self::default();
        let mut members = Members::of(header);
        for member in members.by_ref() {
            let slot = match member.name {
                b"body" => &mut spans.body,
                b"dataClassification" => &mut spans.data_classification,
                b"id" => &mut spans.id,
                b"index" => &mut spans.index,
                b"ledger" => &mut spans.ledger,
                b"organizationId" => &mut spans.organization_id,
                b"receivedAt" => &mut spans.received_at,
                b"retentionPolicy" => &mut spans.retention_policy,
                b"sealedAt" => &mut spans.sealed_at,
                b"timestamp" => &mut spans.timestamp,
                b"kind" => &mut spans.kind,
                _ => return None,
            };
            *slot = Some(member.value);
        }
        (members.is_complete() && spans.kind == Some(b"\"event\"")).then_some(spans)
    }
}

/// Raw values of a canonical event, and the claim over it, both from one pass.
#[derive(Debug)]
struct EventSpans<'a> {
    id: Option<&'a [u8]>,
    organization_id: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
    received_at: Option<&'a [u8]>,
    data_classification: Option<&'a [u8]>,
    retention_policy: Option<&'a [u8]>,
    principal_id: Option<&'a [u8]>,
    action: Option<&'a [u8]>,
    target_resource_type: Option<&'a [u8]>,
    target_resource_id: Option<&'a [u8]>,
    status: Option<&'a [u8]>,
    severity: Option<&'a [u8]>,
    correlation_id: Option<&'a [u8]>,
    claim: Digest,
}

impl<'a> EventSpans<'a> {
    fn of(canonical: &'a [u8]) -> Option<Self> {
        let mut spans = Self {
            id: None,
            organization_id: None,
            timestamp: None,
            received_at: None,
            data_classification: None,
            retention_policy: None,
            principal_id: None,
            action: None,
            target_resource_type: None,
            target_resource_id: None,
            status: None,
            severity: None,
            correlation_id: None,
            claim: Digest([0; 32]),
        };
        let mut claim = ClaimInput::new(canonical.len());
        let mut members = Members::of(canonical);
        for member in members.by_ref() {
            claim.add(&member)?;
            if let Some(slot) = spans.slot(member.name) {
                *slot = Some(member.value);
            }
        }
        spans.claim = claim.finish();
        members.is_complete().then_some(spans)
    }

    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        Some(match name {
            b"id" => &mut self.id,
            b"organizationId" => &mut self.organization_id,
            b"timestamp" => &mut self.timestamp,
            b"receivedAt" => &mut self.received_at,
            b"dataClassification" => &mut self.data_classification,
            b"retentionPolicy" => &mut self.retention_policy,
            b"principalId" => &mut self.principal_id,
            b"action" => &mut self.action,
            b"targetResourceType" => &mut self.target_resource_type,
            b"targetResourceId" => &mut self.target_resource_id,
            b"status" => &mut self.status,
            b"severity" => &mut self.severity,
            b"correlationId" => &mut self.correlation_id,
            _ => return None,
        })
    }

    /// Whether event and header say the same where both speak. Both are canonical, so equal values are equal bytes.
    fn agrees_with(&self, header: &HeaderSpans<'_>) -> bool {
        self.id == header.id
            && self.organization_id == header.organization_id
            && self.timestamp == header.timestamp
            && self.received_at == header.received_at
            && self.data_classification.or(Some(b"\"INTERNAL\"")) == header.data_classification
            && self.retention_policy.or(Some(b"\"standard\"")) == header.retention_policy
    }
}

/// The claim's input, cut out of canonical bytes (`docs/event-format.md` section 3); [`crate::claim::claim_of`] writes the
/// same from an event, and a test holds the two together.
#[derive(Debug)]
struct ClaimInput(Vec<u8>);

impl ClaimInput {
    fn new(capacity: usize) -> Self {
        let mut input = Vec::with_capacity(capacity + 16);
        input.extend_from_slice(b"audit-claim/1\n{");
        Self(input)
    }

    fn add(&mut self, member: &Member<'_>) -> Option<()> {
        match member.name {
            b"id" | b"organizationId" | b"receivedAt" | b"annotations" => {}
            b"producerProof" => {
                self.0.extend_from_slice(b"\"producerProof\":{");
                let mut parts = Members::of(member.value);
                for part in parts
                    .by_ref()
                    .filter(|part| !matches!(part.name, b"verdict" | b"verifiedWith" | b"reason"))
                {
                    self.push(part.whole);
                }
                parts.is_complete().then_some(())?;
                self.close();
                self.0.push(b',');
            }
            _ => self.push(member.whole),
        }
        Some(())
    }

    fn push(&mut self, member: &[u8]) {
        self.0.extend_from_slice(member);
        self.0.push(b',');
    }

    fn close(&mut self) {
        self.0.pop_if(|last| *last == b',');
        self.0.push(b'}');
    }

    fn finish(mut self) -> Digest {
        self.close();
        sha256(&[&self.0])
    }
}

fn note(found: &mut Vec<&'static str>, column: &'static str, same: bool) {
    if !same {
        found.push(column);
    }
}

fn none_if_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn is_text(raw: Option<&[u8]>, column: Option<&str>) -> bool {
    match (raw, column) {
        (None, None) => true,
        (Some(raw), Some(column)) => spans::text(raw).is_some_and(|text| text == column),
        _ => false,
    }
}

fn is_time(raw: Option<&[u8]>, column: Timestamp) -> bool {
    let time = raw
        .and_then(spans::text)
        .and_then(|text| Timestamp::parse(&text, MissingZone::Refuse).ok());
    time == Some((column, TimestampForm::Canonical))
}

fn is_id(raw: Option<&[u8]>, column: EventId) -> bool {
    let text = raw.and_then(spans::text);
    // Parsing takes upper case too; printing does not.
    text.is_some_and(|text| {
        !text.bytes().any(|b| b.is_ascii_uppercase()) && text.parse() == Ok(column)
    })
}

fn is_number(raw: Option<&[u8]>, column: u64) -> bool {
    let number = raw
        .and_then(|raw| std::str::from_utf8(raw).ok())
        .and_then(|text| text.parse().ok());
    number == Some(column)
}

fn is_ledger(raw: Option<&[u8]>, column: LedgerId) -> bool {
    match column {
        LedgerId::Events(n) => is_number(raw, u64::from(n)),
        LedgerId::Directory => raw == Some(b"\"directory\""),
    }
}

fn is_hex(raw: Option<&[u8]>, digest: &Digest) -> bool {
    let mut text = [0; 64];
    hex::encode_to_slice(digest.0, &mut text).is_ok()
        && raw
            .and_then(|raw| raw.strip_prefix(b"\""))
            .and_then(|raw| raw.strip_suffix(b"\""))
            == Some(&text)
}

fn leaf_of(entry: &[u8]) -> Digest {
    sha256(&[&[0], entry])
}

fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = Digest([0; 32]);
    for (to, from) in digest.0.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Attempt => "attempt",
        Status::Success => "success",
        Status::Failure => "failure",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn classification(classification: Classification) -> &'static str {
    match classification {
        Classification::Public => "PUBLIC",
        Classification::Internal => "INTERNAL",
        Classification::Confidential => "CONFIDENTIAL",
        Classification::Phi => "PHI",
    }
}
