//! The engine alone, fed from memory: what is excused, by whom, and what never is.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit_event::{EventDraft, OrganizationId, Timestamp};
use audit_integrity::bundle::Bundle;
use audit_integrity::checkpoint::{Checkpoint, SigningKey};
use audit_integrity::claim::claim_of;
use audit_integrity::documents::{ControlDocument, Leaves};
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::head::{CompactRange, Head, LedgerState};
use audit_integrity::keys::LaneKey;
use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::row::{EventRow, StoredRow};
use audit_integrity::tile::bytes_of;
use audit_integrity::verify::{
    ChunkBytes, Controls, FindingKind, LedgerCheck, Report, RunResult, Setup, Source, Window,
};
use zeroize::Zeroizing;

const LEDGER: LedgerId = LedgerId::Events(0);
const DAY: i64 = 86_400_000_000;
const HAPPENED: i64 = 1_767_323_045_000_000;

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).unwrap()
}

fn origin() -> Origin {
    Origin::new("audit.invalid/x", LEDGER)
}

fn events(count: u64) -> Vec<SealedEvent> {
    let event = |n: u64| {
        let text = format!(
            r#"{{"action":"login","id":"0190a1b2-c3d4-7e5f-8a6b-{n:012x}","organizationId":"o","receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","timestamp":"2026-01-02T03:04:05.000000Z"}}"#
        );
        let draft = EventDraft::from_canonical(text.into_bytes()).unwrap();
        let claim = claim_of(draft.event());
        let place = Place {
            ledger: LEDGER,
            index: LeafIndex(n),
            sealed_at: time(HAPPENED + 9),
            salt: Salt([5; 16]),
        };
        seal(draft, claim, &place)
    };
    (0..count).map(event).collect()
}

fn rows(events: &[SealedEvent]) -> Vec<StoredRow> {
    events
        .iter()
        .map(|event| StoredRow::Readable(EventRow::of(event)))
        .collect()
}

/// Feeds a signed ledger of these events with these rows.
fn verify(
    events: &[SealedEvent],
    rows: &[StoredRow],
    controls: Controls,
    window: Window,
) -> Report {
    let key = SigningKey::from_seed(&origin(), &Zeroizing::new([1; 32]));
    let setup = Setup {
        ledger: LEDGER,
        origin: origin(),
        verifier_key: Some(key.verifier_key()),
        window,
        controls: Arc::new(controls),
    };
    let mut check = LedgerCheck::new(setup);
    let mut range = CompactRange::default();
    events.iter().for_each(|event| range.push(event.leaf_hash));
    let checkpoint = Checkpoint {
        origin: origin(),
        size: range.size(),
        root: range.root(),
    };
    let note = key.sign(&checkpoint.to_body()).unwrap().note;
    check.anchor(Some(&note), Some(range.size()));
    check.note(Source::Database, Some(range.size()), &note);
    let lane_key = LaneKey::new([7; 32]);
    assert!(check.head(
        &Head::seal(&lane_key, &origin(), 1, LedgerState::Open, range),
        &lane_key
    ));
    let leaves: Vec<_> = events.iter().map(|event| event.leaf_hash).collect();
    let entries = Bundle::of(events.iter().map(|event| event.entry.as_slice()))
        .unwrap()
        .compress();
    let count = u32::try_from(events.len()).unwrap();
    check.chunk(
        &ChunkBytes {
            first_leaf: 0,
            count,
            entries: &entries,
            leaf_hashes: &bytes_of(&leaves),
        },
        &mut Vec::from(rows).into_iter(),
    );
    check.finish()
}

fn controls(documents: impl IntoIterator<Item = (i64, ControlDocument)>) -> Controls {
    let mut controls = Controls::default();
    for (at, (day, document)) in (0..).zip(documents) {
        controls.add(at, time(HAPPENED + day * DAY), document);
    }
    controls
}

fn policy(name: &str, days: u64) -> ControlDocument {
    ControlDocument::Policy {
        name: name.to_owned(),
        days,
    }
}

fn expired(first: u64, count: u64, policy: &str) -> ControlDocument {
    ControlDocument::Expired {
        leaves: Leaves {
            ledger: LEDGER,
            first,
            count,
        },
        policy: policy.to_owned(),
    }
}

fn hold(organization: Option<&str>) -> ControlDocument {
    ControlDocument::Hold {
        id: "h".to_owned(),
        organization_id: organization.map(OrganizationId::new),
    }
}

fn release() -> ControlDocument {
    ControlDocument::Release { id: "h".to_owned() }
}

#[test]
fn an_untouched_ledger_is_valid_and_an_empty_one_inconclusive() {
    let events = events(600);
    let report = verify(
        &events,
        &rows(&events),
        Controls::default(),
        Window::default(),
    );
    assert_eq!(
        (
            report.result(),
            report.outcomes.valid,
            report.findings.len()
        ),
        (RunResult::Pass, 600, 0)
    );
    assert_eq!(Report::default().result(), RunResult::Inconclusive);
    let nothing = Window {
        since: Some(time(HAPPENED + DAY)),
        until: None,
    };
    let report = verify(&events, &rows(&events), Controls::default(), nothing);
    assert_eq!(
        (report.result(), report.checked),
        (RunResult::Inconclusive, 0),
        "an empty check is never a pass"
    );
}

/// Leaf 2 is gone; whether that is excused depends on what the directory says.
#[test]
fn expiry_counts_only_by_the_rules() {
    let events = events(5);
    let mut left = rows(&events);
    left.remove(2);
    let cases = [
        (
            "by the rules",
            vec![(0, policy("standard", 30)), (30, expired(2, 1, "standard"))],
            true,
        ),
        ("nothing said", vec![], false),
        (
            "no policy was sealed",
            vec![(30, expired(2, 1, "standard"))],
            false,
        ),
        (
            "the policy came after",
            vec![
                (30, expired(2, 1, "standard")),
                (31, policy("standard", 30)),
            ],
            false,
        ),
        (
            "another leaf",
            vec![(0, policy("standard", 30)), (30, expired(3, 9, "standard"))],
            false,
        ),
        (
            "another policy",
            vec![(0, policy("short", 1)), (30, expired(2, 1, "short"))],
            false,
        ),
        (
            "a day too early",
            vec![(0, policy("standard", 31)), (30, expired(2, 1, "standard"))],
            false,
        ),
        (
            "the policy was lengthened",
            vec![
                (0, policy("standard", 30)),
                (5, policy("standard", 60)),
                (30, expired(2, 1, "standard")),
            ],
            false,
        ),
        (
            "held",
            vec![
                (0, policy("standard", 30)),
                (1, hold(None)),
                (30, expired(2, 1, "standard")),
            ],
            false,
        ),
        (
            "its organisation held",
            vec![
                (0, policy("standard", 30)),
                (1, hold(Some("o"))),
                (30, expired(2, 1, "standard")),
            ],
            false,
        ),
        (
            "another organisation held",
            vec![
                (0, policy("standard", 30)),
                (1, hold(Some("p"))),
                (30, expired(2, 1, "standard")),
            ],
            true,
        ),
        (
            "released before",
            vec![
                (0, policy("standard", 30)),
                (1, hold(None)),
                (2, release()),
                (30, expired(2, 1, "standard")),
            ],
            true,
        ),
        (
            "released after",
            vec![
                (0, policy("standard", 30)),
                (1, hold(None)),
                (30, expired(2, 1, "standard")),
                (31, release()),
            ],
            false,
        ),
        (
            "days without end",
            vec![
                (0, policy("standard", u64::MAX)),
                (30, expired(2, 1, "standard")),
            ],
            false,
        ),
    ];
    for (name, documents, excused) in cases {
        let report = verify(&events, &left, controls(documents), Window::default());
        let counts = report.outcomes;
        assert_eq!(
            (counts.expired, counts.missing, counts.valid),
            if excused { (1, 0, 4) } else { (0, 1, 4) },
            "{name}"
        );
        assert_eq!(report.result() == RunResult::Pass, excused, "{name}");
        assert_eq!(report.has(FindingKind::Deleted), !excused, "{name}");
    }
}

#[test]
fn an_erased_body_needs_the_entry_that_names_it() {
    let events = events(5);
    let mut emptied = rows(&events);
    let StoredRow::Readable(row) = &mut emptied[2] else {
        unreachable!()
    };
    (row.salt, row.canonical) = (None, None);
    let erasure = |first| ControlDocument::Erasure {
        data_key: "k".to_owned(),
        leaves: vec![Leaves {
            ledger: LEDGER,
            first,
            count: 1,
        }],
    };
    for (name, documents, excused) in [
        ("named", vec![(1, erasure(2))], true),
        ("another leaf", vec![(1, erasure(1))], false),
        ("nothing said", vec![], false),
    ] {
        let report = verify(&events, &emptied, controls(documents), Window::default());
        assert_eq!(
            (report.outcomes.valid_erased, report.outcomes.tampered),
            if excused { (1, 0) } else { (0, 1) },
            "{name}"
        );
        assert_eq!(report.result() == RunResult::Pass, excused, "{name}");
    }
    // What the header says must still be right.
    let StoredRow::Readable(row) = &mut emptied[2] else {
        unreachable!()
    };
    row.timestamp = time(HAPPENED + 1);
    let report = verify(
        &events,
        &emptied,
        controls([(1, erasure(2))]),
        Window::default(),
    );
    assert_eq!(report.outcomes.tampered, 1);
}

#[test]
fn without_its_key_nothing_is_valid() {
    let events = events(3);
    let setup = Setup {
        ledger: LEDGER,
        origin: origin(),
        verifier_key: None,
        window: Window::default(),
        controls: Arc::default(),
    };
    let mut check = LedgerCheck::new(setup);
    check.gap(3, rows(&events), &BTreeMap::new());
    let report = check.finish();
    assert!(report.has(FindingKind::KeyMissing));
    assert_eq!(report.outcomes.valid, 0);
    assert_ne!(report.result(), RunResult::Pass);
}

#[test]
fn findings_are_bounded_and_outcomes_exact() {
    let events = events(12_000);
    let report = verify(&events, &[], Controls::default(), Window::default());
    assert_eq!(
        (
            report.findings.len(),
            report.findings_omitted,
            report.outcomes.missing
        ),
        (10_000, 2_000, 12_000)
    );
}
