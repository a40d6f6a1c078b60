//! Going back to the replaced worker, and living beside it.

use std::time::Duration;

use audit_queue::{Consumer, Refused};
use audit_queue_redis::list::{Settings, Snapshot};
use audit_testkit::redis::{RedisServer, Reply};

use super::made::{age_everything, items, listed, on, open, push, settings, texts};
use crate::made::budget;

#[tokio::test]
async fn what_nobody_holds_goes_back_to_the_list_as_if_it_had_never_been_taken() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..12);
    let first = list.receive(budget(6)).await.unwrap();
    let second = list.receive(budget(2)).await.unwrap();
    assert_eq!(list.hand_back().await.unwrap(), 0, "all of it is held");
    list.release(first).await.unwrap();
    list.release(second).await.unwrap();
    let settled = list.receive(budget(2)).await.unwrap();
    list.settle(settled).await.unwrap();
    let kept = list.receive(budget(1)).await.unwrap();
    assert_eq!(texts(&kept), items(2..3));
    // A part of the same batch, which comes before its rest.
    let part = list.receive(budget(1)).await.unwrap();
    list.release(part).await.unwrap();
    assert_eq!(list.hand_back().await.unwrap(), 5);
    assert_eq!(listed(&server, "audit:queue"), items((3..12).rev()));
    let depth = list.depth().await.unwrap();
    assert_eq!(
        (depth.taken, depth.settled, depth.held, depth.waiting),
        (3, 2, 1, 9)
    );
    list.settle(kept).await.unwrap();
    let last = list.receive(budget(99)).await.unwrap();
    assert_eq!(texts(&last), items(3..12));
    // A batch that Redis lost stops nothing.
    push(&server, 12..13);
    let lost = list.receive(budget(1)).await.unwrap();
    let name = lost.deliveries[0]
        .source
        .0
        .strip_prefix("list:audit:queue:");
    let gone = server.command(&["HDEL", "{audit:queue}:items", name.unwrap()]);
    assert_eq!(gone, Reply::Number(1));
    age_everything(&server);
    assert_eq!(on(&server).hand_back().await.unwrap(), 9);
    assert_eq!(listed(&server, "audit:queue"), items((3..12).rev()));
    let depth = list.depth().await.unwrap();
    assert_eq!(
        (depth.taken, depth.settled, depth.held, depth.lost),
        (4, 3, 0, 1)
    );
}

#[tokio::test]
async fn beside_a_worker_that_moves_the_failed_back_nothing_is_shown_there() {
    let server = RedisServer::start(&[]);
    let list = open(Settings {
        failed_max: 0,
        ..settings(&server.url())
    });
    push(&server, 0..1);
    let mut batch = list.receive(budget(1)).await.unwrap();
    batch.refused.push(Refused {
        source: batch.deliveries[0].source.clone(),
        reason: "no event".into(),
    });
    list.settle(batch).await.unwrap();
    let depth = list.depth().await.unwrap();
    assert_eq!((depth.failed, depth.refused, depth.unmirrored), (0, 1, 1));
}

#[tokio::test]
async fn a_snapshot_is_what_the_dashboards_of_both_replaced_workers_read_and_soon_gone() {
    let server = RedisServer::start(&[]);
    let list = on(&server);
    push(&server, 0..3);
    let set = server.command(&["SET", "audit:dropped_count", "5"]);
    assert_eq!(set.text(), "OK");
    let snapshot = Snapshot {
        worker_id: "worker_a\"b_7".into(),
        timestamp: "2026-03-01T12:00:00.000Z".into(),
        inserts_last_minute: 10,
        failures_last_minute: 2,
        batch_time: Duration::from_millis(45),
        batch_size: 300,
    };
    for _ in 0..2 {
        list.publish_snapshot(&snapshot).await.unwrap();
    }
    for key in ["audit:metrics", "audit:metrics:worker_a\"b_7"] {
        let text = server.command(&["GET", key]).text();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "queueLength": 3, "insertsLastMinute": 10, "failuresLastMinute": 2, "avgBatchTime": 45, "droppedEvents": 5,
            "overflowEvents": 0, "currentBatchSize": 300, "worker_id": "worker_a\"b_7", "failed_queue_depth": 0,
            "timestamp": "2026-03-01T12:00:00.000Z",
        });
        assert_eq!(read, expected);
        let Reply::Number(left) = server.command(&["TTL", key]) else {
            panic!("no time")
        };
        assert!((60..=120).contains(&left), "{left}");
    }
}
