//! A store in a directory of its own, with a clock driven by hand.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use audit_runtime::Clock;
use audit_store::Store;
use audit_store::conformance::TestStore;
use audit_store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_800_000_000_000_000)))
    }

    pub fn pass(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A small store: tests open many.
pub fn options() -> Options {
    Options { write_cache_kib: 4_096, read_cache_kib: 1_024, readers: 2, ballast_bytes: 64 << 10, ..Options::default() }
}

/// A store under test.
#[derive(Debug)]
pub struct Place {
    pub directory: TempDir,
    pub open: SqliteStore,
    pub clock: Arc<HandClock>,
}

impl Place {
    pub fn new() -> Self {
        let (directory, clock) = (tempfile::tempdir().unwrap(), HandClock::new());
        let open = SqliteStore::open(directory.path(), options(), clock.clone()).unwrap();
        Self { directory, open, clock }
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

/// Copies the store's files, but not the shared memory of its log: that does not survive a process.
pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
