//! A real queue that fails as a script says.

use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_queue::{Budget, Consumer, Frame, FrameEvent, FrameId, Producer, QueueError};
use audit_queue_embedded::{EmbeddedQueue, Options};
use audit_runtime::{Fault, Faulty};
use audit_store::LedgerWriter;
use audit_store_sqlite::SqliteStore;
use audit_testkit::clock::ManualClock;
use audit_testkit::faulty_queue::FaultyQueue;
use audit_testkit::faulty_store::FaultyStore;
use audit_testkit::script::{Break, Script};

fn frame(n: u8) -> Frame {
    let event = FrameEvent {
        canonical: b"{}".to_vec(),
        api_key_id: String::new(),
    };
    let received_at = Timestamp::from_micros(0).unwrap();
    Frame {
        id: FrameId([n; 16]),
        internal: false,
        received_at,
        traceparent: None,
        events: vec![event],
    }
}

const NOW: Budget = Budget {
    deliveries: 10,
    bytes: 1 << 20,
    wait: Duration::ZERO,
};

fn queue(script: Script) -> (tempfile::TempDir, FaultyQueue) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_micros(1));
    let real = EmbeddedQueue::open(&dir.path().join("q"), Options::default(), clock).unwrap();
    (dir, FaultyQueue::new(Arc::new(real), script))
}

#[tokio::test]
async fn failed_and_lost_calls_differ_in_what_was_done() {
    let script = Script::new()
        .at("enqueue", 1, Break::Before)
        .at("enqueue", 2, Break::AfterDone);
    let (_dir, queue) = queue(script.clone());
    assert!(matches!(
        queue.enqueue(frame(1)).await,
        Err(QueueError::Unavailable(_))
    ));
    assert_eq!(queue.depth().await.unwrap().frames, 0);
    assert!(matches!(
        queue.enqueue(frame(1)).await,
        Err(QueueError::Unknown(_))
    ));
    assert_eq!(queue.depth().await.unwrap().frames, 1);
    queue.enqueue(frame(1)).await.unwrap();
    assert_eq!(
        (
            queue.depth().await.unwrap().frames,
            script.calls("enqueue"),
            script.calls("depth")
        ),
        (1, 3, 3)
    );
}

#[tokio::test]
async fn a_lost_receive_gives_its_batch_back() {
    let (_dir, queue) = queue(Script::new());
    queue.enqueue(frame(1)).await.unwrap();
    queue.script().next("receive", Break::AfterDone);
    assert!(queue.receive(NOW).await.is_err());
    let batch = queue.receive(NOW).await.unwrap();
    assert_eq!(
        (batch.deliveries.len(), batch.deliveries[0].redelivered),
        (1, 1)
    );
    queue.script().from_now_on("settle", Break::Before);
    assert!(queue.settle(batch).await.is_err());
    queue.script().mend();
}

#[tokio::test]
async fn hanging_calls_are_left_by_time_out_and_panics_by_the_task() {
    let script = Script::new()
        .at("enqueue", 1, Break::Hang)
        .at("enqueue", 2, Break::HangAfterDone)
        .at("enqueue", 3, Break::Panic);
    let (_dir, queue) = queue(script);
    for expected in [0, 1] {
        let hung = tokio::time::timeout(Duration::from_millis(200), queue.enqueue(frame(1))).await;
        assert!(hung.is_err());
        assert_eq!(queue.depth().await.unwrap().frames, expected);
    }
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { queue.enqueue(frame(3)).await });
    assert!(tasks.join_next().await.unwrap().unwrap_err().is_panic());
}

#[tokio::test]
async fn calls_of_the_store_fail_by_their_number_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at_micros(1_700_000_000_000_000));
    let real = SqliteStore::open(dir.path(), audit_store_sqlite::Options::default(), clock)
        .unwrap()
        .store();
    let script = Script::new()
        .at("probe", 1, Break::Before)
        .at("probe", 2, Break::AfterDone);
    let store = FaultyStore::new(Arc::clone(&real.writer), script.clone());
    for _ in 0..2 {
        assert_eq!(store.probe().await.unwrap_err().fault(), Fault::Outage);
    }
    store.probe().await.unwrap();
    assert_eq!(
        (script.calls("probe"), store.writers()),
        (3, real.writer.writers())
    );
}
