//! The batches a session holds, so that none stays behind however the session ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit_queue::{Batch, Consumer, QueueError};

#[derive(Debug)]
pub(super) struct Held {
    consumer: Arc<dyn Consumer>,
    batches: Mutex<Vec<Batch>>,
}

impl Held {
    pub(super) fn new(consumer: Arc<dyn Consumer>) -> Self {
        Self {
            consumer,
            batches: Mutex::new(Vec::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Batch>> {
        // A list of tokens is whole after any panic.
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a batch; its deliveries were taken out already.
    pub(super) fn add(&self, batch: Batch) {
        self.lock().push(batch);
    }

    fn take(&self, token: u64) -> Option<Batch> {
        let mut batches = self.lock();
        let at = batches.iter().position(|batch| batch.token == token)?;
        Some(batches.remove(at))
    }

    /// Lets the queue go of a batch after its commit.
    pub(super) async fn settle(&self, token: u64) -> Result<(), QueueError> {
        match self.take(token) {
            Some(batch) => self.consumer.settle(batch).await,
            None => Err(QueueError::NotHeld),
        }
    }

    pub(super) async fn renew_all(&self) {
        let batches = std::mem::take(&mut *self.lock());
        for batch in &batches {
            if let Err(error) = self.consumer.renew(batch).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a batch was not renewed"
                );
            }
        }
        self.lock().extend(batches);
    }

    pub(super) async fn release_all(&self) {
        let batches = std::mem::take(&mut *self.lock());
        for batch in batches {
            if let Err(error) = self.consumer.release(batch).await {
                // Its hold runs out; a receipt recognises what was committed.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a batch was not released"
                );
            }
        }
    }
}
