//! Workers that die, answers that are lost, and the same jobs again.

use std::time::{Duration, Instant};

use audit_queue::{Consumer, QueueError};
use audit_queue_bullmq::Settings;
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::redis::RedisServer;
use serde_json::json;

use crate::made::{
    VERSIONS, ask, ask_one, budget, drain, key, nobody_works, numbers, on, open, patient, quick,
    settings, tell,
};

#[tokio::test]
async fn a_job_whose_workers_die_again_and_again_never_fails() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let id = ask_one(&server, version, json!(["add", {"n": 1}, {"priority": 3}]));
        let mut source = None;
        for deaths in 0..5 {
            let queue = open(quick(&server.url()));
            let batch = queue.receive(patient(10)).await.unwrap();
            assert_eq!(numbers(&batch), [1]);
            let delivery = &batch.deliveries[0];
            assert_eq!(delivery.redelivered, deaths);
            let before = source.replace(delivery.source.clone());
            assert!(before.is_none() || before == source, "the position stays");
        }
        let queue = open(quick(&server.url()));
        let batch = queue.receive(patient(10)).await.unwrap();
        queue.settle(batch).await.unwrap();
        let job = ask_one(&server, version, json!(["job", id]));
        assert_eq!(
            (&job["attemptsMade"], &job["stalledCounter"]),
            (&json!(1), &json!(5))
        );
        assert_eq!(
            ask_one(&server, version, json!(["getState", id])),
            "completed"
        );
    }
}

#[tokio::test]
async fn what_a_worker_of_node_died_with_comes_to_us() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let said = ask(&server, version, json!([["add", {"n": 1}], ["take", 100]]));
        assert_eq!(said[0], said[1]);
        let queue = open(quick(&server.url()));
        let batch = queue.receive(patient(10)).await.unwrap();
        assert_eq!(
            (numbers(&batch), batch.deliveries[0].redelivered),
            (vec![1], 0)
        );
        queue.settle(batch).await.unwrap();
        nobody_works(&server);
    }
}

#[tokio::test]
async fn a_job_that_another_checker_gave_up_is_delivered_nevertheless() {
    let server = RedisServer::start(&[]);
    let id = ask_one(&server, 5, json!(["add", {"n": 1}]));
    let id = id.as_str().unwrap();
    tell(
        &server,
        &[
            "HSET",
            &key(id),
            "defa",
            "job stalled more than allowable limit",
        ],
    );
    let queue = on(&server);
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(numbers(&batch), [1]);
    queue.settle(batch).await.unwrap();
    assert_eq!(ask_one(&server, 5, json!(["getState", id])), "completed");
    assert_eq!(server.command(&["HEXISTS", &key(id), "defa"]).text(), "0");
}

#[tokio::test]
async fn a_lost_batch_says_so_and_one_that_is_renewed_is_not_lost() {
    let server = RedisServer::start(&[]);
    ask_one(
        &server,
        6,
        json!(["addBulk", [{"name": "a", "data": {"n": 1}}]]),
    );
    let (one, two) = (open(quick(&server.url())), open(quick(&server.url())));
    let batch = one.receive(budget(10)).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(900) {
        one.renew(&batch).await.unwrap();
        assert_eq!(numbers(&two.receive(budget(10)).await.unwrap()), [0; 0]);
    }
    let stolen = two.receive(patient(10)).await.unwrap();
    assert_eq!(numbers(&stolen), [1]);
    assert!(matches!(one.renew(&batch).await, Err(QueueError::NotHeld)));
    assert!(matches!(one.settle(batch).await, Err(QueueError::NotHeld)));
    two.settle(stolen).await.unwrap();
    nobody_works(&server);
}

#[tokio::test]
async fn what_is_given_back_comes_first_and_in_order() {
    let server = RedisServer::start(&[]);
    let jobs: Vec<_> = (0..6)
        .map(|n| json!({"name": "a", "data": {"n": n}}))
        .collect();
    ask_one(&server, 6, json!(["addBulk", jobs]));
    let queue = open(Settings {
        script_jobs: 2,
        ..settings(&server.url())
    });
    let batch = queue.receive(budget(5)).await.unwrap();
    assert_eq!(numbers(&batch), [0, 1, 2, 3, 4]);
    queue.release(batch).await.unwrap();
    nobody_works(&server);
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(numbers(&batch), [0, 1, 2, 3, 4, 5]);
    drop(batch);
    // Closing gives back what is held.
    queue.close().await;
    nobody_works(&server);
    assert!(matches!(
        queue.receive(budget(1)).await,
        Err(QueueError::Closed)
    ));
    assert_eq!(drain(&on(&server)).await.len(), 6);
}

/// Gives up soon, so that a test need not wait long for it.
fn hasty(url: &str) -> Settings {
    Settings {
        patience: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(500),
        response_timeout: Duration::from_millis(500),
        ..settings(url)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_whose_delivery_was_lost_on_the_way_come_with_the_next() {
    let server = RedisServer::start(&[]);
    let jobs: Vec<_> = (0..20)
        .map(|n| json!({"name": "a", "data": {"n": n}}))
        .collect();
    ask_one(&server, 6, json!(["addBulk", jobs]));
    let proxy = FaultProxy::start(server.address());
    let queue = open(hasty(&server.url_at(proxy.address())));
    queue.ready().await.unwrap();
    // The stall check is due once; after that a receive is one question.
    let none = queue.receive(budget(1)).await.unwrap();
    queue.release(none).await.unwrap();
    proxy.halve_answers(1);
    let lost = queue.receive(budget(10)).await;
    assert!(matches!(lost, Err(QueueError::Unknown(_))), "{lost:?}");
    assert_eq!(server.command(&["LLEN", &key("active")]).text(), "10");
    let batch = queue.receive(patient(100)).await.unwrap();
    assert_eq!(numbers(&batch), (0..20).collect::<Vec<_>>());
    queue.settle(batch).await.unwrap();
    nobody_works(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_answer_was_lost_is_made_once_and_succeeds() {
    let server = RedisServer::start(&[]);
    let jobs: Vec<_> = (0..4)
        .map(|n| json!({"name": "a", "data": {"n": n}, "opts": {"removeOnComplete": n % 2 == 0}}))
        .collect();
    ask_one(&server, 6, json!(["addBulk", jobs]));
    let proxy = FaultProxy::start(server.address());
    let queue = open(hasty(&server.url_at(proxy.address())));
    // Redis knows the script from here on, so that it is not the answer to a first question that is lost.
    let first = queue.receive(budget(1)).await.unwrap();
    queue.settle(first).await.unwrap();
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(numbers(&batch), [1, 2, 3]);
    let before = proxy.accepted();
    proxy.halve_answers(1);
    queue.settle(batch).await.unwrap();
    assert!(proxy.accepted() > before, "its answer was lost");
    nobody_works(&server);
    let made = server.command(&["HMGET", &key("2"), "atm", "returnvalue"]);
    assert_eq!(made.list()[0].text(), "1");
    let entries = server.command(&["XRANGE", &key("events"), "-", "+"]);
    let completed = format!("{entries:?}").matches("\"completed\"").count();
    assert_eq!(completed, 4);
}

#[tokio::test]
async fn what_is_locked_is_not_taken_away_however_often_it_is_suspected() {
    let server = RedisServer::start(&[]);
    ask_one(&server, 6, json!(["add", {"n": 1}]));
    let slow = open(Settings {
        hold: Duration::from_secs(30),
        ..quick(&server.url())
    });
    let other = open(quick(&server.url()));
    let batch = slow.receive(budget(10)).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(700) {
        assert_eq!(numbers(&other.receive(budget(10)).await.unwrap()), [0; 0]);
    }
    slow.settle(batch).await.unwrap();
    nobody_works(&server);
}
