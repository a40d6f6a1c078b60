//! SIGKILL at random moments while events are sent: nothing acknowledged is lost, nothing is stored twice.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::load::{self, Until, send_all};
use crate::worker::{Client, Worker, assert_conserved, free_port, number};

const KILLS: usize = 20;

/// 50,000 with `./scripts/test --full`.
fn total() -> usize {
    if std::env::var_os("AUDIT_TEST_FULL").is_some_and(|full| full == "true") {
        50_000
    } else {
        10_000
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_survives_twenty_kills_exactly_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let mut worker = Worker::start_at(dir.path(), port, &[]);
    let client = Client::new(&worker);
    let mut sending = tokio::task::JoinSet::new();
    let sender = client.clone();
    sending.spawn(async move { send_all(&sender, total(), Until::Acknowledged).await });

    // Moments drawn from the system's entropy; what matters is that they fall anywhere in the flow.
    let mut kills = 0;
    while kills < KILLS {
        let wait = u64::from(uuid_byte()) * 2;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        worker.kill();
        kills += 1;
        worker = Worker::start_at(dir.path(), port, &[]);
    }
    let told = sending
        .join_next()
        .await
        .expect("one task")
        .expect("the senders end");

    assert_eq!(
        told.acknowledged.len(),
        total(),
        "every batch was acknowledged in the end"
    );
    let status = client.settled_status().await;
    assert_conserved(&status);
    assert_eq!(number(&status, "conflict"), 0, "{status}");
    assert_eq!(number(&status, "deadLettered"), 0, "{status}");

    let stored = client.all_ids().await;
    let unique: BTreeSet<_> = stored.iter().cloned().collect();
    assert_eq!(stored.len(), unique.len(), "no id is stored twice");
    assert_eq!(
        unique, told.acknowledged,
        "exactly what was acknowledged is stored"
    );
    assert_eq!(
        number(&status, "stored"),
        u64::try_from(unique.len()).expect("small"),
        "{status}"
    );

    let report = client.verify().await;
    assert_eq!(report["result"], "pass", "{report}");
    assert_eq!(worker.terminate(), Some(0), "an orderly end");
}

fn uuid_byte() -> u8 {
    // The standard library's hash seed is the nearest random byte without another dependency.
    use std::hash::{BuildHasher, Hasher};
    let hash = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    hash.to_le_bytes()[0]
}

#[test]
fn a_batch_has_distinct_ids() {
    let ids: BTreeSet<_> = (0..1_000).map(load::id_of).collect();
    assert_eq!(ids.len(), 1_000);
}
