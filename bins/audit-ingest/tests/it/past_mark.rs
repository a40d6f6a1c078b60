//! Past the high-water mark, and past what a key may send.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use audit_testkit::events::EventSource;
use audit_testkit::wait::wait_until_async;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::site::{BOUND, Program, Site, is_full, number, record};
use crate::traffic::Sender;

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

/// Events that may wait in the test below, and those of a request, which is large enough to be a frame of its own: the mark is met
/// exactly.
const MARK: u64 = 2_000;
const BATCH: u64 = 200;
/// What a process may have grown by while it refuses: what requests under way need, and what the allocator keeps for the next.
const GROWTH_MAX: u64 = 64 << 20;

/// Senders that never wait, until so many bytes have been refused.
struct Flood {
    bytes_max: u64,
    bytes: AtomicU64,
    refused: AtomicU64,
    acknowledged: Mutex<HashSet<String>>,
}

impl Flood {
    fn is_over(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.bytes_max
    }

    /// Sends batches of about 250 kB, each at once again when it was refused.
    async fn send(&self, sender: Sender, ids: impl Iterator<Item = u64>) {
        let note = "0123456789".repeat(100);
        for batch in ids {
            let ids = batch * BATCH..(batch + 1) * BATCH;
            let ids: Vec<String> = ids
                .map(|id| uuid::Uuid::from_u64_pair(3, id).to_string())
                .collect();
            let event = |id| {
                json!({"id": id, "timestamp":"2024-05-01T10:00:00Z", "action":"login", "status":"failure",
                    "principalId":"maria", "note": note})
            };
            let body = Value::Array(ids.iter().map(event).collect()).to_string();
            while !self.post(&sender, &body).await {
                if self.is_over() {
                    return;
                }
            }
            self.acknowledged.lock().expect("whole").extend(ids);
        }
    }

    /// Whether a batch was taken; counted when not.
    async fn post(&self, sender: &Sender, body: &str) -> bool {
        let answer = sender.try_post("/v1/events", body.to_owned()).await;
        match answer.expect("it answers") {
            (202, _) => true,
            (503, _) => {
                self.refused.fetch_add(BATCH, Ordering::Relaxed);
                self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                false
            }
            (other, answer) => panic!("{other}: {answer}"),
        }
    }
}

/// Eight senders at once.
fn begin(site: &Site, ingest: &Program, flood: &Arc<Flood>) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for first in 0..8 {
        let (flood, sender) = (Arc::clone(flood), site.sender(ingest));
        senders.spawn(async move { flood.send(sender, (first..).step_by(8)).await });
    }
    senders
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_sender_and_a_worker_that_stands_still_cost_no_memory_and_no_acknowledged_event() {
    let site = Site::new(&json!({ "queue": { "eventsMax": MARK } }));
    let worker = site.worker("one");
    let ingest = site.ingest();
    site.settled(&worker).await;
    worker.child.pause();
    let flood = Arc::new(Flood {
        bytes_max: if is_full() { 2 << 30 } else { 192 << 20 },
        bytes: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        acknowledged: Mutex::default(),
    });
    let mut senders = begin(&site, &ingest, &flood);
    wait_until_async("the mark is reached", BOUND, || async {
        (flood.refused.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    let began = Instant::now();
    let at_mark = ingest.child.resident_bytes();
    let mut most = at_mark;
    let mut critical = HashSet::new();
    while !flood.is_over() {
        let (_, status) = site.get(&ingest, "/v1/status").await;
        assert!(number(&status, "queued") <= MARK, "{status}");
        most = most.max(ingest.child.resident_bytes());
        if critical.len() < 50 {
            let ids = 5_000 + critical.len() as u64..5_010 + critical.len() as u64;
            critical.extend(stored_at_once(&site, &ingest, events(ids, "critical")).await);
        }
    }
    while let Some(ended) = senders.join_next().await {
        ended.expect("no sender fails");
    }
    most = most.max(ingest.child.resident_bytes());
    let [first, last] = [at_mark, most].map(|bytes| bytes >> 20);
    record(
        &format!("{first} MiB at the mark, {last} MiB at most; refusing"),
        began.elapsed(),
    );
    assert!(
        most <= at_mark + GROWTH_MAX,
        "{at_mark} bytes became {most}"
    );
    let (_, status) = site.get(&ingest, "/v1/status").await;
    assert_eq!(number(&status, "queued"), MARK, "{status}");
    let (_, metrics) = site.text(&ingest, "/metrics").await;
    let refused = flood.refused.load(Ordering::Relaxed);
    let counted = format!("audit_worker_events_refused_total{{reason=\"full\"}} {refused}\n");
    assert!(metrics.contains(&counted), "{counted}{metrics}");

    worker.child.resume();
    let mut sent = std::mem::take(&mut *flood.acknowledged.lock().expect("whole"));
    assert_eq!(sent.len() as u64, MARK);
    assert!(!critical.is_empty(), "stored while others were refused");
    sent.extend(critical);
    site.settled(&ingest).await;
    site.check(&worker, &sent).await;
}

/// Sends events of which the answer says that they are stored; their ids.
async fn stored_at_once(site: &Site, ingest: &Program, body: String) -> Vec<String> {
    let path = "/v1/events?ack=stored&timeoutMs=30000";
    let (code, answer) = site.post(ingest, path, body).await;
    assert_eq!(code, 201, "{answer}");
    let results = answer["results"].as_array().expect("results").iter();
    let id = |result: &Value| result["id"].as_str().expect("an id").to_owned();
    results.map(id).collect()
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
