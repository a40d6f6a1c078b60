//! Every smart-logs vector of `tests/compat/v1` reaches the verdict it should.

use audit_event::{ProducerProof, Verdict};
use audit_integrity::keys::ProducerSecret;
use audit_integrity::producer::{SMART_LOGS, judge};
use serde_json::Value;
use zeroize::Zeroizing;

fn proof_of(vector: &Value) -> ProducerProof {
    let text = |name: &str| Some(vector[name].as_str().unwrap().to_owned());
    ProducerProof {
        scheme: SMART_LOGS.to_owned(),
        preimage: text("canonical"),
        preimage_rebuildable: false,
        hash: text("sha256"),
        signature: text("hmac_test_secret"),
        algorithm: Some("HMAC-SHA256".to_owned()),
        key_id: None,
        verdict: None,
        verified_with: None,
        reason: None,
    }
}

#[test]
fn smart_logs_vectors_are_verified_and_their_neighbours_are_not() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../compat/v1/smart-logs-hash.json")).unwrap();
    assert_eq!(vectors.len(), 21);
    let secret = ProducerSecret {
        key_id: "test".to_owned(),
        secret: Zeroizing::new(b"test-secret".to_vec()),
    };
    for vector in &vectors {
        let mut proof = proof_of(vector);
        judge(&mut proof, Some(&secret));
        assert_eq!(proof.verdict, Some(Verdict::Verified), "{}", vector["id"]);

        let mut edited = ProducerProof {
            preimage: Some(format!("{} ", vector["canonical"])),
            ..proof_of(vector)
        };
        judge(&mut edited, Some(&secret));
        assert_eq!(edited.verdict, Some(Verdict::Mismatch), "{}", vector["id"]);
    }
}
