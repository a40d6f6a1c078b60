//! SIGKILL at random moments: what was acknowledged is there, exactly once.
//!
//! The child is this test binary again, running [`child_enqueues_until_it_is_killed`] alone with the queue's path in its environment.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use audit_queue::{Consumer, Frame, Producer};
use audit_queue_embedded::{EmbeddedQueue, Options};
use audit_runtime::{Random, SystemRandom};

use crate::made::{budget, drain, frame, id, ids, open};

const PATH: &str = "QUEUE_OF_THE_CHILD";
const FIRST: &str = "FIRST_FRAME_OF_THE_CHILD";

/// Frame ids of one child begin here, of the next one this much later.
const IDS_OF_A_CHILD: u64 = 1_000_000;

/// Not a test of its own: without the environment it does nothing.
#[test]
fn child_enqueues_until_it_is_killed() {
    let (Some(path), Some(first)) = (std::env::var_os(PATH), std::env::var_os(FIRST)) else {
        return;
    };
    let first: u64 = first.to_str().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(Path::new(&path), first));
}

/// Eight tasks enqueue and say what was acknowledged; one consumer settles a part and says so before it asks.
async fn work(path: &Path, first: u64) {
    let queue = Arc::new(open(
        path,
        Options {
            tail_bytes_max: 4000,
            ..Options::default()
        },
    ));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move {
            for n in (first + task..).step_by(8) {
                queue.enqueue(some_frame(n)).await.unwrap();
                say(&format!("acknowledged {n}\n"));
            }
        });
    }
    tasks.spawn(async move {
        loop {
            let batch = queue.receive(budget(3)).await.unwrap();
            let numbers: Vec<u64> = ids(&batch)
                .iter()
                .map(|id| u64::from_be_bytes(id.0[8..].try_into().unwrap()))
                .collect();
            if numbers.first().is_some_and(|n| n % 3 == 0) {
                numbers.iter().for_each(|n| say(&format!("settling {n}\n")));
                queue.settle(batch).await.unwrap();
            } else {
                queue.release(batch).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    tasks.join_next().await.unwrap().unwrap();
}

fn some_frame(n: u64) -> Frame {
    frame(n, 1 + n as usize % 5)
}

/// One write call a line, so that a kill never leaves half of one.
fn say(line: &str) {
    std::io::stdout().write_all(line.as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_sigkill_exactly_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let mut acknowledged = BTreeSet::new();
    let mut settling = BTreeSet::new();
    for life in 0..20 {
        let (mut acks, settles) = live_and_die(&path, life * IDS_OF_A_CHILD);
        assert!(!acks.is_empty());
        acknowledged.append(&mut acks);
        settling.extend(settles);

        let queue = open(&path, Options::default());
        let waiting = waiting(&queue).await;
        for n in acknowledged.difference(&settling) {
            assert!(
                waiting.contains(n),
                "life {life}: frame {n} was acknowledged and is gone"
            );
        }
        let depth = queue.depth().await.unwrap();
        let events: u64 = waiting
            .iter()
            .map(|n| some_frame(*n).events.len() as u64)
            .sum();
        assert_eq!(
            (depth.frames, depth.events),
            (waiting.len() as u64, events),
            "the totals say what is there"
        );
    }
    let queue = open(&path, Options::default());
    let left = drain(&queue).await;
    assert_eq!(
        left.len(),
        left.iter().collect::<BTreeSet<_>>().len(),
        "each once"
    );
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.frames, depth.events, depth.bytes), (0, 0, 0));
    for n in &acknowledged {
        assert!(left.contains(&id(*n)) || settling.contains(n));
    }
}

/// Runs a child until it has said a random number of lines, kills it, and reads the rest of what it said.
fn live_and_die(path: &Path, first: u64) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let mut random = [0; 2];
    SystemRandom.fill(&mut random);
    let lines = usize::from(u16::from_le_bytes(random) % 600) + 1;
    let mut child = Killed(start(path, first));
    let mut output = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let (mut acknowledged, mut settling) = (BTreeSet::new(), BTreeSet::new());
    let mut seen = 0;
    while let Some(Ok(line)) = output.next() {
        if let Some((_, n)) = line.split_once("acknowledged ") {
            acknowledged.insert(n.parse().unwrap());
        } else if let Some((_, n)) = line.split_once("settling ") {
            settling.insert(n.parse().unwrap());
        }
        seen += 1;
        if seen == lines + 10 {
            child.0.kill().unwrap();
        }
    }
    (acknowledged, settling)
}

fn start(path: &Path, first: u64) -> Child {
    let first = first.to_string();
    let environment: [(&str, &OsStr); 2] = [(PATH, path.as_os_str()), (FIRST, first.as_ref())];
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::child_enqueues_until_it_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .envs(environment)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// No child outlives its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Everything that waits; it is given back by closing.
async fn waiting(queue: &EmbeddedQueue) -> BTreeSet<u64> {
    let mut waiting = BTreeSet::new();
    loop {
        let batch = queue.receive(budget(1000)).await.unwrap();
        if batch.deliveries.is_empty() {
            return waiting;
        }
        for id in ids(&batch) {
            assert!(
                waiting.insert(u64::from_be_bytes(id.0[8..].try_into().unwrap())),
                "twice: {id}"
            );
        }
    }
}
