//! How jobs end, as Node sees it: completed, failed, kept or not; parents, schedulers, deduplication, dead letters.

use audit_queue::{Batch, Consumer, Payload};
use audit_queue_bullmq::Settings;
use audit_testkit::redis::RedisServer;
use serde_json::{Value, json};

use crate::made::{
    VERSIONS, ask, ask_one, budget, drain, key, nobody_works, numbers, on, open, settings, settle,
    tell,
};

fn events(server: &RedisServer, job: &str) -> Vec<String> {
    let entries = server.command(&["XRANGE", &key("events"), "-", "+"]);
    let texts = entries.list().iter().map(|entry| {
        let fields = entry.list()[1].list().iter().map(|field| field.text());
        fields.collect::<Vec<_>>()
    });
    let of_job = texts.filter(|fields| fields.get(3).is_some_and(|id| id == job));
    of_job.map(|fields| fields[1].clone()).collect()
}

#[tokio::test]
async fn a_refused_job_is_among_the_failed_with_its_reason() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let id = ask_one(&server, version, json!(["add", {"n": 1}]));
        let id = id.as_str().unwrap();
        let queue = on(&server);
        let batch = queue.receive(budget(10)).await.unwrap();
        settle(&queue, batch, Some("no action")).await;
        nobody_works(&server);
        let said = ask(&server, version, json!([["getState", id], ["job", id]]));
        assert_eq!(said[0], "failed");
        assert_eq!(said[1]["failedReason"], "no action");
        assert_eq!(
            (&said[1]["attemptsMade"], &said[1]["stacktrace"]),
            (&json!(1), &json!([]))
        );
        assert_eq!(said[1]["processedBy"], "audit-worker");
        let all = ["added", "waiting", "active", "failed", "retries-exhausted"];
        assert_eq!(events(&server, id), all);

        // Whoever corrects it may try it again: it is another event then.
        tell(&server, &["HSET", &key(id), "data", r#"{"n":2}"#]);
        ask_one(&server, version, json!(["retry", id]));
        let batch = queue.receive(budget(10)).await.unwrap();
        assert_eq!(numbers(&batch), [2]);
        queue.settle(batch).await.unwrap();
        assert_eq!(
            ask_one(&server, version, json!(["getState", id])),
            "completed"
        );
    }
}

#[tokio::test]
async fn a_refused_job_that_somebody_retries_is_another_delivery() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let id = ask_one(&server, version, json!(["add", {"n": 1}]));
        let queue = on(&server);
        let mut positions = std::collections::BTreeSet::new();
        for round in 1..=3 {
            let batch = queue.receive(budget(10)).await.unwrap();
            let first = batch.deliveries[0].source.clone();
            assert!(positions.insert(first.0.clone()), "{positions:?}");
            // However often it is delivered, as long as it was not ended.
            queue.release(batch).await.unwrap();
            tell(
                &server,
                &["HINCRBY", &key(id.as_str().unwrap()), "atm", "1"],
            );
            let batch = queue.receive(budget(10)).await.unwrap();
            let delivery = &batch.deliveries[0];
            assert_eq!((&delivery.source, delivery.redelivered), (&first, 0));
            settle(&queue, batch, Some("no action")).await;
            assert_eq!(
                ask_one(&server, version, json!(["getState", id])),
                "failed",
                "{round}"
            );
            ask_one(&server, version, json!(["retry", id]));
        }
    }
}

#[tokio::test]
async fn what_node_attempted_is_no_delivery_of_ours() {
    let server = RedisServer::start(&[]);
    let id = ask_one(&server, 5, json!(["add", {"n": 1}]));
    tell(&server, &["HSET", &key(id.as_str().unwrap()), "ats", "9"]);
    let queue = on(&server);
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(batch.deliveries[0].redelivered, 0);
    queue.settle(batch).await.unwrap();
    let ours = server.command(&[
        "HEXISTS",
        &key(id.as_str().unwrap()),
        "audit-worker:deliveries",
    ]);
    assert_eq!(ours.text(), "0");
}

#[tokio::test]
async fn a_job_that_is_too_large_is_refused_by_its_beginning_and_stays() {
    let server = RedisServer::start(&[]);
    let large = "x".repeat(2 << 20);
    let add = |data: Value| json!(["add", data, {"jobId": "large", "removeOnFail": true}]);
    ask(
        &server,
        6,
        json!([add(json!({"n": 0, "text": large})), ["add", {"n": 1}]]),
    );
    let queue = on(&server);
    let batch = queue.receive(budget(10)).await.unwrap();
    let Payload::Refused { bytes, detail, .. } = &batch.deliveries[0].payload else {
        panic!("{batch:?}");
    };
    assert_eq!(bytes.len(), 4096);
    assert!(bytes.starts_with(b"{\"n\":0,\"text\":\"xxx"));
    let size = server.command(&["HSTRLEN", &key("large"), "data"]).text();
    let said =
        format!("{size} bytes are more than 1048576 allowed; the job stays in the failed set");
    assert_eq!(*detail, said);
    assert_eq!(
        crate::made::bytes(&batch.deliveries[1].payload),
        b"{\"n\":1}"
    );
    settle(&queue, batch, Some(&said)).await;
    nobody_works(&server);
    assert_eq!(ask_one(&server, 6, json!(["getState", "large"])), "failed");
    assert_eq!(
        server.command(&["HSTRLEN", &key("large"), "data"]).text(),
        size
    );
}

#[tokio::test]
async fn a_job_that_ended_half_way_is_put_where_ended_jobs_are() {
    let server = RedisServer::start(&[]);
    let id = ask_one(&server, 6, json!(["add", {"n": 1}]));
    let id = id.as_str().unwrap();
    let queue = on(&server);
    let batch = queue.receive(budget(10)).await.unwrap();
    tell(&server, &["LREM", &key("active"), "0", id]);
    tell(&server, &["HSET", &key(id), "finishedOn", "1700000000000"]);
    // The name of a key that is written at the end: nothing is changed before.
    tell(&server, &["SET", &key("completed"), "a job"]);
    let token = batch.token;
    let refused = queue.settle(batch).await;
    assert!(refused.is_err(), "{refused:?}");
    tell(&server, &["DEL", &key("completed")]);
    // Until the next attempt is due.
    let settled = tokio::time::timeout(crate::made::BOUND, async {
        while queue.settle(Batch::named(0, token)).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    settled.await.unwrap();
    assert_eq!(ask_one(&server, 6, json!(["getState", id])), "completed");
    nobody_works(&server);
}

#[tokio::test]
async fn what_the_producer_wants_kept_is_kept_and_the_rest_is_not() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let with = |n: u64, keep: Value| json!(["add", {"n": n}, {"removeOnComplete": keep}]);
        let actions: Vec<Value> = (0..3)
            .map(|n| with(n, json!(true)))
            .chain((3..9).map(|n| with(n, json!(2))))
            .chain([with(9, json!(false)), with(10, json!({"age": 60}))])
            .collect();
        let ids = ask(&server, version, json!(actions));
        drain(&on(&server)).await;
        let states = ask_one(&server, version, json!(["states", ids]));
        let kept = states.as_array().unwrap().iter();
        let kept = kept.filter(|state| *state == "completed").count();
        // The newest of all ended at the same time, so which two it were is Redis' order.
        let counts = ask_one(&server, version, json!(["counts"]));
        assert_eq!((kept, &counts["completed"]), (2, &json!(2)), "{states}");
        // Of those that are gone nothing is left.
        let keys = server.command(&["KEYS", &key("[0-9]*")]);
        assert_eq!(keys.list().len(), 2, "{keys:?}");
    }
}

#[tokio::test]
async fn a_parent_goes_on_when_its_children_ended() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let child = |n: u64, opts: Value| json!({"name": "c", "queueName": "audit", "data": {"n": n}, "opts": opts});
        let tree = json!({"name": "p", "queueName": "audit", "data": {"n": 9},
            "children": [child(1, json!({})), child(2, json!({"priority": 4}))]});
        let ids = ask_one(&server, version, json!(["flow", tree]));
        let queue = on(&server);
        let batch = queue.receive(budget(10)).await.unwrap();
        assert_eq!(numbers(&batch), [1, 2]);
        assert_eq!(
            ask_one(&server, version, json!(["getState", ids[0]])),
            "waiting-children"
        );
        queue.settle(batch).await.unwrap();
        let batch = queue.receive(budget(10)).await.unwrap();
        assert_eq!(numbers(&batch), [9]);
        queue.settle(batch).await.unwrap();
        let states = ask_one(&server, version, json!(["states", ids]));
        assert_eq!(states, json!(["completed", "completed", "completed"]));
    }
}

#[tokio::test]
async fn a_parent_learns_of_a_child_that_failed_as_it_was_told_to() {
    for (flag, delivered, state) in [
        (json!({}), false, "waiting-children"),
        (json!({"failParentOnFailure": true}), true, "failed"),
        // A child that is kept no longer is nothing to wait for.
        (json!({"removeOnFail": true}), true, "completed"),
        (json!({"continueParentOnFailure": true}), true, "completed"),
        (
            json!({"ignoreDependencyOnFailure": true}),
            true,
            "completed",
        ),
        (
            json!({"removeDependencyOnFailure": true}),
            true,
            "completed",
        ),
    ] {
        let server = RedisServer::start(&[]);
        let tree = json!({"name": "p", "queueName": "audit", "data": {"n": 9},
            "children": [{"name": "c", "queueName": "audit", "data": {"n": 1}, "opts": flag}]});
        let ids = ask_one(&server, 6, json!(["flow", tree]));
        let queue = on(&server);
        let batch = queue.receive(budget(10)).await.unwrap();
        settle(&queue, batch, Some("no action")).await;
        let batch = queue.receive(budget(10)).await.unwrap();
        assert_eq!(batch.deliveries.len(), usize::from(delivered), "{flag}");
        let refused = batch.deliveries.iter().any(|delivery| {
            matches!(&delivery.payload,
            Payload::Refused { detail, .. } if detail.starts_with("child bull:audit:"))
        });
        assert_eq!(refused, state == "failed", "{flag}");
        let why = refused.then_some("its child failed");
        settle(&queue, batch, why).await;
        assert_eq!(
            ask_one(&server, 6, json!(["getState", ids[0]])),
            state,
            "{flag}"
        );
    }
}

#[tokio::test]
async fn a_job_that_got_children_meanwhile_waits_for_them_and_comes_again() {
    let server = RedisServer::start(&[]);
    let id = ask_one(&server, 6, json!(["add", {"n": 1}]));
    let queue = on(&server);
    let batch = queue.receive(budget(10)).await.unwrap();
    let source = batch.deliveries[0].source.clone();
    let parent = json!({"parent": {"id": id, "queue": "bull:audit"}});
    ask_one(&server, 6, json!(["add", {"n": 2}, parent]));
    queue.settle(batch).await.unwrap();
    assert_eq!(
        ask_one(&server, 6, json!(["getState", id])),
        "waiting-children"
    );
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(numbers(&batch), [2]);
    queue.settle(batch).await.unwrap();
    let batch = queue.receive(budget(10)).await.unwrap();
    assert_eq!(batch.deliveries[0].source, source);
    queue.settle(batch).await.unwrap();
    assert_eq!(ask_one(&server, 6, json!(["getState", id])), "completed");
}

#[tokio::test]
async fn deduplication_goes_on_when_its_owner_ended() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        let once = |n: u64| json!(["add", {"n": n}, {"deduplication": {"id": "once"}}]);
        let last = |n: u64| json!(["add", {"n": n}, {"priority": 2, "deduplication": {"id": "last", "keepLastIfActive": true}}]);
        let ids = ask(&server, version, json!([once(1), once(2), last(3)]));
        assert_eq!(ids[0], ids[1]);
        let queue = on(&server);
        let batch = queue.receive(budget(10)).await.unwrap();
        assert_eq!(numbers(&batch), [1, 3]);
        ask(&server, version, json!([last(4), last(5)]));
        assert_eq!(numbers(&queue.receive(budget(10)).await.unwrap()), [0; 0]);
        queue.settle(batch).await.unwrap();
        ask(&server, version, json!([once(6)]));
        let batch = queue.receive(budget(10)).await.unwrap();
        assert_eq!(
            numbers(&batch),
            [6, 5],
            "the last of those that came meanwhile"
        );
        queue.settle(batch).await.unwrap();
        assert_eq!(server.command(&["KEYS", &key("d[en]:*")]).list(), []);
    }
}

fn details(batch: &Batch) -> Vec<String> {
    let detail = |payload: &Payload| match payload {
        Payload::Refused { detail, .. } => detail.clone(),
        other => panic!("{other:?}"),
    };
    let deliveries = batch.deliveries.iter();
    deliveries
        .map(|delivery| detail(&delivery.payload))
        .collect()
}

#[tokio::test]
async fn jobs_of_schedulers_and_data_that_is_no_json_are_refused_with_their_bytes() {
    for version in VERSIONS {
        let server = RedisServer::start(&[]);
        ask_one(
            &server,
            version,
            json!(["scheduler", "every-hour", 3_600_000]),
        );
        let queue = on(&server);
        let batch = queue.receive(budget(10)).await.unwrap();
        assert!(
            details(&batch)[0].contains("scheduler every-hour"),
            "{batch:?}"
        );
        settle(&queue, batch, Some("a scheduler's")).await;
        assert_eq!(queue.standing().await.unwrap().schedulers, 1);

        tell(
            &server,
            &["HSET", &key("broken"), "name", "a", "data", "{\"n\":"],
        );
        tell(
            &server,
            &["LPUSH", &key("wait"), "broken", "ghost", "0:legacy"],
        );
        let batch = queue.receive(budget(10)).await.unwrap();
        assert_eq!(details(&batch), ["the job's data is not JSON"]);
        assert_eq!(crate::made::bytes(&batch.deliveries[0].payload), b"{\"n\":");
        settle(&queue, batch, Some("not JSON")).await;
        nobody_works(&server);
        assert_eq!(
            server
                .command(&["EXISTS", &key("ghost"), &key("wait")])
                .text(),
            "0"
        );
        assert_eq!(
            server
                .command(&["HGET", &key("broken"), "failedReason"])
                .text(),
            "not JSON"
        );
    }
}

#[tokio::test]
async fn refused_jobs_are_shown_in_the_queue_of_dead_letters_too() {
    let server = RedisServer::start(&[]);
    let queue = open(Settings {
        dead_letter_queue: Some("audit-dead-letter".into()),
        ..settings(&server.url())
    });
    let id = ask_one(
        &server,
        5,
        json!(["add", {"n": 1, "amount": 1.10}, {"removeOnFail": true}]),
    );
    tell(
        &server,
        &["HSET", &key("broken"), "name", "a", "data", "{\"n\":"],
    );
    tell(&server, &["LPUSH", &key("wait"), "broken"]);
    let batch = queue.receive(budget(10)).await.unwrap();
    settle(&queue, batch, Some("no \"action\"")).await;
    let mut asked = crate::made::asked(&server, 5);
    asked["queue"] = json!("audit-dead-letter");
    asked["do"] = json!([["job", "1"], ["job", "2"], ["work", 2]]);
    let said = crate::made::results(&asked);
    let letter = &said[0];
    assert_eq!(letter["name"], "dead-letter-event");
    let data = &letter["data"];
    assert_eq!(data["originalEvent"], json!({"n": 1, "amount": 1.1}));
    assert_eq!(data["failureReason"], "no \"action\"");
    assert_eq!(
        (&data["failureCount"], &data["originalJobId"]),
        (&json!(1), &id)
    );
    assert_eq!(data["originalQueueName"], "audit");
    assert_eq!(
        data["firstFailureTime"].as_str().unwrap().len(),
        "2026-01-01T00:00:00.000Z".len()
    );
    assert_eq!(data["metadata"]["retryHistory"][0]["attempt"], 1);
    assert_eq!(said[1]["data"]["originalEvent"], "{\"n\":");
    assert_eq!(said[2], json!(["1", "2"]));
    assert_eq!(ask_one(&server, 5, json!(["getState", id])), "unknown");
}
