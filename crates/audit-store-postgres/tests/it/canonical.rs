//! Canonical bytes survive storage: stored, read back, the same bytes, for events biased to the nasty cases.

use std::collections::BTreeSet;

use audit_event::{AuditEvent, EventDraft, Identity, Timestamp, arbitrary};
use audit_integrity::ledger::LeafIndex;
use audit_store::conformance::TestStore;
use audit_store::conformance::sample::BEGIN;
use audit_store::conformance::scene::{LEDGER, Lane};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};

use crate::place::{Place, agree};

/// Commits, and events in each; the seed is fixed by `TestRunner::deterministic`, so a failure repeats itself.
const COMMITS: usize = 20;
const EVENTS: usize = 20;

#[tokio::test]
async fn canonical_bytes_of_random_events_survive_storage_and_a_crash() {
    let mut place = Place::new().await;
    let mut lane = Lane::open(&place.store(), LEDGER).await;
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRunner::deterministic().rng().clone());
    let (mut written, mut seen) = (Vec::new(), BTreeSet::new());
    for _ in 0..COMMITS {
        let drafts: Vec<_> = (0..EVENTS)
            .map(|_| unseen(&mut runner, &mut seen))
            .collect();
        written.extend(drafts.iter().map(|draft| draft.canonical().to_vec()));
        lane.commit(&place.store(), drafts).await;
    }
    place.crash().await;
    let store = place.store();
    assert_eq!(agree(&store, LEDGER).await, (COMMITS * EVENTS) as u64);
    let rows = store
        .events
        .rows(LEDGER, LeafIndex(0), LeafIndex(u64::MAX), u32::MAX)
        .await
        .unwrap();
    assert_eq!(rows, lane.committed);
    for (row, canonical) in rows.into_iter().zip(written) {
        let read = row.canonical.unwrap();
        assert!(
            read == canonical,
            "{}\n{}",
            String::from_utf8_lossy(&read),
            String::from_utf8_lossy(&canonical)
        );
        assert_eq!(
            AuditEvent::from_canonical(&read).unwrap().to_canonical(),
            canonical
        );
    }
}

/// A random event whose identity was not drawn before, and which a producer could have sent: accept refuses what has not
/// happened yet, and so does the store.
fn unseen(runner: &mut TestRunner, seen: &mut BTreeSet<Identity>) -> EventDraft {
    loop {
        let draft = arbitrary::draft().new_tree(runner).unwrap().current();
        let happened = draft.event().statement.timestamp <= Timestamp::clamped(BEGIN);
        if happened && seen.insert(draft.event().identity()) {
            return draft;
        }
    }
}
