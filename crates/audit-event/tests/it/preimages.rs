//! What foreign producers signed is computed from their own bytes, to the last byte.

use audit_event::forms::{pake, preimage_of, smart_logs};
use audit_event::{EventDraft, Form};
use serde_json::Value;

use crate::support::accept;

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap()
}

#[test]
fn every_smart_logs_vector_gives_its_canonical_string() {
    let vectors = vectors(include_str!("vectors/smart-logs-hash.json"));
    assert_eq!(vectors.len(), 21);
    for vector in vectors {
        let preimage = smart_logs::preimage(text(&vector, "event_json").as_bytes());
        assert_eq!(
            preimage.as_deref(),
            Some(text(&vector, "canonical")),
            "{}",
            vector["id"]
        );
    }
}

#[test]
fn every_pake_vector_gives_its_canonical_string() {
    let vectors = vectors(include_str!("vectors/pake-v1.json"));
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let preimage = pake::preimage(text(&vector, "event_json").as_bytes());
        assert_eq!(
            preimage.as_deref(),
            Some(text(&vector, "preimage")),
            "{}",
            vector["id"]
        );
    }
}

/// Adds members to the end of an object.
fn with(event: &str, members: &str) -> String {
    format!(
        "{},{members}}}",
        event.trim_end().strip_suffix('}').unwrap()
    )
}

/// What is stored of a proof gives the signed text again, whether it was kept or left out.
fn check_stored(draft: &EventDraft, preimage: &str, kept: bool) {
    let read = EventDraft::from_canonical(draft.canonical().to_vec()).unwrap();
    let proof = read
        .event()
        .statement
        .producer_proof
        .as_ref()
        .expect("the proof is stored");
    assert_eq!(proof.preimage.is_some(), kept, "{preimage}");
    assert_eq!(
        preimage_of(&read.event().statement).as_deref(),
        Some(preimage)
    );
}

#[test]
fn a_stored_smart_logs_event_gives_its_preimage_again() {
    // Without an organisation the text cannot be told from one with the default organisation; numbers, objects and
    // lone surrogates cannot be rebuilt as JavaScript wrote them.
    let kept = [
        "V02", "V03", "V04", "V05", "V07", "V08", "V09", "V10", "V11", "V12", "V16", "V17",
    ];
    let refused = ["V13", "V14", "V15", "V20"];
    for vector in vectors(include_str!("vectors/smart-logs-hash.json")) {
        let id = text(&vector, "id");
        let members = format!(
            r#""hash":"{}","hashAlgorithm":"SHA-256""#,
            text(&vector, "sha256")
        );
        let event = with(text(&vector, "event_json"), &members)
            .replace(r#""hashAlgorithm":"SHA-256","hash""#, r#""hash""#);
        match accept(Form::SmartLogs, &event) {
            Ok(draft) => check_stored(&draft, text(&vector, "canonical"), kept.contains(&id)),
            Err(problems) => assert!(refused.contains(&id), "{id}: {problems:?}"),
        }
    }
}

#[test]
fn a_stored_pake_event_gives_its_preimage_again() {
    for vector in vectors(include_str!("vectors/pake-v1.json")) {
        let event = with(text(&vector, "event_json"), r#""signature":"00""#);
        match accept(Form::Pake, &event) {
            Ok(draft) => check_stored(&draft, text(&vector, "preimage"), false),
            Err(problems) => assert_eq!(text(&vector, "id"), "V9", "{problems:?}"),
        }
    }
}

#[test]
fn a_lone_surrogate_is_taken_only_with_a_legacy_hash() {
    let event = r#"{"timestamp":"2024-06-01T00:00:00Z","action":"a","status":"success","principalId":"bad\ud800id"}"#;
    let problems = accept(Form::SmartLogs, event).unwrap_err();
    assert_eq!(
        (problems[0].code.as_str(), problems[0].path.as_str()),
        ("lone_surrogate", "/principalId")
    );
    let draft = accept(Form::SmartLogs, &with(event, r#""hash":"00""#)).unwrap();
    assert_eq!(
        draft.event().statement.principal_id.as_deref(),
        Some("bad\u{fffd}id")
    );
    let preimage = preimage_of(&draft.event().statement).unwrap();
    assert!(
        preimage.contains(r#"principalId:"bad\ud800id""#),
        "{preimage}"
    );
    assert!(accept(Form::ListWorker, event).is_err());
}
