//! What follows when a producer's own hash or signature does not match what it said.

use audit_event::{AuditEvent, Verdict};
use audit_integrity::producer::{PAKE_V1, SMART_LOGS};

use crate::metric;

/// What is done with an event whose proof does not match; in every case the verdict is in the event for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMismatch {
    /// It is stored, and counted.
    Record,
    /// It is stored, counted, and an alert is raised.
    #[default]
    Alert,
    /// It is kept as a dead letter, and an alert is raised.
    DeadLetter,
}

/// [`OnMismatch`] for each scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProofPolicy {
    /// `smart-logs`: SHA-256 and HMAC over eight members.
    pub smart_logs: OnMismatch,
    /// `pake-v1`: HMAC over five values.
    pub pake_v1: OnMismatch,
}

impl ProofPolicy {
    fn of(self, scheme: &str) -> OnMismatch {
        match scheme {
            SMART_LOGS => self.smart_logs,
            PAKE_V1 => self.pake_v1,
            // Without a scheme that we know there is no mismatch, either.
            _ => OnMismatch::Alert,
        }
    }

    /// Counts the proof of an event; says why it is not to be stored. Seen again with its frame, it is counted again.
    pub(super) fn refusal(self, event: &AuditEvent) -> Option<String> {
        let proof = event.statement.producer_proof.as_ref()?;
        let verdict = proof.verdict?;
        let scheme = match proof.scheme.as_str() {
            SMART_LOGS => SMART_LOGS,
            PAKE_V1 => PAKE_V1,
            // A label is of a closed list, whatever a producer sends.
            _ => "other",
        };
        metrics::counter!(metric::PRODUCER_PROOFS, "scheme" => scheme, "verdict" => verdict.as_str()).increment(1);
        if verdict != Verdict::Mismatch {
            return None;
        }
        let reason = proof.reason.as_deref().unwrap_or_default();
        let policy = self.of(&proof.scheme);
        if policy != OnMismatch::Record {
            tracing::error!(alert = true, event = %event.id, organization = event.organization_id.as_str(), scheme, reason,
                "a producer's proof does not match its event");
        }
        (policy == OnMismatch::DeadLetter)
            .then(|| format!("the producer's {scheme} proof does not match: {reason}"))
    }
}
