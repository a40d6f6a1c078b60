//! Entries: the leaf input, and events sealed into a position.

use audit_event::timestamp::MissingZone;
use audit_event::{Classification, EventDraft, EventId, OrganizationId, Timestamp};

use crate::control::ControlKind;
use crate::digest::{BODY_LABEL, ENTRY_LABEL, leaf_hash, sha256};
use crate::header::HeaderText;
use crate::json::Cursor;
use crate::ledger::{Digest, LeafIndex, LedgerId};

/// Longest leaf input; the limits of `docs/event-format.md` section 2 keep every header below it.
pub const ENTRY_BYTES_MAX: usize = 1_024;

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A producer's event.
    Event,
    /// Something the system did; only in the directory ledger.
    Control(ControlKind),
}

impl EntryKind {
    /// The kind as it stands in a header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Control(kind) => kind.as_str(),
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "event" {
            Some(Self::Event)
        } else {
            ControlKind::from_name(name).map(Self::Control)
        }
    }
}

/// The header whose canonical form, behind its label, is the leaf input (`docs/event-format.md` section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHeader {
    /// What it records.
    pub kind: EntryKind,
    /// The ledger it is in.
    pub ledger: LedgerId,
    /// Its position.
    pub index: LeafIndex,
    /// The event's id.
    pub id: EventId,
    /// Its organisation.
    pub organization_id: OrganizationId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// When accept took it.
    pub received_at: Timestamp,
    /// When it was numbered.
    pub sealed_at: Timestamp,
    /// The effective classification.
    pub data_classification: Classification,
    /// The effective retention policy.
    pub retention_policy: String,
    /// Digest of the salted body.
    pub body: Digest,
}

/// 16 random bytes that make a body's digest unguessable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// An event with its place in a ledger; made by [`seal`], stored by a commit.
#[derive(Debug, Clone)]
pub struct SealedEvent {
    /// The event and its canonical bytes. Boxed, because sealed events are moved, and a draft is large.
    pub draft: Box<EventDraft>,
    /// The header.
    pub header: EntryHeader,
    /// The salt of its body.
    pub salt: Salt,
    /// Digest of what the producer said.
    pub claim: Digest,
    /// The leaf input.
    pub entry: Vec<u8>,
    /// The leaf.
    pub leaf_hash: Digest,
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// Where and when a draft is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The ledger.
    pub ledger: LedgerId,
    /// The position.
    pub index: LeafIndex,
    /// The time of sealing.
    pub sealed_at: Timestamp,
    /// The salt.
    pub salt: Salt,
}

/// Gives a draft its place: salted body, header, entry, leaf. Pure; `claim` is [`crate::claim::claim_of`] of the draft,
/// handed in because duplicates are settled before anything is numbered.
#[must_use]
pub fn seal(draft: impl Into<Box<EventDraft>>, claim: Digest, place: &Place) -> SealedEvent {
    let draft = draft.into();
    let event = draft.event();
    let header = EntryHeader {
        kind: EntryKind::Event,
        ledger: place.ledger,
        index: place.index,
        id: event.id,
        organization_id: event.organization_id.clone(),
        timestamp: event.statement.timestamp,
        received_at: event.received_at,
        sealed_at: place.sealed_at,
        data_classification: event.effective_classification(),
        retention_policy: event.effective_retention_policy().to_owned(),
        body: body_digest(&place.salt, draft.canonical()),
    };
    let entry = header.to_entry();
    let leaf_hash = leaf_hash(&entry);
    SealedEvent {
        draft,
        header,
        salt: place.salt,
        claim,
        entry,
        leaf_hash,
    }
}

impl EntryHeader {
    /// The leaf input: label and canonical header.
    #[must_use]
    pub fn to_entry(&self) -> Vec<u8> {
        // 448 bytes hold every header whose organisation and policy need less than some 60 bytes.
        let mut out = Vec::with_capacity(448);
        out.extend_from_slice(ENTRY_LABEL);
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        let text = HeaderText {
            kind: self.kind,
            ledger: self.ledger,
            index: self.index,
            id: self.id,
            organization_id: self.organization_id.as_str(),
            timestamp: self.timestamp,
            received_at: self.received_at,
            sealed_at: self.sealed_at,
            data_classification: self.data_classification,
            retention_policy: &self.retention_policy,
            body: self.body,
        };
        text.write(out);
    }

    /// Reads a leaf input back; strict: exactly what [`Self::to_entry`] writes.
    ///
    /// # Errors
    /// When the bytes are no entry.
    pub fn from_entry(entry: &[u8]) -> Result<Self, EntryError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::new("longer than 1,024 bytes"));
        }
        let header = entry
            .strip_prefix(ENTRY_LABEL)
            .ok_or_else(|| EntryError::new("no label of version 1"))?;
        let text = std::str::from_utf8(header).map_err(|source| EntryError {
            reason: source.to_string(),
        })?;
        let read = Self::read(text).ok_or_else(|| EntryError::new("the header is malformed"))?;
        // What the reader tolerates (a sign, a zero in front, another escape) does not survive this.
        let mut again = Vec::with_capacity(header.len());
        read.write(&mut again);
        if again == header {
            Ok(read)
        } else {
            Err(EntryError::new("the header is not in canonical form"))
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut cursor = Cursor::new(text);
        cursor.literal("{\"body\":\"")?;
        let body = digest_of(cursor.until('"')?)?;
        cursor.literal(",\"dataClassification\":\"")?;
        let data_classification = Classification::from_name(cursor.until('"')?)?;
        cursor.literal(",\"id\":\"")?;
        let id = cursor.until('"')?.parse().ok()?;
        cursor.literal(",\"index\":")?;
        let index = LeafIndex(cursor.until(',')?.parse().ok()?);
        cursor.literal("\"kind\":\"")?;
        let kind = EntryKind::from_name(cursor.until('"')?)?;
        cursor.literal(",\"ledger\":")?;
        let ledger = cursor.until(',')?.trim_matches('"').parse().ok()?;
        let organization_id = match cursor.literal("\"organizationId\":\"") {
            Some(()) => {
                let name = cursor.string()?;
                cursor.literal(",")?;
                OrganizationId::new(&name)
            }
            None => OrganizationId::none(),
        };
        cursor.literal("\"receivedAt\":\"")?;
        let received_at = time_of(cursor.until('"')?)?;
        cursor.literal(",\"retentionPolicy\":\"")?;
        let retention_policy = cursor.string()?.into_owned();
        cursor.literal(",\"sealedAt\":\"")?;
        let sealed_at = time_of(cursor.until('"')?)?;
        cursor.literal(",\"timestamp\":\"")?;
        let timestamp = time_of(cursor.until('"')?)?;
        cursor.literal("}")?;
        cursor.is_at_end().then_some(Self {
            kind,
            ledger,
            index,
            id,
            organization_id,
            timestamp,
            received_at,
            sealed_at,
            data_classification,
            retention_policy,
            body,
        })
    }
}

/// Bytes that are not an entry.
#[derive(Debug, thiserror::Error)]
#[error("not an entry: {reason}")]
pub struct EntryError {
    /// What is wrong.
    pub reason: String,
}

impl EntryError {
    fn new(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
        }
    }
}

/// Digest of a salted body (event or control document).
#[must_use]
pub fn body_digest(salt: &Salt, canonical: &[u8]) -> Digest {
    sha256(&[BODY_LABEL, &salt.0, canonical])
}

fn digest_of(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Digest(bytes))
}

fn time_of(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text, MissingZone::Refuse)
        .ok()
        .map(|(time, _form)| time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::claim_of;

    fn time(text: &str) -> Timestamp {
        time_of(text).unwrap()
    }

    fn header() -> EntryHeader {
        EntryHeader {
            kind: EntryKind::Event,
            ledger: LedgerId::Events(3),
            index: LeafIndex(41),
            id: "0190a1b2-c3d4-7e5f-8a6b-000000000001".parse().unwrap(),
            organization_id: OrganizationId::new("clinic \"Nord\" é\n"),
            timestamp: time("2026-01-02T03:04:05.678901Z"),
            received_at: time("2026-01-02T03:04:06Z"),
            sealed_at: time("2026-01-02T03:04:07.5Z"),
            data_classification: Classification::Phi,
            retention_policy: "hipaa".to_owned(),
            body: Digest([0xab; 32]),
        }
    }

    const EVENT: &str = r#"{"action":"login","dataClassification":"PUBLIC","id":"0190a1b2-c3d4-7e5f-8a6b-000000000001","organizationId":"o","receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","timestamp":"2026-01-02T03:04:05.000000Z"}"#;

    fn sealed() -> SealedEvent {
        let draft = EventDraft::from_canonical(EVENT.as_bytes().to_vec()).unwrap();
        let claim = claim_of(draft.event());
        let sealed_at = time("2026-01-02T03:04:07Z");
        seal(
            draft,
            claim,
            &Place {
                ledger: LedgerId::Events(0),
                index: LeafIndex(0),
                sealed_at,
                salt: Salt([5; 16]),
            },
        )
    }

    #[test]
    fn the_entry_is_label_and_canonical_header() {
        let expected = format!(
            "audit-entry/1\n{}{}{}",
            r#"{"body":""#,
            "ab".repeat(32),
            concat!(
                r#"","dataClassification":"PHI","id":"0190a1b2-c3d4-7e5f-8a6b-000000000001","index":41,"kind":"event","#,
                r#""ledger":3,"organizationId":"clinic \"Nord\" é\n","receivedAt":"2026-01-02T03:04:06.000000Z","#,
                r#""retentionPolicy":"hipaa","sealedAt":"2026-01-02T03:04:07.500000Z","timestamp":"2026-01-02T03:04:05.678901Z"}"#
            )
        );
        assert_eq!(String::from_utf8(header().to_entry()).unwrap(), expected);
    }

    #[test]
    fn headers_round_trip() {
        let control = |kind| EntryHeader {
            kind: EntryKind::Control(kind),
            ledger: LedgerId::Directory,
            organization_id: OrganizationId::none(),
            ..header()
        };
        let largest = EntryHeader {
            index: LeafIndex(u64::MAX),
            ledger: LedgerId::Events(32_767),
            organization_id: OrganizationId::new(&"\"".repeat(255)),
            retention_policy: "\\".repeat(31),
            data_classification: Classification::Confidential,
            ..header()
        };
        assert!(
            largest.to_entry().len() <= ENTRY_BYTES_MAX,
            "{}",
            largest.to_entry().len()
        );
        for header in ControlKind::ALL
            .map(control)
            .into_iter()
            .chain([header(), largest])
        {
            assert_eq!(EntryHeader::from_entry(&header.to_entry()).unwrap(), header);
        }
    }

    #[test]
    fn other_spellings_of_a_header_are_refused() {
        let entry = String::from_utf8(header().to_entry()).unwrap();
        for (written, other) in [
            ("audit-entry/1\n", "audit-entry/2\n"),
            ("audit-entry/1\n", ""),
            ("\"index\":41", "\"index\":041"),
            ("\"index\":41", "\"index\":+41"),
            ("\"index\":41", "\"index\":41.0"),
            ("\"index\":41", "\"index\": 41"),
            ("\"ledger\":3", "\"ledger\":\"3\""),
            ("\"ledger\":3", "\"ledger\":directory"),
            ("abab", "ABAB"),
            ("0190a1b2", "0190A1B2"),
            ("é", "\\u00e9"),
            ("\\n", "\\u000a"),
            (
                "\"organizationId\":\"clinic \\\"Nord\\\" é\\n\"",
                "\"organizationId\":\"\"",
            ),
            ("05.678901Z", "05.678901+00:00"),
            ("06.000000Z", "06Z"),
            ("\"kind\":\"event\"", "\"kind\":\"control.other\""),
            ("\"PHI\"", "\"SECRET\""),
            ("}", "} "),
            ("}", ""),
        ] {
            let changed = entry.replacen(written, other, 1);
            assert_ne!(changed, entry, "{written}");
            assert!(
                EntryHeader::from_entry(changed.as_bytes()).is_err(),
                "{other}"
            );
        }
        let too_long = EntryHeader {
            retention_policy: "p".repeat(ENTRY_BYTES_MAX),
            ..header()
        };
        assert!(EntryHeader::from_entry(&too_long.to_entry()).is_err());
    }

    #[test]
    fn sealing_takes_the_header_from_the_event() {
        let sealed = sealed();
        assert_eq!(
            EntryHeader::from_entry(&sealed.entry).unwrap(),
            sealed.header
        );
        assert_eq!(sealed.header.data_classification, Classification::Public);
        assert_eq!(sealed.header.retention_policy, "standard");
        assert_eq!(sealed.header.organization_id.as_str(), "o");
        assert_eq!(
            sealed.header.body,
            sha256(&[b"audit-body/1\n", &[5; 16], EVENT.as_bytes()])
        );
        assert_eq!(sealed.leaf_hash, sha256(&[&[0], &sealed.entry]));
    }

    #[test]
    fn the_claim_leaves_out_what_the_producer_did_not_say() {
        let said = r#"{"action":"login","dataClassification":"PUBLIC","status":"success","timestamp":"2026-01-02T03:04:05.000000Z"}"#;
        assert_eq!(
            sealed().claim,
            sha256(&[b"audit-claim/1\n", said.as_bytes()])
        );
    }

    #[test]
    fn a_salt_does_not_print() {
        assert_eq!(format!("{:?}", Salt([1; 16])), "Salt(..)");
    }
}
