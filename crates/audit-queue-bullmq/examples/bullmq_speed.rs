//! How fast jobs come out of a BullMQ queue and end, and beside it what the same Redis does with the fewest commands that could.
//!
//! `cargo run --release -p audit-queue-bullmq --example bullmq_speed`. It starts a Redis of its own, without a log on disk.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and any error ends it"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_queue::{Budget, Consumer};
use audit_queue_bullmq::{BullmqQueue, Settings};
use audit_runtime::SystemRandom;
use audit_testkit::redis::RedisServer;
use deadpool_redis::redis::{Client, aio::MultiplexedConnection, cmd, pipe};
use tokio::task::JoinSet;

/// Jobs that each line empties the queue of.
const JOBS: u32 = 100_000;

/// As many jobs as a producer's `addBulk` would have left, about 500 bytes each.
const FILL: &str = r#"
for id = 1, ARGV[1] do
  local data = string.format('{"principalId":"user-%d","organizationId":"org-%d","action":"record.read","targetResourceType":"patient",'
    .. '"targetResourceId":"patient-%d","status":"success","timestamp":"2026-01-01T00:00:00.000Z","outcomeDescription":"%s"}',
    id % 5000, id % 40, id, string.rep('the record was read ', 14))
  redis.call('HSET', 'bull:audit:' .. id, 'name', 'audit', 'data', data, 'opts', '{"attempts":1,"removeOnComplete":100}',
    'timestamp', '1767225600000', 'delay', '0', 'priority', '0')
  redis.call('LPUSH', 'bull:audit:wait', id)
end
return redis.call('INCRBY', 'bull:audit:id', ARGV[1])
"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!(
        "{:>44} {:>10} {:>22}",
        "", "jobs/s", "us of Redis' processor"
    );
    for lanes in [1, 4] {
        for deliveries in [50, 500] {
            let name = format!("receive and settle, {lanes} lanes, {deliveries} a batch");
            runtime.block_on(ours(lanes, deliveries)).print(&name);
        }
    }
    let bare = runtime.block_on(bare(500));
    bare.print("bare commands, pipelined by 500");
}

/// One emptying of the queue.
struct Run {
    began: Instant,
    server: RedisServer,
    /// Seconds of Redis' processor before.
    worked: f64,
}

struct Rate {
    jobs_a_second: f64,
    micros_a_job: f64,
}

impl Run {
    fn begin(server: RedisServer) -> Self {
        let worked = worked(&server);
        let began = Instant::now();
        Self {
            began,
            server,
            worked,
        }
    }

    fn rate(&self) -> Rate {
        let jobs_a_second = f64::from(JOBS) / self.began.elapsed().as_secs_f64();
        let worked = worked(&self.server) - self.worked;
        Rate {
            jobs_a_second,
            micros_a_job: worked * 1e6 / f64::from(JOBS),
        }
    }
}

impl Rate {
    fn print(&self, name: &str) {
        println!(
            "{name:>44} {:>10.0} {:>22.1}",
            self.jobs_a_second, self.micros_a_job
        );
    }
}

fn worked(server: &RedisServer) -> f64 {
    let said = server.command(&["INFO", "cpu"]).text();
    let seconds = |name| -> f64 {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    };
    seconds("used_cpu_sys:") + seconds("used_cpu_user:")
}

fn filled() -> RedisServer {
    let server = RedisServer::start(&[]);
    let jobs = JOBS.to_string();
    assert_eq!(server.command(&["EVAL", FILL, "0", &jobs]).text(), jobs);
    server
}

async fn ours(lanes: usize, deliveries: usize) -> Rate {
    let run = Run::begin(filled());
    let settings = Settings::at(run.server.url().parse().unwrap(), "audit", "smart_logs");
    let queue = Arc::new(BullmqQueue::new(settings, Arc::new(SystemRandom)).unwrap());
    queue.ready().await.unwrap();
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        running.spawn(lane(Arc::clone(&queue), deliveries));
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    let rate = run.rate();
    let standing = queue.standing().await.unwrap();
    assert_eq!((standing.depth.frames, standing.completed), (0, 100));
    rate
}

async fn lane(queue: Arc<BullmqQueue>, deliveries: usize) {
    let budget = Budget {
        deliveries,
        bytes: 1 << 30,
        wait: Duration::from_millis(50),
    };
    loop {
        let batch = queue.receive(budget).await.unwrap();
        if batch.deliveries.is_empty() {
            return;
        }
        queue.settle(batch).await.unwrap();
    }
}

/// The least that could be done: taken off the list, read, deleted, one event each; no lock, no books, nothing that survives a crash.
async fn bare(jobs: usize) -> Rate {
    let run = Run::begin(filled());
    let client = Client::open(run.server.url()).unwrap();
    let mut connection: MultiplexedConnection =
        client.get_multiplexed_async_connection().await.unwrap();
    loop {
        let mut pop = cmd("RPOP");
        pop.arg("bull:audit:wait").arg(jobs);
        let ids: Option<Vec<String>> = pop.query_async(&mut connection).await.unwrap();
        let Some(ids) = ids else {
            return run.rate();
        };
        let (mut read, mut end) = (pipe(), pipe());
        for id in &ids {
            let key = format!("bull:audit:{id}");
            read.cmd("HMGET").arg(&key).arg("data").arg("opts");
            end.cmd("DEL").arg(&key).ignore();
            let event = end.cmd("XADD").arg("bull:audit:events").arg("*");
            event.arg("event").arg("completed").arg("jobId").arg(id);
            event.arg("returnvalue").arg("null").ignore();
        }
        let read: Vec<Vec<Vec<u8>>> = read.query_async(&mut connection).await.unwrap();
        assert_eq!(read.len(), ids.len());
        end.query_async::<()>(&mut connection).await.unwrap();
    }
}
