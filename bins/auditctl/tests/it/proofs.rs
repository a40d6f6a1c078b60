//! `verify-proof`, offline: which step fails for which forgery, and that no key but the given one is believed.

use audit_event::{EventDraft, Timestamp};
use audit_integrity::checkpoint::{Checkpoint, SigningKey};
use audit_integrity::claim::claim_of;
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::ledger::{LeafIndex, LedgerId, Origin};
use audit_integrity::proof::Proof;
use audit_integrity::tree::root_of_leaves;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::run::{Bench, Finished};

const EVENT: &str = r#"{"action":"login","id":"0190a1b2-c3d4-7e5f-8a6b-000000000001","organizationId":"o","receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","timestamp":"2026-01-02T03:04:05.000000Z"}"#;

fn sealed(index: u64) -> SealedEvent {
    let draft = EventDraft::from_canonical(EVENT.as_bytes().to_vec()).expect("canonical");
    let claim = claim_of(draft.event());
    let sealed_at = Timestamp::from_micros(1_767_323_047_000_000).expect("in range");
    let place = Place {
        ledger: LedgerId::Events(0),
        index: LeafIndex(index),
        sealed_at,
        salt: Salt([5; 16]),
    };
    seal(draft, claim, &place)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(
        &Origin::new("audit.invalid/x", LedgerId::Events(0)),
        &Zeroizing::new([seed; 32]),
    )
}

/// A sound bundle: the first of two entries.
fn bundle() -> Value {
    let (ours, next) = (sealed(0), sealed(1));
    let root = root_of_leaves([ours.leaf_hash, next.leaf_hash]);
    let body = Checkpoint {
        origin: key(1).origin().clone(),
        size: 2,
        root,
    }
    .to_body();
    let note = key(1).sign(&body).expect("signed").note;
    let proof = Proof {
        extra: None,
        index: LeafIndex(0),
        hashes: vec![next.leaf_hash],
        note,
    };
    json!({
        "format": "audit-proof-bundle/1",
        "canonical": EVENT,
        "salt": hex::encode([5; 16]),
        "entry": String::from_utf8(ours.entry).expect("text"),
        "proof": proof.to_string(),
    })
}

/// Nobody listens there: a command that asked a server would fail with 3.
fn bench() -> Bench {
    Bench::new("http://127.0.0.1:9")
}

fn check(bundle: &Value, key: &SigningKey) -> Finished {
    let bench = bench();
    let file = bench.file("proof.json", bundle.to_string());
    let keys = bench.file(
        "verifier.key",
        format!(
            "# keys\nother.invalid/ledger/0+00000000+AAAA\n{}\n",
            key.verifier_key()
        ),
    );
    bench.run(&["verify-proof", &file, "--key", &keys, "-o", "json"])
}

fn edited(member: &str, from: &str, to: &str) -> Value {
    let mut bundle = bundle();
    let text = bundle[member].as_str().expect("text").replacen(from, to, 1);
    assert_ne!(
        bundle[member],
        text.as_str(),
        "the forgery changes something"
    );
    bundle[member] = text.into();
    bundle
}

#[test]
fn a_sound_bundle_is_proven_with_the_right_key_alone() {
    let report = check(&bundle(), &key(1)).expect_code(0).json();
    assert_eq!(report["valid"], true);
    assert_eq!(report["eventId"], "0190a1b2-c3d4-7e5f-8a6b-000000000001");
    assert_eq!(report["origin"], "audit.invalid/x/ledger/0");
    let report = check(&bundle(), &key(2)).expect_code(1).json();
    assert_eq!(report["failed"], "a given key signed the checkpoint");
}

#[test]
fn each_forgery_fails_at_its_own_step() {
    let cases = [
        (
            edited("canonical", "login", "logon"),
            "the event is the one that the entry was sealed with",
        ),
        (
            edited("salt", "05", "06"),
            "the event is the one that the entry was sealed with",
        ),
        (
            edited("entry", "\"o\"", "\"p\""),
            "the entry is in the signed tree",
        ),
        (
            edited("entry", "\"index\":0", "\"index\":1"),
            "the entry names this position of this ledger",
        ),
        (
            edited("entry", "audit-entry/1", "audit-entry/2"),
            "the entry is well-formed",
        ),
        (
            edited("proof", "\n2\n", "\n3\n"),
            "a given key signed the checkpoint",
        ),
        (
            edited("proof", "index 0", "index 00"),
            "the file is a proof",
        ),
        (edited("format", "1", "2"), "the file is a proof"),
    ];
    for (forged, step) in cases {
        let report = check(&forged, &key(1)).expect_code(1).json();
        assert_eq!(
            (&report["valid"], report["failed"].as_str()),
            (&json!(false), Some(step)),
            "{report}"
        );
    }
}

#[test]
fn a_pinned_key_serves_and_the_table_says_what_was_checked() {
    let bench = bench();
    let file = bench.file("proof.json", bundle().to_string());
    let finished = bench
        .run(&["verify-proof", &file, "--pin", &key(1).verifier_key()])
        .expect_code(0);
    assert!(
        finished
            .stdout
            .contains("proven: event 0190a1b2-c3d4-7e5f-8a6b-000000000001"),
        "{}",
        finished.stdout
    );
    assert_eq!(
        finished.stdout.matches(" ok").count(),
        8,
        "{}",
        finished.stdout
    );
}

#[test]
fn a_bare_proof_needs_the_entry() {
    let bench = bench();
    let bundle = bundle();
    let proof = bench.file("proof", bundle["proof"].as_str().expect("text"));
    let entry = bench.file("entry", bundle["entry"].as_str().expect("text"));
    let pin = key(1).verifier_key();
    bench
        .run(&["verify-proof", &proof, "--pin", &pin])
        .expect_code(2);
    bench
        .run(&["verify-proof", &proof, "--pin", &pin, "--entry", &entry])
        .expect_code(0);
    let other = bench.file("other", sealed(1).entry);
    bench
        .run(&["verify-proof", &proof, "--pin", &pin, "--entry", &other])
        .expect_code(1);
}
