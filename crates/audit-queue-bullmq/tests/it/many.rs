//! Many jobs of every kind from both versions, through a consumer that dies in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use audit_queue::Consumer;
use audit_queue_bullmq::Settings;
use audit_testkit::node;
use audit_testkit::redis::RedisServer;
use audit_testkit::wait::wait_until;
use serde_json::{Value, json};

use crate::made::{
    BOUND, VERSIONS, ask, asked, budget, nobody_works, numbers, open, script, settings,
};

/// Per version.
fn jobs() -> usize {
    match std::env::var_os("AUDIT_TEST_FULL") {
        Some(full) if full == "true" => 20_000,
        _ => 2_000,
    }
}

fn impatient(url: &str) -> Settings {
    Settings {
        hold: Duration::from_secs(1),
        stalled_interval: Duration::from_millis(200),
        ..settings(url)
    }
}

/// What was added: id and number of each, flow children too.
fn produce(server: &RedisServer, version: u32) -> BTreeMap<String, u64> {
    let mut wanted = asked(server, version);
    wanted["count"] = json!(jobs());
    wanted["from"] = json!(jobs() * version as usize);
    wanted["tell"] = json!(true);
    let said = node::run(&script("produce.mjs"), &wanted);
    let ids = said.iter().filter(|line| line["id"].is_string());
    let ids: BTreeMap<_, _> = ids
        .map(|line| {
            (
                line["id"].as_str().unwrap().into(),
                line["n"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(said.last().unwrap()["added"], ids.len());
    ids
}

fn id_of(source: &str) -> String {
    // bullmq:<prefix>:<queue>:<job>:<time>:<generation>:<data>
    source.split(':').nth(3).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_every_kind_all_come_and_end_and_every_listener_hears_it_once() {
    let server = RedisServer::start(&[]);
    let dir = audit_testkit::tempdir().unwrap();
    let file = dir.path().join("events");
    let mut wanted = asked(&server, 6);
    wanted["file"] = json!(file);
    let listener = node::start(&script("listen.mjs"), &wanted);
    wait_until("a listener", BOUND, || {
        node::said(&listener)
            .contains(&json!({"ready": true}))
            .then_some(())
    });
    let mut added = BTreeMap::new();
    for version in VERSIONS {
        added.extend(produce(&server, version));
    }

    // Takes a third of them and dies with one batch in its hands and one on its way.
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut redelivered = BTreeSet::new();
    let first = open(impatient(&server.url()));
    let mut settled = 0;
    while settled < added.len() / 3 {
        let batch = first.receive(budget(250)).await.unwrap();
        settled += batch.deliveries.len();
        for delivery in &batch.deliveries {
            assert_eq!(delivery.redelivered, 0);
            seen.insert(id_of(&delivery.source.0), delivery.source.0.clone());
        }
        first.settle(batch).await.unwrap();
    }
    let lost = first.receive(budget(700)).await.unwrap();
    for delivery in &lost.deliveries {
        redelivered.insert(delivery.source.clone());
    }
    assert!(redelivered.len() > 500, "{}", redelivered.len());
    drop((lost, first));

    let second = open(impatient(&server.url()));
    let mut again = BTreeSet::new();
    let deadline = tokio::time::Instant::now() + BOUND * 2;
    while seen.len() < added.len() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{} of {}",
            seen.len(),
            added.len()
        );
        let batch = second.receive(budget(500)).await.unwrap();
        assert_eq!(numbers(&batch).len(), batch.deliveries.len());
        for delivery in &batch.deliveries {
            let source = &delivery.source;
            if delivery.redelivered > 0 {
                again.insert(source.clone());
            }
            let before = seen.insert(id_of(&source.0), source.0.clone());
            assert_eq!(before, None, "settled, and came again");
        }
        second.settle(batch).await.unwrap();
    }
    assert_eq!(
        again, redelivered,
        "what the dead one held came again, as what it was"
    );
    assert!(seen.keys().eq(added.keys()));
    nobody_works(&server);

    let heard = wait_until("every completion", BOUND, || {
        let heard = completions(&std::fs::read_to_string(&file).unwrap_or_default());
        (heard.len() >= added.len()).then_some(heard)
    });
    assert!(heard.keys().eq(added.keys()));
    assert!(heard.values().all(|times| *times == 1));
    let unknown = ask(
        &server,
        5,
        json!([
            ["counts"],
            ["states", added.keys().take(300).collect::<Vec<_>>()]
        ]),
    );
    for state in [
        "waiting",
        "active",
        "delayed",
        "failed",
        "prioritized",
        "waiting-children",
    ] {
        assert_eq!(unknown[0][state], 0, "{state}");
    }
    for state in unknown[1].as_array().unwrap() {
        assert!(
            ["completed", "unknown"].contains(&state.as_str().unwrap()),
            "{state}"
        );
    }
}

/// Workers of both versions and two of ours, none of whom knows of the others.
#[tokio::test(flavor = "multi_thread")]
async fn workers_of_node_on_the_same_queue_and_we_share_its_jobs() {
    let server = Arc::new(RedisServer::start(&[]));
    let workers = VERSIONS.map(|version| {
        let mut wanted = asked(&server, version);
        // As quick to suspect each other as they can be.
        wanted["worker"] = json!({"stalledInterval": 200, "lockDuration": 5_000});
        node::start(&script("work.mjs"), &wanted)
    });
    wait_until("workers", BOUND, || {
        let said = workers.iter().map(node::said);
        said.flatten().nth(1).map(drop)
    });
    let ours = [1, 2].map(|_| {
        open(Settings {
            hold: Duration::from_secs(30),
            ..impatient(&server.url())
        })
    });
    let producing = Arc::clone(&server);
    let producing = tokio::task::spawn_blocking(move || produce(&producing, 5));
    let mut seen = BTreeSet::new();
    let deadline = tokio::time::Instant::now() + BOUND;
    loop {
        let added = producing.is_finished();
        for queue in &ours {
            let batch = queue.receive(budget(20)).await.unwrap();
            for delivery in &batch.deliveries {
                assert!(seen.insert(id_of(&delivery.source.0)), "{delivery:?}");
            }
            queue.settle(batch).await.unwrap();
        }
        let standing = ours[0].standing().await.unwrap();
        if added && standing.depth.frames + standing.waiting_children == 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{standing:?}");
    }
    let added = producing.await.unwrap();
    // Node says a moment later than Redis that a job is done.
    let theirs = wait_until("what Node says", BOUND, || {
        let said: Vec<Value> = workers.iter().flat_map(node::said).collect();
        let done = said.iter().filter(|line| line["ready"] != true);
        let done: Vec<String> = done
            .map(|line| {
                line["done"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{line}"))
                    .into()
            })
            .collect();
        (done.len() + seen.len() >= added.len()).then_some(done)
    });
    assert!(!theirs.is_empty() && !seen.is_empty(), "{}", seen.len());
    let all: BTreeSet<_> = theirs.iter().chain(&seen).cloned().collect();
    assert!(all.iter().eq(added.keys()));
    assert_eq!(theirs.len() + seen.len(), added.len(), "none twice");
    nobody_works(&server);
}

/// How often each job's completion was heard; a failure or an error would be seen too.
fn completions(lines: &str) -> BTreeMap<String, u32> {
    let mut heard = BTreeMap::new();
    for line in lines.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let event = line["event"].as_str().unwrap();
        assert!(
            !["failed", "error", "retries-exhausted"].contains(&event),
            "{line}"
        );
        if event == "completed" {
            assert_eq!(line["returnvalue"], Value::Null);
            *heard
                .entry(line["jobId"].as_str().unwrap().into())
                .or_default() += 1;
        }
    }
    heard
}
