//! Redis killed, full, read-only, of weak promises or of another password; connections cut, frozen, half answered, refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use audit_queue::{Consumer, Durability, FrameId, Producer, QueueError};
use audit_queue_redis::{NotReady, RedisQueue, Settings};
use audit_runtime::{Fault, Faulty};
use audit_testkit::fault_proxy::FaultProxy;
use audit_testkit::redis::{RedisServer, Reply};
use audit_testkit::wait::wait_until_async;

use crate::made::{BOUND, budget, drain, frame, id, ids, on, open, settings};

/// Gives up soon when Redis says no, so that a test need not wait long for it.
fn impatient(url: &str) -> Settings {
    Settings {
        patience: Duration::from_millis(200),
        ..settings(url)
    }
}

/// Gives up soon when Redis says nothing, too.
fn hasty(url: &str) -> Settings {
    Settings {
        connect_timeout: Duration::from_millis(500),
        response_timeout: Duration::from_millis(500),
        ..impatient(url)
    }
}

/// Longer than any call of [`hasty`] settings may take: its patience, and one time-out of each kind more; and a slow machine.
const HASTY_BOUND: Duration = Duration::from_secs(10);

fn ok(reply: &Reply) {
    assert_eq!(reply.text(), "OK");
}

/// Enqueues until it is acknowledged, as a producer does.
async fn enqueue(queue: &RedisQueue, n: u64) {
    wait_until_async("an acknowledgement", BOUND, async || {
        match queue.enqueue(frame(n, 3)).await {
            Ok(_) => Some(()),
            Err(error) => {
                assert!(
                    matches!(error.fault(), Fault::Outage | Fault::Transient),
                    "{error:?}"
                );
                None
            }
        }
    })
    .await;
}

/// Everything that waits, once Redis answers.
async fn drain_patiently(queue: &RedisQueue) -> Vec<FrameId> {
    let mut all = Vec::new();
    loop {
        let batch = wait_until_async("an answer", BOUND, async || {
            queue.receive(budget(100)).await.ok()
        })
        .await;
        if batch.deliveries.is_empty() {
            return all;
        }
        all.extend(ids(&batch));
        queue.settle(batch).await.unwrap();
    }
}

/// Tasks that enqueue, and one that receives, settles and releases, while `trouble` goes on; then nothing is lost, nothing is there
/// twice. `next` is the process that comes after. Returns how many were acknowledged.
async fn nothing_is_lost_while(
    queue: &Arc<RedisQueue>,
    next: &RedisQueue,
    trouble: impl Future<Output = ()>,
) -> u64 {
    const TASKS: u64 = 8;
    let over = Arc::new(AtomicBool::new(false));
    let mut producing = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (queue, over) = (Arc::clone(queue), Arc::clone(&over));
        producing.spawn(async move {
            let mut n = task;
            while !over.load(Ordering::SeqCst) {
                enqueue(&queue, n).await;
                n += TASKS;
            }
            (task..n).step_by(TASKS as usize).collect::<Vec<_>>()
        });
    }
    let consuming = {
        let (queue, over) = (Arc::clone(queue), Arc::clone(&over));
        async move {
            // Settled for certain, and those of which it is not known.
            let (mut settled, mut perhaps) = (Vec::new(), BTreeSet::new());
            while !over.load(Ordering::SeqCst) {
                let Ok(batch) = queue.receive(budget(7)).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let (token, these) = (batch.token, ids(&batch));
                if token % 5 == 1 {
                    // Known again by whoever looks, when this fails.
                    queue.release(batch).await.ok();
                } else if queue.settle(batch).await.is_ok() {
                    settled.extend(these);
                } else {
                    perhaps.extend(these);
                }
                tokio::task::yield_now().await;
            }
            (settled, perhaps)
        }
    };
    let ending = async {
        trouble.await;
        over.store(true, Ordering::SeqCst);
    };
    let ((mut settled, mut perhaps), ()) = tokio::join!(consuming, ending);
    let mut acknowledged = BTreeSet::new();
    while let Some(ended) = producing.join_next().await {
        acknowledged.extend(ended.unwrap().into_iter().map(id));
    }
    settled.extend(drain_patiently(queue).await);
    // What a failed settle left held, and what a late question took, is given back by closing.
    queue.close().await;
    perhaps.retain(|id| !settled.contains(id));
    let left = drain_patiently(next).await;
    settled.extend(left.iter().filter(|id| !perhaps.contains(id)));
    let once: BTreeSet<FrameId> = settled.iter().copied().collect();
    assert_eq!(once.len(), settled.len(), "a frame was settled twice");
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !once.contains(id) && !perhaps.contains(id))
        .collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    assert!(
        once.is_subset(&acknowledged),
        "every frame was acknowledged in the end"
    );
    acknowledged.len() as u64
}

/// After [`nothing_is_lost_while`]: everything is settled, and the books say so.
async fn the_books_are_right(next: &RedisQueue, acknowledged: u64) {
    let standing = next.standing().await.unwrap();
    let depth = standing.depth;
    assert_eq!(
        (
            depth.enqueued,
            depth.frames,
            depth.events,
            depth.bytes,
            standing.held
        ),
        (acknowledged * 3, 0, 0, 0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_redis_being_killed() {
    let mut server = RedisServer::start_durable();
    let url = server.url();
    let (queue, next) = (open(settings(&url)), open(settings(&url)));
    let acknowledged = nothing_is_lost_while(&queue, &next, async {
        for round in 1..=5 {
            wait_until_async("some more frames", BOUND, async || {
                let total = server
                    .command(&["HGET", "{audit}:totals", "enqueued"])
                    .text();
                (total.parse::<u64>().unwrap_or(0) >= round * 150).then_some(())
            })
            .await;
            server.kill();
            server.restart();
        }
    })
    .await;
    assert!(acknowledged >= 250, "{acknowledged}");
    the_books_are_right(&next, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_half_answered_connections_lose_nothing() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let queue = open(settings(&server.url_at(proxy.address())));
    let next = on(&server);
    let acknowledged = nothing_is_lost_while(&queue, &next, async {
        for round in 1..=20 {
            wait_until_async("some more frames", BOUND, async || {
                let total = server
                    .command(&["HGET", "{audit}:totals", "enqueued"])
                    .text();
                (total.parse::<u64>().unwrap_or(0) >= round * 60).then_some(())
            })
            .await;
            if round % 2 == 0 {
                proxy.cut();
            } else {
                proxy.halve_answers(1);
            }
        }
    })
    .await;
    assert!(proxy.accepted() > 10, "{}", proxy.accepted());
    the_books_are_right(&next, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_connections_lose_nothing() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let queue = open(hasty(&server.url_at(proxy.address())));
    let next = on(&server);
    let acknowledged = nothing_is_lost_while(&queue, &next, async {
        for round in 1..=3 {
            wait_until_async("some more frames", BOUND, async || {
                let total = server.command(&["HGET", "{audit}:totals", "enqueued"]);
                (total.text().parse::<u64>().unwrap_or(0) >= round * 300).then_some(())
            })
            .await;
            // Longer than an answer may take and than the patience: calls fail, and what they asked for is carried out later.
            proxy.freeze_for(Duration::from_millis(1200));
        }
    })
    .await;
    assert!(proxy.accepted() > 5, "{}", proxy.accepted());
    the_books_are_right(&next, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_hangs_on_a_frozen_connection_and_nothing_is_there_twice() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let queue = open(hasty(&server.url_at(proxy.address())));
    enqueue(&queue, 0).await;
    enqueue(&queue, 1).await;
    let held = queue.receive(budget(1)).await.unwrap();
    queue.depth().await.unwrap();
    proxy.freeze();
    let started = Instant::now();
    let (enqueued, received, renewed, depth) = tokio::join!(
        queue.enqueue(frame(2, 3)),
        queue.receive(budget(1)),
        queue.renew(&held),
        queue.depth()
    );
    let took = started.elapsed();
    assert!(took < HASTY_BOUND, "{took:?}");
    let enqueued = enqueued.unwrap_err();
    assert!(
        matches!(enqueued, QueueError::Unknown(_)),
        "it may have arrived: {enqueued:?}"
    );
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
    enqueue(&queue, 2).await;
    wait_until_async("the settling", BOUND, async || {
        let copy = audit_queue::Batch::named(0, held.token);
        queue.settle(copy).await.ok()
    })
    .await;
    // The receiver's answer was lost: what Redis handed out then, or hands out when the frozen question reaches it, is found again.
    let mut rest = BTreeSet::new();
    while rest.len() < 2 {
        rest.extend(drain_patiently(&queue).await);
    }
    assert_eq!(rest, BTreeSet::from([id(1), id(2)]));
    let depth = wait_until_async("the numbers", BOUND, async || queue.depth().await.ok()).await;
    assert_eq!(depth.enqueued, 9, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_receive_is_found_again_at_the_next_and_counts_as_no_delivery() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let queue = open(settings(&server.url_at(proxy.address())));
    enqueue(&queue, 0).await;
    assert_eq!(
        ids(&queue.receive(budget(1)).await.unwrap()),
        [id(0)],
        "connected"
    );
    enqueue(&queue, 1).await;
    proxy.halve_answers(1);
    let lost = queue.receive(budget(1)).await;
    assert!(matches!(lost, Err(QueueError::Unknown(_))), "{lost:?}");
    assert_eq!(
        queue.standing().await.unwrap().held,
        2,
        "redis has handed it out"
    );
    let again = queue.receive(budget(9)).await.unwrap();
    assert_eq!(
        (ids(&again), again.deliveries[0].redelivered),
        (vec![id(1)], 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_change_is_asked_for_again() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let queue = open(settings(&server.url_at(proxy.address())));
    // Once whole, so that Redis knows the scripts: what is halved below is the answer to a change, not a question for a script.
    queue.enqueue(frame(0, 3)).await.unwrap();
    let warm = queue.receive(budget(1)).await.unwrap();
    queue.renew(&warm).await.unwrap();
    queue.release(warm).await.unwrap();
    assert_eq!(drain(&queue).await, [id(0)]);

    let connections = proxy.accepted();
    proxy.halve_answers(1);
    queue.enqueue(frame(1, 3)).await.unwrap();
    proxy.halve_answers(1);
    queue.enqueue(frame(2, 3)).await.unwrap();
    let first = queue.receive(budget(1)).await.unwrap();
    proxy.halve_answers(1);
    queue.renew(&first).await.unwrap();
    proxy.halve_answers(1);
    queue.settle(first).await.unwrap();
    let second = queue.receive(budget(1)).await.unwrap();
    proxy.halve_answers(1);
    queue.release(second).await.unwrap();
    assert_eq!(proxy.accepted(), connections + 5, "each of them was lost");
    assert_eq!(drain(&queue).await, [id(2)]);
    assert_eq!(queue.depth().await.unwrap().enqueued, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_an_outage_told_at_once_and_over_soon() {
    let server = RedisServer::start(&[]);
    let mut proxy = FaultProxy::start(server.address());
    let queue = open(impatient(&server.url_at(proxy.address())));
    proxy.refuse();
    for round in 0..50 {
        let started = Instant::now();
        let error = queue.enqueue(frame(round, 1)).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Outage, "{error:?}");
        assert!(started.elapsed() < HASTY_BOUND);
    }
    assert!(matches!(queue.ready().await, Err(NotReady::Away(_))));
    proxy.listen_again();
    let started = Instant::now();
    enqueue(&queue, 1).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "work goes on soon"
    );
    assert_eq!(drain(&queue).await, [id(1)]);
}

#[tokio::test]
async fn full_memory_refuses_enqueues_and_lets_everything_else_go_on() {
    let server = RedisServer::start(&[("maxmemory-policy", "noeviction")]);
    let queue = on(&server);
    enqueue(&queue, 0).await;
    enqueue(&queue, 1).await;
    ok(&server.command(&["CONFIG", "SET", "maxmemory", "1"]));
    let full = queue.enqueue(frame(2, 1)).await.unwrap_err();
    assert!(matches!(full, QueueError::NoSpace(_)), "{full:?}");
    assert_eq!(full.fault(), Fault::Outage);
    let batch = queue.receive(budget(1)).await.unwrap();
    queue.renew(&batch).await.unwrap();
    queue.release(batch).await.unwrap();
    assert_eq!(drain(&queue).await, [id(0), id(1)]);
    assert_eq!(queue.depth().await.unwrap().frames, 0);
    ok(&server.command(&["CONFIG", "SET", "maxmemory", "0"]));
    enqueue(&queue, 2).await;
    assert_eq!(drain(&queue).await, [id(2)]);
}

#[tokio::test]
async fn a_redis_that_refuses_writes_is_away_until_it_takes_them_again() {
    let server = RedisServer::start(&[]);
    let queue = open(impatient(&server.url()));
    let nowhere = audit_testkit::net::free_port().to_string();
    let troubles = [
        (
            vec!["REPLICAOF", "127.0.0.1", &*nowhere],
            vec!["REPLICAOF", "NO", "ONE"],
            "ReadOnly",
        ),
        (
            vec!["CONFIG", "SET", "min-replicas-to-write", "1"],
            vec!["CONFIG", "SET", "min-replicas-to-write", "0"],
            "NOREPLICAS",
        ),
    ];
    for (n, (begin, end, code)) in (0..).zip(troubles) {
        enqueue(&queue, n).await;
        ok(&server.command(&begin));
        let refused = queue.enqueue(frame(100, 1)).await.unwrap_err();
        assert!(
            matches!(&refused, QueueError::Unavailable(why) if why.to_string().contains(code)),
            "{code}: {refused:?}"
        );
        assert_eq!(refused.fault(), Fault::Outage);
        assert_eq!(
            queue.receive(budget(1)).await.unwrap_err().fault(),
            Fault::Outage
        );
        ok(&server.command(&end));
        wait_until_async("the frame of before", BOUND, async || {
            let batch = queue.receive(budget(1)).await.ok()?;
            assert_eq!(ids(&batch), [id(n)]);
            queue.settle(batch).await.ok()
        })
        .await;
    }
    let lone = RedisServer::start(&[("cluster-enabled", "yes")]);
    let down = open(impatient(&lone.url()))
        .enqueue(frame(1, 1))
        .await
        .unwrap_err();
    assert!(
        matches!(&down, QueueError::Unavailable(why) if why.to_string().contains("ClusterDown")),
        "{down:?}"
    );
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_told_again() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    enqueue(&queue, 0).await;
    ok(&server.command(&["SCRIPT", "FLUSH"]));
    enqueue(&queue, 1).await;
    assert_eq!(drain(&queue).await, [id(0), id(1)]);
}

#[tokio::test]
async fn a_wrong_password_is_an_outage_and_in_no_error() {
    let server = RedisServer::start(&[("requirepass", "swordfish")]);
    enqueue(&on(&server), 0).await;
    let wrong = format!("redis://:hunter2@{}", server.address());
    for url in [
        &wrong,
        &format!("redis://{}", server.address()),
        &format!("redis://anna:hunter2@{}", server.address()),
    ] {
        let queue = open(impatient(url));
        let error = queue.enqueue(frame(1, 1)).await.unwrap_err();
        assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
        let mut said = format!("{error:?} {queue:?} {:?}", queue.ready().await);
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = next {
            said += &format!("{error} {error:?}");
            next = error.source();
        }
        assert!(
            !said.contains("hunter2") && !said.contains("swordfish"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn the_answer_names_what_redis_was_found_to_do() {
    let durable = RedisServer::start_durable();
    let queue = on(&durable);
    assert_eq!(
        queue.enqueue(frame(0, 1)).await.unwrap(),
        Durability::Fsynced
    );
    assert_eq!(queue.ready().await.unwrap(), Durability::Fsynced);

    let weak = RedisServer::start(&[("appendonly", "yes"), ("appendfsync", "everysec")]);
    let queue = on(&weak);
    assert_eq!(
        queue.enqueue(frame(0, 1)).await.unwrap(),
        Durability::Buffered
    );
    let not_ready = queue.ready().await.unwrap_err().to_string();
    assert!(
        not_ready.contains("appendfsync is everysec, not always"),
        "{not_ready}"
    );
    let careless = open(Settings {
        accept_loss: true,
        ..settings(&weak.url())
    });
    assert_eq!(careless.ready().await.unwrap(), Durability::Buffered);

    // Whoever rents a Redis out often denies this.
    ok(&durable.command(&["ACL", "SETUSER", "default", "-config"]));
    let denied = on(&durable);
    assert_eq!(
        denied.enqueue(frame(1, 1)).await.unwrap(),
        Durability::Buffered
    );
    let not_ready = denied.ready().await.unwrap_err().to_string();
    assert!(not_ready.contains("cannot be read"), "{not_ready}");
}

#[tokio::test]
async fn replicas_that_answered_are_counted() {
    let primary = RedisServer::start(&[("repl-diskless-sync-delay", "0")]);
    let port = primary.address().port().to_string();
    let with_replicas = open(Settings {
        replicas: 1,
        response_timeout: Duration::from_millis(400),
        ..settings(&primary.url())
    });
    assert_eq!(
        with_replicas.enqueue(frame(0, 1)).await.unwrap(),
        Durability::Buffered,
        "none is there"
    );
    let replica = RedisServer::start(&[]);
    ok(&replica.command(&["REPLICAOF", "127.0.0.1", &port]));
    let next = std::sync::atomic::AtomicU64::new(1);
    wait_until_async("the replica", BOUND, async || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let durability = with_replicas.enqueue(frame(n, 1)).await.unwrap();
        (durability == Durability::Replicated(1)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enqueues_that_come_together_share_a_connection_and_wait_for_nobody_s_answer() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::start(server.address());
    let queue = open(settings(&server.url_at(proxy.address())));
    enqueue(&queue, 0).await;
    let before = server.command(&["INFO", "stats"]).text();
    let reads = |info: &str| -> u64 {
        let line = info
            .lines()
            .find(|line| line.starts_with("total_reads_processed:"))
            .unwrap();
        line.split(':').nth(1).unwrap().trim().parse().unwrap()
    };
    proxy.freeze();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 1..=200 {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move { queue.enqueue(frame(n, 1)).await.unwrap() });
    }
    // All are on their way before the first is answered.
    tokio::task::yield_now().await;
    proxy.thaw();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let after = server.command(&["INFO", "stats"]).text();
    assert_eq!(proxy.accepted(), 1, "one connection");
    let reads = reads(&after) - reads(&before);
    assert!(reads < 100, "200 enqueues came in {reads} reads");
    assert_eq!(queue.depth().await.unwrap().frames, 201);
}
