//! Sentences of [`crate::ports::Producer`].

use std::sync::Arc;
use std::task::Poll;

use super::Subject;
use super::frames::{all, delivered_twice, frame, id, ids, ids_of, poll_once};
use crate::error::QueueError;
use crate::frame::{Frame, FrameEvent, FrameLimits};
use crate::ports::{Durability, Marks};

/// "Durable as the returned `Durability` says."
pub(super) async fn what_was_acknowledged_survives_a_kill_once_and_in_order(
    subject: &mut dyn Subject,
) {
    let answers = subject.ports().put((0..50).map(|n| frame(n, 2))).await;
    subject.kill().await;
    let found = delivered_twice(subject).await;
    if answers
        .iter()
        .all(|durability| *durability != Durability::Buffered)
    {
        assert_eq!(found, ids(0..50));
    }
}

/// "Idempotent on `FrameId`: a frame that is in the queue [...] is not put in twice."
pub(super) async fn a_frame_that_waits_is_not_put_in_twice(subject: &mut dyn Subject) {
    subject
        .ports()
        .put([frame(1, 3), frame(1, 3), frame(2, 1)])
        .await;
    subject.kill().await;
    subject.ports().put([frame(1, 3)]).await;
    assert_eq!(subject.ports().producer.depth().await.unwrap().enqueued, 4);
    assert_eq!(delivered_twice(subject).await, ids(1..3));
    subject.ports().put([frame(2, 1)]).await;
    assert!(
        subject.ports().take_all().await.is_empty(),
        "a frame that is held is in the queue too"
    );
}

/// "[...] or was settled recently, is not put in twice."
pub(super) async fn a_frame_settled_recently_is_not_put_in_again(subject: &mut dyn Subject) {
    let ports = subject.ports();
    ports.put([frame(1, 1), frame(2, 1)]).await;
    let batch = ports.consumer.receive(all()).await.unwrap();
    ports.consumer.settle(batch).await.unwrap();
    ports.put([frame(1, 1)]).await;
    assert!(ports.take_all().await.is_empty());
    assert_eq!(ports.producer.depth().await.unwrap().enqueued, 2);
}

/// "Callable concurrently; concurrent calls may share one fsync."
pub(super) async fn concurrent_enqueues_are_all_there_once(subject: &mut dyn Subject) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let producer = Arc::clone(&subject.ports().producer);
        tasks.spawn(async move {
            for n in 0..20 {
                producer.enqueue(frame(task * 20 + n, 1)).await.unwrap();
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(
        subject.ports().producer.depth().await.unwrap().enqueued,
        320
    );
    let mut found = delivered_twice(subject).await;
    found.sort_unstable();
    assert_eq!(found, ids(0..320));
}

/// "If the future is dropped the frame may be in the queue. The caller retries."
pub(super) async fn a_dropped_enqueue_may_be_tried_again(subject: &mut dyn Subject) {
    let ports = subject.ports();
    for n in 0..20 {
        let mut enqueue = ports.producer.enqueue(frame(n, 1));
        let polled = poll_once(&mut enqueue);
        assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(_))));
        drop(enqueue);
    }
    ports.put((0..20).map(|n| frame(n, 1))).await;
    let mut found = delivered_twice(subject).await;
    found.sort_unstable();
    assert_eq!(found, ids(0..20));
}

/// "Bounded: past its mark it answers `QueueError::Full` and takes nothing." The mark here is 10 events.
pub(super) async fn past_its_mark_it_is_full_and_takes_nothing(subject: &mut dyn Subject) {
    subject.ports().put([frame(1, 4), frame(2, 4)]).await;
    for _ in 0..2 {
        let ports = subject.ports();
        let before = ports.producer.depth().await.unwrap();
        let refused = ports.producer.enqueue(frame(3, 4)).await;
        assert!(
            matches!(
                refused,
                Err(QueueError::Full {
                    waiting_events: 8,
                    ..
                })
            ),
            "{refused:?}"
        );
        assert_eq!(
            ports.producer.depth().await.unwrap(),
            before,
            "a refused frame leaves no trace"
        );
        ports.put([frame(2, 4)]).await;
        assert!(!ports.lookup.is_waiting(id(3)).await.unwrap());
        subject.kill().await;
    }
    let ports = subject.ports();
    let batch = ports.consumer.receive(all()).await.unwrap();
    assert_eq!(ids_of(&batch), ids(1..3));
    assert!(
        ports.producer.enqueue(frame(3, 4)).await.is_err(),
        "what is held still waits"
    );
    ports.consumer.settle(batch).await.unwrap();
    ports.put([frame(3, 4)]).await;
    assert_eq!(delivered_twice(subject).await, ids(3..4));
}

/// "A frame that would pass it is refused": the mark of this moment, in events and in bytes.
pub(super) async fn a_new_mark_holds_at_once_and_costs_nothing_that_waits(
    subject: &mut dyn Subject,
) {
    let ports = subject.ports();
    let of = |events_max, bytes_max| Marks {
        events_max,
        bytes_max,
    };
    ports.put([frame(1, 4), frame(2, 4)]).await;
    let refused = async |n| {
        let answer = ports.producer.enqueue(frame(n, 4)).await;
        matches!(answer, Err(QueueError::Full { .. }))
    };
    subject.set_marks(of(8, 1 << 30));
    assert!(refused(3).await, "lowered");
    subject.set_marks(of(12, 1 << 30));
    ports.put([frame(3, 4)]).await;
    subject.set_marks(of(4, 1 << 30));
    assert!(refused(4).await, "below what waits already");
    subject.set_marks(of(1 << 30, 1));
    assert!(refused(4).await, "in bytes");
    subject.set_marks(of(1 << 30, 1 << 30));
    ports.put([frame(4, 4)]).await;
    assert_eq!(delivered_twice(subject).await, ids(1..5));
}

/// DESIGN §3.8: our own events are never against the mark.
pub(super) async fn our_own_events_do_not_count_against_the_mark(subject: &mut dyn Subject) {
    let own = |n| Frame {
        internal: true,
        ..frame(n, 8)
    };
    let ports = subject.ports();
    ports.put([own(1), own(2), frame(3, 10), own(4)]).await;
    let depth = ports.producer.depth().await.unwrap();
    assert_eq!(
        (
            depth.events,
            depth.events_internal,
            depth.enqueued,
            depth.enqueued_internal
        ),
        (10, 24, 10, 24)
    );
    assert!(matches!(
        ports.producer.enqueue(frame(5, 1)).await,
        Err(QueueError::Full { .. })
    ));
    subject.kill().await;
    assert_eq!(
        subject
            .ports()
            .producer
            .depth()
            .await
            .unwrap()
            .events_internal,
        24
    );
    assert_eq!(delivered_twice(subject).await, ids(1..5));
}

/// `QueueError::Refused`: it is larger than a frame may be, and could not be read back.
pub(super) async fn a_frame_larger_than_allowed_is_refused(subject: &mut dyn Subject) {
    let ports = subject.ports();
    let event = FrameEvent {
        canonical: vec![b' '; FrameLimits::default().raw_bytes_max],
        api_key_id: String::new(),
    };
    let large = Frame {
        events: vec![event.clone(), event],
        ..frame(1, 0)
    };
    assert!(matches!(
        ports.producer.enqueue(large).await,
        Err(QueueError::Refused(_))
    ));
    ports.put([frame(2, 1)]).await;
    assert_eq!(delivered_twice(subject).await, ids(2..3));
}

/// The sentences of `Depth`.
pub(super) async fn the_depth_counts_every_event_once(subject: &mut dyn Subject) {
    let ports = subject.ports();
    let empty = ports.producer.depth().await.unwrap();
    assert_eq!(
        (empty.frames, empty.bytes, empty.oldest_micros),
        (0, 0, None)
    );
    ports.put([frame(1, 3), frame(2, 4)]).await;
    let two = ports.producer.depth().await.unwrap();
    assert_eq!((two.enqueued, two.frames, two.events), (7, 2, 7));
    assert!(two.bytes > 0 && two.oldest_micros.is_some());
    let batch = ports
        .consumer
        .receive(super::frames::some(1))
        .await
        .unwrap();
    assert_eq!(
        ports.producer.depth().await.unwrap(),
        two,
        "what is held waits"
    );
    let pending = ports.producer.pending().await.unwrap();
    assert!(pending.is_none_or(|held| held == 1), "{pending:?}");
    ports.consumer.settle(batch).await.unwrap();
    let pending = ports.producer.pending().await.unwrap();
    assert!(pending.is_none_or(|held| held == 0), "{pending:?}");
    let one = ports.producer.depth().await.unwrap();
    assert_eq!((one.enqueued, one.frames, one.events), (7, 1, 4));
    assert!(one.bytes < two.bytes && one.oldest_micros >= two.oldest_micros);
    assert_eq!(delivered_twice(subject).await.last(), Some(&id(2)));
    assert_eq!(
        subject.ports().producer.depth().await.unwrap().enqueued,
        7,
        "counted once, for ever"
    );
}
