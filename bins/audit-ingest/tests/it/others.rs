//! Producers of the systems that we replace, unchanged, through real workers that are killed meanwhile.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use audit_testkit::node;
use audit_testkit::redis::RedisServer;
use audit_testkit::wait::{wait_until, wait_until_async};
use serde_json::{Value, json};

use crate::site::{BOUND, Program, Site, is_full, number};

/// Jobs of each version of BullMQ, without the children of flows.
fn jobs_of_a_version() -> usize {
    if is_full() { 10_000 } else { 1_000 }
}

const QUEUE: &str = "audit-events";

fn with_source(source: &Value) -> Value {
    json!({ "queue": { "holdMs": 10_000 }, "store": { "statementTimeoutMs": 4_000 }, "sources": [source] })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crates/audit-queue-bullmq/tests/node")
        .join(name)
}

fn asked(redis: &RedisServer, version: u32) -> Value {
    json!({ "version": version, "port": redis.address().port(), "queue": QUEUE })
}

/// The status once so many events of the source have an end.
async fn ended(site: &Site, worker: &Program, events: usize) -> Value {
    wait_until_async("every item has an end", BOUND * 2, || async {
        let (code, status) = site.get(worker, "/v1/status").await;
        (code == 200 && number(&status, "accepted") >= events as u64).then_some(status)
    })
    .await;
    site.settled(worker).await
}

/// Adds jobs of one version; their ids.
fn produce(redis: &RedisServer, version: u32) -> HashSet<String> {
    let mut wanted = asked(redis, version);
    wanted["count"] = json!(jobs_of_a_version());
    wanted["from"] = json!(jobs_of_a_version() * version as usize);
    wanted["tell"] = json!(true);
    let said = node::run(&script("produce.mjs"), &wanted);
    let ids = said.iter().filter_map(|line| line["id"].as_str());
    ids.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_both_versions_of_bullmq_are_stored_once_while_the_worker_is_killed() {
    let source = json!({ "kind": "bullmq", "queueName": QUEUE, "holdMs": 2_000 });
    let site = Site::new(&with_source(&source));
    let mut worker = site.worker("one");
    let dir = tempfile::tempdir().expect("a directory");
    let heard = dir.path().join("events");
    let mut wanted = asked(&site.redis, 6);
    wanted["file"] = json!(heard);
    let listener = node::start(&script("listen.mjs"), &wanted);
    wait_until("a listener", BOUND, || {
        node::said(&listener)
            .contains(&json!({ "ready": true }))
            .then_some(())
    });

    let producers = std::thread::scope(|scope| {
        let producing = [5, 6].map(|version| {
            scope.spawn({
                let redis = &site.redis;
                move || produce(redis, version)
            })
        });
        for _ in 0..3 {
            // While it has something in its hands, wherever it is with it.
            wait_until("something is held", BOUND, || {
                let active = site.redis.command(&["LLEN", "bull:audit-events:active"]);
                (active.text() != "0").then_some(())
            });
            site.kill_and_restart(&mut worker);
        }
        producing.map(|thread| thread.join().expect("produced"))
    });
    let added: HashSet<String> = producers.into_iter().flatten().collect();

    let status = ended(&site, &worker, added.len()).await;
    for (name, expected) in [
        ("stored", added.len()),
        ("deadLettered", 0),
        ("conflict", 0),
    ] {
        assert_eq!(number(&status, name), expected as u64, "{name}: {status}");
    }
    let ids = site.all_ids(&worker).await;
    let distinct: HashSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (added.len(), added.len()));
    assert_eq!(site.verify(&worker).await["result"], "pass");

    // Node's own library says the same.
    let mut wanted = asked(&site.redis, 5);
    wanted["do"] = json!([["counts"]]);
    let operator = node::Peer::start(&script("ask.mjs"));
    let counts = wait_until("nothing is active", BOUND, || {
        let counts = operator.ask(&wanted)["results"][0].clone();
        (counts["active"] == 0).then_some(counts)
    });
    for state in [
        "wait",
        "delayed",
        "prioritized",
        "waiting-children",
        "failed",
        "paused",
    ] {
        assert!(
            counts[state].is_null() || counts[state] == 0,
            "{state}: {counts}"
        );
    }
    let completions = wait_until("every completion is heard", BOUND, || {
        let text = std::fs::read_to_string(&heard).unwrap_or_default();
        let mut completions: BTreeMap<String, u64> = BTreeMap::new();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            assert_ne!(line["event"], "error", "{line}");
            assert_ne!(
                line["event"], "failed",
                "no kill of ours fails a job: {line}"
            );
            if line["event"] == "completed" {
                let id = line["jobId"].as_str().expect("an id").to_owned();
                *completions.entry(id).or_default() += 1;
            }
        }
        (completions.len() >= added.len()).then_some(completions)
    });
    assert!(completions.values().all(|times| *times == 1), "heard once");
    assert!(completions.keys().all(|id| added.contains(id)));
}

fn item(n: usize) -> String {
    format!(
        r#"{{"user_id":"user-{}","resource_type":"api_key","resource_id":null,"event_type":"api_key_created","event_category":"info","description":"made","metadata":{{"n":{n}}},"ip_address":"10.0.0.1","user_agent":"curl/8","created_at":"2026-01-01T00:00:00.{:03}Z"}}"#,
        n % 50,
        n % 1_000
    )
}

fn push(redis: &RedisServer, items: &[String]) {
    for chunk in items.chunks(200) {
        let mut words = vec!["LPUSH", "audit:queue"];
        words.extend(chunk.iter().map(String::as_str));
        let _length = redis.command(&words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_list_producer_are_stored_once_while_the_worker_is_killed() {
    let count = if is_full() { 100_000 } else { 4_000 };
    let source = json!({ "kind": "redisList", "key": "audit:queue", "organizationId": "acme", "holdMs": 2_000 });
    let site = Site::new(&with_source(&source));
    let mut worker = site.worker("one");
    // Each stands twice: two equal items that a producer pushed are two events.
    let items: Vec<String> = (0..count / 2).flat_map(|n| [item(n), item(n)]).collect();
    let poison = r#"{"user_id":"u","event_type":"x","created_at":"never"}"#.to_owned();
    let parts: Vec<&[String]> = items.chunks(items.len() / 4).collect();
    for part in &parts {
        push(&site.redis, part);
        push(&site.redis, std::slice::from_ref(&poison));
        wait_until("something is taken", BOUND, || {
            let left = site.redis.command(&["LLEN", "audit:queue"]).text();
            (left.parse::<usize>().expect("a number") < part.len()).then_some(())
        });
        site.kill_and_restart(&mut worker);
    }

    let status = ended(&site, &worker, items.len() + parts.len()).await;
    for (name, expected) in [
        ("stored", items.len()),
        ("deadLettered", parts.len()),
        ("duplicate", 0),
        ("conflict", 0),
    ] {
        assert_eq!(number(&status, name), expected as u64, "{name}: {status}");
    }
    let ids: HashSet<String> = site.all_ids(&worker).await.into_iter().collect();
    assert_eq!(ids.len(), items.len());
    assert_eq!(site.verify(&worker).await["result"], "pass");
    let (_, page) = site
        .get(&worker, "/v1/events?organizationId=acme&limit=1")
        .await;
    assert_eq!(
        page["events"][0]["event"]["action"], "api_key_created",
        "{page}"
    );
    // What is no event is where an operator of the old worker looks for it, too.
    wait_until("the mirror", BOUND, || {
        let failed = site.redis.command(&["LRANGE", "audit:failed", "0", "-1"]);
        let failed: Vec<String> = failed.list().iter().map(|one| one.text()).collect();
        (failed == vec![poison.clone(); parts.len()]).then_some(())
    });
    // The numbers that its dashboards read.
    for (counter, value) in [("audit:dropped_count", "7"), ("audit:overflow_count", "3")] {
        let _ok = site.redis.command(&["SET", counter, value]);
    }
    wait_until_async("the counters are seen", BOUND, || async {
        let (_, page) = site.get(&worker, "/api/v1/monitoring/audit-metrics").await;
        let metrics = &page["metrics"];
        let seen = metrics["total_dropped_events"] == 7 && metrics["total_overflow_events"] == 3.0;
        (seen && metrics["queue_length"] == 0).then_some(())
    })
    .await;
    let (_, letters) = site.get(&worker, "/v1/dead-letters").await;
    assert_eq!(
        letters["deadLetters"][0]["reason"], "notAnEvent",
        "{letters}"
    );
}
