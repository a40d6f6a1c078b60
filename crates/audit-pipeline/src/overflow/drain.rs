//! The spool back into the broker.

use std::sync::Arc;
use std::time::Duration;

use audit_queue::{Batch, Budget, Delivery, Payload, Producer, QueueError};
use audit_runtime::{Backoff, Random, ShutdownSignal};

use super::{OverflowSettings, OverflowState, Spool};
use crate::outward::ask;

/// Taken out of the spool at once at most.
const DELIVERIES: usize = 16;
const BYTES: usize = 4 << 20;
/// How often the broker is asked whether it is back while the spool is empty; also how old the spool's shown depth is at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sends what waits in the spool to the broker, one frame after the other, as soon and as long as it takes them; also finds
/// out that the broker is back. Runs until shutdown begins; what is held then stays in the spool.
pub async fn drain(
    spool: Spool,
    broker: Arc<dyn Producer>,
    state: OverflowState,
    settings: OverflowSettings,
    random: Arc<dyn Random>,
    shutdown: ShutdownSignal,
) {
    let drain = Drain {
        spool,
        broker,
        state,
        settings,
        random,
    };
    tokio::select! {
        () = drain.run() => {}
        () = shutdown.begun() => {}
    }
}

struct Drain {
    spool: Spool,
    broker: Arc<dyn Producer>,
    state: OverflowState,
    settings: OverflowSettings,
    random: Arc<dyn Random>,
}

impl Drain {
    async fn run(&self) {
        loop {
            self.look_at_spool().await;
            let budget = Budget {
                deliveries: DELIVERIES,
                bytes: BYTES,
                wait: LOOK_EVERY,
            };
            match self.spool.consumer.receive(budget).await {
                Ok(batch) if batch.deliveries.is_empty() => self.look_for_broker().await,
                Ok(batch) => self.send(batch).await,
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the spool cannot be read"
                    );
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    async fn look_at_spool(&self) {
        if let Ok(depth) = self.spool.producer.depth().await {
            self.state.spool_holds(depth);
        }
    }

    async fn look_for_broker(&self) {
        if self.state.is_away()
            && ask(self.settings.broker_timeout, self.broker.depth())
                .await
                .is_ok()
        {
            self.state.came_back();
        }
    }

    /// Sends a batch, however long the broker takes, and then has the spool forget it.
    async fn send(&self, mut batch: Batch) {
        let deliveries = std::mem::take(&mut batch.deliveries);
        let mut all_sent = true;
        for delivery in deliveries {
            all_sent &= self.send_one(delivery, &batch).await;
        }
        let done = if all_sent {
            self.spool.consumer.settle(batch).await
        } else {
            // Stays where it is: somebody has to look at it.
            return;
        };
        if let Err(error) = done {
            // Its frames come again, and the broker knows their ids.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the spool did not let go of what was sent"
            );
        }
    }

    /// `false` when the frame can never be sent.
    async fn send_one(&self, delivery: Delivery, batch: &Batch) -> bool {
        let Payload::Frame(frame) = delivery.payload else {
            tracing::error!(alert = true, source = %delivery.source.0, "the spool holds a frame that cannot be read");
            return false;
        };
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match ask(
                self.settings.broker_timeout,
                self.broker.enqueue(frame.clone()),
            )
            .await
            {
                Ok(_durability) => {
                    self.state.came_back();
                    return true;
                }
                // It answers, so it is there.
                Err(QueueError::Full { .. }) => self.state.came_back(),
                Err(QueueError::Refused(error)) => {
                    tracing::error!(alert = true, %error, "the broker can never take a frame of the spool");
                    return false;
                }
                Err(error) => self.state.went_away(&error),
            }
            tokio::time::sleep(backoff.next_wait(&*self.random)).await;
            self.look_at_spool().await;
            if let Err(error) = self.spool.consumer.renew(batch).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the spool hands the batch out again"
                );
            }
        }
    }
}
