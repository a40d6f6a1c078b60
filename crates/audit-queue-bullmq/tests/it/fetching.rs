//! Which jobs are taken and which are left: order, budgets, pauses, limits, positions.

use std::collections::BTreeSet;

use audit_queue::{Budget, Consumer, Payload};
use audit_testkit::redis::RedisServer;
use serde_json::{Value, json};

use crate::made::{
    VERSIONS, ask, ask_one, budget, drain, key, nobody_works, numbers, on, patient, tell,
};

fn add(n: u64, opts: Value) -> Value {
    json!(["add", {"n": n}, opts])
}

#[tokio::test]
async fn jobs_come_in_the_order_in_which_bullmq_would_run_them() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let jobs = [
            add(1, json!({})),
            add(2, json!({"priority": 5})),
            add(3, json!({"priority": 1})),
            add(4, json!({"priority": 5})),
            add(5, json!({})),
            add(6, json!({"lifo": true})),
            add(7, json!({"delay": 100})),
        ];
        ask(&server, version, json!(jobs));
        let queue = on(&server);
        let batch = queue.receive(budget(6)).await.unwrap();
        assert_eq!(numbers(&batch), [6, 1, 5, 3, 2, 4]);
        queue.settle(batch).await.unwrap();
        let late = queue.receive(patient(10)).await.unwrap();
        assert_eq!(numbers(&late), [7]);
        queue.settle(late).await.unwrap();
        nobody_works(&server);
    }
}

#[tokio::test]
async fn a_budget_of_bytes_lets_one_job_through_and_leaves_the_rest_where_it_was() {
    let server = RedisServer::start(&[]);
    let actions: Vec<_> = (0..3)
        .map(|n| add(n, json!({})))
        .chain((3..6).map(|n| add(n, json!({"priority": 1 + n}))))
        .collect();
    ask(&server, 6, json!(actions));
    let queue = on(&server);
    let small = Budget {
        bytes: 1,
        ..budget(10)
    };
    for n in 0..6 {
        let batch = queue.receive(small).await.unwrap();
        assert_eq!(numbers(&batch), [n]);
        assert_eq!(batch.deliveries[0].redelivered, 0);
        queue.settle(batch).await.unwrap();
    }
}

/// Pauses by one version and resumes by another, with jobs added and given back in between.
#[tokio::test]
async fn nothing_is_taken_from_a_paused_queue_and_nothing_is_lost_by_it() {
    for (pausing, resuming) in [(5, 5), (5, 6), (6, 5), (6, 6)] {
        for seeded in [0, 2] {
            let server = RedisServer::start(&[]);
            let seeds: Vec<_> = (0..seeded + 1)
                .map(|n| add(n, json!({"lifo": n == 0})))
                .collect();
            ask(&server, pausing, json!(seeds));
            let queue = on(&server);
            let held = queue.receive(budget(1)).await.unwrap();
            ask(
                &server,
                pausing,
                json!([["pause"], add(10, json!({"delay": 1}))]),
            );
            queue.release(held).await.unwrap();
            assert_eq!(numbers(&queue.receive(budget(10)).await.unwrap()), [0; 0]);
            assert!(queue.standing().await.unwrap().paused);
            ask_one(&server, resuming, json!(["resume"]));
            let mut all = BTreeSet::new();
            while (all.len() as u64) < seeded + 2 {
                let batch = queue.receive(patient(10)).await.unwrap();
                assert!(
                    !batch.deliveries.is_empty(),
                    "{pausing} {resuming} {seeded}: {all:?}"
                );
                all.extend(numbers(&batch));
                queue.settle(batch).await.unwrap();
            }
            nobody_works(&server);
        }
    }
}

#[tokio::test]
async fn limits_of_the_queue_hold_for_whole_batches() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let jobs: Vec<_> = (0..10).map(|n| add(n, json!({}))).collect();
        ask(&server, version, json!(jobs));
        ask_one(&server, version, json!(["concurrency", 3]));
        let (one, two) = (on(&server), on(&server));
        let first = one.receive(budget(2)).await.unwrap();
        let second = two.receive(budget(10)).await.unwrap();
        assert_eq!((first.deliveries.len(), second.deliveries.len()), (2, 1));
        assert!(two.receive(budget(10)).await.unwrap().deliveries.is_empty());
        one.settle(first).await.unwrap();
        two.settle(second).await.unwrap();
        ask(
            &server,
            version,
            json!([["concurrency", 100], ["rate", 4, 60_000]]),
        );
        let limited = two.receive(budget(10)).await.unwrap();
        assert_eq!(limited.deliveries.len(), 4);
        two.settle(limited).await.unwrap();
        assert!(one.receive(budget(10)).await.unwrap().deliveries.is_empty());
        tell(&server, &["DEL", &key("limiter")]);
        let rest = one.receive(budget(10)).await.unwrap();
        assert_eq!(rest.deliveries.len(), 3);
    }
}

#[tokio::test]
async fn numbers_of_jobs_that_begin_again_make_no_position_twice() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let queue = on(&server);
        let mut all = BTreeSet::new();
        // The same id, time and data: only that the numbers began again tells them apart.
        let same = add(1, json!({"timestamp": 1_700_000_000_000_u64}));
        for round in 1..=3 {
            assert_eq!(ask_one(&server, version, same.clone()), "1");
            all.extend(drain(&queue).await.into_keys());
            assert_eq!(all.len(), round, "{all:?}");
            if round == 1 {
                ask_one(&server, version, json!(["obliterate"]));
            } else {
                tell(&server, &["FLUSHALL"]);
            }
        }
        // What a queue's other users do to it changes nothing.
        let server = RedisServer::start(&[]);
        let queue = on(&server);
        ask_one(&server, version, same.clone());
        let batch = queue.receive(budget(1)).await.unwrap();
        let source = batch.deliveries[0].source.clone();
        queue.release(batch).await.unwrap();
        ask(
            &server,
            version,
            json!([["pause"], ["resume"], ["concurrency", 9]]),
        );
        let batch = on(&server).receive(budget(1)).await.unwrap();
        assert_eq!(batch.deliveries[0].source, source);
    }
}

#[tokio::test]
async fn an_id_used_again_for_other_data_is_another_position() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    let opts =
        json!({"jobId": "mine", "timestamp": 1_700_000_000_000_u64, "removeOnComplete": true});
    let mut all = BTreeSet::new();
    for n in [1, 2, 2] {
        ask_one(&server, 5, add(n, opts.clone()));
        all.extend(drain(&queue).await.into_keys());
    }
    assert_eq!(all.len(), 2, "{all:?}");
}

#[tokio::test]
async fn the_time_of_arrival_is_the_producers_or_stays_what_it_first_was() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    let times = async || {
        let batch = queue.receive(budget(10)).await.unwrap();
        let times = batch
            .deliveries
            .iter()
            .map(|delivery| match &delivery.payload {
                Payload::Foreign {
                    received_micros, ..
                } => *received_micros,
                other => panic!("{other:?}"),
            });
        let times: Vec<_> = times.collect();
        queue.release(batch).await.unwrap();
        times
    };
    ask_one(
        &server,
        5,
        add(1, json!({"timestamp": 1_700_000_000_123_u64})),
    );
    assert_eq!(times().await, [1_700_000_000_123_000]);
    tell(
        &server,
        &["HSET", &key("bare"), "name", "a", "data", "{\"n\":2}"],
    );
    tell(&server, &["LPUSH", &key("wait"), "bare"]);
    let first = times().await;
    assert!(first[1] > 1_700_000_000_123_000);
    assert_eq!(times().await, first);
}

#[tokio::test]
async fn the_standing_says_what_node_says() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    let old = json!({"timestamp": 1_700_000_000_000_u64});
    ask(
        &server,
        5,
        json!([
            add(1, old),
            add(2, json!({})),
            add(3, json!({"priority": 1})),
            add(4, json!({"delay": 60_000}))
        ]),
    );
    let standing = queue.standing().await.unwrap();
    assert_eq!(
        (standing.ready, standing.delayed, standing.active),
        (3, 1, 0)
    );
    assert_eq!((standing.depth.frames, standing.depth.enqueued), (4, 4));
    assert_eq!(standing.depth.oldest_micros, Some(1_700_000_000_000_000));
    let batch = queue.receive(budget(1)).await.unwrap();
    assert_eq!(queue.standing().await.unwrap().active, 1);
    queue.settle(batch).await.unwrap();
    let standing = queue.standing().await.unwrap();
    assert_eq!((standing.completed, standing.depth.frames), (1, 3));
}
