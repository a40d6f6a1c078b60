//! A full disk: refusals are clear, nothing acknowledged is missing, and work goes on when there is room again.

use std::collections::BTreeSet;
use std::time::Duration;

use audit_testkit::disk::SmallDisk;

use crate::load::{BATCH, Until, send_all};
use crate::worker::{Client, Worker, assert_conserved, free_port};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_clearly_and_loses_nothing_that_was_acknowledged() {
    let disk = SmallDisk::mount(40);
    let port = free_port();
    let worker = Worker::start_at(disk.path(), port, &[]);
    let client = Client::new(&worker);
    let total = 4_000 * BATCH;

    // Far more is offered than fits; the senders stop once the disk has been full for a while.
    let sending = send_all(&client, total, Until::Refused(40));
    let told = tokio::time::timeout(Duration::from_secs(120), sending)
        .await
        .expect("40 MiB fill within two minutes");
    assert!(
        !told.acknowledged.is_empty() && told.acknowledged.len() < total,
        "{}",
        told.acknowledged.len()
    );
    for (status, answer) in &told.refusals {
        assert_eq!(*status, 503);
        assert!(
            answer.contains("unavailable") || answer.contains("retry"),
            "a clear refusal: {answer}"
        );
    }

    // With the disk still full the process may be killed, too.
    worker.kill();
    disk.grow(400);
    let worker = Worker::start_at(disk.path(), port, &[]);
    let status = client.settled_status().await;
    assert_conserved(&status);
    let stored: Vec<_> = client.all_ids().await;
    let unique: BTreeSet<_> = stored.iter().cloned().collect();
    assert_eq!(stored.len(), unique.len(), "no id is stored twice");
    let missing: Vec<_> = told.acknowledged.difference(&unique).collect();
    assert!(
        missing.is_empty(),
        "acknowledged and not stored: {missing:?}"
    );
    assert_eq!(client.verify().await["result"], "pass");

    // There is room again: what is sent now is taken.
    let told = send_all(&client, 4 * BATCH, Until::Acknowledged).await;
    assert_eq!(told.acknowledged.len(), 4 * BATCH);
    assert_eq!(worker.terminate(), Some(0));
}
