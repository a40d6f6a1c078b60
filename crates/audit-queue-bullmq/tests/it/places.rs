//! Clusters, full memory, settings.

use audit_queue::Consumer;
use audit_queue_bullmq::{BullmqQueue, Settings, SettingsError};
use audit_runtime::SystemRandom;
use audit_testkit::redis::RedisServer;
use serde_json::json;

use crate::made::{ask, ask_one, budget, drain, numbers, on, open, settings, tell};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_a_hash_tag_is_taken_from_a_cluster() {
    let server = RedisServer::start_cluster_of_one();
    let url = server.url().replace("redis://", "redis+cluster://");
    let queue = open(Settings {
        prefix: "{bull}".into(),
        ..settings(&url)
    });
    for n in ["1", "2"] {
        let data = format!("{{\"n\":{n}}}");
        let job = format!("{{bull}}:audit:{n}");
        tell(&server, &["HSET", &job, "name", "a", "data", &data]);
        tell(&server, &["LPUSH", "{bull}:audit:wait", n]);
    }
    queue.ready().await.unwrap();
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(numbers(&batch), [1, 2]);
    queue.renew(&batch).await.unwrap();
    queue.settle(batch).await.unwrap();
    assert_eq!(queue.standing().await.unwrap().completed, 2);
}

#[tokio::test]
async fn a_full_redis_is_emptied_all_the_same() {
    let server = RedisServer::start(&[("maxmemory-policy", "noeviction")]);
    let jobs: Vec<_> = (0..500)
        .map(|n| json!({"name": "a", "data": {"n": n}, "opts": {"removeOnComplete": true}}))
        .collect();
    ask(&server, 6, json!([["addBulk", jobs]]));
    tell(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(drain(&on(&server)).await.len(), 500);
    tell(&server, &["CONFIG", "SET", "maxmemory", "0"]);
    let counts = ask_one(&server, 6, json!(["counts"]));
    assert_eq!(
        (&counts["waiting"], &counts["active"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    let good = || settings("redis://:hush@localhost");
    let refused = |settings: Settings| {
        let made = BullmqQueue::new(settings, std::sync::Arc::new(SystemRandom));
        made.map(drop).unwrap_err()
    };
    let colon = refused(Settings {
        queue: "a:b".into(),
        ..good()
    });
    assert!(matches!(colon, SettingsError::Queue), "{colon:?}");
    let own = refused(Settings {
        dead_letter_queue: Some("audit".into()),
        ..good()
    });
    assert!(matches!(own, SettingsError::OwnDeadLetters), "{own:?}");
    let many = refused(Settings {
        script_jobs: 1001,
        ..good()
    });
    assert!(matches!(many, SettingsError::ScriptJobs), "{many:?}");
    let queue = open(good());
    assert!(!format!("{queue:?}").contains("hush"), "{queue:?}");
}
