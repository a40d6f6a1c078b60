//! What sealing costs an event, beside the bare SHA-256 of the same bytes.
//!
//! `cargo bench -p audit-integrity --bench seal`

#![allow(clippy::expect_used, reason = "a bench without its input cannot go on")]

use audit_event::{EventDraft, Timestamp};
use audit_integrity::claim::claim_of;
use audit_integrity::digest::sha256;
use audit_integrity::entry::{EntryHeader, Place, Salt, SealedEvent, seal};
use audit_integrity::head::CompactRange;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::tile::TileBuilder;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// 440 bytes, the size of the row in the issue's orientation.
fn canonical() -> Vec<u8> {
    let event = r#"{"action":"fhir.patient.read","correlationId":"0af7651916cd43dd8448eb211c80319c","dataClassification":"PHI","details":{"note":"%"},"id":"0190a1b2-c3d4-7e5f-8a6b-000000000001","organizationId":"org-67890","principalId":"user-12345","receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","targetResourceId":"patient-001","targetResourceType":"Patient","timestamp":"2026-01-02T03:04:05.000000Z"}"#;
    event
        .replace('%', &"x".repeat(441 - event.len()))
        .into_bytes()
}

fn place(index: u64, sealed_at: Timestamp) -> Place {
    Place {
        ledger: LedgerId::Events(0),
        index: LeafIndex(index),
        sealed_at,
        salt: Salt([7; 16]),
    }
}

fn seal_and_push(criterion: &mut Criterion) {
    let draft = EventDraft::from_canonical(canonical()).expect("a canonical event");
    let sealed_at = Timestamp::from_micros(1_767_323_047_000_000).expect("a year we know");
    let claim = claim_of(draft.event());
    let sealed: SealedEvent = seal(draft.clone(), claim, &place(0, sealed_at));
    let hashed = [sealed.draft.canonical(), &sealed.entry].concat();

    let mut group = criterion.benchmark_group("per_event");
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare SHA-256 of body and entry", |bencher| {
        bencher.iter(|| sha256(&[&hashed]))
    });
    group.bench_function("claim", |bencher| bencher.iter(|| claim_of(draft.event())));
    group.bench_function("write the header", |bencher| {
        bencher.iter(|| sealed.header.to_entry())
    });
    group.bench_function("read the header back", |bencher| {
        bencher.iter(|| EntryHeader::from_entry(&sealed.entry))
    });
    let (mut builder, mut range, mut full) =
        (TileBuilder::default(), CompactRange::default(), Vec::new());
    let mut push = |sealed: SealedEvent| {
        builder.push(sealed.leaf_hash, &mut full);
        range.push(sealed.leaf_hash);
        full.clear();
        sealed
    };
    let mut index = 0;
    group.bench_function("seal and push", |bencher| {
        bencher.iter_batched(
            || draft.clone(),
            |draft| {
                index += 1;
                push(seal(draft, claim, &place(index, sealed_at)))
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, seal_and_push);
criterion_main!(benches);
