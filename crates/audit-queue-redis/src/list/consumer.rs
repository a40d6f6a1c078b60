//! The port over the list.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use audit_queue::{Batch, Budget, Consumer, QueueError};
use audit_redis::{Broken, Call, Lane, Marked, Script, all_ours};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::RedisList;
use super::taken::{Answer, Taken};

/// Waiting for items: the first question comes again after this, later ones after twice as long each.
const POLL_MIN: Duration = Duration::from_millis(5);
/// Adds half of this to the time from pushing to storing, and costs Redis 20 small scripts a second.
const POLL_MAX: Duration = Duration::from_millis(50);
/// Receivers that do not want to wait still wait for each other so long: a turn is one script.
const TURN_MAX: Duration = Duration::from_millis(250);
/// How often batches that reached nobody are looked for without a reason, at most.
const RECALL_EVERY: Duration = Duration::from_secs(5);
/// So much of an item over the limit is handed out: enough to see whose it is.
const HEAD_BYTES: usize = 4096;

impl RedisList {
    /// Gives back what went astray, at once when something may have, else every now and then: a question that was frozen on its
    /// way may reach Redis late.
    async fn recall_when_due(&self, recalled: &mut Option<Instant>) -> Result<(), Broken> {
        let every = RECALL_EVERY.min(self.settings.hold / 4);
        let due = recalled.is_none_or(|at| at.elapsed() >= every);
        if due || self.astray.load(Ordering::SeqCst) {
            self.recall(true).await?;
            *recalled = Some(Instant::now());
        }
        Ok(())
    }

    /// What is there now; `None` when nothing is.
    async fn take(&self, budget: Budget) -> Result<Option<Batch>, Broken> {
        let call = self.scripts.receive.with(&self.keys.eight());
        let call = call
            .arg(&self.consumer)
            .arg(self.batch_id())
            .arg(budget.deliveries.max(1))
            .arg(budget.bytes)
            .arg(self.hold_millis())
            .arg(self.settings.item_bytes_max)
            .arg(HEAD_BYTES);
        // Whoever is dropped from here on, or loses the answer, leaves the mark.
        let marked = Marked::on(&self.astray);
        let answer: Option<Answer> = match self.link.once(Lane::Consume, &call).await {
            Ok(answer) => answer,
            Err(broken) => {
                if !broken.is_unanswered() {
                    marked.clear();
                }
                return Err(broken);
            }
        };
        let batch = answer.map(|answer| {
            let bytes_max = self.settings.item_bytes_max;
            let (taken, deliveries) = Taken::read(answer, &self.keys.queue, bytes_max);
            if taken.deliveries > 1 {
                let (batch, deliveries) = (&taken.name, taken.deliveries);
                tracing::info!(batch, deliveries, "items are handed out again");
            }
            let token = self.held.add(taken, self.settings.hold);
            Batch {
                deliveries,
                ..Batch::named(0, token)
            }
        });
        marked.clear();
        Ok(batch)
    }

    fn batch_id(&self) -> String {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        id.hyphenated().to_string()
    }

    const fn hold_millis(&self) -> u64 {
        self.settings.hold.as_millis() as u64
    }

    fn taken(&self, token: u64) -> Result<Taken, QueueError> {
        self.open()?;
        self.held.get(token).ok_or(QueueError::NotHeld)
    }

    fn of(&self, script: &Script, taken: &Taken) -> Call {
        let call = script.with(&self.keys.eight());
        call.arg(&self.consumer)
            .arg(&taken.name)
            .arg(taken.deliveries)
    }
}

#[async_trait]
impl Consumer for RedisList {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let deadline = Instant::now() + budget.wait;
        let turn = self.receiving.lock();
        let Ok(mut recalled) = timeout_at(deadline.max(Instant::now() + TURN_MAX), turn).await
        else {
            return Ok(Batch::nothing());
        };
        let mut poll = POLL_MIN;
        loop {
            self.open()?;
            self.recall_when_due(&mut recalled).await?;
            if let Some(batch) = self.take(budget).await? {
                return Ok(batch);
            }
            let now = Instant::now();
            if now >= deadline {
                return Ok(Batch::nothing());
            }
            sleep_until((now + poll).min(deadline)).await;
            poll = (poll * 2).min(POLL_MAX);
        }
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let taken = self.taken(batch.token)?;
        let mut call = self
            .of(&self.scripts.settle, &taken)
            .arg(self.settings.failed_max);
        for index in taken.refused(&batch, &self.keys.queue) {
            call = call.arg(index);
        }
        // Stays held when this fails: the caller may release it, or its hold runs out.
        let (lost, unmirrored): (u64, u64) = self.link.ask(Lane::Consume, &call).await?;
        self.held.forget(batch.token);
        if unmirrored > 0 {
            let key = &self.settings.failed;
            tracing::warn!(
                unmirrored,
                key,
                "refused items are in the dead letters only: the list is full"
            );
        }
        all_ours(lost)
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let taken = self.taken(batch.token)?;
        let call = self.of(&self.scripts.renew, &taken).arg(self.hold_millis());
        let lost = self.link.ask::<u64>(Lane::Consume, &call).await?;
        self.held.renewed(batch.token, self.settings.hold);
        all_ours(lost)
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        if batch.token == 0 {
            return Ok(());
        }
        let taken = self.taken(batch.token)?;
        // Dropped or failed half-way, it is found by the next receiver.
        let marked = Marked::on(&self.astray);
        self.held.forget(batch.token);
        let call = self.of(&self.scripts.release, &taken);
        let lost = self.link.ask::<u64>(Lane::Consume, &call).await?;
        marked.clear();
        all_ours(lost)
    }
}
