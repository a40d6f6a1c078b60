//! A full disk: refusals are clear, nothing acknowledged is missing, and work goes on when there is room again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::load::{BATCH, send_all};
use crate::worker::{Client, Worker, assert_conserved, free_port};

/// A small file system of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, mebibytes: u32) -> Self {
        let size = format!("size={mebibytes}m");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "this test mounts a small tmpfs: run it as root, or in `unshare --map-root-user --mount`"
        );
        Self(at.to_owned())
    }

    fn grow(&self, mebibytes: u32) {
        let options = format!("remount,size={mebibytes}m");
        assert!(
            Command::new("mount")
                .args(["-o", &options])
                .arg(&self.0)
                .status()
                .expect("mount runs")
                .success()
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_clearly_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = SmallDisk::mount(dir.path(), 24);
    let port = free_port();
    let worker = Worker::start_at(dir.path(), port, &[]);
    let client = Client::new(&worker);
    let total = 400 * BATCH;

    // Stopped once the disk has been full for a while; far more is offered than fits.
    let stop = Arc::new(AtomicBool::new(false));
    let sending = {
        let (client, stop) = (client.clone(), Arc::clone(&stop));
        tokio::spawn(async move { send_all(&client, total, &stop).await })
    };
    tokio::time::timeout(Duration::from_secs(60), wait_for_refusal(&client))
        .await
        .expect("24 MiB fill within a minute");
    stop.store(true, Ordering::Relaxed);
    let told = sending.await.expect("the senders end");
    assert!(
        !told.acknowledged.is_empty() && told.acknowledged.len() < total,
        "{}",
        told.acknowledged.len()
    );
    for (status, answer) in &told.refusals {
        assert_eq!(*status, 503);
        assert!(
            answer.contains("space") || answer.contains("full") || answer.contains("retry"),
            "a clear refusal: {answer}"
        );
    }

    // With the disk still full the process may be killed, too.
    worker.kill();
    disk.grow(256);
    let worker = Worker::start_at(dir.path(), port, &[]);
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
    let told = send_all(&client, 4 * BATCH, &Arc::new(AtomicBool::new(false))).await;
    assert_eq!(told.acknowledged.len(), 4 * BATCH);
    assert_eq!(worker.terminate(), Some(0));
}

/// Sends single small batches until one is refused for lack of space.
async fn wait_for_refusal(client: &Client) {
    loop {
        let probe = client.get("/readyz").await;
        if probe.is_ok_and(|(status, _)| status == 503) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
