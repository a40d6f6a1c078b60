//! The claim: digest of what a producer said (`docs/event-format.md` section 3).

use audit_event::AuditEvent;

use crate::digest::{CLAIM_LABEL, sha256};
use crate::ledger::Digest;

/// SHA-256 of the labelled claim input.
#[must_use]
pub fn claim_of(event: &AuditEvent) -> Digest {
    sha256(&[CLAIM_LABEL, &event.claim_input()])
}
