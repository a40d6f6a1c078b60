//! How fast a ledger is verified, and what a bare read of the same rows costs.
//!
//! `taskset -c 0 cargo run --release -p audit-store-sqlite --example verification_speed -- 300000`
//!
//! One core: the reads run on a blocking thread, but never while the engine works. Processor time is printed beside the clock's,
//! because other work on the machine only lengthens the latter.

#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![allow(
    clippy::unwrap_used,
    reason = "an example without its store cannot go on"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use audit_event::{EventDraft, EventId, Timestamp};
use audit_integrity::bundle::Bundle;
use audit_integrity::claim::claim_of;
use audit_integrity::entry::{Place, Salt, seal};
use audit_integrity::head::{Head, LedgerState};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::tile::{TileBuilder, bytes_of};
use audit_integrity::verify::RunResult;
use audit_keydir::{FileAnchor, KeyDir};
use audit_pipeline::{
    Checkpointed, Directory, DirectoryPorts, Signer, SignerPorts, Verification, VerificationPorts,
    VerifyRequest,
};
use audit_runtime::{SystemClock, SystemRandom};
use audit_store::{Chunk, Commit, Store};
use audit_store_sqlite::{DATABASE_FILE, Options, SqliteStore};
use rusqlite::types::ValueRef;

const LEDGER: LedgerId = LedgerId::Events(0);
const OWNER: &str = "verification-speed";
/// Events of one commit.
const COMMIT: u64 = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let events: u64 = std::env::args()
        .nth(1)
        .map_or(300_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let keys = KeyDir::open_or_create(
        &dir.path().join("keys"),
        None,
        random.clone(),
        clock.clone(),
    )
    .unwrap();
    for ledger in [LEDGER, LedgerId::Directory] {
        keys.ensure_ledger(ledger).unwrap();
    }
    let keys = Arc::new(keys);
    let anchor = Arc::new(FileAnchor::create(&dir.path().join("anchor")).unwrap());
    let open =
        SqliteStore::open(&dir.path().join("store"), Options::default(), clock.clone()).unwrap();
    let store = open.store();
    let ports = DirectoryPorts::new(&store, keys.clone(), clock.clone(), random.clone());
    Directory::open(ports, keys.deployment_id(), OWNER, &[LEDGER])
        .await
        .unwrap();
    fill(&store, &keys, events).await;
    let mut signer = Signer::new(
        SignerPorts::new(&store, anchor.clone(), keys.clone()),
        Checkpointed::new(),
        OWNER,
    );
    let signing = Mark::now();
    signer.tick().await;
    rate(
        "signed (rows, entries and leaf hashes recomputed)",
        events,
        &signing,
    );

    let ports = VerificationPorts::new(&store, anchor, keys.clone(), clock, random);
    let verification = Verification::new(ports, keys.deployment_id());
    for _ in 0..3 {
        let reading = Mark::now();
        let bytes = bare_read(&dir.path().join("store").join(DATABASE_FILE));
        rate(
            &format!(
                "bare read of the same rows ({} bytes an event)",
                bytes / events
            ),
            events,
            &reading,
        );
        let verifying = Mark::now();
        let report = verification
            .verify(&VerifyRequest::default())
            .await
            .unwrap();
        assert_eq!(
            (report.result(), report.checked),
            (RunResult::Pass, events),
            "{:?}",
            report.findings.first()
        );
        rate("verified", events, &verifying);
    }
}

/// A moment by the clock and by the processor time of this process.
struct Mark {
    clock: Instant,
    processor: f64,
}

impl Mark {
    fn now() -> Self {
        Self {
            clock: Instant::now(),
            processor: processor_seconds(),
        }
    }
}

/// User and system time, from `/proc/self/stat` in hundredths of a second (`proc_pid_stat(5)`, fields 14 and 15).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks: f64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

fn rate(what: &str, events: u64, since: &Mark) {
    let (clock, processor) = (
        since.clock.elapsed().as_secs_f64(),
        processor_seconds() - since.processor,
    );
    let events = events as f64;
    println!(
        "{what}: {:.0} events/s, {:.0} per second of processor time",
        events / clock,
        events / processor
    );
}

/// Every column of every row, and nothing done with it.
fn bare_read(file: &Path) -> u64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement = connection
        .prepare("SELECT * FROM audit_event ORDER BY position")
        .unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query(()).unwrap();
    let mut bytes = 0;
    while let Some(row) = rows.next().unwrap() {
        for column in 0..columns {
            bytes += match row.get_ref(column).unwrap() {
                ValueRef::Text(text) => text.len(),
                ValueRef::Blob(blob) => blob.len(),
                _ => 8,
            };
        }
    }
    u64::try_from(bytes).unwrap()
}

async fn fill(store: &Store, keys: &KeyDir, events: u64) {
    let key = keys.lane_key().await.unwrap();
    let lease = store.leases.acquire(LEDGER, OWNER).await.unwrap().unwrap();
    let mut builder = TileBuilder::default();
    for first in (0..events).step_by(usize::try_from(COMMIT).unwrap()) {
        let mut tiles = Vec::new();
        let sealed: Vec<_> = (first..events.min(first + COMMIT)).map(sealed).collect();
        sealed
            .iter()
            .for_each(|event| builder.push(event.leaf_hash, &mut tiles));
        let leaves: Vec<_> = sealed.iter().map(|event| event.leaf_hash).collect();
        let chunk = Chunk {
            first_leaf: LeafIndex(first),
            count: u32::try_from(sealed.len()).unwrap(),
            entries: Bundle::of(sealed.iter().map(|event| event.entry.as_slice()))
                .unwrap()
                .compress(),
            leaf_hashes: bytes_of(&leaves),
        };
        let head = Head::seal(
            &key,
            &keys.origin(LEDGER),
            lease.epoch,
            LedgerState::Open,
            builder.range(),
        );
        let commit = Commit {
            lease: &lease,
            expected_size: first,
            chunk: Some(chunk),
            events: &sealed,
            controls: &[],
            tiles: &tiles,
            head: &head,
            dead_letters: &[],
            receipts: &[],
        };
        store.writer.commit(commit).await.unwrap();
    }
    store.leases.release(&lease).await.unwrap();
}

/// An event of some 440 canonical bytes, the size in the issue's orientation.
fn sealed(n: u64) -> audit_integrity::entry::SealedEvent {
    let id = EventId::from_bytes(u128::from(n).to_be_bytes());
    let text = format!(
        r#"{{"action":"fhir.patient.read","correlationId":"0af7651916cd43dd8448eb211c{n:06}","dataClassification":"PHI","details":{{"note":"{}"}},"id":"{id}","organizationId":"org-67890","principalId":"user-{:05}","receivedAt":"2026-01-02T03:04:06.000000Z","status":"success","targetResourceId":"patient-{n}","targetResourceType":"Patient","timestamp":"2026-01-02T03:04:05.000000Z"}}"#,
        "x".repeat(40),
        n % 10_000,
    );
    let draft = EventDraft::from_canonical(text.into_bytes()).unwrap();
    let claim = claim_of(draft.event());
    let sealed_at = Timestamp::clamped(1_767_323_047_000_000);
    seal(
        draft,
        claim,
        &Place {
            ledger: LEDGER,
            index: LeafIndex(n),
            sealed_at,
            salt: Salt([7; 16]),
        },
    )
}
