//! What is particular to this queue: holds, names, what is remembered, what cannot be read.

use std::time::Duration;

use audit_queue::{
    Batch, Budget, Consumer, FrameLimits, FrameLookup, Payload, Producer, QueueError,
};
use audit_queue_redis::{RedisQueue, Settings};
use audit_testkit::redis::{RedisServer, Reply};
use audit_testkit::wait::wait_until_async;

use crate::made::{
    BOUND, age_everything, budget, drain, frame, id, ids, on, open, patient, settings,
};

fn consumers(server: &RedisServer) -> Vec<String> {
    let rows = server.command(&["XINFO", "CONSUMERS", "{audit}:frames", "lanes"]);
    rows.list().iter().map(|row| row.list()[1].text()).collect()
}

fn redelivered(batch: &Batch) -> Vec<u32> {
    let counts = batch.deliveries.iter();
    counts.map(|delivery| delivery.redelivered).collect()
}

async fn put(queue: &RedisQueue, numbers: std::ops::Range<u64>) {
    for n in numbers {
        queue.enqueue(frame(n, 1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_consumer_s_frames_are_claimed_and_its_name_is_removed() {
    let server = RedisServer::start(&[]);
    let settings = Settings {
        hold: Duration::from_millis(100),
        ..settings(&server.url())
    };
    let (dead, alive) = (open(settings.clone()), open(settings));
    put(&dead, 0..3).await;
    let lost = dead.receive(budget(2)).await.unwrap();
    assert_eq!(ids(&lost), [id(0), id(1)]);
    let next = alive.receive(budget(1)).await.unwrap();
    assert_eq!(ids(&next), [id(2)], "what is held is not handed out");
    alive.settle(next).await.unwrap();
    let again = alive.receive(patient(5)).await.unwrap();
    assert_eq!(
        (ids(&again), redelivered(&again)),
        (vec![id(0), id(1)], vec![1, 1])
    );
    assert!(matches!(dead.renew(&lost).await, Err(QueueError::NotHeld)));
    assert!(matches!(dead.settle(lost).await, Err(QueueError::NotHeld)));
    alive.settle(again).await.unwrap();
    wait_until_async("the removal of the dead one's name", BOUND, async || {
        assert_eq!(drain(&alive).await, []);
        (consumers(&server).len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_slept_through_its_hold_settles_nothing_even_when_it_received_it_again() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    put(&queue, 0..1).await;
    let slept = queue.receive(budget(1)).await.unwrap();
    age_everything(&server, "audit");
    let other = on(&server);
    let theirs = other.receive(budget(1)).await.unwrap();
    assert_eq!(redelivered(&theirs), [1]);
    other.release(theirs).await.unwrap();
    let ours = queue.receive(budget(1)).await.unwrap();
    assert_eq!((ids(&ours), redelivered(&ours)), (vec![id(0)], vec![2]));
    assert!(matches!(
        queue.settle(slept).await,
        Err(QueueError::NotHeld)
    ));
    assert_eq!(
        queue.depth().await.unwrap().frames,
        1,
        "the newer delivery holds"
    );
    queue.settle(ours).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().frames, 0);
}

#[tokio::test]
async fn a_renewed_batch_is_not_claimed() {
    let server = RedisServer::start(&[]);
    let holder = on(&server);
    put(&holder, 0..1).await;
    let held = holder.receive(budget(1)).await.unwrap();
    age_everything(&server, "audit");
    holder.renew(&held).await.unwrap();
    assert_eq!(drain(&on(&server)).await, [], "renewed in time");
    age_everything(&server, "audit");
    assert_eq!(drain(&on(&server)).await, [id(0)], "and not for ever");
}

#[tokio::test]
async fn closing_gives_everything_back_at_once_and_leaves_no_name() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    put(&queue, 0..3).await;
    let held = queue.receive(budget(2)).await.unwrap();
    queue.close().await;
    queue.close().await;
    assert!(matches!(queue.settle(held).await, Err(QueueError::Closed)));
    assert!(matches!(
        queue.enqueue(frame(4, 1)).await,
        Err(QueueError::Closed)
    ));
    assert!(matches!(
        queue.receive(budget(1)).await,
        Err(QueueError::Closed)
    ));
    assert!(matches!(queue.depth().await, Err(QueueError::Closed)));
    assert_eq!(consumers(&server), ["free"]);
    let next = on(&server).receive(budget(9)).await.unwrap();
    assert_eq!(
        (ids(&next), redelivered(&next)),
        (vec![id(0), id(1), id(2)], vec![1, 1, 0])
    );
}

#[tokio::test]
async fn a_receiver_that_waits_hears_of_the_close() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    let receiving = queue.receive(patient(1));
    let closing = async {
        put(&on(&server), 0..0).await;
        queue.close().await;
    };
    let (received, ()) = tokio::join!(receiving, closing);
    assert!(matches!(received, Err(QueueError::Closed)), "{received:?}");
}

#[tokio::test]
async fn ids_of_settled_frames_are_known_to_all_and_bounded() {
    let server = RedisServer::start(&[]);
    let queue = open(Settings {
        settled_ids_kept: 10,
        ..settings(&server.url())
    });
    for n in 0..30 {
        put(&queue, n..n + 1).await;
        assert_eq!(drain(&queue).await, [id(n)]);
    }
    put(&on(&server), 20..30).await;
    assert_eq!(drain(&queue).await, [], "the last ten are known");
    put(&queue, 5..6).await;
    assert_eq!(
        drain(&queue).await,
        [id(5)],
        "the first are left to the receipts"
    );
    assert_eq!(
        server.command(&["ZCARD", "{audit}:settled"]),
        Reply::Number(10)
    );
    assert_eq!(server.command(&["HLEN", "{audit}:ids"]), Reply::Number(0));
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_comes_alone_stays_and_lets_the_others_pass() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    for n in 0..4 {
        let events = if n == 1 { 20 } else { 1 };
        queue.enqueue(frame(n, events)).await.unwrap();
    }
    let strict = open(Settings {
        frame: FrameLimits { raw_bytes_max: 300 },
        ..settings(&server.url())
    });
    let before = strict.receive(budget(9)).await.unwrap();
    assert_eq!(ids(&before), [id(0)]);
    let alone = strict.receive(budget(9)).await.unwrap();
    assert!(
        matches!(&alone.deliveries[..], [delivery] if matches!(&delivery.payload, Payload::Unreadable { reason } if reason.contains("larger"))),
        "{alone:?}"
    );
    let after = strict.receive(budget(9)).await.unwrap();
    assert_eq!(
        (ids(&after), redelivered(&after)),
        (vec![id(2), id(3)], vec![0, 0])
    );
    strict.settle(after).await.unwrap();
    strict.settle(before).await.unwrap();
    strict.release(alone).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.frames, depth.events), (1, 20));
    assert!(queue.is_waiting(id(1)).await.unwrap());
    assert_eq!(drain(&queue).await, [id(1)], "whoever can read it does");
}

#[tokio::test]
async fn a_frame_that_did_not_fit_was_not_delivered() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    put(&queue, 0..3).await;
    let one = Budget {
        bytes: 1,
        ..budget(9)
    };
    let batch = queue.receive(one).await.unwrap();
    assert_eq!((ids(&batch), redelivered(&batch)), (vec![id(0)], vec![0]));
    queue.release(batch).await.unwrap();
    for n in 0..3 {
        let batch = queue.receive(one).await.unwrap();
        assert_eq!(ids(&batch), [id(n)]);
        assert_eq!(redelivered(&batch), [u32::from(n == 0)]);
    }
}

#[tokio::test]
async fn a_queue_of_a_newer_format_is_left_as_it_is() {
    let server = RedisServer::start(&[]);
    let queue = on(&server);
    put(&queue, 0..1).await;
    assert_eq!(
        server.command(&["HSET", "{audit}:totals", "version", "2"]),
        Reply::Number(0)
    );
    let refused = queue.enqueue(frame(1, 1)).await.unwrap_err();
    assert!(
        matches!(&refused, QueueError::Unavailable(why) if why.to_string().contains("format 2")),
        "{refused:?}"
    );
    assert!(matches!(
        queue.receive(budget(1)).await,
        Err(QueueError::Unavailable(_))
    ));
    assert_eq!(
        server.command(&["XLEN", "{audit}:frames"]),
        Reply::Number(1)
    );
}

#[tokio::test]
async fn two_queues_of_one_redis_know_nothing_of_each_other() {
    let server = RedisServer::start(&[]);
    let other = open(Settings {
        name: "other".into(),
        ..settings(&server.url())
    });
    put(&on(&server), 0..2).await;
    assert_eq!(drain(&other).await, []);
    let depth = other.depth().await.unwrap();
    assert_eq!((depth.enqueued, depth.frames), (0, 0));
}

#[tokio::test]
async fn the_standing_says_what_is_held_and_by_how_many() {
    let server = RedisServer::start(&[]);
    let (one, two) = (on(&server), on(&server));
    put(&one, 0..5).await;
    let first = one.receive(budget(2)).await.unwrap();
    let second = two.receive(budget(1)).await.unwrap();
    let standing = one.standing().await.unwrap();
    assert_eq!(
        (standing.held, standing.consumers, standing.depth.frames),
        (3, 2, 5)
    );
    let micros = standing.depth.oldest_micros.unwrap();
    let now: i64 = server.command(&["TIME"]).list()[0].text().parse().unwrap();
    assert!((now * 1_000_000 - micros).abs() < 60_000_000, "{micros}");
    one.release(first).await.unwrap();
    two.settle(second).await.unwrap();
    let standing = one.standing().await.unwrap();
    assert_eq!(
        (standing.held, standing.consumers, standing.depth.frames),
        (0, 0, 4)
    );
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let make =
        |settings| RedisQueue::new(settings, std::sync::Arc::new(audit_runtime::SystemRandom));
    let good = || settings("redis://:hush@localhost");
    let braces = make(Settings {
        name: "a{b}".into(),
        ..good()
    });
    assert!(braces.unwrap_err().to_string().contains("brace"));
    let never = make(Settings {
        response_timeout: Duration::ZERO,
        ..good()
    });
    assert!(never.unwrap_err().to_string().contains("response time-out"));
    let queue = make(good()).unwrap();
    assert!(!format!("{queue:?}").contains("hush"), "{queue:?}");
}
