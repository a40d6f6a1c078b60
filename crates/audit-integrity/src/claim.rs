//! The claim: digest of what a producer said (`docs/event-format.md` section 3).

use audit_event::{AuditEvent, EventDraft};

use crate::digest::{CLAIM_LABEL, sha256};
use crate::ledger::Digest;
use crate::said;

/// SHA-256 of the labelled claim input.
#[must_use]
pub fn claim_of(event: &AuditEvent) -> Digest {
    sha256(&[CLAIM_LABEL, &event.claim_input()])
}

/// The same, cut out of the draft's canonical bytes: nothing is written again.
#[must_use]
pub fn claim_of_draft(draft: &EventDraft) -> Digest {
    // The bytes of a draft are canonical by how it is made.
    said::claim_in(draft.canonical()).unwrap_or_else(|| claim_of(draft.event()))
}
