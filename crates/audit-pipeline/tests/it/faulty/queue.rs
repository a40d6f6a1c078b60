//! A queue that fails at times.

use async_trait::async_trait;
use audit_queue::{Batch, Budget, Consumer, Depth, Durability, Frame, Producer, QueueError};

use super::{Faulty, OnPurpose};

fn away() -> QueueError {
    QueueError::Unavailable(Box::new(OnPurpose))
}

fn lost() -> QueueError {
    QueueError::Unknown(Box::new(OnPurpose))
}

#[async_trait]
impl Producer for Faulty<dyn Producer> {
    async fn enqueue(&self, frame: Frame) -> Result<Durability, QueueError> {
        let real = self.inner.enqueue(frame);
        self.faults.around("queue.enqueue", away, lost, real).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let real = self.inner.depth();
        self.faults.around("queue.depth", away, lost, real).await
    }
}

#[async_trait]
impl Consumer for Faulty<dyn Consumer> {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let real = self.inner.receive(budget);
        self.faults.around("queue.receive", away, lost, real).await
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        let real = self.inner.settle(batch);
        self.faults.around("queue.settle", away, lost, real).await
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        let real = self.inner.renew(batch);
        self.faults.around("queue.renew", away, lost, real).await
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        let real = self.inner.release(batch);
        self.faults.around("queue.release", away, lost, real).await
    }
}
