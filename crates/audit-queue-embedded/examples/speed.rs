//! How fast the queue takes events, and beside it what the same disk does with a bare loop of the same group size.
//!
//! `cargo run --release -p audit-queue-embedded --example speed [DIRECTORY]`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and any error ends it"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use audit_event::Timestamp;
use audit_queue::{Budget, Consumer, Frame, FrameEvent, FrameId, Producer};
use audit_queue_embedded::{EmbeddedQueue, Options};
use audit_runtime::SystemClock;

/// How long each line is measured.
const TIME: Duration = Duration::from_secs(3);

fn main() {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let dir = tempfile::tempdir_in(dir).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!(
        "{:>34} {:>12} {:>12} {:>10}",
        "", "frames/s", "events/s", "group"
    );
    for (tasks, events, consume) in [
        (64, 1, false),
        (64, 1, true),
        (16, 200, false),
        (16, 200, true),
        (1, 1, false),
    ] {
        let path = dir.path().join(format!("q-{tasks}-{events}-{consume}"));
        let frames = runtime.block_on(enqueue(&path, tasks, events, consume));
        let name = format!(
            "{tasks} tasks, {events} events{}",
            if consume { ", consumed" } else { "" }
        );
        print(&name, frames, events, tasks);
        std::fs::remove_file(&path).unwrap();
    }
    for (group, events) in [(64, 1), (32, 1), (16, 200), (1, 1)] {
        let frames = bare_loop(
            &dir.path().join(format!("bare-{group}-{events}")),
            group,
            events,
        );
        print(
            &format!("bare loop, {events} events"),
            frames,
            events,
            group,
        );
    }
}

fn print(name: &str, frames: f64, events: u64, group: u64) {
    println!(
        "{name:>34} {frames:>12.0} {:>12.0} {group:>10}",
        frames * events as f64
    );
}

fn frame(n: u64, events: u64) -> Frame {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    let event = |index: u64| FrameEvent {
        canonical: canonical(n * 1000 + index),
        api_key_id: "key-1".into(),
    };
    let received_at = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
    Frame {
        id: FrameId(id),
        internal: false,
        received_at,
        traceparent: None,
        events: (0..events).map(event).collect(),
    }
}

/// About 500 bytes, of which some differ.
fn canonical(n: u64) -> Vec<u8> {
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        r#"{{"action":"record.read","correlationId":"{noise:016x}","dataClassification":"PHI","details":{{"durationMs":{},"path":"/v1/patients/{noise:x}/records","rows":{}}},"eventVersion":"1.0","id":"0190c5d5-{:04x}-7000-8000-{:012x}","organizationId":"org-{}","outcomeDescription":"the record was read by its owner in the course of treatment","principalId":"user-{}","receivedAt":"2026-01-01T00:00:00.000000Z","status":"success","targetResourceId":"patient-{}","targetResourceType":"patient","timestamp":"2026-01-01T00:00:00.{:06}Z"}}"#,
        n % 300, n % 17, n & 0xffff, n, n % 40, n % 5000, noise % 100_000, n % 1_000_000
    )
    .into_bytes()
}

/// Frames a second that were acknowledged.
async fn enqueue(path: &Path, tasks: u64, events: u64, consume: bool) -> f64 {
    let options = Options {
        events_max: u64::MAX,
        bytes_max: u64::MAX,
        ..Options::default()
    };
    let queue = Arc::new(EmbeddedQueue::open(path, options, Arc::new(SystemClock)).unwrap());
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let (queue, done) = (Arc::clone(&queue), Arc::clone(&done));
        running.spawn(async move {
            let mut n = task;
            while started.elapsed() < TIME {
                queue.enqueue(frame(n, events)).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
                n += tasks;
            }
        });
    }
    if consume {
        let queue = Arc::clone(&queue);
        running.spawn(async move {
            while started.elapsed() < TIME {
                let batch = queue
                    .receive(Budget {
                        deliveries: 1000,
                        bytes: 1 << 20,
                        wait: Duration::from_millis(100),
                    })
                    .await
                    .unwrap();
                queue.settle(batch).await.unwrap();
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    let rate = done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    let depth = queue.depth().await.unwrap();
    println!("{:>34} {} frames left", "", depth.frames);
    queue.close().await;
    rate
}

/// The least that must be done: the bytes of a frame into one table, one transaction a group, fsync'd.
fn bare_loop(path: &Path, group: u64, events: u64) -> f64 {
    let mut connection = rusqlite::Connection::open(path).unwrap();
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "FULL")
        .unwrap();
    connection
        .execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB NOT NULL) STRICT")
        .unwrap();
    let bytes = frame(1, events).encode();
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < TIME {
        let writing = connection.transaction().unwrap();
        {
            let mut insert = writing
                .prepare_cached("INSERT INTO t (b) VALUES (?1)")
                .unwrap();
            for _ in 0..group {
                insert.execute([&bytes]).unwrap();
            }
        }
        writing.commit().unwrap();
        done += group;
    }
    done as f64 / started.elapsed().as_secs_f64()
}
