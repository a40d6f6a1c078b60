//! accepted = stored + duplicates + dead letters, every id once, the ledgers verify: whatever is killed meanwhile.

use std::collections::HashSet;

use audit_testkit::events::EventSource;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};

use crate::site::{BOUND, Site, events_of_a_row, number, record};

/// What a worker held that is gone comes to the others after as little as the configuration allows, instead of a minute.
fn short_hold() -> Value {
    json!({ "queue": { "holdMs": 10_000 }, "store": { "statementTimeoutMs": 4_000 } })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_ledgers_and_store_every_event_once() {
    let site = Site::new(&json!({ "lanes": 2 }));
    let workers = [site.worker("one"), site.worker("two")];
    let ingest = site.ingest();
    let sent = site.send_all(&ingest, 1, events_of_a_row()).await;
    let status = site.check(&workers[0], &sent).await;
    let mut owners = HashSet::new();
    for lease in status["leases"].as_array().expect("leases") {
        if lease["ledger"] != "directory" {
            owners.insert(lease["owner"].as_str().expect("an owner").to_owned());
        }
    }
    assert_eq!(owners.len(), 2, "each holds some: {status}");
    // The ingest says the same of the whole deployment.
    let (code, of_ingest) = site.get(&ingest, "/v1/status").await;
    assert_eq!(code, 200, "{of_ingest}");
    for name in ["accepted", "stored", "queued"] {
        assert_eq!(of_ingest[name], status[name], "{name}");
    }
    assert_eq!(of_ingest["process"]["spool"]["frames"], 0, "{of_ingest}");
    let (code, _) = site.get(&ingest, "/v1/ledgers").await;
    assert_eq!(code, 404, "everything else is asked of a worker");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_at_the_ingest_is_told_what_workers_stored_and_signed() {
    let site = Site::new(&json!({}));
    let _worker = site.worker("one");
    let ingest = site.ingest();
    let mut source = EventSource::new(2);
    for (ack, sealed) in [("stored", false), ("sealed", true)] {
        let path = format!("/v1/events?ack={ack}&timeoutMs=30000");
        let (code, answer) = site.post(&ingest, &path, source.batch(3)).await;
        assert_eq!(code, 201, "{answer}");
        for result in answer["results"].as_array().expect("results") {
            assert!(result["leafIndex"].is_u64(), "{answer}");
            assert_eq!(result["proof"].is_string(), sealed, "{answer}");
        }
    }
    // An equal event again is told as what it is: stored, at the same place.
    let same = source.batch(1);
    let path = "/v1/events?ack=stored&timeoutMs=30000";
    let (_, first) = site.post(&ingest, path, same.clone()).await;
    let (_, again) = site.post(&ingest, path, same).await;
    assert_eq!(
        first["results"][0]["leafIndex"],
        again["results"][0]["leafIndex"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_again_and_again_loses_nothing() {
    let site = Site::new(&short_hold());
    let (steady, mut killed) = (site.worker("steady"), site.worker("killed"));
    let ingest = site.ingest();
    // The first to start holds every ledger; it must be the one that dies.
    let mut steady = steady;
    site.kill_and_restart(&mut steady);
    let mut sent = HashSet::new();
    for round in 0..5 {
        sent.extend(
            site.send_all(&ingest, 10 + round, events_of_a_row() / 5)
                .await,
        );
        let victim = if round % 2 == 0 {
            &mut steady
        } else {
            &mut killed
        };
        site.kill_and_restart(victim);
    }
    let began = std::time::Instant::now();
    site.check(&steady, &sent).await;
    // What the dead held is held for 10 s; the rest is the drain, and the machine's.
    record("all settled after the last of five kills", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_of_a_dead_worker_are_taken_over_within_the_lease_time() {
    let site = Site::new(&json!({}));
    let mut dies = site.worker("dies");
    let lives = site.worker("lives");
    let ingest = site.ingest();
    let mut sent = site.send_all(&ingest, 3, 400).await;
    site.settled(&lives).await;
    dies.child.kill();
    let began = std::time::Instant::now();
    sent.extend(site.send_all(&ingest, 4, 400).await);
    site.check(&lives, &sent).await;
    wait_until_async("every lease is the survivor's", BOUND, || async {
        let (_, status) = site.get(&lives, "/v1/status").await;
        let owner = &status["process"]["owner"];
        let leases = status["leases"].as_array().expect("leases").iter();
        let others = leases.filter(|lease| lease["owner"] != *owner).count();
        (others == 0).then_some(())
    })
    .await;
    let took = began.elapsed();
    assert!(took.as_secs() < 25, "a lease lasts 15 s: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_and_a_conflict_are_accounted_for_and_a_dead_letter_is_sent_again() {
    let site = Site::new(&json!({}));
    let worker = site.worker("one");
    let ingest = site.ingest();
    let event = |what: &str| {
        json!({"id":"01890000-0000-7000-8000-000000000001","timestamp":"2024-05-01T10:00:00Z","action":"invoice.export",
            "status":"success","principalId":"maria","what":what})
        .to_string()
    };
    for what in ["first", "first", "other"] {
        site.send_until_taken(&ingest, event(what)).await;
        site.settled(&worker).await;
    }
    let status = site.settled(&worker).await;
    for (name, expected) in [
        ("stored", 1),
        ("duplicate", 1),
        ("conflict", 1),
        ("accepted", 3),
    ] {
        assert_eq!(number(&status, name), expected, "{name}: {status}");
    }
    let (_, letters) = site.get(&worker, "/v1/dead-letters").await;
    let id = letters["deadLetters"][0]["id"].as_str().expect("a letter");
    let path = format!("/v1/dead-letters/{id}/replay");
    let (code, answer) = site.post(&worker, &path, String::new()).await;
    assert_eq!(code, 202, "{answer}");
    let status = site.settled(&worker).await;
    assert_eq!(
        (number(&status, "accepted"), number(&status, "conflict")),
        (4, 2),
        "a conflict again: {status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_only_stopped_comes_back_fenced_and_harmless() {
    let site = Site::new(&short_hold());
    let stopped = site.worker("stopped");
    let other = site.worker("other");
    let ingest = site.ingest();
    let mut sent = site.send_all(&ingest, 70, 400).await;
    let busy = EventSource::new(71).batch(200);
    // Stopped while it has work: SIGSTOP falls wherever it falls, also into a commit or between signing and publishing.
    sent.extend(site.send_until_taken(&ingest, busy).await);
    stopped.child.pause();
    sent.extend(site.send_all(&ingest, 72, 600).await);
    wait_until_async("the other holds every ledger", BOUND, || async {
        let (code, status) = site.get(&other, "/v1/status").await;
        let owner = &status["process"]["owner"];
        let leases = status["leases"].as_array().filter(|_| code == 200)?;
        leases
            .iter()
            .all(|lease| lease["owner"] == *owner)
            .then_some(())
    })
    .await;
    sent.extend(site.send_all(&ingest, 73, 400).await);
    // Everything is stored and signed while it stands still.
    site.check(&other, &sent).await;
    stopped.child.resume();
    sent.extend(site.send_all(&ingest, 74, 400).await);
    site.check(&other, &sent).await;
    let status = site.check(&stopped, &sent).await;
    for ledger in status["ledgers"].as_array().expect("ledgers") {
        assert_eq!(ledger["state"], "open", "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_and_ingest_may_start_all_at_once() {
    let site = Site::new(&json!({}));
    let (one, two, ingest) = std::thread::scope(|scope| {
        let ingest = scope.spawn(|| site.ingest());
        let (one, two) = (
            scope.spawn(|| site.worker("one")),
            scope.spawn(|| site.worker("two")),
        );
        let started = "it starts";
        (
            one.join().expect(started),
            two.join().expect(started),
            ingest.join().expect(started),
        )
    });
    let sent = site.send_all(&ingest, 80, 400).await;
    site.check(&one, &sent).await;
    site.check(&two, &sent).await;
}
