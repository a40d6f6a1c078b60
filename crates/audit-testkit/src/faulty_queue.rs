//! A real queue that fails as a script says. Names of calls: those of the ports' methods.

use std::sync::Arc;

use async_trait::async_trait;
use audit_queue::{
    Batch, Budget, Consumer, Depth, Durability, Frame, FrameId, FrameLookup, Producer, QueueError,
};

use crate::script::{Script, cause};

/// Wraps the ports of one queue.
#[derive(Debug, Clone)]
pub struct FaultyQueue {
    script: Script,
    producer: Arc<dyn Producer>,
    consumer: Arc<dyn Consumer>,
    lookup: Arc<dyn FrameLookup>,
}

impl FaultyQueue {
    /// Goes between a queue and its callers.
    #[must_use]
    pub fn new<Q: Producer + Consumer + FrameLookup + 'static>(
        queue: Arc<Q>,
        script: Script,
    ) -> Self {
        Self {
            script,
            producer: Arc::clone(&queue) as _,
            consumer: Arc::clone(&queue) as _,
            lookup: queue,
        }
    }

    /// What goes wrong, and the counts.
    #[must_use]
    pub const fn script(&self) -> &Script {
        &self.script
    }
}

fn away() -> QueueError {
    QueueError::Unavailable(cause())
}

fn unknown() -> QueueError {
    QueueError::Unknown(cause())
}

#[async_trait]
impl Producer for FaultyQueue {
    async fn enqueue(&self, frame: Frame) -> Result<Durability, QueueError> {
        self.script
            .run("enqueue", away, unknown, self.producer.enqueue(frame))
            .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.script
            .run("depth", away, away, self.producer.depth())
            .await
    }

    async fn pending(&self) -> Result<Option<u64>, QueueError> {
        self.script
            .run("pending", away, away, self.producer.pending())
            .await
    }
}

#[async_trait]
impl Consumer for FaultyQueue {
    /// When the answer is lost the batch is released, as a broker does with what a dead connection held.
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let taken = std::sync::Mutex::new(None);
        let receiving = async {
            let batch = self.consumer.receive(budget).await?;
            let token = Batch::named(batch.partition, batch.token);
            *taken
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(token);
            Ok(batch)
        };
        let answer = self.script.run("receive", away, away, receiving).await;
        let lost = taken
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let (Err(_), Some(batch)) = (&answer, lost) {
            self.consumer.release(batch).await?;
        }
        answer
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        self.script
            .run("settle", away, unknown, self.consumer.settle(batch))
            .await
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        self.script
            .run("renew", away, unknown, self.consumer.renew(batch))
            .await
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        self.script
            .run("release", away, unknown, self.consumer.release(batch))
            .await
    }
}

#[async_trait]
impl FrameLookup for FaultyQueue {
    async fn is_waiting(&self, id: FrameId) -> Result<bool, QueueError> {
        self.script
            .run("is_waiting", away, away, self.lookup.is_waiting(id))
            .await
    }
}
