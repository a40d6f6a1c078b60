//! The row of a stored event: what adapters write and verification recomputes.
//!
//! Every member is in the entry header or the canonical event, or derived from them; a member added here must be
//! compared in [`EventRow::differences`], which is why stores have no columns of their own.

use audit_event::{Classification, EventId, OrganizationId, Severity, Status, Timestamp};

use crate::digest::{ENTRY_LABEL, leaf_hash};
use crate::entry::{EntryKind, Salt, SealedEvent, body_digest};
use crate::header::{HeaderText, Written};
use crate::ledger::{Digest, LeafIndex, LedgerId};
use crate::said::{EventSpans, HeaderSpans, is_hex, is_id, is_ledger, is_number, is_text, is_time};

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

/// A stored event whose texts and bytes lie elsewhere: in an [`EventRow`], or in a database's own memory. Members are
/// those of [`EventRow`].
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "documented at EventRow")]
pub struct RowRef<'a> {
    pub ledger: LedgerId,
    pub leaf_index: LeafIndex,
    pub leaf_hash: Digest,
    pub id: EventId,
    /// "" when none.
    pub organization_id: &'a str,
    pub timestamp: Timestamp,
    pub received_at: Timestamp,
    pub sealed_at: Timestamp,
    pub principal_id: Option<&'a str>,
    pub action: &'a str,
    pub target_resource_type: Option<&'a str>,
    pub target_resource_id: Option<&'a str>,
    pub status: Status,
    pub severity: Severity,
    pub data_classification: Classification,
    pub retention_policy: &'a str,
    pub correlation_id: Option<&'a str>,
    pub claim: Digest,
    pub salt: Option<Salt>,
    pub canonical: Option<&'a [u8]>,
}

/// What of a [`RowRef`] its leaf is made of, and the leaf that is stored with it.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "documented at EventRow")]
pub struct LeafRef<'a> {
    pub ledger: LedgerId,
    pub leaf_index: LeafIndex,
    pub leaf_hash: Digest,
    pub id: EventId,
    /// "" when none.
    pub organization_id: &'a str,
    pub timestamp: Timestamp,
    pub received_at: Timestamp,
    pub sealed_at: Timestamp,
    pub data_classification: Classification,
    pub retention_policy: &'a str,
    pub salt: Option<Salt>,
    pub canonical: Option<&'a [u8]>,
}

/// Leaves of one ledger in their order, each looked at where its row lies.
pub trait Leaves {
    /// The next leaf, when its row can be read.
    fn next_leaf(&self) -> Option<LeafRef<'_>>;
    /// Moves on.
    fn skip(&mut self);
}

impl Leaves for &mut (dyn Rows + '_) {
    fn next_leaf(&self) -> Option<LeafRef<'_>> {
        self.next_row().map(|row| row.leaf())
    }

    fn skip(&mut self) {
        Rows::skip(*self);
    }
}

/// Rows of one ledger in the order of their leaves, each looked at where it lies.
pub trait Rows {
    /// Leaf of the next row; `None` after the last.
    fn leaf(&self) -> Option<LeafIndex>;
    /// The next row, when it can be read.
    fn next_row(&self) -> Option<RowRef<'_>>;
    /// The next row, and moves on.
    fn take(&mut self) -> Option<StoredRow>;
    /// Moves on.
    fn skip(&mut self);
}

impl Rows for std::vec::IntoIter<StoredRow> {
    fn leaf(&self) -> Option<LeafIndex> {
        self.as_slice().first().map(|row| row.address().1)
    }

    fn next_row(&self) -> Option<RowRef<'_>> {
        match self.as_slice().first() {
            Some(StoredRow::Readable(row)) => Some(row.as_ref()),
            _ => None,
        }
    }

    fn take(&mut self) -> Option<StoredRow> {
        self.next()
    }

    fn skip(&mut self) {
        self.next();
    }
}

/// A row as it is found where rows may have been altered: what cannot be read is evidence, not an error.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are readable; a box each would be an allocation an event"
)]
pub enum StoredRow {
    /// Every column has a value of its type.
    Readable(EventRow),
    /// A column has none.
    Unreadable {
        /// Ledger of its address.
        ledger: LedgerId,
        /// Position of its address.
        leaf_index: LeafIndex,
        /// Name of the column.
        column: String,
        /// The event it says it is, when that can be read.
        event_id: Option<EventId>,
    },
}

impl StoredRow {
    /// The address it is stored under.
    #[must_use]
    pub fn address(&self) -> (LedgerId, LeafIndex) {
        match self {
            Self::Readable(row) => (row.ledger, row.leaf_index),
            Self::Unreadable {
                ledger, leaf_index, ..
            } => (*ledger, *leaf_index),
        }
    }

    /// The event it says it is, when that can be read.
    #[must_use]
    pub fn event_id(&self) -> Option<EventId> {
        match self {
            Self::Readable(row) => Some(row.id),
            Self::Unreadable { event_id, .. } => *event_id,
        }
    }
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

    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> RowRef<'_> {
        RowRef {
            ledger: self.ledger,
            leaf_index: self.leaf_index,
            leaf_hash: self.leaf_hash,
            id: self.id,
            organization_id: self.organization_id.as_str(),
            timestamp: self.timestamp,
            received_at: self.received_at,
            sealed_at: self.sealed_at,
            principal_id: self.principal_id.as_deref(),
            action: &self.action,
            target_resource_type: self.target_resource_type.as_deref(),
            target_resource_id: self.target_resource_id.as_deref(),
            status: self.status,
            severity: self.severity,
            data_classification: self.data_classification,
            retention_policy: &self.retention_policy,
            correlation_id: self.correlation_id.as_deref(),
            claim: self.claim,
            salt: self.salt,
            canonical: self.canonical.as_deref(),
        }
    }

    /// [`RowRef::differences`].
    #[must_use]
    pub fn differences(&self, entry: &[u8]) -> Vec<&'static str> {
        self.as_ref().differences(entry)
    }

    /// [`LeafRef::write_entry`], into a buffer of its own.
    #[must_use]
    pub fn to_entry(&self) -> Option<Vec<u8>> {
        let mut buffer = Vec::new();
        self.as_ref()
            .leaf()
            .write_entry(&mut buffer)
            .then_some(buffer)
    }
}

impl LeafRef<'_> {
    /// Writes the leaf input that this row was committed with, made from its columns alone, over what `buffer` held; `false` when
    /// the body is gone.
    ///
    /// The signer compares it with the entry in the chunk, so that what is signed was reached on two ways.
    pub fn write_entry(&self, buffer: &mut Vec<u8>) -> bool {
        let body = match (&self.salt, self.canonical) {
            (Some(salt), Some(canonical)) => body_digest(salt, canonical),
            _ => return false,
        };
        self.write_entry_of(body, buffer);
        true
    }

    fn write_entry_of(&self, body: Digest, buffer: &mut Vec<u8>) -> Written {
        buffer.clear();
        buffer.extend_from_slice(ENTRY_LABEL);
        let header = HeaderText {
            kind: EntryKind::Event,
            ledger: self.ledger,
            index: self.leaf_index,
            id: self.id,
            organization_id: self.organization_id,
            timestamp: self.timestamp,
            received_at: self.received_at,
            sealed_at: self.sealed_at,
            data_classification: self.data_classification,
            retention_policy: self.retention_policy,
            body,
        };
        header.write(buffer)
    }
}

impl<'a> RowRef<'a> {
    /// What its leaf is made of.
    #[must_use]
    pub const fn leaf(&self) -> LeafRef<'a> {
        LeafRef {
            ledger: self.ledger,
            leaf_index: self.leaf_index,
            leaf_hash: self.leaf_hash,
            id: self.id,
            organization_id: self.organization_id,
            timestamp: self.timestamp,
            received_at: self.received_at,
            sealed_at: self.sealed_at,
            data_classification: self.data_classification,
            retention_policy: self.retention_policy,
            salt: self.salt,
            canonical: self.canonical,
        }
    }

    /// A row of its own.
    #[must_use]
    pub fn to_row(&self) -> EventRow {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        EventRow {
            ledger: self.ledger,
            leaf_index: self.leaf_index,
            leaf_hash: self.leaf_hash,
            id: self.id,
            organization_id: OrganizationId::new(self.organization_id),
            timestamp: self.timestamp,
            received_at: self.received_at,
            sealed_at: self.sealed_at,
            principal_id: owned(self.principal_id),
            action: self.action.to_owned(),
            target_resource_type: owned(self.target_resource_type),
            target_resource_id: owned(self.target_resource_id),
            status: self.status,
            severity: self.severity,
            data_classification: self.data_classification,
            retention_policy: self.retention_policy.to_owned(),
            correlation_id: owned(self.correlation_id),
            claim: self.claim,
            salt: self.salt,
            canonical: self.canonical.map(<[u8]>::to_vec),
        }
    }

    /// Names of the columns in which this row differs from what its own canonical bytes and `entry` say; empty when
    /// it is what a commit wrote.
    ///
    /// `entry` is the leaf input and is believed (the tree answers for it). When salt and canonical bytes do not give the
    /// header's body, one of them was altered: both are named when nothing tells which. A row without salt and canonical bytes
    /// is compared with its header only; whether they may be gone is for [`crate::verify`] to say.
    #[must_use]
    pub fn differences(&self, entry: &[u8]) -> Vec<&'static str> {
        let leaf = leaf_hash(entry);
        if self.is_as_sealed(entry, &leaf, &mut Vec::new()) {
            return Vec::new();
        }
        let Some(header) = HeaderSpans::of_entry(entry) else {
            return vec!["leaf_index"];
        };
        self.differences_from(&header, &leaf)
    }

    /// Whether the columns make `entry` byte for byte, and the canonical bytes say what the columns say: true of every row that
    /// is what a commit wrote, without an answer to what is wrong with another. `buffer` is only there to be used again.
    pub(crate) fn is_as_sealed(&self, entry: &[u8], leaf: &Digest, buffer: &mut Vec<u8>) -> bool {
        let (Some(salt), Some(canonical)) = (&self.salt, self.canonical) else {
            return false;
        };
        let written = self
            .leaf()
            .write_entry_of(body_digest(salt, canonical), buffer);
        buffer == entry
            && self.leaf_hash == *leaf
            && EventSpans::of(canonical).is_some_and(|said| {
                let mut found = Vec::new();
                self.compare_copies(&said, &mut found);
                found.is_empty()
                    && said.claim == self.claim
                    && said.agrees_with(&written.spans(buffer))
            })
    }

    /// As [`Self::differences`], for whoever has read the entry already.
    pub(crate) fn differences_from(
        &self,
        header: &HeaderSpans<'_>,
        leaf: &Digest,
    ) -> Vec<&'static str> {
        let mut found = Vec::new();
        self.compare_header(header, &mut found);
        note(&mut found, "leaf_hash", self.leaf_hash == *leaf);
        match (&self.salt, self.canonical) {
            (Some(salt), Some(canonical)) => self.compare_body(header, salt, canonical, &mut found),
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
            is_text(header.organization_id, none_if_empty(self.organization_id)),
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
                Some(self.data_classification.as_str()),
            ),
        );
        note(
            found,
            "retention_policy",
            is_text(header.retention_policy, Some(self.retention_policy)),
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
            is_text(said.principal_id, self.principal_id),
        );
        note(found, "action", is_text(said.action, Some(self.action)));
        note(
            found,
            "target_resource_type",
            is_text(said.target_resource_type, self.target_resource_type),
        );
        note(
            found,
            "target_resource_id",
            is_text(said.target_resource_id, self.target_resource_id),
        );
        note(
            found,
            "status",
            is_text(said.status, Some(self.status.as_str())),
        );
        note(
            found,
            "severity",
            is_text(
                said.severity.or(Some(b"\"info\"")),
                Some(self.severity.as_str()),
            ),
        );
        note(
            found,
            "correlation_id",
            is_text(said.correlation_id, self.correlation_id),
        );
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

#[cfg(test)]
mod tests {
    use audit_event::{EventDraft, arbitrary};
    use proptest::prelude::*;

    use super::*;
    use crate::claim::claim_of;
    use crate::entry::{Place, seal};

    fn sealed(draft: EventDraft) -> SealedEvent {
        let claim = claim_of(draft.event());
        let place = Place {
            ledger: LedgerId::Events(3),
            index: LeafIndex(41),
            sealed_at: Timestamp::clamped(1_767_323_047_000_000),
            salt: Salt([5; 16]),
        };
        seal(draft, claim, &place)
    }

    proptest! {
        // What the quick comparison does not know as sealed costs verification three times as much.
        #[test]
        fn what_was_sealed_is_seen_at_once(draft in arbitrary::draft()) {
            let sealed = sealed(draft);
            let row = EventRow::of(&sealed);
            prop_assert!(row.as_ref().is_as_sealed(&sealed.entry, &sealed.leaf_hash, &mut Vec::new()));
        }
    }
}
