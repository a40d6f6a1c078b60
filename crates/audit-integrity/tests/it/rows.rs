//! A row is recomputed whole from its entry and its canonical bytes, whatever the event looks like.

use audit_event::{EventDraft, Severity, Status, Timestamp, arbitrary};
use audit_integrity::claim::{claim_of, claim_of_draft};
use audit_integrity::digest::leaf_hash;
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::row::{COLUMNS, EventRow};
use proptest::prelude::*;

fn sealed(draft: EventDraft) -> SealedEvent {
    let claim = claim_of(draft.event());
    let sealed_at = Timestamp::from_micros(1_767_323_047_000_000).unwrap();
    seal(
        draft,
        claim,
        &Place {
            ledger: LedgerId::Events(3),
            index: LeafIndex(41),
            sealed_at,
            salt: Salt([5; 16]),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_row_of_any_event_agrees_with_its_entry(draft in arbitrary::draft()) {
        prop_assert_eq!(claim_of_draft(&draft), claim_of(draft.event()));
        let sealed = sealed(draft);
        let row = EventRow::of(&sealed);
        prop_assert_eq!(row.differences(&sealed.entry), Vec::<&str>::new());
        prop_assert_eq!(row.to_entry().unwrap(), sealed.entry);
    }

    #[test]
    fn any_other_canonical_bytes_differ(draft in arbitrary::draft(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let sealed = sealed(draft);
        let mut row = EventRow::of(&sealed);
        let canonical = row.canonical.as_mut().unwrap();
        let at = at.index(canonical.len());
        canonical[at] ^= 1 << bit;
        prop_assert!(row.differences(&sealed.entry).contains(&"canonical"));
    }

    #[test]
    fn hostile_bytes_never_panic(mut row in arbitrary::draft().prop_map(|draft| EventRow::of(&sealed(draft))), canonical: Vec<u8>, entry: Vec<u8>) {
        row.canonical = Some(canonical);
        let labelled = [b"audit-entry/1\n", entry.as_slice()].concat();
        prop_assert!(!row.differences(&entry).is_empty());
        prop_assert!(!row.differences(&labelled).is_empty());
    }
}

const EVENT: &str = r#"{"action":"a\n\"b\"","correlationId":"c","id":"0190a1b2-c3d4-7e5f-8a6b-000000000001","organizationId":"o","principalId":"p","producerProof":{"hash":"h","reason":"x","scheme":"smart-logs","verdict":"mismatch"},"receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","targetResourceId":"r","targetResourceType":"t","timestamp":"2026-01-02T03:04:05.000000Z"}"#;

#[test]
fn every_column_is_compared() {
    let sealed = sealed(EventDraft::from_canonical(EVENT.as_bytes().to_vec()).unwrap());
    let change = |column: &str, row: &mut EventRow| match column {
        "ledger" => row.ledger = LedgerId::Events(4),
        "leaf_index" => row.leaf_index = LeafIndex(40),
        "leaf_hash" => row.leaf_hash = Digest([0; 32]),
        "id" => row.id = audit_event::EventId::from_bytes([1; 16]),
        "organization_id" => row.organization_id = audit_event::OrganizationId::none(),
        "timestamp" => row.timestamp = row.received_at,
        "received_at" => row.received_at = row.timestamp,
        "sealed_at" => row.sealed_at = row.timestamp,
        "principal_id" => row.principal_id = None,
        "action" => row.action = "a\n\\\"b\\\"".to_owned(),
        "target_resource_type" => row.target_resource_type = Some("T".to_owned()),
        "target_resource_id" => row.target_resource_id = Some(String::new()),
        "status" => row.status = Status::Failure,
        "severity" => row.severity = Severity::Critical,
        "data_classification" => row.data_classification = audit_event::Classification::Phi,
        "retention_policy" => row.retention_policy = "short".to_owned(),
        "correlation_id" => row.correlation_id = None,
        "claim" => row.claim = Digest([0; 32]),
        "salt" => row.salt = None,
        "canonical" => row.canonical = None,
        other => panic!("say how {other} is changed"),
    };
    for column in COLUMNS {
        let mut row = EventRow::of(&sealed);
        change(column, &mut row);
        assert_eq!(row.differences(&sealed.entry), [column]);
    }
    let mut emptied = EventRow::of(&sealed);
    (emptied.salt, emptied.canonical) = (None, None);
    assert_eq!(
        emptied.differences(&sealed.entry),
        Vec::<&str>::new(),
        "the engine decides whether they may be gone"
    );
    let mut salted = EventRow::of(&sealed);
    salted.salt = Some(Salt([6; 16]));
    assert_eq!(salted.differences(&sealed.entry), ["canonical", "salt"]);
}

/// Header, leaf and columns fit together, and the body is of an event that says otherwise: an entry that no lane makes.
#[test]
fn header_and_event_must_say_the_same() {
    let sealed = sealed(EventDraft::from_canonical(EVENT.as_bytes().to_vec()).unwrap());
    let change = |value: &str, row: &mut EventRow| match value {
        "id" => row.id = audit_event::EventId::from_bytes([1; 16]),
        "organizationId" => row.organization_id = audit_event::OrganizationId::new("other"),
        "timestamp" => row.timestamp = row.received_at,
        "receivedAt" => row.received_at = row.timestamp,
        "dataClassification" => row.data_classification = audit_event::Classification::Phi,
        _ => row.retention_policy = "short".to_owned(),
    };
    for value in [
        "id",
        "organizationId",
        "timestamp",
        "receivedAt",
        "dataClassification",
        "retentionPolicy",
    ] {
        let mut row = EventRow::of(&sealed);
        change(value, &mut row);
        let entry = row.to_entry().unwrap();
        row.leaf_hash = leaf_hash(&entry);
        assert_eq!(row.differences(&entry), ["canonical"], "{value}");
    }
}
