//! A full disk refuses clearly, loses nothing acknowledged, and is forgotten when there is room.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use audit_queue::{Consumer, Frame, FrameEvent, Producer, QueueError};
use audit_queue_embedded::{EmbeddedQueue, Options};
use audit_runtime::{Fault, Faulty};
use audit_testkit::wait::wait_until;

use crate::made::{budget, drain, frame, id, ids, open};

/// A frame that LZ4 cannot make smaller.
fn bulky(n: u64) -> Frame {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let canonical = (0..2500).flat_map(|_| noise()).collect();
    Frame {
        events: vec![FrameEvent {
            canonical,
            api_key_id: String::new(),
        }],
        ..frame(n, 0)
    }
}

/// Enqueues until refused; the error and how many were taken.
async fn fill(queue: &EmbeddedQueue, from: u64) -> (QueueError, u64) {
    for n in from..from + 10_000 {
        if let Err(error) = queue.enqueue(bulky(n)).await {
            return (error, n);
        }
    }
    panic!("never full");
}

async fn check_goes_on(queue: &EmbeddedQueue, full_at: u64) {
    let before = queue.depth().await.unwrap();
    assert_eq!(
        (before.frames, before.enqueued),
        (full_at, full_at),
        "a refused frame leaves no trace"
    );
    assert!(queue.enqueue(bulky(full_at)).await.is_err(), "still full");
    // Settling works without new space, and makes room.
    let batch = queue.receive(budget(20)).await.unwrap();
    assert_eq!(ids(&batch), (0..20).map(id).collect::<Vec<_>>());
    queue.settle(batch).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().frames, full_at - 20);
    for n in full_at..full_at + 10 {
        queue.enqueue(bulky(n)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_refuses_with_no_space_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let options = Options {
        pages_max: Some(400),
        ..Options::default()
    };
    let queue = open(&path, options.clone());
    let (error, full_at) = fill(&queue, 0).await;
    assert!(matches!(error, QueueError::NoSpace(_)), "{error:?}");
    assert_eq!(
        (error.to_string().as_str(), error.fault()),
        ("no space left for the queue", Fault::Outage)
    );
    assert!(full_at > 50, "{full_at}");
    check_goes_on(&queue, full_at).await;
    drop(queue);
    let queue = open(&path, options);
    assert_eq!(
        drain(&queue).await,
        (20..full_at + 10).map(id).collect::<Vec<_>>()
    );
}

const PATH: &str = "QUEUE_ON_THE_LIMITED_DISK";

fn tight() -> Options {
    Options {
        reserve_bytes: 1 << 20,
        ..Options::default()
    }
}

/// Not a test of its own: the child of the next one, under a limit on the size of files.
#[tokio::test(flavor = "multi_thread")]
async fn child_fills_a_limited_disk() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let queue = open(Path::new(&path), tight());
    let (error, full_at) = fill(&queue, 0).await;
    assert!(matches!(error, QueueError::NoSpace(_)), "{error:?}");
    let batch = queue.receive(budget(20)).await.unwrap();
    queue.settle(batch).await.unwrap();
    assert_eq!(
        queue.depth().await.unwrap().frames,
        full_at - 20,
        "settling goes on"
    );
    assert_eq!(
        drain(&queue).await,
        (20..full_at).map(id).collect::<Vec<_>>()
    );
    // Dies with the disk full once more.
    let (_, full_again_at) = fill(&queue, full_at).await;
    println!("acknowledged {full_at} {full_again_at}.");
    std::process::abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_after_a_death_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    // The signal that the limit sends is ignored, so that the write fails as it does on a full disk.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "full_disk::child_fills_a_limited_disk",
            "--nocapture",
        ])
        .env(PATH, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let numbers = said
        .lines()
        .find_map(|line| line.split_once("acknowledged "))
        .unwrap_or_else(|| panic!("{child:?}"))
        .1;
    let (from, to) = numbers.trim_end_matches('.').split_once(' ').unwrap();
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    assert!(to > from + 50, "there was room again: {numbers}");
    let queue = open(&path, tight());
    assert_eq!(
        drain(&queue).await,
        (from..to).map(id).collect::<Vec<_>>(),
        "each once, in order"
    );
    queue.enqueue(bulky(1_000_000)).await.unwrap();
    assert_eq!(drain(&queue).await, [id(1_000_000)]);
}

/// Run with `TMPDIR` on a file system of 6 MiB it is a disk that is really full; elsewhere the ceiling makes it so.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_can_be_emptied_and_filled_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(
        &dir.path().join("q"),
        Options {
            pages_max: Some(2000),
            ..tight()
        },
    );
    let mut next = 0;
    for _ in 0..3 {
        let (error, full_at) = fill(&queue, next).await;
        assert!(matches!(error, QueueError::NoSpace(_)), "{error:?}");
        assert!(
            full_at > next + 100,
            "the space is there again: {full_at} after {next}"
        );
        assert_eq!(
            drain(&queue).await,
            (next..full_at).map(id).collect::<Vec<_>>()
        );
        next = full_at;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_does_not_grow_for_ever_and_shrinks_when_idle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let queue = open(&path, tight());
    let size = || {
        std::fs::metadata(&path).unwrap().len()
            + std::fs::metadata(dir.path().join("q-wal")).map_or(0, |log| log.len())
    };
    let mut largest = 0;
    for n in 0..1000 {
        queue.enqueue(bulky(n)).await.unwrap();
        if n % 10 == 9 {
            drain(&queue).await;
            largest = size().max(largest);
        }
    }
    assert!(largest < 4 << 20, "20 MB went through {largest} bytes");
    for n in 1000..1500 {
        queue.enqueue(bulky(n)).await.unwrap();
    }
    let full = std::fs::metadata(&path).unwrap().len();
    assert!(full > 6 << 20, "{full}");
    drain(&queue).await;
    tokio::task::spawn_blocking(move || {
        wait_until("pages given back", Duration::from_secs(60), || {
            (std::fs::metadata(&path).unwrap().len() < 3 << 20).then_some(())
        });
    })
    .await
    .unwrap();
}
