//! Settings that are replaced while the flows work.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use audit_event::Code;
use audit_pipeline::{Ack, Item, ItemStatus};
use audit_queue::{Batch, Budget, Consumer, QueueError};

use crate::scene::{Scene, events, until};

/// Remembers what it was asked for.
#[derive(Debug)]
struct Asked {
    inner: Arc<dyn Consumer>,
    budgets: Mutex<Vec<(usize, usize)>>,
}

#[async_trait]
impl Consumer for Asked {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let asked = (budget.deliveries, budget.bytes);
        self.budgets.lock().unwrap().push(asked);
        self.inner.receive(budget).await
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        self.inner.settle(batch).await
    }

    async fn renew(&self, batch: &Batch) -> Result<(), QueueError> {
        self.inner.renew(batch).await
    }

    async fn release(&self, batch: Batch) -> Result<(), QueueError> {
        self.inner.release(batch).await
    }
}

#[tokio::test]
async fn a_lane_at_work_takes_the_next_batch_by_the_new_bounds() {
    let mut scene = Scene::begin().await;
    let asked = Arc::new(Asked {
        inner: Arc::clone(&scene.consumer),
        budgets: Mutex::default(),
    });
    scene.consumer = asked.clone();
    let before = (
        scene.settings.batch_by_depth.last().unwrap().1,
        scene.settings.batch_bytes_max,
    );
    let lane = scene.work();
    let last = || asked.budgets.lock().unwrap().last().copied();
    until("the first question", || async { last() == Some(before) }).await;
    scene.accept(events(0..20), Ack::Stored).await;
    for now in [(7, 70_000), (1, 1), before] {
        lane.settings.send_modify(|settings| {
            settings.batch_by_depth = vec![(0, now.0)];
            settings.batch_bytes_max = now.1;
        });
        until("a question by the new bounds", || async {
            last() == Some(now)
        })
        .await;
        let first = 100 * now.0 as u64;
        scene.accept(events(first..first + 20), Ack::Stored).await;
    }
    lane.stop().await;
    assert_eq!(scene.check().await.stored, 80);
}

#[tokio::test]
async fn accept_judges_the_next_item_by_the_new_bound_of_time() {
    let scene = Scene::begin().await;
    let now = audit_runtime::Clock::now_micros(&audit_runtime::SystemClock);
    let later = audit_event::Timestamp::from_micros(now + 3_600_000_000).unwrap();
    let text = format!(r#"{{"timestamp":"{later}","action":"a","status":"success"}}"#);
    let ahead = || vec![Item::Bytes(text.clone().into_bytes().into())];
    for (hours, taken) in [(0, false), (2, true), (0, false)] {
        let bound = Duration::from_secs(hours * 3_600);
        scene.acceptor.set_max_ahead(bound);
        let answer = scene.queued(ahead()).await;
        let result = &answer.results[0];
        if taken {
            assert_eq!(result.status, ItemStatus::Accepted, "{hours} hours");
        } else {
            assert_eq!(result.status, ItemStatus::Rejected, "{hours} hours");
            assert_ne!(result.errors[0].code, Code::Forbidden);
            assert_eq!(result.errors[0].path.as_str(), "/timestamp");
        }
    }
}
