//! A store in a directory of its own, with a clock driven by hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use audit_runtime::Clock;
use audit_store::Store;
use audit_store::conformance::TestStore;
pub(crate) use audit_store::conformance::scene::agree;
use audit_store_sqlite::{DATABASE_FILE, Options, SEARCH_FILE, SqliteStore};
use tempfile::TempDir;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000_000)))
    }

    pub(crate) fn pass(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A small store: tests open many.
pub(crate) fn options() -> Options {
    Options {
        write_cache_kib: 4_096,
        read_cache_kib: 1_024,
        readers: 2,
        ballast_bytes: 64 << 10,
        ..Options::default()
    }
}

/// A store under test.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) open: SqliteStore,
    pub(crate) clock: Arc<HandClock>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let (directory, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
        let open = SqliteStore::open(directory.path(), options(), clock.clone()).unwrap();
        Self {
            directory,
            open,
            clock,
        }
    }
}

#[async_trait]
impl TestStore for Place {
    fn store(&self) -> Store {
        self.open.store()
    }

    /// The files as they are at this moment are what a SIGKILL would leave: copied elsewhere and opened there, while the
    /// process that wrote them neither closes nor checkpoints.
    async fn crash(&mut self) {
        let image = tempfile::tempdir().unwrap();
        copy(self.directory.path(), image.path());
        self.open = SqliteStore::open(image.path(), options(), self.clock.clone()).unwrap();
        self.directory = image;
    }

    async fn pass(&mut self, micros: i64) {
        self.clock.pass(micros);
    }
}

/// Copies the store's files, but not the shared memory of its logs: that does not survive a process.
///
/// A reader is held meanwhile so that no log is cut back under the copy, and the logs go first: what is moved from a log to
/// its database after that stands in both.
pub(crate) fn copy(from: &Path, to: &Path) {
    let readers: Vec<_> = [DATABASE_FILE, SEARCH_FILE]
        .map(|name| hold(&from.join(name)))
        .into();
    let mut names: Vec<_> = std::fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.retain(|name| !name.to_string_lossy().ends_with("-shm"));
    names.sort_by_key(|name| !name.to_string_lossy().ends_with("-wal"));
    for name in names {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    drop(readers);
}

fn hold(path: &Path) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(path).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")
        .unwrap();
    reader
}
