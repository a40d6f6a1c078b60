//! Past the high-water mark, and past what a key may send.

use audit_testkit::events::EventSource;
use serde_json::{Value, json};

use crate::site::{Site, number};

fn events(ids: std::ops::Range<u64>, severity: &str) -> String {
    let event = |id: u64| {
        json!({"id": uuid::Uuid::from_u64_pair(2, id), "timestamp":"2024-05-01T10:00:00Z", "action":"login",
            "status":"failure", "principalId":"maria", "severity": severity})
    };
    Value::Array(ids.map(event).collect()).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_worker_the_queue_stays_at_the_mark_and_critical_events_are_stored_at_once() {
    let site = Site::new(&json!({ "queue": { "eventsMax": 1_000 } }));
    let mut worker = site.worker("one");
    let ingest = site.ingest();
    worker.child.terminate();
    assert!(worker.child.wait(crate::site::BOUND).success());

    let (mut taken, mut refused) = (0, 0);
    for batch in 0..30_u64 {
        let ids = batch * 100..(batch + 1) * 100;
        let (code, answer) = site.post(&ingest, "/v1/events", events(ids, "info")).await;
        match code {
            202 => taken += 100,
            503 => refused += 100,
            other => panic!("{other}: {answer}"),
        }
    }
    assert_eq!((taken, refused), (1_000, 2_000));
    let path = "/v1/events?ack=stored&timeoutMs=30000";
    let (code, answer) = site
        .post(&ingest, path, events(5_000..5_010, "critical"))
        .await;
    assert_eq!(code, 201, "{answer}");
    let (_, status) = site.get(&ingest, "/v1/status").await;
    for (name, expected) in [("accepted", 1_010), ("stored", 10), ("queued", 1_000)] {
        assert_eq!(number(&status, name), expected, "{name}: {status}");
    }
    let (_, metrics) = site.text(&ingest, "/metrics").await;
    let counted = "audit_worker_events_refused_total{reason=\"full\"} 2000";
    assert!(metrics.contains(counted), "{metrics}");

    let worker = site.worker("one");
    // At rest also means that the spool has told the broker what it let pass.
    site.settled(&ingest).await;
    let status = site.settled(&worker).await;
    assert_eq!(
        (number(&status, "accepted"), number(&status, "stored")),
        (1_010, 1_010),
        "{status}"
    );
    assert_eq!(site.verify(&worker).await["result"], "pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_sends_too_much_is_told_to_wait() {
    let site = Site::new(&json!({ "ingest": { "eventsPerSecondPerKey": 50 } }));
    let worker = site.worker("one");
    let ingest = site.ingest();
    let mut source = EventSource::new(7);
    let (code, answer) = site.post(&ingest, "/v1/events", source.batch(50)).await;
    assert_eq!(code, 202, "{answer}");
    let body = source.batch(50);
    let (code, answer) = site.post(&ingest, "/v1/events", body.clone()).await;
    assert_eq!(
        (code, &answer["code"]),
        (429, &json!("too_many_events")),
        "{answer}"
    );
    let ids = site.send_until_taken(&ingest, body).await;
    assert_eq!(ids.len(), 50, "it fits a second later");
    let status = site.settled(&worker).await;
    assert_eq!(number(&status, "stored"), 100, "{status}");
}
