//! Lost answers, frozen connections, full memory, read-only servers, a server that dies.

use std::time::{Duration, Instant};

use audit_queue::{Consumer, QueueError, Refused};
use audit_queue_redis::list::Settings;
use audit_runtime::{Fault, Faulty};
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::redis::RedisServer;
use audit_testkit::wait::wait_until_async;

use super::made::{
    copy_of, item, items, listed, on, open, push, redelivered, settings, stamps, texts,
};
use crate::made::{BOUND, budget, patient};

fn hasty(url: &str) -> Settings {
    Settings {
        connect_timeout: Duration::from_millis(300),
        response_timeout: Duration::from_millis(300),
        patience: Duration::from_millis(100),
        ..settings(url)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_receive_is_found_again_with_the_same_positions_and_counts_as_no_delivery()
 {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let list = open(settings(&server.url_at(proxy.address())));
    push(&server, 0..1);
    let held = list.receive(budget(1)).await.unwrap();
    push(&server, 1..4);
    proxy.halve_answers(1);
    let lost = list.receive(budget(3)).await;
    assert!(matches!(lost, Err(QueueError::Unknown(_))), "{lost:?}");
    let depth = list.depth().await.unwrap();
    assert_eq!(
        (depth.waiting, depth.held),
        (0, 4),
        "redis has handed it out"
    );
    let names = server.command(&["ZRANGE", "{audit:queue}:held", "0", "-1"]);
    let again = list.receive(budget(9)).await.unwrap();
    assert_eq!(
        (texts(&again), redelivered(&again)),
        (items(1..4), vec![0; 3])
    );
    let position = &stamps(&again)[0].0;
    let name = position.strip_prefix("list:audit:queue:").unwrap();
    assert!(
        names.list().iter().any(|known| known.text() == name),
        "{names:?}: {name}"
    );
    list.settle(held).await.unwrap();
    // And of one that came again.
    list.release(again).await.unwrap();
    proxy.halve_answers(1);
    assert!(list.receive(budget(3)).await.is_err());
    let again = list.receive(budget(9)).await.unwrap();
    assert_eq!(
        (texts(&again), redelivered(&again)),
        (items(1..4), vec![1; 3])
    );
    assert_eq!(&stamps(&again)[0].0, position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_change_is_asked_for_again_and_changes_once() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let list = open(settings(&server.url_at(proxy.address())));
    // Once whole, so that Redis knows the scripts: what is halved below is the answer to a change, not a question for a script.
    push(&server, 0..1);
    let warm = list.receive(budget(1)).await.unwrap();
    list.renew(&warm).await.unwrap();
    list.release(warm).await.unwrap();
    list.settle(list.receive(budget(1)).await.unwrap())
        .await
        .unwrap();

    let connections = proxy.accepted();
    push(&server, 1..4);
    let mut first = list.receive(budget(2)).await.unwrap();
    proxy.halve_answers(1);
    list.renew(&first).await.unwrap();
    first.refused.push(Refused {
        source: first.deliveries[1].source.clone(),
        reason: "no event".into(),
    });
    proxy.halve_answers(1);
    list.settle(first).await.unwrap();
    assert_eq!(listed(&server, "audit:failed"), items([2]), "once");
    let second = list.receive(budget(1)).await.unwrap();
    proxy.halve_answers(1);
    list.release(second).await.unwrap();
    assert_eq!(proxy.accepted(), connections + 3, "each of them was lost");
    let again = list.receive(budget(9)).await.unwrap();
    assert_eq!((texts(&again), redelivered(&again)), (items(3..4), vec![1]));
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.taken, depth.settled, depth.refused), (4, 3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_hangs_on_a_frozen_connection_and_what_arrives_late_is_found() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let list = open(hasty(&server.url_at(proxy.address())));
    push(&server, 0..1);
    let held = list.receive(budget(1)).await.unwrap();
    list.depth().await.unwrap();
    push(&server, 1..3);
    proxy.freeze();
    let started = Instant::now();
    let (received, renewed, depth) =
        tokio::join!(list.receive(budget(1)), list.renew(&held), list.depth());
    assert!(started.elapsed() < Duration::from_secs(10));
    for error in [
        received.unwrap_err(),
        renewed.unwrap_err(),
        depth.unwrap_err(),
    ] {
        assert!(
            matches!(error, QueueError::Unknown(_) | QueueError::Unavailable(_)),
            "{error:?}"
        );
    }
    proxy.thaw();
    wait_until_async("the settling", BOUND, async || {
        list.settle(copy_of(&held)).await.ok()
    })
    .await;
    // The frozen question may reach Redis only now, and what it takes then is known to nobody until it is looked for.
    let rest = std::sync::Mutex::new(Vec::new());
    wait_until_async("the others", BOUND, async || {
        if let Ok(batch) = list.receive(budget(9)).await {
            rest.lock().unwrap().extend(texts(&batch));
            list.settle(batch).await.unwrap();
        }
        (rest.lock().unwrap().len() == 2).then_some(())
    })
    .await;
    let mut rest = rest.into_inner().unwrap();
    rest.sort_unstable();
    assert_eq!(rest, items(1..3));
    assert_eq!(list.depth().await.unwrap().settled, 3);
}

#[tokio::test]
async fn full_memory_lets_everything_but_the_producers_go_on() {
    let server = RedisServer::start(&[("maxmemory-policy", "noeviction")]);
    let list = on(&server);
    push(&server, 0..4);
    let limit = server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(limit.text(), "OK");
    let batch = list.receive(budget(2)).await.unwrap();
    list.renew(&batch).await.unwrap();
    list.release(batch).await.unwrap();
    let mut batch = list.receive(budget(9)).await.unwrap();
    assert_eq!(texts(&batch), items(0..2));
    batch.refused.push(Refused {
        source: batch.deliveries[0].source.clone(),
        reason: "no event".into(),
    });
    list.settle(batch).await.unwrap();
    assert_eq!(listed(&server, "audit:failed"), items([0]));
    assert_eq!(list.retry_failed(1).await.unwrap(), 1);
    let rest = list.receive(budget(9)).await.unwrap();
    assert_eq!(texts(&rest), items([2, 3, 0]));
}

#[tokio::test]
async fn a_redis_that_refuses_writes_is_an_outage_and_takes_nothing() {
    let server = RedisServer::start(&[]);
    let list = open(hasty(&server.url()));
    let nowhere = audit_testkit::net::free_port().to_string();
    push(&server, 0..1);
    let demoted = server.command(&["REPLICAOF", "127.0.0.1", &nowhere]);
    assert_eq!(demoted.text(), "OK");
    let refused = list.receive(budget(1)).await.unwrap_err();
    assert!(
        matches!(&refused, QueueError::Unavailable(why) if why.to_string().contains("ReadOnly")),
        "{refused:?}"
    );
    assert_eq!(refused.fault(), Fault::Outage);
    let promoted = server.command(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(promoted.text(), "OK");
    let batch = wait_until_async("the item", BOUND, async || {
        list.receive(patient(1)).await.ok()
    })
    .await;
    assert_eq!(
        (texts(&batch), redelivered(&batch)),
        (vec![item(0)], vec![0])
    );
}

#[tokio::test]
async fn a_wrong_password_is_an_outage_and_in_no_error() {
    let server = RedisServer::start(&[("requirepass", "swordfish")]);
    push(&server, 0..1);
    let right = on(&server);
    assert_eq!(texts(&right.receive(budget(1)).await.unwrap()), items(0..1));
    let list = open(hasty(&format!("redis://:hunter2@{}", server.address())));
    let error = list.receive(budget(1)).await.unwrap_err();
    assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
    let said = format!("{error:?} {error} {list:?} {:?}", list.ready().await);
    assert!(
        !said.contains("hunter2") && !said.contains("swordfish"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_survives_redis_being_killed_at_any_time() {
    let mut server = RedisServer::start_durable();
    let list = on(&server);
    let mut seen = Vec::new();
    for round in 0..4 {
        push(&server, round * 5..round * 5 + 5);
        let held = list.receive(patient(2)).await.unwrap();
        server.kill();
        server.restart();
        wait_until_async("the settling", BOUND, async || {
            list.settle(copy_of(&held)).await.ok()
        })
        .await;
        seen.extend(texts(&held));
    }
    while seen.len() < 20 {
        let batch = list.receive(patient(100)).await.unwrap();
        seen.extend(texts(&batch));
        list.settle(batch).await.unwrap();
    }
    assert_eq!(seen, items(0..20));
}
