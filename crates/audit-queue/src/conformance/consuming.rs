//! Sentences of [`crate::ports::Consumer`] and [`crate::ports::FrameLookup`].

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::Subject;
use super::frames::{
    all, copy_of, delivered_twice, frame, id, id_of, ids, ids_of, patient, poll_once, some,
};
use crate::error::QueueError;
use crate::frame::{Frame, FrameEvent};
use crate::ports::{Budget, Delivery, Payload};

/// "A received batch stays in the queue until it is settled."
pub(super) async fn a_batch_stays_until_it_is_settled(subject: &mut dyn Subject) {
    let ports = subject.ports();
    ports.put((0..5).map(|n| frame(n, 1))).await;
    let batch = ports.consumer.receive(some(3)).await.unwrap();
    let taken = batch.deliveries.len() as u64;
    assert_eq!(ids_of(&batch), ids(0..taken.clamp(1, 3)));
    let rest = ports.take_all().await;
    assert_eq!(
        rest.iter().flat_map(ids_of).collect::<Vec<_>>(),
        ids(taken..5),
        "what is held is not delivered"
    );
    ports.consumer.renew(&batch).await.unwrap();
    assert_eq!(ports.producer.depth().await.unwrap().frames, 5);
    subject.kill().await;
    assert_eq!(delivered_twice(subject).await, ids(0..5));
}

/// "`settle` is called once [...]": settled frames are gone; after a kill they may come again, from the same source.
pub(super) async fn a_settled_batch_is_gone(subject: &mut dyn Subject) {
    let ports = subject.ports();
    ports.put((0..4).map(|n| frame(n, 1))).await;
    let batch = ports.consumer.receive(some(2)).await.unwrap();
    let sources: Vec<_> = batch
        .deliveries
        .iter()
        .map(|delivery| delivery.source.clone())
        .collect();
    ports.consumer.settle(batch).await.unwrap();
    assert_eq!(ports.producer.depth().await.unwrap().frames, 2);
    let rest = ports.consumer.receive(all()).await.unwrap();
    assert_eq!(ids_of(&rest), ids(2..4));
    subject.kill().await;
    let again: Vec<Delivery> = subject
        .ports()
        .take_all()
        .await
        .into_iter()
        .flat_map(|batch| batch.deliveries)
        .collect();
    for delivery in again {
        let n = if delivery.source == sources[0] {
            0
        } else {
            u64::from(delivery.source == sources[1])
        };
        assert!(
            id_of(&delivery) >= id(2) || id_of(&delivery) == id(n),
            "{delivery:?}"
        );
    }
}

/// "[...] when the process dies without settling it is delivered again"; `SourcePosition`: "stable across redelivery and
/// unique for ever"; `Delivery::redelivered`.
pub(super) async fn a_dead_process_s_deliveries_come_again_and_are_counted(
    subject: &mut dyn Subject,
) {
    subject.ports().put((0..3).map(|n| frame(n, 1))).await;
    let mut sources = Vec::new();
    for kills in 0..3 {
        let batch = subject.ports().consumer.receive(patient(2)).await.unwrap();
        assert_eq!(ids_of(&batch), ids(0..2));
        for delivery in &batch.deliveries {
            assert_eq!(delivery.redelivered, kills);
        }
        sources.push(
            batch
                .deliveries
                .into_iter()
                .map(|delivery| delivery.source)
                .collect::<Vec<_>>(),
        );
        subject.kill().await;
    }
    assert!(
        sources.iter().all(|these| these == &sources[0]),
        "{sources:?}"
    );
    let all: HashSet<_> = subject
        .ports()
        .take_all()
        .await
        .into_iter()
        .flat_map(|batch| batch.deliveries)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|delivery| delivery.source)
        .collect();
    assert_eq!(all.len(), 3);
}

/// "Takes a batch of deliveries that nobody else holds"; "callable concurrently".
pub(super) async fn each_frame_is_held_by_one_consumer(subject: &mut dyn Subject) {
    subject.ports().put((0..100).map(|n| frame(n, 1))).await;
    subject.kill().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let consumer = Arc::clone(&subject.ports().consumer);
        tasks.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let batch = consumer
                    .receive(Budget {
                        wait: Duration::from_millis(50),
                        ..some(3)
                    })
                    .await
                    .unwrap();
                if batch.deliveries.is_empty() {
                    return taken;
                }
                taken.extend(ids_of(&batch));
            }
        });
    }
    let mut taken = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        taken.extend(ended.unwrap());
    }
    taken.sort_unstable();
    assert_eq!(taken, ids(0..100));
}

/// `Budget::wait`: "how long to wait for the first".
pub(super) async fn receive_waits_for_the_first_frame_and_not_longer_than_asked(
    subject: &mut dyn Subject,
) {
    let wait = Duration::from_millis(60);
    let started = Instant::now();
    let none = subject
        .ports()
        .consumer
        .receive(Budget { wait, ..all() })
        .await
        .unwrap();
    assert!(none.deliveries.is_empty() && started.elapsed() >= wait);
    subject.ports().consumer.settle(none).await.unwrap();

    let (consumer, producer) = (subject.ports().consumer, subject.ports().producer);
    let waiting = async { consumer.receive(patient(5)).await.unwrap() };
    let putting = async { producer.enqueue(frame(1, 1)).await.unwrap() };
    let (batch, _) = tokio::join!(waiting, putting);
    assert_eq!(ids_of(&batch), ids(1..2));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "the enqueue wakes the receiver"
    );
    subject.kill().await;
    assert_eq!(delivered_twice(subject).await, ids(1..2));
}

/// "`receive` is cancellable without losing anything."
pub(super) async fn a_dropped_receive_loses_nothing(subject: &mut dyn Subject) {
    let ports = subject.ports();
    // Dropped while nothing is there, and while frames come.
    for n in 0..30 {
        let mut receive = ports.consumer.receive(patient(10));
        let polled = poll_once(&mut receive);
        if let Poll::Ready(batch) = polled {
            drop(receive);
            ports.consumer.release(batch.unwrap()).await.unwrap();
        } else if n % 2 == 0 {
            ports.put([frame(n / 2, 1)]).await;
            // Polled once more with something there, then dropped half-way.
            if let Poll::Ready(batch) = poll_once(&mut receive) {
                drop(receive);
                ports.consumer.release(batch.unwrap()).await.unwrap();
            }
        }
    }
    for n in 0..15 {
        ports.put([frame(n, 1)]).await;
    }
    let mut taken = Vec::new();
    while taken.len() < 15 {
        let batch = ports.consumer.receive(patient(10)).await.unwrap();
        assert!(!batch.deliveries.is_empty(), "lost after {taken:?}");
        taken.extend(ids_of(&batch));
    }
    taken.sort_unstable();
    assert_eq!(taken, ids(0..15));
    subject.kill().await;
    assert_eq!(delivered_twice(subject).await.len(), 15);
}

/// `Budget`: "deliveries at most"; "bytes at most, but always one delivery", counted unfolded.
pub(super) async fn the_budget_bounds_a_batch_but_always_lets_one_through(
    subject: &mut dyn Subject,
) {
    for round in 0..2 {
        let ports = subject.ports();
        if round == 0 {
            // Events alike, so that a frame is kept in far fewer bytes than it unfolds to.
            ports.put((0..6).map(|n| frame(n, 40))).await;
        }
        let one = frame(0, 40).raw_len();
        let batch = ports
            .consumer
            .receive(Budget { bytes: 1, ..all() })
            .await
            .unwrap();
        assert_eq!(ids_of(&batch), ids(0..1), "always one");
        let bytes = one * 2 + one / 2;
        let batch = ports
            .consumer
            .receive(Budget { bytes, ..all() })
            .await
            .unwrap();
        assert_eq!(ids_of(&batch), ids(1..3));
        let batch = ports.consumer.receive(some(2)).await.unwrap();
        assert_eq!(ids_of(&batch), ids(3..5));
        subject.kill().await;
    }
}

/// `release`: "gives the batch back, to be delivered again at once", and "in order within a partition".
pub(super) async fn released_frames_come_again_at_once_and_in_order(subject: &mut dyn Subject) {
    let ports = subject.ports();
    ports.put((0..9).map(|n| frame(n, 1))).await;
    let first = ports.consumer.receive(some(3)).await.unwrap();
    let second = ports.consumer.receive(some(3)).await.unwrap();
    // A batch may be smaller than its budget.
    let released = first.deliveries.len() + second.deliveries.len();
    ports.consumer.release(second).await.unwrap();
    ports.consumer.release(first).await.unwrap();
    let batches = ports.take_all().await;
    let taken: Vec<Delivery> = batches
        .into_iter()
        .flat_map(|batch| batch.deliveries)
        .collect();
    assert_eq!(taken.iter().map(id_of).collect::<Vec<_>>(), ids(0..9));
    let counts: Vec<u32> = taken.iter().map(|delivery| delivery.redelivered).collect();
    assert!(
        counts
            .iter()
            .enumerate()
            .all(|(n, count)| *count == u32::from(n < released)),
        "{released}: {counts:?}"
    );
    subject.kill().await;
    let again = subject.ports().take_all().await;
    let counts: Vec<u32> = again
        .iter()
        .flat_map(|batch| &batch.deliveries)
        .map(|delivery| delivery.redelivered)
        .collect();
    assert!(
        counts
            .iter()
            .enumerate()
            .all(|(n, count)| *count == 1 + u32::from(n < released)),
        "{released}: {counts:?}"
    );
}

/// `QueueError::NotHeld`: "a delivery of this batch is no longer ours".
pub(super) async fn a_batch_that_is_not_held_cannot_be_settled_renewed_or_released(
    subject: &mut dyn Subject,
) {
    let ports = subject.ports();
    ports.put([frame(1, 1), frame(2, 1)]).await;
    let batch = ports.consumer.receive(some(1)).await.unwrap();
    let copy = copy_of(&batch);
    ports.consumer.release(batch).await.unwrap();
    assert!(matches!(
        ports.consumer.renew(&copy).await,
        Err(QueueError::NotHeld)
    ));
    assert!(matches!(
        ports.consumer.release(copy_of(&copy)).await,
        Err(QueueError::NotHeld)
    ));
    assert!(matches!(
        ports.consumer.settle(copy).await,
        Err(QueueError::NotHeld)
    ));
    assert_eq!(ports.producer.depth().await.unwrap().frames, 2);
    assert_eq!(delivered_twice(subject).await, ids(1..3));
}

/// "No call dead-letters anything"; `redelivered`: "never a reason to give an event up".
pub(super) async fn no_number_of_deliveries_gives_a_frame_up(subject: &mut dyn Subject) {
    subject.ports().put([frame(1, 1)]).await;
    for round in 0..30 {
        let ports = subject.ports();
        let batch = ports.consumer.receive(patient(1)).await.unwrap();
        assert_eq!(batch.deliveries[0].redelivered, round);
        if round % 3 == 0 {
            subject.kill().await;
        } else {
            ports.consumer.release(batch).await.unwrap();
        }
    }
    assert_eq!(delivered_twice(subject).await, ids(1..2));
}

/// `FrameLookup`: "whether the frame is in the queue and not settled".
pub(super) async fn a_frame_waits_until_it_is_settled(subject: &mut dyn Subject) {
    subject.ports().put([frame(1, 1), frame(2, 1)]).await;
    assert!(subject.ports().lookup.is_waiting(id(1)).await.unwrap());
    subject.kill().await;
    let ports = subject.ports();
    let batch = ports.consumer.receive(patient(1)).await.unwrap();
    assert!(
        ports.lookup.is_waiting(id(1)).await.unwrap(),
        "held is waiting"
    );
    ports.consumer.settle(batch).await.unwrap();
    let waiting = |n| ports.lookup.is_waiting(id(n));
    assert_eq!(
        (
            waiting(1).await.unwrap(),
            waiting(2).await.unwrap(),
            waiting(3).await.unwrap()
        ),
        (false, true, false)
    );
}

/// What was put in is what comes out, from memory and after a kill from the disk.
pub(super) async fn everything_of_a_frame_comes_back(subject: &mut dyn Subject) {
    let events = (0..200_u32).map(|n| FrameEvent {
        canonical: format!("{{\"details\":\"{}é𝄞\",\"n\":{n}}}", "x".repeat(n as usize))
            .into_bytes(),
        api_key_id: format!("key-{}", n % 3),
    });
    let whole = Frame {
        internal: true,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        events: events.collect(),
        ..frame(1, 0)
    };
    subject.ports().put([whole.clone()]).await;
    for _ in 0..2 {
        let batch = subject.ports().consumer.receive(patient(1)).await.unwrap();
        assert_eq!(batch.deliveries[0].payload, Payload::Frame(whole.clone()));
        subject.kill().await;
    }
}
