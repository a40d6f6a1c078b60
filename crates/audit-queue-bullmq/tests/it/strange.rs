//! Queues in which something is not what it should be.

use audit_queue::{Consumer, QueueError};
use audit_testkit::redis::RedisServer;
use serde_json::json;

use crate::made::{
    VERSIONS, ask, ask_one, budget, drain, key, nobody_works, numbers, on, quick, tell,
};

fn all_of(server: &RedisServer, list: &str) -> String {
    format!("{:?}", server.command(&["LRANGE", &key(list), "0", "-1"]))
}

fn put_off(server: &RedisServer) -> String {
    let all = ["ZRANGE", &key("delayed"), "0", "-1", "WITHSCORES"];
    format!("{:?}", server.command(&all))
}

#[tokio::test]
async fn a_job_with_the_name_of_a_key_of_the_queue_is_an_outage_that_loses_nothing() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let jobs: Vec<_> = (0..4)
            .map(|n| json!(["add", {"n": n}]))
            .chain([
                json!(["add", {"n": 4}, {"delay": 1}]),
                json!(["add", {"n": 9}, {"jobId": "prioritized"}]),
            ])
            .collect();
        ask(&server, version, json!(jobs));
        let (waiting, later) = (all_of(&server, "wait"), put_off(&server));
        let queue = on(&server);
        for _ in 0..2 {
            let refused = queue.receive(budget(10)).await;
            let Err(QueueError::Unavailable(why)) = refused else {
                panic!("{refused:?}");
            };
            assert!(why.to_string().contains("bull:audit:prioritized"), "{why}");
        }
        assert_eq!(all_of(&server, "wait"), waiting);
        assert_eq!(put_off(&server), later);
        nobody_works(&server);
        tell(&server, &["DEL", &key("prioritized")]);
        let all = drain(&on(&server)).await;
        assert_eq!(all.len(), 5, "{all:?}");
        nobody_works(&server);
    }
}

#[tokio::test]
async fn a_limiter_that_is_no_number_loses_nothing() {
    let server = RedisServer::start(&[]);
    ask(
        &server,
        6,
        json!([["add", {"n": 1}], ["rate", 4, 60_000], ["add", {"n": 2}, {"delay": 1}]]),
    );
    tell(&server, &["SET", &key("limiter"), "many"]);
    let (waiting, later) = (all_of(&server, "wait"), put_off(&server));
    let queue = on(&server);
    let refused = queue.receive(budget(10)).await;
    assert!(
        matches!(refused, Err(QueueError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(
        (all_of(&server, "wait"), put_off(&server)),
        (waiting, later)
    );
    tell(&server, &["DEL", &key("limiter")]);
    assert_eq!(drain(&on(&server)).await.len(), 2);
}

#[tokio::test]
async fn an_id_whose_key_is_no_job_is_dropped_and_what_stands_behind_it_comes() {
    let server = RedisServer::start(&[]);
    ask(
        &server,
        6,
        json!([["add", {"n": 1}], ["add", {"n": 2}, {"priority": 1}]]),
    );
    tell(&server, &["RPUSH", &key("wait"), "events", "wait", "meta"]);
    tell(&server, &["ZADD", &key("prioritized"), "0", "events"]);
    tell(&server, &["ZADD", &key("delayed"), "1", "events"]);
    let queue = on(&server);
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(numbers(&batch), [1, 2]);
    queue.settle(batch).await.unwrap();
    let left = server.command(&["EXISTS", &key("wait"), &key("prioritized"), &key("delayed")]);
    assert_eq!(left.text(), "0");
    nobody_works(&server);
}

/// Redis carries out a script as far as this user may, and takes nothing back.
#[tokio::test]
async fn a_script_that_is_stopped_half_way_loses_nothing() {
    for denied in ["-set", "-xadd", "-lpush", "-zrem", "-lmove", "-hset"] {
        let server = RedisServer::start(&[]);
        let add = |n: u64, opts| json!(["add", {"n": n}, opts]);
        let jobs = [
            add(1, json!({})),
            add(2, json!({})),
            add(3, json!({"priority": 1})),
            add(4, json!({"delay": 1})),
        ];
        ask(&server, 6, json!(jobs));
        tell(
            &server,
            &[
                "ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", denied,
            ],
        );
        let url = server.url().replace("redis://", "redis://limited:secret@");
        let limited = crate::made::open(quick(&url));
        for _ in 0..3 {
            let _refused = limited.receive(budget(10)).await;
        }
        drop(limited);
        let queue = crate::made::open(quick(&server.url()));
        let mut all = std::collections::BTreeSet::new();
        while all.len() < 4 {
            let batch = queue.receive(crate::made::patient(10)).await.unwrap();
            assert!(!batch.deliveries.is_empty(), "{denied}: {all:?}");
            all.extend(numbers(&batch));
            queue.settle(batch).await.unwrap();
        }
    }
}

#[tokio::test]
async fn many_ids_without_a_job_are_looked_through_in_parts() {
    let server = RedisServer::start(&[]);
    let ghosts = "for n = 1, 25000 do redis.call('LPUSH', KEYS[1], 'ghost' .. n) end";
    tell(&server, &["EVAL", ghosts, "1", &key("wait")]);
    ask_one(&server, 6, json!(["add", {"n": 1}]));
    let queue = on(&server);
    assert_eq!(numbers(&queue.receive(budget(10)).await.unwrap()), [0; 0]);
    assert_eq!(server.command(&["LLEN", &key("wait")]).text(), "15001");
    let batch = queue.receive(crate::made::patient(10)).await.unwrap();
    assert_eq!(numbers(&batch), [1]);
}
