//! A full disk: refusals are clear, nothing acknowledged is missing, and work goes on when there is room again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::load::{BATCH, Until, send_all};
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
    let disk = SmallDisk::mount(dir.path(), 40);
    let port = free_port();
    let worker = Worker::start_at(dir.path(), port, &[]);
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
    let told = send_all(&client, 4 * BATCH, Until::Acknowledged).await;
    assert_eq!(told.acknowledged.len(), 4 * BATCH);
    assert_eq!(worker.terminate(), Some(0));
}
