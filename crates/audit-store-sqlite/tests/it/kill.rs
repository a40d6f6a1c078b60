//! SIGKILL at any moment: what was acknowledged is there, everything agrees, nothing is half-written.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use audit_store::conformance::sample::events;
use audit_store::conformance::scene::{LEDGER, Lane};
use audit_store::{Store, Via};
use audit_store_sqlite::{Options, SqliteStore};

use crate::place::{HandClock, agree, options};

/// Names the directory to the child; without it the loop runs here for a few commits.
const DIRECTORY: &str = "AUDIT_KILL_DIRECTORY";
/// How often the child is killed.
const KILLS: u64 = 20;
/// Commits of the loop when nobody kills it.
const COMMITS_UNKILLED: u64 = 30;

/// A log that is copied every few commits, so that kills meet that too.
fn busy() -> Options {
    Options {
        checkpoint_bytes: 128 << 10,
        truncate_bytes: 512 << 10,
        ..options()
    }
}

fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(directory, busy(), HandClock::new()).unwrap()
}

async fn lane(store: &Store) -> Lane {
    match store.ledgers.ledger(LEDGER).await.unwrap() {
        Some(_) => Lane::resume(store, LEDGER).await,
        None => Lane::open(store, LEDGER).await,
    }
}

/// Commits batches of changing size and says so after each, on a line of its own that begins with `committed`.
async fn commit_loop(store: &Store, commits: u64, mut said: impl Write) {
    let mut lane = lane(store).await;
    for commit in 0..commits {
        let size = lane.head.size;
        let count = 1 + (size * 31 + commit * 7) % 60;
        let prepared = lane.prepare(events(size..size + count)).receipted(size);
        store.writer.commit(prepared.commit()).await.unwrap();
        lane.advance(&prepared);
        writeln!(said, "\ncommitted {}", lane.head.size).unwrap();
        said.flush().unwrap();
    }
}

/// The loop that is killed; by itself it proves that its books agree when nobody does.
#[tokio::test]
async fn the_commit_loop_agrees_with_itself() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let open = open(Path::new(&directory));
        commit_loop(&open.store(), u64::MAX, std::io::stdout()).await;
    }
    let directory = tempfile::tempdir().unwrap();
    let open = open(directory.path());
    commit_loop(&open.store(), COMMITS_UNKILLED, std::io::sink()).await;
    assert!(agree(&open.store(), LEDGER).await >= COMMITS_UNKILLED);
    check_receipts(&open.store()).await;
}

fn spawn(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "kill::the_commit_loop_agrees_with_itself",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Kills the child some commits and some instructions after its start; gives back the last size it acknowledged.
fn kill_after(mut child: Child, round: u64) -> u64 {
    let commits = 1 + (round * 7_919) % 23;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    let mut seen = 0;
    while seen < commits {
        let line = lines
            .next()
            .expect("the child commits until it is killed")
            .unwrap();
        if let Some(size) = line.strip_prefix("committed ") {
            acknowledged = size.parse().unwrap();
            seen += 1;
        }
    }
    for _ in 0..round * 20_011 {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said between the last line and its end counts as well.
    for line in lines.map_while(Result::ok) {
        if let Some(size) = line.strip_prefix("committed ") {
            acknowledged = size.parse().unwrap();
        }
    }
    acknowledged
}

#[tokio::test]
async fn after_twenty_kills_every_acknowledged_commit_is_there_and_everything_agrees() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..KILLS {
        let acknowledged = kill_after(spawn(directory.path()), round);
        assert!(acknowledged > last, "the child went on where it ended");
        let open = open(directory.path());
        let size = agree(&open.store(), LEDGER).await;
        assert!(
            size >= acknowledged,
            "round {round}: {acknowledged} acknowledged, {size} stored"
        );
        check_receipts(&open.store()).await;
        open.close().await;
        last = size;
    }
}

/// Receipts, their totals and the events are three books of the same thing.
async fn check_receipts(store: &Store) {
    let rows = agree(store, LEDGER).await;
    let totals = store.receipts.totals(Via::Queue).await.unwrap();
    assert_eq!((totals.events, totals.stored), (rows, rows));
    let chunks = store
        .ledgers
        .chunks(LEDGER, audit_integrity::ledger::LeafIndex(0), u32::MAX)
        .await
        .unwrap();
    let frames: Vec<_> = chunks
        .iter()
        .map(|chunk| audit_store::conformance::sample::frame(chunk.first_leaf.0))
        .collect();
    let mut stored = 0;
    for frames in frames.chunks(1_000) {
        let receipts = store.receipts.find(frames).await.unwrap();
        assert_eq!(receipts.len(), frames.len(), "a chunk has its receipt");
        stored += receipts
            .iter()
            .map(|receipt| u64::from(receipt.stored))
            .sum::<u64>();
    }
    assert_eq!(stored, rows);
}
