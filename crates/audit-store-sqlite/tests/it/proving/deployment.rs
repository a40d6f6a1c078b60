//! A deployment in one directory: store, keys, anchor. Filled once, copied for every case.

use std::path::PathBuf;
use std::sync::Arc;

use audit_integrity::ledger::LedgerId;
use audit_integrity::row::EventRow;
use audit_keydir::{FileAnchor, KeyDir};
use audit_pipeline::Checkpointed;
use audit_runtime::{SystemClock, SystemRandom};
use audit_store::{Chunk, Store};
use audit_store_sqlite::{DATABASE_FILE, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::parts::copy_tree;
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
