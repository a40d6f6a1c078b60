//! Hostile bytes give an error, never a panic and never a second spelling of the same thing.

use audit_event::{Classification, OrganizationId, Timestamp};
use audit_integrity::bundle::Bundle;
use audit_integrity::checkpoint::SignedCheckpoint;
use audit_integrity::entry::{EntryHeader, EntryKind};
use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_integrity::proof::Proof;
use audit_integrity::tile::TilePath;
use proptest::prelude::*;

fn header() -> impl Strategy<Value = EntryHeader> {
    let times = prop::array::uniform3(-62_135_596_800_000_000i64..253_402_300_800_000_000);
    let text = "[^\u{0}]{0,40}";
    (
        any::<[u8; 32]>(),
        any::<[u8; 16]>(),
        0u64..1 << 47,
        0u16..1 << 15,
        text,
        "[^\u{0}]{0,20}",
        times,
        0usize..4,
    )
        .prop_map(
            |(body, id, index, ledger, organization, policy, times, classification)| {
                let [timestamp, received_at, sealed_at] =
                    times.map(|micros| Timestamp::from_micros(micros).unwrap());
                let classification = ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "PHI"][classification];
                EntryHeader {
                    kind: EntryKind::Event,
                    ledger: LedgerId::Events(ledger),
                    index: LeafIndex(index),
                    id: audit_event::EventId::from_bytes(id),
                    organization_id: OrganizationId::new(&organization),
                    timestamp,
                    received_at,
                    sealed_at,
                    data_classification: Classification::from_name(classification).unwrap(),
                    retention_policy: policy,
                    body: Digest(body),
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn headers_round_trip_and_every_flipped_bit_shows(header in header()) {
        let entry = header.to_entry();
        prop_assert_eq!(EntryHeader::from_entry(&entry).unwrap(), header.clone());
        let text = std::str::from_utf8(&entry).unwrap().strip_prefix("audit-entry/1\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        prop_assert_eq!(json["retentionPolicy"].as_str().unwrap(), header.retention_policy.as_str());
        for bit in 0..entry.len() * 8 {
            let mut other = entry.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = EntryHeader::from_entry(&other) {
                prop_assert_ne!(&read, &header);
                prop_assert_eq!(read.to_entry(), other);
            }
        }
    }

    #[test]
    fn bundles_round_trip(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_025), 0..40)) {
        let bundle = Bundle::of(entries.iter().map(Vec::as_slice)).unwrap();
        let count = entries.len() as u32;
        let read = Bundle::decompress(&bundle.compress(), count).unwrap();
        prop_assert!(read.iter().eq(entries.iter().map(Vec::as_slice)));
        prop_assert!(Bundle::decompress(&bundle.compress(), count + 1).is_err());
    }

    #[test]
    fn noise_is_an_error_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), count in 0u32..5) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(EntryHeader::from_entry(&bytes).is_err());
        prop_assert!(EntryHeader::from_entry(&[b"audit-entry/1\n", bytes.as_slice()].concat()).is_err());
        prop_assert!(text.parse::<Proof>().is_err());
        let beginning = format!("c2sp.org/tlog-proof@v1\nindex 1\n{text}");
        prop_assert!(beginning.parse::<Proof>().is_err());
        prop_assert!(SignedCheckpoint::verify(&text, "a/ledger/0+00000000+AQ==").is_err());
        prop_assert!(text.parse::<TilePath>().is_err());
        let _either = (Bundle::decode(bytes.clone(), count).is_ok(), Bundle::decompress(&bytes, count).is_ok());
    }
}
