//! Proofs that producers send themselves: the hash and HMAC of the systems we replace, judged once, at accept.
//!
//! | scheme | hash | signature |
//! |---|---|---|
//! | `smart-logs` | hex SHA-256 of the text | hex HMAC-SHA256 of the *hex hash*, algorithm `HMAC-SHA256` |
//! | `pake-v1` | hex SHA-256 of the text | hex HMAC-SHA256 of the text |
//!
//! The text (`preimage`) is what the producer hashed, rebuilt from the original bytes by the form that read them.

use audit_event::{ProducerProof, Verdict};

use crate::digest::{equal_in_constant_time, hmac_sha256, sha256};
use crate::keys::ProducerSecret;

/// Scheme of smart-logs producers.
pub const SMART_LOGS: &str = "smart-logs";
/// Scheme of PAKE producers.
pub const PAKE_V1: &str = "pake-v1";

/// The algorithm that smart-logs producers name when they sign with a shared secret; with a KMS they name another.
const HMAC_SHA256: &str = "HMAC-SHA256";

/// Reaches the verdict on a producer's proof; a verdict that is there already stays.
///
/// `Verified`: everything that was sent was recomputed and is equal. `Mismatch`: something that could be recomputed is
/// not. `Unverifiable`: nothing is wrong that we can see, but something could not be recomputed. `reason` is one of the
/// words of [`Reason`]. The text is dropped when it can be rebuilt from the stored members.
pub fn judge(proof: &mut ProducerProof, secret: Option<&ProducerSecret>) {
    if proof.verdict.is_some() {
        return;
    }
    let (verdict, reason, used) = match decide(proof, secret) {
        Ok(used) => (Verdict::Verified, None, used),
        Err((verdict, reason)) => {
            let used = matches!(
                reason,
                Reason::SignatureMismatch | Reason::PreviousHashUnknown
            );
            (verdict, Some(reason), used)
        }
    };
    proof.verdict = Some(verdict);
    proof.reason = reason.map(|reason| reason.as_str().to_owned());
    proof.verified_with = secret.filter(|_| used).map(|secret| secret.key_id.clone());
    if proof.preimage_rebuildable {
        proof.preimage = None;
    }
}

/// Why a verdict is not `Verified`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The hash is another.
    HashMismatch,
    /// The hash is right or absent, the signature is another.
    SignatureMismatch,
    /// Neither a hash nor a signature was sent.
    NothingSent,
    /// The hashed text is not known.
    NoText,
    /// The scheme is not known.
    UnknownScheme,
    /// The algorithm is not known.
    UnknownAlgorithm,
    /// We have no secret of this producer.
    NoSecret,
    /// `pake-v1`: the producer signed a link to its previous event, which it keeps to itself.
    PreviousHashUnknown,
}

impl Reason {
    /// The word that stands in `producerProof.reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HashMismatch => "hash-mismatch",
            Self::SignatureMismatch => "signature-mismatch",
            Self::NothingSent => "nothing-sent",
            Self::NoText => "no-text",
            Self::UnknownScheme => "unknown-scheme",
            Self::UnknownAlgorithm => "unknown-algorithm",
            Self::NoSecret => "no-secret",
            Self::PreviousHashUnknown => "previous-hash-unknown",
        }
    }
}

/// `Ok` says whether the secret was used.
fn decide(
    proof: &ProducerProof,
    secret: Option<&ProducerSecret>,
) -> Result<bool, (Verdict, Reason)> {
    let unverifiable = |reason| (Verdict::Unverifiable, reason);
    if proof.scheme != SMART_LOGS && proof.scheme != PAKE_V1 {
        return Err(unverifiable(Reason::UnknownScheme));
    }
    if proof.hash.is_none() && proof.signature.is_none() {
        return Err(unverifiable(Reason::NothingSent));
    }
    let text = proof
        .preimage
        .as_deref()
        .ok_or(unverifiable(Reason::NoText))?;
    let wrong = |reason| {
        if may_lack_its_link(proof, text) {
            unverifiable(Reason::PreviousHashUnknown)
        } else {
            (Verdict::Mismatch, reason)
        }
    };

    let hash = sha256(&[text.as_bytes()]);
    if proof
        .hash
        .as_deref()
        .is_some_and(|sent| !is_hex_of(sent, &hash.0))
    {
        return Err(wrong(Reason::HashMismatch));
    }
    let Some(signature) = proof.signature.as_deref() else {
        return Ok(false);
    };
    if proof
        .algorithm
        .as_deref()
        .is_some_and(|algorithm| algorithm != HMAC_SHA256)
    {
        return Err(unverifiable(Reason::UnknownAlgorithm));
    }
    let secret = secret.ok_or(unverifiable(Reason::NoSecret))?;
    let hex_hash = hash.to_string();
    let message = if proof.scheme == SMART_LOGS {
        hex_hash.as_bytes()
    } else {
        text.as_bytes()
    };
    let expected = hmac_sha256(&secret.secret, &[message]);
    if is_hex_of(signature, &expected) {
        Ok(true)
    } else {
        Err(wrong(Reason::SignatureMismatch))
    }
}

/// PAKE producers sign `previousHash` and do not send it. A text that was rebuilt with null there proves an event when
/// it matches and says nothing when it does not.
fn may_lack_its_link(proof: &ProducerProof, text: &str) -> bool {
    // Members stand in order, so after the text's own `previousHash` only timestamp and version follow: it is the last.
    // Inside a string the quotes would be escaped.
    let link = text
        .rsplit_once(r#","previousHash":"#)
        .map(|(_before, link)| link);
    proof.scheme == PAKE_V1 && link.is_some_and(|link| link.starts_with("null"))
}

/// Whether a text is the hexadecimal form of 32 bytes; the comparison takes the same time wherever they differ.
fn is_hex_of(text: &str, expected: &[u8; 32]) -> bool {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).is_ok() && equal_in_constant_time(&bytes, expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn secret(text: &str) -> ProducerSecret {
        ProducerSecret {
            key_id: "k1".to_owned(),
            secret: Zeroizing::new(text.as_bytes().to_vec()),
        }
    }

    fn proof(scheme: &str, text: &str, hash: &str, signature: &str) -> ProducerProof {
        let sent = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ProducerProof {
            scheme: scheme.to_owned(),
            preimage: sent(text),
            preimage_rebuildable: true,
            hash: sent(hash),
            signature: sent(signature),
            algorithm: None,
            key_id: None,
            verdict: None,
            verified_with: None,
            reason: None,
        }
    }

    fn check(
        mut proof: ProducerProof,
        secret: Option<&ProducerSecret>,
        expected: (Verdict, Option<Reason>, bool),
    ) {
        judge(&mut proof, secret);
        let (verdict, reason, used) = expected;
        assert_eq!(proof.verdict, Some(verdict), "{proof:?}");
        assert_eq!(
            proof.reason.as_deref(),
            reason.map(Reason::as_str),
            "{proof:?}"
        );
        assert_eq!(
            proof.verified_with.as_deref(),
            used.then_some("k1"),
            "{proof:?}"
        );
        assert_eq!(proof.preimage, None, "it can be rebuilt");
    }

    const TEXT: &str = r#"action:"userLogin"|organizationId:"org-67890"|outcomeDescription:"User logged in successfully"|principalId:"user-12345"|status:"success"|targetResourceId:"user-12345"|targetResourceType:"User"|timestamp:"2023-10-26T10:30:00.000Z""#;
    const HASH: &str = "1a5173f0c32c592cbe9d3c03c2af6ab212b16de1c903bfe2d1f231e926adf2b7";
    const SIGNATURE: &str = "97aa33eb003999ed3f8a96a64eeadeea4210c494d01c85078ed8656940aeb86b";

    #[test]
    fn smart_logs() {
        use Verdict::{Mismatch, Unverifiable, Verified};
        let key = secret("test-secret");
        let smart = |text, hash, signature| proof(SMART_LOGS, text, hash, signature);
        check(
            smart(TEXT, HASH, SIGNATURE),
            Some(&key),
            (Verified, None, true),
        );
        check(
            smart(TEXT, "", SIGNATURE),
            Some(&key),
            (Verified, None, true),
        );
        check(smart(TEXT, HASH, ""), Some(&key), (Verified, None, false));
        check(
            smart(TEXT, HASH, SIGNATURE),
            None,
            (Unverifiable, Some(Reason::NoSecret), false),
        );
        check(
            smart(TEXT, "", ""),
            Some(&key),
            (Unverifiable, Some(Reason::NothingSent), false),
        );
        check(
            smart("", HASH, SIGNATURE),
            Some(&key),
            (Unverifiable, Some(Reason::NoText), false),
        );
        let lookalike = r#"principalId:{"a":1,"previousHash":null}"#;
        check(
            smart(lookalike, HASH, ""),
            None,
            (Mismatch, Some(Reason::HashMismatch), false),
        );
        let edited = TEXT.replace("success", "failure");
        check(
            smart(&edited, HASH, SIGNATURE),
            Some(&key),
            (Mismatch, Some(Reason::HashMismatch), false),
        );
        check(
            smart(&edited, HASH, SIGNATURE),
            None,
            (Mismatch, Some(Reason::HashMismatch), false),
        );
        check(
            smart(TEXT, "not hex", ""),
            None,
            (Mismatch, Some(Reason::HashMismatch), false),
        );
        check(
            smart(TEXT, &HASH[..62], ""),
            None,
            (Mismatch, Some(Reason::HashMismatch), false),
        );
        check(
            smart(TEXT, HASH, HASH),
            Some(&key),
            (Mismatch, Some(Reason::SignatureMismatch), true),
        );
        let other = secret("other");
        check(
            smart(TEXT, HASH, SIGNATURE),
            Some(&other),
            (Mismatch, Some(Reason::SignatureMismatch), true),
        );

        let named = |algorithm: &str| ProducerProof {
            algorithm: Some(algorithm.to_owned()),
            ..smart(TEXT, HASH, SIGNATURE)
        };
        check(named("HMAC-SHA256"), Some(&key), (Verified, None, true));
        check(
            named("RSASSA_PSS_SHA_256"),
            Some(&key),
            (Unverifiable, Some(Reason::UnknownAlgorithm), false),
        );
        check(
            proof("other", TEXT, HASH, ""),
            Some(&key),
            (Unverifiable, Some(Reason::UnknownScheme), false),
        );
    }

    #[test]
    fn pake() {
        use Verdict::{Mismatch, Unverifiable, Verified};
        let key = secret("test-signing-key-for-testing-purposes-only");
        let pake = |text: &str, hash: &str, signature: &str| proof(PAKE_V1, text, hash, signature);
        // V1 and V6 of the facts about the system.
        let linked = r#"{"action":{},"actor":{"id":"test-user"},"context":{"version":"1.0.0"},"id":"test-event-001","previousHash":"1f6fc89d4f4d97204aabc163318ce490e399f7cf5729c551d2e3302f001c779f","timestamp":"2024-01-01T12:00:00.000Z","version":"1.0.0"}"#;
        let hash = "85d6a072eaad2595836e3b94551f7f6930924c7d0028d2cfe2f4c64e28bc1c31";
        let signature = "7f54c9c681458b5ebf60c69fb9a732e52fec93b318cdb22ea8bf21fb27c9adb9";
        check(
            pake(linked, hash, signature),
            Some(&key),
            (Verified, None, true),
        );
        check(
            pake(linked, "", signature),
            Some(&key),
            (Verified, None, true),
        );
        check(
            pake(linked, hash, hash),
            Some(&key),
            (Mismatch, Some(Reason::SignatureMismatch), true),
        );
        check(
            pake(linked, signature, signature),
            Some(&key),
            (Mismatch, Some(Reason::HashMismatch), false),
        );

        let unlinked = r#"{"action":{},"actor":{"id":"system"},"context":{},"id":"noversion","previousHash":null,"timestamp":"2024-01-01T12:00:05.000Z"}"#;
        let right = "1a1de1b457f25c574d94536321f1cea4e3edb5ee8a0f77ffeb31ddc2544e248e";
        check(
            pake(unlinked, "", right),
            Some(&key),
            (Verified, None, true),
        );
        check(
            pake(unlinked, "", signature),
            Some(&key),
            (Unverifiable, Some(Reason::PreviousHashUnknown), true),
        );
        let nested = linked.replace(
            r#"{"version":"1.0.0"}"#,
            r#"{"id":"x","previousHash":null}"#,
        );
        check(
            pake(&nested, hash, signature),
            Some(&key),
            (Mismatch, Some(Reason::HashMismatch), false),
        );
        check(
            pake(unlinked, "", signature),
            None,
            (Unverifiable, Some(Reason::NoSecret), false),
        );
    }

    #[test]
    fn a_text_that_cannot_be_rebuilt_stays_and_a_verdict_too() {
        let mut proof = ProducerProof {
            preimage_rebuildable: false,
            ..proof(SMART_LOGS, TEXT, HASH, SIGNATURE)
        };
        judge(&mut proof, Some(&secret("test-secret")));
        assert_eq!(proof.preimage.as_deref(), Some(TEXT));
        let judged = proof.clone();
        judge(&mut proof, None);
        assert_eq!(proof, judged);
    }
}
