//! Digests of what a rule means.

use audit_integrity::digest::sha256;
use audit_integrity::ledger::Digest;
use rsigma_parser::SigmaRule;
use serde_json::Value;

/// Digest of a detection: its key, and what it matches.
pub(super) fn of_detection(key: &str, rule: &SigmaRule) -> Digest {
    // The detection section is plain data; what cannot be written has no meaning either.
    let detection = serde_json::to_value(&rule.detection).unwrap_or_default();
    let version = rule.sigma_version.map_or(0, u64::from);
    of_parts(
        key,
        &Value::Array(vec![
            Value::from("detection"),
            Value::from(version),
            detection,
        ]),
    )
}

/// Digest of a key and a meaning.
pub(super) fn of_parts(key: &str, meaning: &Value) -> Digest {
    let mut text = String::new();
    write(meaning, &mut text);
    let length = key.len().to_string();
    sha256(&[
        b"audit-rule/1\n",
        length.as_bytes(),
        b"\n",
        key.as_bytes(),
        text.as_bytes(),
    ])
}

/// JSON with its members in order: a map of the parser has none.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (name, value) in names {
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(value, text);
                text.push(',');
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
