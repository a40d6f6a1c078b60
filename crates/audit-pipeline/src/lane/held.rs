//! The batches a session holds, so that none stays behind however the session ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_queue::{Batch, Consumer};

use crate::outward::ask;

/// What names a batch to the queue. Kept instead of the batch, so that a renewal under way takes nothing from a settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    partition: u32,
    token: u64,
}

impl Name {
    /// The deliveries were taken out at receipt; the adapter does not need them.
    const fn batch(self) -> Batch {
        Batch {
            partition: self.partition,
            token: self.token,
            deliveries: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Held {
    consumer: Arc<dyn Consumer>,
    /// Each call to the queue may take so long.
    limit: Duration,
    batches: Mutex<Vec<Name>>,
}

impl Held {
    pub(super) fn new(consumer: Arc<dyn Consumer>, limit: Duration) -> Self {
        Self {
            consumer,
            limit,
            batches: Mutex::new(Vec::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Name>> {
        // A list of names is whole after any panic.
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, partition: u32, token: u64) {
        self.lock().push(Name { partition, token });
    }

    fn take(&self, token: u64) -> Option<Name> {
        let mut batches = self.lock();
        let at = batches.iter().position(|batch| batch.token == token)?;
        Some(batches.swap_remove(at))
    }

    /// Lets the queue go of a batch whose frames all have receipts. When that fails the batch is given back: its frames
    /// come again at once and are recognised.
    pub(super) async fn settle(&self, token: u64) {
        let Some(name) = self.take(token) else {
            return;
        };
        if let Err(error) = ask(self.limit, self.consumer.settle(name.batch())).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a committed batch was not settled"
            );
            self.give_back(name).await;
        }
    }

    /// Gives a batch back, to be delivered again.
    pub(super) async fn release(&self, token: u64) {
        if let Some(name) = self.take(token) {
            self.give_back(name).await;
        }
    }

    pub(super) async fn renew_all(&self) {
        let batches = self.lock().clone();
        for name in batches {
            if let Err(error) = ask(self.limit, self.consumer.renew(&name.batch())).await {
                // Settled meanwhile, or its frames will be delivered twice; receipts recognise them.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a batch was not renewed"
                );
            }
        }
    }

    pub(super) async fn release_all(&self) {
        let batches = std::mem::take(&mut *self.lock());
        for name in batches {
            self.give_back(name).await;
        }
    }

    async fn give_back(&self, name: Name) {
        if let Err(error) = ask(self.limit, self.consumer.release(name.batch())).await {
            // Its hold runs out; receipts recognise what was committed.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a batch was not released"
            );
        }
    }
}
