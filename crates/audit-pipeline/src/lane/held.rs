//! The batches a session holds, so that none stays behind however the session ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_queue::{Batch, Consumer, Refused};
use futures::future::join_all;
use tokio::sync::Notify;

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
        Batch::named(self.partition, self.token)
    }
}

/// A batch that is committed, and what its deliveries' source is to be told.
#[derive(Debug, Clone)]
struct Settling {
    name: Name,
    refused: Vec<Refused>,
}

#[derive(Debug)]
pub(super) struct Held {
    consumer: Arc<dyn Consumer>,
    /// Each call to the queue may take so long.
    limit: Duration,
    batches: Mutex<Vec<Name>>,
    /// Committed, and on their way out of the queue.
    settling: Mutex<VecDeque<Settling>>,
    more: Notify,
}

impl Held {
    pub(super) fn new(consumer: Arc<dyn Consumer>, limit: Duration) -> Self {
        Self {
            consumer,
            limit,
            batches: Mutex::new(Vec::new()),
            settling: Mutex::default(),
            more: Notify::new(),
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

    fn settling(&self) -> MutexGuard<'_, VecDeque<Settling>> {
        // As above.
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has [`Held::let_go`] settle a batch whose frames all have receipts: the next commit does not wait for the queue.
    pub(super) fn settle(&self, token: u64, refused: Vec<Refused>) {
        if let Some(name) = self.take(token) {
            self.settling().push_back(Settling { name, refused });
            self.more.notify_one();
        }
    }

    /// Settles what is to be settled, for ever.
    pub(super) async fn let_go(&self) -> ! {
        loop {
            self.settle_all().await;
            self.more.notified().await;
        }
    }

    async fn settle_all(&self) {
        // Taken out only when it is answered, so that a session that ends half-way forgets none.
        loop {
            let Some(Settling { name, refused }) = self.settling().front().cloned() else {
                return;
            };
            let batch = Batch {
                refused,
                ..name.batch()
            };
            let settled = ask(self.limit, self.consumer.settle(batch)).await;
            self.settling().pop_front();
            if let Err(error) = settled {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a committed batch was not settled"
                );
                // Its frames come again at once and are recognised.
                self.give_back(name).await;
            }
        }
    }

    /// Gives a batch back, to be delivered again.
    pub(super) async fn release(&self, token: u64) {
        if let Some(name) = self.take(token) {
            self.give_back(name).await;
        }
    }

    /// Renews what is held for ever: apart from the lease, and each batch by itself, so that a queue that does not answer costs
    /// neither the ledger nor what another queue handed out.
    pub(super) async fn keep(&self, every: Duration) -> ! {
        loop {
            tokio::time::sleep(every).await;
            let batches = self.lock().clone();
            join_all(batches.into_iter().map(|name| self.renew(name))).await;
        }
    }

    async fn renew(&self, name: Name) {
        if let Err(error) = ask(self.limit, self.consumer.renew(&name.batch())).await {
            // Settled meanwhile, or its frames will be delivered twice; receipts recognise them.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a batch was not renewed"
            );
        }
    }

    /// The session is over: settles what was committed and gives back the rest.
    pub(super) async fn release_all(&self) {
        self.settle_all().await;
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
