//! What is particular to this queue: the tail, the holds, reopening, one process.

use std::sync::Arc;
use std::time::Duration;

use audit_queue::{Budget, Consumer, FrameLookup, Payload, Producer, QueueError};
use audit_queue_embedded::{EmbeddedQueue, OpenError, Options};
use audit_runtime::SystemClock;

use crate::made::{budget, drain, frame, id, ids, open};

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_where_the_tail_ends_and_the_file_begins() {
    let dir = tempfile::tempdir().unwrap();
    // Room for about three frames in memory: most are read from the file.
    let queue = open(
        &dir.path().join("q"),
        Options {
            tail_bytes_max: 600,
            ..Options::default()
        },
    );
    let mut received = Vec::new();
    for n in 0..100 {
        queue.enqueue(frame(n, 1)).await.unwrap();
        if n % 10 == 5 {
            let batch = queue.receive(budget(4)).await.unwrap();
            received.extend(ids(&batch));
            queue.settle(batch).await.unwrap();
        }
    }
    received.extend(drain(&queue).await);
    assert_eq!(received, (0..100).map(id).collect::<Vec<_>>());
    assert_eq!(queue.depth().await.unwrap().frames, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_opening_is_refused_until_the_first_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let queue = open(&path, Options::default());
    let second = EmbeddedQueue::open(&path, Options::default(), Arc::new(SystemClock));
    assert!(matches!(second, Err(OpenError::InUse(_))), "{second:?}");
    queue.enqueue(frame(1, 1)).await.unwrap();
    queue.close().await;
    queue.close().await;
    assert!(matches!(
        queue.enqueue(frame(2, 1)).await,
        Err(QueueError::Closed)
    ));
    assert!(matches!(
        queue.receive(budget(1)).await,
        Err(QueueError::Closed)
    ));
    drop(queue);
    assert_eq!(drain(&open(&path, Options::default())).await, [id(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_is_counted_at_reopening_and_what_was_not_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let queue = open(&path, Options::default());
    for n in 0..3 {
        queue.enqueue(frame(n, 1)).await.unwrap();
    }
    let held = queue.receive(budget(2)).await.unwrap();
    assert_eq!(ids(&held), [id(0), id(1)]);
    drop(queue);
    let queue = open(&path, Options::default());
    let again = queue.receive(budget(9)).await.unwrap();
    let counts: Vec<u32> = again
        .deliveries
        .iter()
        .map(|delivery| delivery.redelivered)
        .collect();
    assert_eq!(
        (ids(&again), counts),
        (vec![id(0), id(1), id(2)], vec![1, 1, 0])
    );
    assert!(queue.is_waiting(id(1)).await.unwrap());
    queue.release(again).await.unwrap();
    drop(queue);
    let queue = open(&path, Options::default());
    let again = queue.receive(budget(9)).await.unwrap();
    let counts: Vec<u32> = again
        .deliveries
        .iter()
        .map(|delivery| delivery.redelivered)
        .collect();
    assert_eq!(
        counts,
        [2, 2, 1],
        "given back once more, and held by nobody at the end"
    );
    queue.settle(again).await.unwrap();
    assert!(!queue.is_waiting(id(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_not_renewed_is_delivered_to_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(
        &dir.path().join("q"),
        Options {
            hold: Duration::from_millis(30),
            ..Options::default()
        },
    );
    queue.enqueue(frame(1, 1)).await.unwrap();
    let lost = queue.receive(budget(1)).await.unwrap();
    let again = queue
        .receive(Budget {
            wait: Duration::from_secs(30),
            ..budget(1)
        })
        .await
        .unwrap();
    assert_eq!(
        (ids(&again), again.deliveries[0].redelivered),
        (vec![id(1)], 1)
    );
    assert!(matches!(queue.renew(&lost).await, Err(QueueError::NotHeld)));
    assert!(matches!(queue.settle(lost).await, Err(QueueError::NotHeld)));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_settled_frames_are_known_after_reopening_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let options = Options {
        settled_ids_kept: 10,
        ..Options::default()
    };
    let queue = open(&path, options.clone());
    for n in 0..30 {
        queue.enqueue(frame(n, 1)).await.unwrap();
        assert_eq!(drain(&queue).await, [id(n)]);
    }
    drop(queue);
    let queue = open(&path, options);
    for n in 20..30 {
        queue.enqueue(frame(n, 1)).await.unwrap();
    }
    assert_eq!(drain(&queue).await, [], "the last ten are known");
    queue.enqueue(frame(5, 1)).await.unwrap();
    assert_eq!(
        drain(&queue).await,
        [id(5)],
        "the first are left to the receipts"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_a_newer_version_comes_alone_stays_and_lets_the_others_pass() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let queue = open(&path, Options::default());
    for n in 0..4 {
        queue.enqueue(frame(n, 1)).await.unwrap();
    }
    drop(queue);
    let file = rusqlite::Connection::open(&path).unwrap();
    let mut bytes: Vec<u8> = file
        .query_row("SELECT frame FROM frame WHERE seq = 2", [], |row| {
            row.get(0)
        })
        .unwrap();
    bytes[4] = 9;
    file.execute("UPDATE frame SET frame = ?1 WHERE seq = 2", [bytes])
        .unwrap();
    drop(file);
    let queue = open(&path, Options::default());
    let before = queue.receive(budget(9)).await.unwrap();
    assert_eq!(ids(&before), [id(0)]);
    let alone = queue.receive(budget(9)).await.unwrap();
    assert_eq!(alone.deliveries.len(), 1);
    let reason = "frame version 9 is not known".to_owned();
    assert_eq!(alone.deliveries[0].payload, Payload::Unreadable { reason });
    let after = queue.receive(budget(9)).await.unwrap();
    assert_eq!(ids(&after), [id(2), id(3)]);
    queue.settle(after).await.unwrap();
    queue.settle(before).await.unwrap();
    queue.release(alone).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().frames, 1);
}

#[test]
fn a_file_of_a_newer_format_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    drop(open(&path, Options::default()));
    rusqlite::Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", 2)
        .unwrap();
    let newer = EmbeddedQueue::open(&path, Options::default(), Arc::new(SystemClock));
    assert!(
        matches!(newer, Err(OpenError::Newer { found: 2, .. })),
        "{newer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settle_is_in_the_file_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let queue = open(&path, Options::default());
    queue.enqueue(frame(1, 1)).await.unwrap();
    queue.enqueue(frame(2, 1)).await.unwrap();
    let batch = queue.receive(budget(1)).await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    let delivered_to = || {
        file.query_row("SELECT delivered_to FROM totals", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap()
    };
    assert_eq!(
        delivered_to(),
        2,
        "a frame that kills the process at once is counted"
    );
    queue.settle(batch).await.unwrap();
    let left: Vec<i64> = file
        .prepare("SELECT seq FROM frame")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(left, [2]);
}
