//! Each sentence of [`audit_queue::Consumer`], on the list.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use audit_queue::{Budget, Consumer, QueueError};
use audit_queue_redis::list::RedisList;
use audit_testkit::redis::RedisServer;

use super::made::{
    age_everything, copy_of, item, items, on, open, push, redelivered, settings, texts,
};
use crate::made::{BOUND, budget, patient};

/// Receives and settles everything that is there.
async fn drain(list: &RedisList) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let batch = list.receive(budget(1000)).await.unwrap();
        if batch.deliveries.is_empty() {
            return all;
        }
        all.extend(texts(&batch));
        list.settle(batch).await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_stays_until_it_is_settled_and_comes_first_in_first_out() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..5);
    let batch = list.receive(budget(3)).await.unwrap();
    assert_eq!(texts(&batch), items(0..3));
    assert_eq!(
        drain(&list).await,
        items(3..5),
        "what is held is not delivered"
    );
    list.renew(&batch).await.unwrap();
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.held, depth.settled), (0, 3, 2));
    age_everything(&server);
    assert_eq!(drain(&on(&server)).await, items(0..3));
    age_everything(&server);
    assert_eq!(drain(&on(&server)).await, items([]), "settled is gone");
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.waiting, depth.held, depth.settled), (0, 0, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_is_held_by_one_consumer() {
    let server = RedisServer::start(&[]);
    push(&server, 0..200);
    let lists = [on(&server), on(&server)];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..6 {
        let list = Arc::clone(&lists[n % 2]);
        tasks.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let batch = list.receive(budget(3)).await.unwrap();
                if batch.deliveries.is_empty() {
                    return taken;
                }
                taken.extend(texts(&batch));
            }
        });
    }
    let mut taken = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        taken.extend(ended.unwrap());
    }
    let distinct: HashSet<_> = taken.iter().cloned().collect();
    assert_eq!((taken.len(), distinct.len()), (200, 200));
}

#[tokio::test]
async fn receive_waits_for_the_first_item_and_not_longer_than_asked() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    let wait = Duration::from_millis(60);
    let started = Instant::now();
    let none = list.receive(Budget { wait, ..budget(5) }).await.unwrap();
    assert!(none.deliveries.is_empty() && started.elapsed() >= wait);
    list.renew(&none).await.unwrap();
    list.settle(none).await.unwrap();
    let none = list.receive(budget(5)).await.unwrap();
    list.release(none).await.unwrap();
    let pushing = async { push(&server, 1..2) };
    let (batch, ()) = tokio::join!(list.receive(patient(5)), pushing);
    assert_eq!(texts(&batch.unwrap()), [item(1)]);
    assert!(started.elapsed() < BOUND);
}

#[tokio::test]
async fn a_receive_that_is_dropped_at_any_point_loses_nothing() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..20);
    let mut context = Context::from_waker(Waker::noop());
    for polls in 1..=40 {
        let mut receive = std::pin::pin!(list.receive(budget(7)));
        for _ in 0..polls {
            if let Poll::Ready(batch) = receive.as_mut().poll(&mut context) {
                list.release(batch.unwrap()).await.unwrap();
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let mut taken = Vec::new();
    while taken.len() < 20 {
        let batch = list.receive(patient(100)).await.unwrap();
        assert!(!batch.deliveries.is_empty(), "lost after {taken:?}");
        taken.extend(texts(&batch));
    }
    assert_eq!(taken, items(0..20));
}

#[tokio::test]
async fn the_budget_bounds_a_batch_but_always_lets_one_through_also_of_what_comes_again() {
    let server = RedisServer::start(&[]);
    push(&server, 0..6);
    let one = item(0).len();
    for round in 0..3 {
        let list = on(&server);
        let bytes = |bytes| Budget { bytes, ..budget(9) };
        let batch = list.receive(bytes(1)).await.unwrap();
        assert_eq!(texts(&batch), items(0..1), "always one");
        assert_eq!(redelivered(&batch), [round]);
        let batch = list.receive(bytes(one * 2 + one / 2)).await.unwrap();
        assert_eq!(texts(&batch), items(1..3));
        let batch = list.receive(budget(2)).await.unwrap();
        assert_eq!(texts(&batch), items(3..5));
        age_everything(&server);
    }
}

#[tokio::test]
async fn a_batch_larger_than_the_budget_comes_in_parts_that_keep_order_and_place() {
    let server = RedisServer::start(&[]);
    push(&server, 0..10);
    let dead = on(&server).receive(budget(10)).await.unwrap();
    let stamps = super::made::stamps(&dead);
    age_everything(&server);
    let list = on(&server);
    let bytes = item(0).len() * 4 + 1;
    let first = list.receive(Budget { bytes, ..budget(9) }).await.unwrap();
    let second = list.receive(budget(3)).await.unwrap();
    assert_eq!(redelivered(&second), [1, 1, 1]);
    let both = [super::made::stamps(&first), super::made::stamps(&second)].concat();
    assert_eq!(both, stamps[..7]);
    list.settle(second).await.unwrap();
    list.release(first).await.unwrap();
    let again = list.receive(budget(9)).await.unwrap();
    assert_eq!(
        (texts(&again), redelivered(&again)),
        (items(0..4), vec![2; 4])
    );
    let rest = list.receive(budget(9)).await.unwrap();
    assert_eq!(
        (texts(&rest), redelivered(&rest)),
        (items(7..10), vec![1; 3])
    );
    list.settle(rest).await.unwrap();
    list.settle(again).await.unwrap();
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.taken, depth.settled, depth.held), (10, 10, 0));
}

#[tokio::test]
async fn released_items_come_again_at_once_and_in_order() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..9);
    let first = list.receive(budget(3)).await.unwrap();
    let second = list.receive(budget(3)).await.unwrap();
    list.release(second).await.unwrap();
    list.release(first).await.unwrap();
    let mut taken = Vec::new();
    let other = on(&server);
    for redeliveries in [1, 1, 0] {
        let batch = other.receive(budget(3)).await.unwrap();
        assert_eq!(redelivered(&batch), [redeliveries; 3]);
        taken.extend(texts(&batch));
    }
    assert_eq!(taken, items(0..9));
}

#[tokio::test]
async fn a_batch_that_is_not_held_cannot_be_settled_renewed_or_released() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..2);
    let batch = list.receive(budget(1)).await.unwrap();
    let copy = copy_of(&batch);
    list.release(batch).await.unwrap();
    let not_held = |answer: Result<(), QueueError>| {
        assert!(matches!(answer, Err(QueueError::NotHeld)), "{answer:?}");
    };
    not_held(list.renew(&copy).await);
    not_held(list.release(copy_of(&copy)).await);
    not_held(list.settle(copy).await);
    assert_eq!(drain(&list).await, items(0..2));
    push(&server, 2..3);
    let slept = list.receive(budget(1)).await.unwrap();
    age_everything(&server);
    // Slept through its hold: another has it, then itself again.
    let other = on(&server);
    let theirs = other.receive(budget(1)).await.unwrap();
    not_held(list.renew(&slept).await);
    other.release(theirs).await.unwrap();
    let ours = list.receive(budget(1)).await.unwrap();
    not_held(list.settle(slept).await);
    assert_eq!(list.depth().await.unwrap().held, 1, "the newer one holds");
    list.settle(ours).await.unwrap();
    assert_eq!(list.depth().await.unwrap().held, 0);
}

#[tokio::test]
async fn no_number_of_deliveries_gives_an_item_up() {
    let server = RedisServer::start(&[]);
    push(&server, 0..1);
    let mut list = on(&server);
    for round in 0..30 {
        let batch = list.receive(budget(1)).await.unwrap();
        assert_eq!(
            (texts(&batch), redelivered(&batch)),
            (items(0..1), vec![round])
        );
        if round % 3 == 0 {
            age_everything(&server);
            list = on(&server);
        } else {
            list.release(batch).await.unwrap();
        }
    }
    assert_eq!(drain(&list).await, items(0..1));
}

#[tokio::test]
async fn a_renewed_batch_is_not_taken_over_and_an_old_one_is_after_its_hold() {
    let server = RedisServer::start(&[]);
    let holder = on(&server);
    push(&server, 0..1);
    let held = holder.receive(budget(1)).await.unwrap();
    age_everything(&server);
    holder.renew(&held).await.unwrap();
    assert_eq!(drain(&on(&server)).await, items([]), "renewed in time");
    let quick = open(audit_queue_redis::list::Settings {
        hold: Duration::from_millis(100),
        ..settings(&server.url())
    });
    push(&server, 1..2);
    let dead = quick.receive(budget(1)).await.unwrap();
    assert_eq!(texts(&dead), items(1..2));
    let again = on(&server).receive(patient(1)).await.unwrap();
    assert_eq!((texts(&again), redelivered(&again)), (items(1..2), vec![1]));
    // Its own, too: it was delivered, whoever slept.
    push(&server, 2..3);
    let slept = quick.receive(budget(1)).await.unwrap();
    assert_eq!(texts(&slept), items(2..3));
    let again = quick.receive(patient(1)).await.unwrap();
    assert_eq!((texts(&again), redelivered(&again)), (items(2..3), vec![1]));
}

#[tokio::test]
async fn closing_gives_everything_back_at_once() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..3);
    let held = list.receive(budget(2)).await.unwrap();
    list.close().await;
    list.close().await;
    assert!(matches!(list.settle(held).await, Err(QueueError::Closed)));
    let closed = list.receive(budget(1)).await;
    assert!(matches!(closed, Err(QueueError::Closed)), "{closed:?}");
    assert!(matches!(list.depth().await, Err(QueueError::Closed)));
    let next = on(&server).receive(budget(9)).await.unwrap();
    assert_eq!(
        (texts(&next), redelivered(&next)),
        (items(0..2), vec![1; 2])
    );
}
