//! Waiting for more than the queue: the receipt, and the checkpoint.

use std::collections::HashMap;

use audit_event::{EventDraft, Identity};
use audit_integrity::claim::claim_of_draft;
use audit_store::EventRead;

use super::coalesce::Enqueued;
use super::{Ack, ItemResult, ItemStatus};
use crate::checkpointed::Checkpointed;
use crate::hubs::{Address, EventOutcome, FrameOutcome};

/// One request's wait; dropped when its time runs out, with what is known left in the results.
pub(super) struct Waiting<'a> {
    pub(super) events: &'a dyn EventRead,
    pub(super) checkpointed: &'a Checkpointed,
    pub(super) ack: Ack,
}

impl Waiting<'_> {
    /// Fills in what became of each event, and waits for the checkpoint when asked to.
    pub(super) async fn resolve(
        &self,
        part: &[(usize, EventDraft)],
        enqueued: Enqueued,
        results: &mut [ItemResult],
    ) {
        let Some(outcome) = enqueued.outcome else {
            return;
        };
        match outcome.await {
            Ok(FrameOutcome::Events(outcomes)) => {
                for ((index, _), outcome) in part.iter().zip(outcomes.iter().skip(enqueued.first)) {
                    if let Some(result) = results.get_mut(*index) {
                        apply(result, *outcome);
                    }
                }
            }
            // Settled by an earlier commit, or by another process: the store knows.
            Ok(FrameOutcome::LookUp) => self.look_up(part, results).await,
            // The process is going down; what is known stays.
            Err(_closed) => return,
        }
        if self.ack == Ack::Sealed {
            for (index, _) in part {
                let Some(result) = results.get_mut(*index) else {
                    continue;
                };
                if let Some(address) = result.address {
                    self.checkpointed
                        .covering(address.ledger, address.leaf_index)
                        .await;
                    result.sealed = true;
                }
            }
        }
    }

    async fn look_up(&self, part: &[(usize, EventDraft)], results: &mut [ItemResult]) {
        let identities: Vec<Identity> = part
            .iter()
            .map(|(_, draft)| draft.event().identity())
            .collect();
        let found = match self.events.find(&identities).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "stored events cannot be looked up"
                );
                return;
            }
        };
        let found: HashMap<_, _> = found
            .into_iter()
            .map(|found| (found.identity.clone(), found))
            .collect();
        for ((index, draft), identity) in part.iter().zip(&identities) {
            let Some(result) = results.get_mut(*index) else {
                continue;
            };
            let outcome = match found.get(identity) {
                None => EventOutcome::DeadLettered,
                Some(found) => {
                    let address = Address {
                        ledger: found.ledger,
                        leaf_index: found.leaf_index,
                        leaf_hash: found.leaf_hash,
                    };
                    // Whether it was this delivery or an earlier one that stored it can no longer be told.
                    if found.claim == claim_of_draft(draft) {
                        EventOutcome::Stored(address)
                    } else {
                        EventOutcome::Conflict
                    }
                }
            };
            apply(result, outcome);
        }
    }
}

fn apply(result: &mut ItemResult, outcome: EventOutcome) {
    let (status, address) = match outcome {
        EventOutcome::Stored(address) => (ItemStatus::Accepted, Some(address)),
        EventOutcome::Duplicate(address) => (ItemStatus::Duplicate, Some(address)),
        EventOutcome::Conflict => (ItemStatus::Conflict, None),
        EventOutcome::DeadLettered => (ItemStatus::DeadLettered, None),
    };
    result.status = status;
    result.address = address;
}
