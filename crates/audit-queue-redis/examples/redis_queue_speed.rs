//! How fast events go into the queue and out of it, and beside it what the same Redis does with bare commands on the same bytes.
//!
//! `cargo run --release -p audit-queue-redis --example redis_queue_speed [always|everysec|no]` (of `appendfsync`; `no`: no log at all). It starts a
//! Redis of its own in a temporary directory, so what is measured is the disk of that.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and any error ends it"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use audit_event::Timestamp;
use audit_queue::{Budget, Consumer, Frame, FrameEvent, FrameId, Producer};
use audit_queue_redis::{RedisQueue, Settings};
use audit_runtime::SystemRandom;
use audit_testkit::redis::RedisServer;
use deadpool_redis::redis::{Client, aio::MultiplexedConnection, cmd};

/// How long each line is measured.
const TIME: Duration = Duration::from_secs(3);
/// Frames that fill the queue for the lines that empty it.
const FILL: u64 = 4_000;

fn main() {
    let fsync = std::env::args().nth(1).unwrap_or_else(|| "always".into());
    let options: &[(&str, &str)] = match &*fsync {
        "no" => &[("save", "")],
        fsync => &[("appendonly", "yes"), ("appendfsync", fsync)],
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("{:>40} {:>12} {:>12}", "", "frames/s", "events/s");
    for (tasks, events) in [(1, 200), (16, 200), (64, 200), (64, 1)] {
        let server = RedisServer::start(options);
        let frames = runtime.block_on(enqueue(&server, tasks, events));
        print(
            &format!("enqueue, {tasks} tasks, {events} events"),
            frames,
            events,
        );
        let server = RedisServer::start(options);
        let frames = runtime.block_on(bare_add(&server, tasks, events));
        print("bare XADD of the same bytes", frames, events);
    }
    for deliveries in [1, 10, 100] {
        let server = RedisServer::start(options);
        let frames = runtime.block_on(consume(&server, deliveries));
        print(
            &format!("receive and settle, {deliveries} a batch"),
            frames,
            200,
        );
        let server = RedisServer::start(options);
        let frames = runtime.block_on(bare_consume(&server, deliveries));
        print("bare XREADGROUP, XACK, XDEL", frames, 200);
    }
}

fn print(name: &str, frames: f64, events: u64) {
    println!("{name:>40} {frames:>12.0} {:>12.0}", frames * events as f64);
}

fn queue(server: &RedisServer) -> Arc<RedisQueue> {
    let settings = Settings {
        events_max: u64::MAX,
        bytes_max: u64::MAX,
        ..Settings::at(server.url().parse().unwrap())
    };
    Arc::new(RedisQueue::new(settings, Arc::new(SystemRandom)).unwrap())
}

fn frame(n: u64, events: u64) -> Frame {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    let event = |index: u64| FrameEvent {
        canonical: canonical(n * 1000 + index),
        api_key_id: "key-1".into(),
    };
    Frame {
        id: FrameId(id),
        internal: false,
        received_at: Timestamp::from_micros(1_700_000_000_000_000).unwrap(),
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

/// Frames a second that were acknowledged. Making the frame is measured too: the bytes differ each time.
async fn enqueue(server: &RedisServer, tasks: u64, events: u64) -> f64 {
    let queue = queue(server);
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
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

async fn connection(server: &RedisServer) -> MultiplexedConnection {
    let client = Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    connection.set_response_timeout(Duration::from_secs(60));
    connection
}

/// The least that must be done: the bytes into a stream, on one shared connection.
async fn bare_add(server: &RedisServer, tasks: u64, events: u64) -> f64 {
    let connection = connection(server).await;
    let bytes = Arc::new(frame(1, events).encode());
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (mut connection, done, bytes) =
            (connection.clone(), Arc::clone(&done), Arc::clone(&bytes));
        running.spawn(async move {
            while started.elapsed() < TIME {
                let mut add = cmd("XADD");
                add.arg("s").arg("*").arg("f").arg(&bytes[..]);
                add.query_async::<String>(&mut connection).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// Frames a second that went out of a full queue, one batch after the other, decoded.
async fn consume(server: &RedisServer, deliveries: usize) -> f64 {
    let queue = queue(server);
    fill(&queue).await;
    let started = Instant::now();
    let mut done = 0;
    loop {
        let budget = Budget {
            deliveries,
            bytes: usize::MAX,
            wait: Duration::ZERO,
        };
        let batch = queue.receive(budget).await.unwrap();
        if batch.deliveries.is_empty() {
            return f64::from(done) / started.elapsed().as_secs_f64();
        }
        done += u32::try_from(batch.deliveries.len()).unwrap();
        queue.settle(batch).await.unwrap();
    }
}

async fn fill(queue: &Arc<RedisQueue>) {
    let mut running = tokio::task::JoinSet::new();
    for task in 0..16 {
        let queue = Arc::clone(queue);
        running.spawn(async move {
            for n in (task..FILL).step_by(16) {
                queue.enqueue(frame(n, 200)).await.unwrap();
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

/// The least that must be done: read, acknowledge, delete; without decoding, and without any books.
async fn bare_consume(server: &RedisServer, deliveries: usize) -> f64 {
    let mut connection = connection(server).await;
    let bytes = frame(1, 200).encode();
    for _ in 0..FILL {
        let mut add = cmd("XADD");
        add.arg("s").arg("*").arg("f").arg(&bytes[..]);
        add.query_async::<String>(&mut connection).await.unwrap();
    }
    let mut group = cmd("XGROUP");
    group.arg("CREATE").arg("s").arg("g").arg("0");
    group.query_async::<()>(&mut connection).await.unwrap();
    type Read = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;
    let started = Instant::now();
    let mut done = 0;
    loop {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP")
            .arg("g")
            .arg("c")
            .arg("COUNT")
            .arg(deliveries);
        read.arg("STREAMS").arg("s").arg(">");
        let read: Read = read.query_async(&mut connection).await.unwrap();
        let Some((_, entries)) = read.into_iter().flatten().next() else {
            return f64::from(done) / started.elapsed().as_secs_f64();
        };
        let (mut ack, mut delete) = (cmd("XACK"), cmd("XDEL"));
        ack.arg("s").arg("g");
        delete.arg("s");
        for (id, _) in &entries {
            ack.arg(id);
            delete.arg(id);
        }
        done += u32::try_from(entries.len()).unwrap();
        ack.query_async::<u64>(&mut connection).await.unwrap();
        delete.query_async::<u64>(&mut connection).await.unwrap();
    }
}
