//! What a canonical event and an entry's header say, as slices of their bytes, and comparing that with columns.

use std::ops::Range;

use audit_event::timestamp::{MissingZone, TimestampForm};
use audit_event::{EventId, Timestamp};

use crate::digest::{ENTRY_LABEL, Sha256};
use crate::ledger::{Digest, LedgerId};
use crate::spans::{self, Member, Members};

/// Raw values of an event entry's header.
#[derive(Debug, Default)]
pub(crate) struct HeaderSpans<'a> {
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) data_classification: Option<&'a [u8]>,
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) index: Option<&'a [u8]>,
    pub(crate) kind: Option<&'a [u8]>,
    pub(crate) ledger: Option<&'a [u8]>,
    pub(crate) organization_id: Option<&'a [u8]>,
    pub(crate) received_at: Option<&'a [u8]>,
    pub(crate) retention_policy: Option<&'a [u8]>,
    pub(crate) sealed_at: Option<&'a [u8]>,
    pub(crate) timestamp: Option<&'a [u8]>,
}

impl<'a> HeaderSpans<'a> {
    /// `None` when it is not the header of an event.
    pub(crate) fn of_entry(entry: &'a [u8]) -> Option<Self> {
        let header = entry.strip_prefix(ENTRY_LABEL)?;
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
pub(crate) struct EventSpans<'a> {
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) organization_id: Option<&'a [u8]>,
    pub(crate) timestamp: Option<&'a [u8]>,
    pub(crate) received_at: Option<&'a [u8]>,
    pub(crate) data_classification: Option<&'a [u8]>,
    pub(crate) retention_policy: Option<&'a [u8]>,
    pub(crate) principal_id: Option<&'a [u8]>,
    pub(crate) action: Option<&'a [u8]>,
    pub(crate) target_resource_type: Option<&'a [u8]>,
    pub(crate) target_resource_id: Option<&'a [u8]>,
    pub(crate) status: Option<&'a [u8]>,
    pub(crate) severity: Option<&'a [u8]>,
    pub(crate) correlation_id: Option<&'a [u8]>,
    pub(crate) claim: Digest,
}

impl<'a> EventSpans<'a> {
    pub(crate) fn of(canonical: &'a [u8]) -> Option<Self> {
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
        let mut claim = ClaimInput::new(canonical);
        let mut members = Members::of(canonical);
        for member in members.by_ref() {
            claim.add(&member)?;
            if let Some(slot) = spans.slot(member.name) {
                *slot = Some(member.value);
            }
        }
        spans.claim = claim.finish()?;
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
    pub(crate) fn agrees_with(&self, header: &HeaderSpans<'_>) -> bool {
        self.id == header.id
            && self.organization_id == header.organization_id
            && self.timestamp == header.timestamp
            && self.received_at == header.received_at
            && self.data_classification.or(Some(b"\"INTERNAL\"")) == header.data_classification
            && self.retention_policy.or(Some(b"\"standard\"")) == header.retention_policy
    }
}

/// The claim over canonical bytes; `None` when they are none.
pub(crate) fn claim_in(canonical: &[u8]) -> Option<Digest> {
    let mut claim = ClaimInput::new(canonical);
    let mut members = Members::of(canonical);
    for member in members.by_ref() {
        claim.add(&member)?;
    }
    members.is_complete().then_some(())?;
    claim.finish()
}

/// The claim's input, cut out of canonical bytes (`docs/event-format.md` section 3); [`crate::claim::claim_of`] hashes the
/// same from an event, and a test holds the two together.
///
/// Members that follow each other are hashed as they stand, with the commas between them.
struct ClaimInput<'a> {
    canonical: &'a [u8],
    hash: Sha256,
    /// Members that wait to be hashed; empty before the first.
    run: Range<usize>,
    is_first: bool,
}

impl<'a> ClaimInput<'a> {
    fn new(canonical: &'a [u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"audit-claim/1\n{");
        Self {
            canonical,
            hash,
            run: 0..0,
            is_first: true,
        }
    }

    fn add(&mut self, member: &Member<'_>) -> Option<()> {
        match member.name {
            b"id" | b"organizationId" | b"receivedAt" | b"annotations" => Some(()),
            b"producerProof" => self.add_proof(member.value),
            _ if member.at.start == self.run.end + 1 && !self.run.is_empty() => {
                self.run.end = member.at.end;
                Some(())
            }
            _ => {
                self.end_run()?;
                self.run = member.at.clone();
                Some(())
            }
        }
    }

    /// A proof without what our verdict on it was.
    fn add_proof(&mut self, proof: &[u8]) -> Option<()> {
        self.end_run()?;
        self.separate();
        self.hash.update(b"\"producerProof\":{");
        let mut parts = Members::of(proof);
        let mut is_first = true;
        for part in parts
            .by_ref()
            .filter(|part| !matches!(part.name, b"verdict" | b"verifiedWith" | b"reason"))
        {
            if !std::mem::take(&mut is_first) {
                self.hash.update(b",");
            }
            self.hash.update(proof.get(part.at)?);
        }
        self.hash.update(b"}");
        parts.is_complete().then_some(())
    }

    fn end_run(&mut self) -> Option<()> {
        let run = std::mem::replace(&mut self.run, 0..0);
        if !run.is_empty() {
            self.separate();
            self.hash.update(self.canonical.get(run)?);
        }
        Some(())
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.hash.update(b",");
        }
    }

    fn finish(mut self) -> Option<Digest> {
        self.end_run()?;
        self.hash.update(b"}");
        Some(self.hash.finish())
    }
}

pub(crate) fn is_text(raw: Option<&[u8]>, column: Option<&str>) -> bool {
    match (raw, column) {
        (None, None) => true,
        // Nearly always there is no escape, and equal bytes are equal text.
        (Some(raw), Some(column)) => match spans::plain(raw) {
            Some(inner) => inner == column.as_bytes(),
            None => spans::text(raw).is_some_and(|text| text == column),
        },
        _ => false,
    }
}

/// The time of a raw value in canonical form.
pub(crate) fn time_of(raw: Option<&[u8]>) -> Option<Timestamp> {
    let text = raw.and_then(spans::text)?;
    match Timestamp::parse(&text, MissingZone::Refuse) {
        Ok((time, TimestampForm::Canonical)) => Some(time),
        _ => None,
    }
}

/// The id of a raw value, lower case as canonical bytes have it.
pub(crate) fn id_of(raw: Option<&[u8]>) -> Option<EventId> {
    let text = raw.and_then(spans::text)?;
    // Parsing takes upper case too; printing does not.
    (!text.bytes().any(|b| b.is_ascii_uppercase())).then(|| text.parse().ok())?
}

pub(crate) fn is_time(raw: Option<&[u8]>, column: Timestamp) -> bool {
    time_of(raw) == Some(column)
}

pub(crate) fn is_id(raw: Option<&[u8]>, column: EventId) -> bool {
    // Printed, because canonical bytes have one form of an id, and printing costs less than parsing.
    let mut text = [0; 36];
    raw.and_then(spans::plain) == Some(column.encode(&mut text).as_bytes())
}

pub(crate) fn is_number(raw: Option<&[u8]>, column: u64) -> bool {
    let number = raw
        .and_then(|raw| std::str::from_utf8(raw).ok())
        .and_then(|text| text.parse().ok());
    number == Some(column)
}

pub(crate) fn is_ledger(raw: Option<&[u8]>, column: LedgerId) -> bool {
    match column {
        LedgerId::Events(n) => is_number(raw, u64::from(n)),
        LedgerId::Directory => raw == Some(b"\"directory\""),
    }
}

pub(crate) fn is_hex(raw: Option<&[u8]>, digest: &Digest) -> bool {
    let mut text = [0; 64];
    hex::encode_to_slice(digest.0, &mut text).is_ok()
        && raw
            .and_then(|raw| raw.strip_prefix(b"\""))
            .and_then(|raw| raw.strip_suffix(b"\""))
            == Some(&text)
}
