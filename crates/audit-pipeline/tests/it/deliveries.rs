//! Batches of every shape: frames twice, frames that cannot be read, more than one commit should take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use audit_queue::{Batch, Budget, Consumer, Delivery, Payload, QueueError, SourcePosition};

use crate::scene::{Scene, events, until};

/// Delivers every frame twice, and something unreadable when asked to.
#[derive(Debug)]
struct Odd {
    inner: Arc<dyn Consumer>,
    twice: bool,
    unreadable: bool,
    settled: AtomicU64,
}

impl Odd {
    fn around(scene: &mut Scene, twice: bool, unreadable: bool) -> Arc<Self> {
        let inner = Arc::clone(&scene.consumer);
        let settled = AtomicU64::new(0);
        let odd = Arc::new(Self {
            inner,
            twice,
            unreadable,
            settled,
        });
        scene.consumer = Arc::clone(&odd) as _;
        odd
    }
}

#[async_trait]
impl Consumer for Odd {
    async fn receive(&self, budget: Budget) -> Result<Batch, QueueError> {
        let mut batch = self.inner.receive(budget).await?;
        if self.twice {
            let again = batch.deliveries.clone();
            batch.deliveries.extend(again);
        }
        if self.unreadable && !batch.deliveries.is_empty() {
            let payload = Payload::Unreadable {
                reason: "of a newer version".to_owned(),
            };
            batch.deliveries.push(Delivery {
                source: SourcePosition("odd".to_owned()),
                redelivered: 0,
                payload,
            });
        }
        Ok(batch)
    }

    async fn settle(&self, batch: Batch) -> Result<(), QueueError> {
        self.settled.fetch_add(1, Ordering::SeqCst);
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
async fn a_frame_that_comes_twice_in_one_batch_counts_once() {
    let mut scene = Scene::begin().await;
    Odd::around(&mut scene, true, false);
    scene.queued(events(0..5)).await;
    scene.queued(events(5..10)).await;
    let lane = scene.work();
    scene.settled().await;
    lane.stop().await;
    let books = scene.check().await;
    assert_eq!((books.accepted, books.stored, books.duplicate), (10, 10, 0));
}

#[tokio::test]
async fn a_batch_with_an_unreadable_frame_is_stored_and_not_let_go() {
    let mut scene = Scene::begin().await;
    let odd = Odd::around(&mut scene, false, true);
    scene.queued(events(0..5)).await;
    let lane = scene.work();
    until("the readable frame is stored", || async {
        scene.books().await.stored == 5
    })
    .await;
    lane.stop().await;
    assert_eq!(odd.settled.load(Ordering::SeqCst), 0, "it stays pending");
    assert_eq!(scene.check().await.stored, 5);
}

/// However large a batch its settings allow, a commit stays within its own bounds.
#[tokio::test]
async fn a_batch_that_is_too_much_for_one_commit_takes_several() {
    let mut scene = Scene::begin().await;
    scene.settings.batch_bytes_max = 64 << 20;
    // Answers may be slow here; asking again would settle again.
    scene.settings.call_timeout = Duration::from_secs(30);
    for first in 0..7 {
        scene
            .queued(events(first * 3_000..(first + 1) * 3_000))
            .await;
    }
    scene.faults.forget_calls();
    let lane = scene.work();
    scene.settled().await;
    // Counted before the end, which settles again what was settled and not answered yet.
    let calls = scene.faults.calls();
    lane.stop().await;
    assert!(
        (3..=6).contains(&calls["writer.commit"]) && calls["queue.settle"] < 3,
        "{calls:?}"
    );
    assert_eq!(scene.check().await.stored, 21_000);
}
