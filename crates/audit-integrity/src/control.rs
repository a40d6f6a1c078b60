//! Control entries: what the system itself puts into the directory ledger.

use audit_event::canonical::to_canonical;
use audit_event::{Classification, EventId, OrganizationId, Timestamp, Value};

use crate::digest::leaf_hash;
use crate::entry::{EntryHeader, EntryKind, Salt, body_digest};
use crate::ledger::{Digest, LeafIndex, LedgerId};

/// Kinds of control entries; printed as `control.<name>` (`docs/event-format.md` section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ControlKind {
    LedgerOpened,
    LedgerClosed,
    Key,
    Snapshot,
    Retention,
    Erasure,
    HistoryLoss,
}

impl ControlKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::LedgerOpened,
        Self::LedgerClosed,
        Self::Key,
        Self::Snapshot,
        Self::Retention,
        Self::Erasure,
        Self::HistoryLoss,
    ];

    /// The kind as it stands in a header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LedgerOpened => "control.ledger-opened",
            Self::LedgerClosed => "control.ledger-closed",
            Self::Key => "control.key",
            Self::Snapshot => "control.snapshot",
            Self::Retention => "control.retention",
            Self::Erasure => "control.erasure",
            Self::HistoryLoss => "control.history-loss",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The retention policy of every control entry.
pub const CONTROL_POLICY: &str = "permanent";

/// A control entry with its place in the directory.
#[derive(Debug, Clone)]
pub struct SealedControl {
    /// The canonical control document.
    pub document: Vec<u8>,
    /// The header.
    pub header: EntryHeader,
    /// The salt of its body.
    pub salt: Salt,
    /// The leaf input.
    pub entry: Vec<u8>,
    /// The leaf.
    pub leaf_hash: Digest,
}

/// Where and when a control document is sealed.
#[derive(Debug, Clone, Copy)]
pub struct ControlPlace {
    /// Its id.
    pub id: EventId,
    /// The position in the directory.
    pub index: LeafIndex,
    /// The time of sealing.
    pub sealed_at: Timestamp,
    /// The salt.
    pub salt: Salt,
}

/// Gives a control document its place in the directory.
#[must_use]
pub fn seal_control(kind: ControlKind, document: &Value, place: &ControlPlace) -> SealedControl {
    let document = to_canonical(document);
    let header = EntryHeader {
        kind: EntryKind::Control(kind),
        ledger: LedgerId::Directory,
        index: place.index,
        id: place.id,
        organization_id: OrganizationId::none(),
        timestamp: place.sealed_at,
        received_at: place.sealed_at,
        sealed_at: place.sealed_at,
        data_classification: Classification::Internal,
        retention_policy: CONTROL_POLICY.to_owned(),
        body: body_digest(&place.salt, &document),
    };
    let entry = header.to_entry();
    let leaf_hash = leaf_hash(&entry);
    SealedControl {
        document,
        header,
        salt: place.salt,
        entry,
        leaf_hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use audit_event::Object;

    #[test]
    fn a_control_entry_reads_back_with_its_kind() {
        let sealed_at = Timestamp::from_micros(1_767_323_045_000_000).unwrap();
        let id = "0190a1b2-c3d4-7e5f-8a6b-000000000001".parse().unwrap();
        let mut document = Object::new();
        document.insert("ledger", Value::String("0".to_owned()));
        document.insert("a", Value::Null);
        for kind in ControlKind::ALL {
            let place = ControlPlace {
                id,
                index: LeafIndex(7),
                sealed_at,
                salt: Salt([3; 16]),
            };
            let sealed = seal_control(kind, &Value::Object(document.clone()), &place);
            assert_eq!(sealed.document, br#"{"a":null,"ledger":"0"}"#);
            let header = EntryHeader::from_entry(&sealed.entry).unwrap();
            assert_eq!(header, sealed.header);
            assert_eq!(header.kind, EntryKind::Control(kind));
            assert_eq!(header.body, body_digest(&Salt([3; 16]), &sealed.document));
            assert_eq!(
                (header.timestamp, header.received_at),
                (sealed_at, sealed_at)
            );
            assert_eq!(header.retention_policy, "permanent");
            assert_eq!(sealed.leaf_hash, leaf_hash(&sealed.entry));
            assert_eq!(ControlKind::from_name(kind.as_str()), Some(kind));
        }
    }
}
