//! What producers of replaced systems signed is checked on the way in, on the paths they send to.

use reqwest::Method;
use serde_json::Value;

use crate::rig::{Options, Rig, send};

/// The secrets under which the vectors were made.
const SECRETS: &[(&str, &str)] = &[
    ("smart-logs/default", "test-secret"),
    (
        "pake-v1/default",
        "test-signing-key-for-testing-purposes-only",
    ),
];

async fn rig() -> Rig {
    Rig::with(Options {
        producers: SECRETS,
        ..Options::default()
    })
    .await
}

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("vectors")
}

fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().expect("a text")
}

/// The producer's bytes with more members at their end.
fn with(event: &str, members: &str) -> String {
    let open = event.trim_end().strip_suffix('}').expect("an object");
    format!("{open},{members}}}")
}

/// Sends an event that must be stored, and gives its proof as stored.
async fn proof(rig: &Rig, path: &str, id: &str, event: String) -> Value {
    let answer = send(rig.request(Method::POST, path).body(event)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["stored"], true, "{answer}");
    let id = answer[id].as_str().expect("an id").to_owned();
    let found = rig.get(&format!("/v1/events/{id}")).await;
    assert_eq!(found.status, 200, "{}", found.text);
    found.json()["event"]["producerProof"].clone()
}

/// A hexadecimal text with another last digit.
fn other(hex: &str) -> String {
    let (rest, last) = hex.split_at(hex.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_smart_logs_vector_is_verified_and_one_digit_more_is_a_mismatch() {
    let rig = rig().await;
    let vectors = vectors(include_str!(
        "../../../audit-integrity/tests/compat/v1/smart-logs-hash.json"
    ));
    assert_eq!(vectors.len(), 21);
    for vector in &vectors {
        let (hash, signature) = (text(vector, "sha256"), text(vector, "hmac_test_secret"));
        let signed = |hash: &str, signature: &str| {
            let proof =
                format!(r#""hash":"{hash}","signature":"{signature}","algorithm":"HMAC-SHA256""#);
            with(text(vector, "event_json"), &proof)
        };
        // No time, no action, or none of the three states: it never was an event, and the answer says so.
        if ["V13", "V14", "V15", "V20"].contains(&text(vector, "id")) {
            let request = rig.request(Method::POST, "/events");
            let answer = send(request.body(signed(hash, signature))).await;
            assert_eq!(answer.status, 400, "{}", vector["id"]);
            assert_eq!(answer.json()["code"], "VALIDATION_ERROR");
            continue;
        }
        let good = proof(&rig, "/events", "id", signed(hash, signature)).await;
        assert_eq!(good["verdict"], "verified", "{} {good}", vector["id"]);
        assert_eq!(good["verifiedWith"], "default", "{}", vector["id"]);
        let bad = proof(&rig, "/events", "id", signed(&other(hash), signature)).await;
        assert_eq!(bad["verdict"], "mismatch", "{} {bad}", vector["id"]);
        assert_eq!(bad["reason"], "hash-mismatch", "{}", vector["id"]);
        let bad = proof(&rig, "/events", "id", signed(hash, &other(signature))).await;
        assert_eq!(bad["verdict"], "mismatch", "{} {bad}", vector["id"]);
        assert_eq!(bad["reason"], "signature-mismatch", "{}", vector["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pake_vector_is_verified_with_its_link_and_unverifiable_without() {
    let rig = rig().await;
    let vectors = vectors(include_str!(
        "../../../audit-event/tests/it/vectors/pake-v1.json"
    ));
    let mut sent = 0;
    for vector in &vectors {
        // The others are no events: they lack an action or a time.
        if !["V1", "V2", "V3", "V4", "V5", "V6"].contains(&text(vector, "id")) {
            continue;
        }
        sent += 1;
        let (event, signature) = (text(vector, "event_json"), text(vector, "hmac_sha256"));
        let signed =
            |signature: &str, event: &str| with(event, &format!(r#""signature":"{signature}""#));
        let good = proof(
            &rig,
            "/api/audit/events",
            "eventId",
            signed(signature, event),
        )
        .await;
        assert_eq!(good["verdict"], "verified", "{} {good}", vector["id"]);
        // Its id is one of the five values that are signed.
        let renamed = event.replacen("\"id\":\"", "\"id\":\"x-", 1);
        let bad = proof(
            &rig,
            "/api/audit/events",
            "eventId",
            signed(signature, &renamed),
        )
        .await;
        let expected = match text(vector, "id") {
            // Signed with a link of null, which cannot be told from a link that was left out.
            "V6" => "unverifiable",
            _ => "mismatch",
        };
        assert_eq!(bad["verdict"], expected, "{} {bad}", vector["id"]);
    }
    assert_eq!(sent, 6);
}
