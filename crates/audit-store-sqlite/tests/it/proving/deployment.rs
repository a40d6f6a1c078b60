//! A deployment in one directory: store, keys, anchor. Filled once, copied for every case.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audit_event::{Classification, EventDraft, EventId, Severity, Status};
use audit_integrity::bundle::Bundle;
use audit_integrity::claim::claim_of;
use audit_integrity::entry::{Place, Salt, SealedEvent, seal};
use audit_integrity::head::{Head, LedgerState};
use audit_integrity::keys::KeySource;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::EventRow;
use audit_integrity::tile::{TileBuilder, bytes_of};
use audit_integrity::verify::{Finding, FindingKind, Outcome, Report};
use audit_keydir::{FileAnchor, KeyDir};
use audit_pipeline::{
    Checkpointed, Directory, DirectoryPorts, Signer, SignerPorts, Verification, VerificationPorts,
    VerifyRequest,
};
use audit_runtime::{SystemClock, SystemRandom};
use audit_store::conformance::sample;
use audit_store::{Chunk, Commit, Store};
use audit_store_sqlite::{DATABASE_FILE, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::place::{copy, options};

pub(crate) const LEDGER: LedgerId = LedgerId::Events(0);
pub(crate) const OWNER: &str = "test-process";
/// Events of the filled deployment: seven full tiles and a partial one.
pub(crate) const FILLED: u64 = 2_000;
/// Size at which `old/` was copied.
pub(crate) const OLD: u64 = 1_500;

pub(crate) struct Deployment {
    pub(crate) dir: TempDir,
    pub(crate) open: SqliteStore,
    pub(crate) store: Store,
    pub(crate) keys: Arc<KeyDir>,
    pub(crate) anchor: Arc<FileAnchor>,
    pub(crate) hub: Checkpointed,
}

impl Deployment {
    /// Opens what is in the directory, or begins there.
    pub(crate) fn open(dir: TempDir) -> Self {
        let clock = Arc::new(SystemClock);
        let keys = KeyDir::open_or_create(
            &dir.path().join("keys"),
            Some("audit.example/test"),
            Arc::new(SystemRandom),
            clock.clone(),
        );
        let keys = keys.unwrap();
        keys.ensure_ledger(LEDGER).unwrap();
        keys.ensure_ledger(LedgerId::Directory).unwrap();
        let anchor = FileAnchor::create(&dir.path().join("anchor")).unwrap();
        let open = SqliteStore::open(&dir.path().join("store"), options(), clock).unwrap();
        let (store, hub) = (open.store(), Checkpointed::new());
        Self {
            dir,
            open,
            store,
            keys: Arc::new(keys),
            anchor: Arc::new(anchor),
            hub,
        }
    }

    /// A deployment with nothing but its two ledgers.
    pub(crate) async fn begin() -> Self {
        let deployment = Self::open(tempfile::tempdir().unwrap());
        deployment.directory().await;
        deployment
    }

    /// A copy of one with [`FILLED`] events, all signed and anchored, a snapshot in its directory, and its own older self in `old/`.
    pub(crate) async fn filled() -> Self {
        static FILLED_ONCE: OnceCell<TempDir> = OnceCell::const_new();
        let template = FILLED_ONCE.get_or_init(fill).await;
        let dir = tempfile::tempdir().unwrap();
        copy_tree(template.path(), dir.path());
        Self::open(dir)
    }

    pub(crate) async fn directory(&self) -> Directory {
        let ports = DirectoryPorts::new(
            &self.store,
            self.keys.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        );
        Directory::open(ports, self.keys.deployment_id(), OWNER, &[LEDGER])
            .await
            .unwrap()
    }

    pub(crate) fn signer(&self) -> Signer {
        let ports = SignerPorts::new(&self.store, self.anchor.clone(), self.keys.clone());
        Signer::new(ports, self.hub.clone(), OWNER)
    }

    pub(crate) fn verification(&self) -> Verification {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let ports = VerificationPorts::new(
            &self.store,
            self.anchor.clone(),
            self.keys.clone(),
            clock,
            random,
        );
        Verification::new(ports, self.keys.deployment_id())
    }

    pub(crate) async fn verify(&self) -> Report {
        self.verification()
            .verify(&VerifyRequest::default())
            .await
            .unwrap()
    }

    /// Commits the events of these numbers in one commit.
    pub(crate) async fn append(&self, numbers: std::ops::Range<u64>) {
        let lease = self
            .store
            .leases
            .acquire(LEDGER, OWNER)
            .await
            .unwrap()
            .unwrap();
        let size = self.size().await;
        let mut builder = self.builder(size).await;
        let mut tiles = Vec::new();
        let events = sealed(numbers, size);
        for event in &events {
            builder.push(event.leaf_hash, &mut tiles);
        }
        let key = self.keys.lane_key().await.unwrap();
        let head = Head::seal(
            &key,
            &self.keys.origin(LEDGER),
            lease.epoch,
            LedgerState::Open,
            builder.range(),
        );
        let commit = Commit {
            lease: &lease,
            expected_size: size,
            chunk: Some(chunk_of(&events)),
            events: &events,
            controls: &[],
            tiles: &tiles,
            head: &head,
            dead_letters: &[],
            receipts: &[],
        };
        self.store.writer.commit(commit).await.unwrap();
        self.store.leases.release(&lease).await.unwrap();
    }

    pub(crate) async fn size(&self) -> u64 {
        self.store
            .ledgers
            .ledger(LEDGER)
            .await
            .unwrap()
            .unwrap()
            .head
            .size
    }

    /// The tree of the first leaves, from the chunks.
    pub(crate) async fn builder(&self, size: u64) -> TileBuilder {
        let mut builder = TileBuilder::default();
        let chunks = self
            .store
            .ledgers
            .chunks(LEDGER, LeafIndex(0), u32::MAX)
            .await
            .unwrap();
        let leaves = chunks
            .iter()
            .flat_map(|chunk| audit_integrity::tile::digests_of(&chunk.leaf_hashes));
        leaves
            .take(usize::try_from(size).unwrap())
            .for_each(|leaf| builder.push(leaf, &mut Vec::new()));
        builder
    }

    /// A second connection to the database, as an attacker has it.
    pub(crate) fn attack(&self) -> Connection {
        let connection =
            Connection::open(self.dir.path().join("store").join(DATABASE_FILE)).unwrap();
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .unwrap();
        connection
            .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")
            .unwrap();
        connection
    }
}

impl Deployment {
    /// Runs statements as an attacker.
    pub(crate) fn tamper(&self, sql: &str) {
        self.attack().execute_batch(sql).unwrap();
    }

    /// What an attacker's query says.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.attack().query_row(sql, (), |row| row.get(0)).unwrap()
    }

    /// Puts another chunk and another row in the places of those that are there.
    pub(crate) fn rewrite(&self, first: i64, chunk: &Chunk, row: &EventRow) {
        let connection = self.attack();
        let sql = "UPDATE ledger_chunk SET entries = ?1, leaf_hashes = ?2 WHERE position = ?3";
        let changed = connection.execute(sql, (&chunk.entries, &chunk.leaf_hashes, first));
        assert_eq!(changed.unwrap(), 1);
        let sql = "UPDATE audit_event SET id = ?1, timestamp = ?2, principal_id = ?3, target_resource_id = ?4, correlation_id = ?5,
            status = ?6, severity = ?7, data_classification = ?8, leaf_hash = ?9, claim = ?10, salt = ?11, canonical = ?12
            WHERE position = ?13";
        let values = rusqlite::params![
            row.id.as_bytes(),
            row.timestamp.micros(),
            row.principal_id,
            row.target_resource_id,
            row.correlation_id,
            row.status as i64,
            row.severity as i64,
            row.data_classification as i64,
            row.leaf_hash.0,
            row.claim.0,
            row.salt.as_ref().unwrap().0,
            std::str::from_utf8(row.canonical.as_deref().unwrap()).unwrap(),
            row.leaf_index.0.cast_signed(),
        ];
        assert_eq!(connection.execute(sql, values).unwrap(), 1);
    }
}

/// The id of the event at a leaf of a filled deployment: event numbers are leaf indexes.
pub(crate) fn id(leaf: u64) -> EventId {
    sample::id(leaf)
}

/// Events of these numbers sealed from `first` on, with every column filled.
pub(crate) fn sealed(numbers: std::ops::Range<u64>, first: u64) -> Vec<SealedEvent> {
    let place = |index| Place {
        ledger: LEDGER,
        index: LeafIndex(index),
        sealed_at: sample::at(2_000_000),
        salt: Salt([u8::try_from(index % 251).unwrap(); 16]),
    };
    numbers
        .zip(first..)
        .map(|(n, index)| (draft(n), index))
        .map(|(draft, index)| seal(draft.clone(), claim_of(draft.event()), &place(index)))
        .collect()
}

fn draft(n: u64) -> EventDraft {
    sample::event(n, |event| {
        let statement = &mut event.statement;
        statement.principal_id = Some(format!("user-{}", n % 17));
        statement.target_resource_type = Some("patient".to_owned());
        statement.target_resource_id = Some(format!("p \"{n}\""));
        statement.correlation_id = Some(format!("c-{n}"));
        statement.status =
            [Status::Attempt, Status::Success, Status::Failure][usize::try_from(n % 3).unwrap()];
        statement.severity = n.is_multiple_of(2).then_some(Severity::Warning);
        statement.data_classification = n.is_multiple_of(5).then_some(Classification::Phi);
    })
}

pub(crate) fn chunk_of(events: &[SealedEvent]) -> Chunk {
    let leaves: Vec<_> = events.iter().map(|event| event.leaf_hash).collect();
    Chunk {
        first_leaf: events[0].header.index,
        count: u32::try_from(events.len()).unwrap(),
        entries: Bundle::of(events.iter().map(|event| event.entry.as_slice()))
            .unwrap()
            .compress(),
        leaf_hashes: bytes_of(&leaves),
    }
}

async fn fill() -> TempDir {
    let deployment = Deployment::begin().await;
    let mut directory = deployment.directory().await;
    let mut signer = deployment.signer();
    // Commits of every size, a checkpoint after some of them.
    let ends = [
        1, 3, 40, 300, 600, 601, 900, 1_200, OLD, 1_501, 1_800, FILLED,
    ];
    let mut first = 0;
    for end in ends {
        deployment.append(first..end).await;
        first = end;
        if end != 601 {
            signer.tick().await;
        }
        if end == OLD {
            directory.snapshot().await.unwrap();
            signer.tick().await;
            let old = deployment.dir.path().join("old");
            std::fs::create_dir(&old).unwrap();
            copy(&deployment.dir.path().join("store"), &old);
        }
    }
    directory.snapshot().await.unwrap();
    signer.tick().await;
    deployment.open.close().await;
    deployment.dir
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(&target)
                .unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Puts the older copy of the database in the place of the newer one, as a restored backup would.
pub(crate) async fn roll_back(deployment: Deployment) -> Deployment {
    deployment.open.close().await;
    let Deployment {
        dir, open, store, ..
    } = deployment;
    drop((open, store));
    let target: PathBuf = dir.path().join("store");
    std::fs::remove_dir_all(&target).unwrap();
    std::fs::rename(dir.path().join("old"), &target).unwrap();
    Deployment::open(dir)
}

/// What a finding must be: outcome, kind, leaf, event.
pub(crate) type Expected = (Outcome, FindingKind, Option<u64>, Option<EventId>);

pub(crate) fn shape(finding: &Finding) -> Expected {
    (
        finding.outcome,
        finding.kind,
        finding.leaf_index.map(|leaf| leaf.0),
        finding.event_id,
    )
}
