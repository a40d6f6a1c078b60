//! The hub of published checkpoints: who waits for `sealed` waits here.

use std::collections::BTreeMap;

use audit_integrity::checkpoint::SignedCheckpoint;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use tokio::sync::watch;

/// The newest published checkpoint of every ledger. Cheap to clone; all clones are one hub.
///
/// Only the signer publishes, and only what is in the store and the anchor already; in the other processes of a deployment the
/// follower of the anchor does ([`crate::followed::follow_anchor`]).
#[derive(Debug, Clone, Default)]
pub struct Checkpointed {
    newest: watch::Sender<BTreeMap<LedgerId, SignedCheckpoint>>,
}

impl Checkpointed {
    /// Nothing published yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes a checkpoint; an older one than is published changes nothing.
    pub fn publish(&self, ledger: LedgerId, checkpoint: SignedCheckpoint) {
        self.newest.send_if_modified(|newest| {
            let newer = newest
                .get(&ledger)
                .is_none_or(|old| old.checkpoint.size < checkpoint.checkpoint.size);
            if newer {
                newest.insert(ledger, checkpoint);
            }
            newer
        });
    }

    /// Whether anybody waits for a checkpoint now.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    /// The newest one of a ledger, when there is one.
    #[must_use]
    pub fn newest(&self, ledger: LedgerId) -> Option<SignedCheckpoint> {
        self.newest.borrow().get(&ledger).cloned()
    }

    /// Waits until a published checkpoint covers the leaf. Without a time limit of its own; cancellable.
    pub async fn covering(&self, ledger: LedgerId, leaf: LeafIndex) -> SignedCheckpoint {
        let mut changes = self.newest.subscribe();
        loop {
            let found = changes
                .borrow_and_update()
                .get(&ledger)
                .filter(|c| c.checkpoint.size > leaf.0)
                .cloned();
            if let Some(found) = found {
                return found;
            }
            // The sender lives in `self`, so this cannot end; were it to, waiting for ever is what "not sealed" means.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use audit_integrity::checkpoint::Checkpoint;
    use audit_integrity::ledger::{Digest, Origin};
    use futures::FutureExt;

    use super::*;

    const LEDGER: LedgerId = LedgerId::Events(0);

    fn of(size: u64) -> SignedCheckpoint {
        let origin = Origin::new("audit.invalid/x", LEDGER);
        SignedCheckpoint {
            checkpoint: Checkpoint {
                origin,
                size,
                root: Digest([0; 32]),
            },
            note: format!("{size}"),
        }
    }

    #[test]
    fn who_waits_is_woken_by_the_checkpoint_that_covers_the_leaf() {
        let hub = Checkpointed::new();
        let mut waiting = std::pin::pin!(hub.covering(LEDGER, LeafIndex(5)));
        for (size, covered) in [(5, false), (3, false), (6, true)] {
            hub.publish(LEDGER, of(size));
            assert_eq!(
                waiting.as_mut().now_or_never().is_some(),
                covered,
                "size {size}"
            );
        }
        hub.publish(LEDGER, of(4));
        assert_eq!(hub.newest(LEDGER), Some(of(6)), "never backwards");
        assert_eq!(hub.newest(LedgerId::Directory), None);
    }
}
