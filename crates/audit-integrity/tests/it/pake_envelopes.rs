//! Envelopes that Node 20 made: `createCipher` for the legacy mode, `createCipheriv` with 16 random bytes for the raw one.

use audit_integrity::pake_envelope::{EnvelopeError, EnvelopeKey, Mode};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../compat/v1/pake-envelopes.json")).unwrap()
}

fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap()
}

#[test]
fn every_envelope_opens_in_the_mode_it_was_made_in() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 22);
    for vector in &vectors {
        let key = EnvelopeKey::from_hex(text(vector, "key")).unwrap();
        let opened = key.open(text(vector, "envelope")).unwrap();
        assert_eq!(
            opened.plaintext.as_slice(),
            text(vector, "plaintext").as_bytes()
        );
        let mode = match text(vector, "mode") {
            "legacy" => Mode::Legacy,
            "raw" => Mode::Raw,
            other => panic!("{other}"),
        };
        assert_eq!(opened.mode, mode);
    }
}

#[test]
fn another_key_or_another_digit_opens_nothing() {
    let vectors = vectors();
    let other = EnvelopeKey::from_hex(&"0f".repeat(32)).unwrap();
    for vector in &vectors {
        let envelope = text(vector, "envelope");
        assert_eq!(other.open(envelope).unwrap_err(), EnvelopeError::Tag);
        let key = EnvelopeKey::from_hex(text(vector, "key")).unwrap();
        // The IV of the legacy mode is not looked at: only what stands behind it.
        let from = if text(vector, "mode") == "raw" { 0 } else { 33 };
        for at in (from..envelope.len()).filter(|at| envelope.as_bytes()[*at] != b':') {
            let mut bytes = envelope.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let altered = String::from_utf8(bytes).unwrap();
            assert_eq!(
                key.open(&altered).unwrap_err(),
                EnvelopeError::Tag,
                "{altered}"
            );
        }
    }
}
