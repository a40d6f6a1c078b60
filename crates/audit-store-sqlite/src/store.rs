//! Opening a store, and the handle of what is open.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use audit_event::Timestamp;
use audit_store::leases::LocalClock;
use audit_store::{Store, StoreError};

use crate::ballast::Ballast;
use crate::connection;
use crate::database::Database;
use crate::error::{Failure, OpenError, malformed, refused};
use crate::lock::{DirectoryLock, make_directory};
use crate::options::Options;
use crate::readers::Readers;
use crate::schema;
use crate::text::TextWriter;
use crate::writer::{WriteSide, Writer};

/// Name of the database file in the store's directory.
pub const DATABASE_FILE: &str = "audit.db";
/// Name of the full-text index in the store's directory.
pub const SEARCH_FILE: &str = "search.db";

/// An opened store: its ports, and what only its opener may do.
///
/// Dropping it and every port closes it too; [`Self::close`] does so in order and at a known time.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Arc<Database>,
    directory: PathBuf,
}

/// How a store is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of the log that are not copied into the database file yet, as of the last write.
    pub log_bytes: u64,
    /// Bytes of the full-text index.
    pub search_bytes: u64,
    /// Whether the ballast is held; `false` means that the disk was full.
    pub ballast_held: bool,
}

impl SqliteStore {
    /// Opens the store of a directory, makes both when they are missing, and migrates it unless told not to.
    ///
    /// Blocks on the disk; takes the directory's lock for as long as the store is open. Recovery after a crash is this
    /// call and nothing else: SQLite drops what the log holds of an unfinished commit.
    ///
    /// # Errors
    /// Why it cannot be opened; [`OpenError::InUse`] names the process that has it.
    pub fn open(directory: &Path, options: Options, clock: LocalClock) -> Result<Self, OpenError> {
        make_directory(directory)?;
        let lock = DirectoryLock::take(directory)?;
        let path = directory.join(DATABASE_FILE);
        let io = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        let connection = connection::writing(&path, &options)?;
        let ballast = Ballast::new(directory, options.ballast_bytes);
        let log = directory.join(format!("{DATABASE_FILE}-wal"));
        let mut side = WriteSide::new(connection, log, ballast, options.clone());
        prepare_schema(&mut side, &path, &options, &clock)?;
        let search = directory.join(SEARCH_FILE);
        let text = options
            .text_index
            .then(|| TextWriter::open(&search, &options))
            .transpose()?;
        let readers = Readers::new(
            path.clone(),
            options.text_index.then_some(search),
            options.clone(),
        );
        let writer = Writer::start(side).map_err(io)?;
        let lock = Mutex::new(Some(lock));
        let database = Arc::new(Database {
            readers,
            writer,
            text,
            clock,
            options,
            lock,
        });
        Ok(Self {
            database,
            directory: directory.to_owned(),
        })
    }

    /// The ports.
    #[must_use]
    pub fn store(&self) -> Store {
        let database = &self.database;
        Store {
            writer: Arc::clone(database) as _,
            ledgers: Arc::clone(database) as _,
            events: Arc::clone(database) as _,
            query: Arc::clone(database) as _,
            leases: Arc::clone(database) as _,
            checkpoints: Arc::clone(database) as _,
            dead_letters: Arc::clone(database) as _,
            receipts: Arc::clone(database) as _,
            api_keys: Arc::clone(database) as _,
            cursors: Arc::clone(database) as _,
            runs: Arc::clone(database) as _,
            configs: Arc::clone(database) as _,
            alerts: Arc::clone(database) as _,
            text: database
                .text
                .as_ref()
                .map(|_writer| Arc::clone(database) as _),
            migrations: Arc::clone(database) as _,
        }
    }

    /// Closes it: finishes reads and writes that have begun, copies the log into the database file, gives up the lock.
    /// Afterwards every port answers that the store is not available. Closing twice is fine.
    pub async fn close(&self) {
        self.database.readers.close().await;
        let database = Arc::clone(&self.database);
        let stop = move || {
            if let Some(text) = &database.text {
                text.close();
            }
            database.writer.stop();
            drop(
                database
                    .lock
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            );
        };
        if let Err(error) = tokio::task::spawn_blocking(stop).await {
            tracing::error!(%error, "closing the store panicked");
        }
    }

    /// Writes a consistent, compact copy of the database to a file that does not exist yet, while commits go on.
    /// The copy holds a read transaction open as long as it takes, so the log grows meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the file exists; else why it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        if to.exists() {
            return Err(refused(format!("{} exists", to.display())));
        }
        let to = to.to_string_lossy().into_owned();
        let copy = move |connection: &mut rusqlite::Connection| {
            connection.execute("VACUUM main INTO ?1", [to])?;
            Ok(())
        };
        self.database.read("back up the store", copy).await
    }

    /// Sizes and state, for health checks.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let bytes = |name: &str| {
            std::fs::metadata(self.directory.join(name)).map_or(0, |found| found.len())
        };
        let writer = &self.database.writer.stats;
        Stats {
            database_bytes: bytes(DATABASE_FILE),
            log_bytes: writer.log_bytes.load(Ordering::Relaxed),
            search_bytes: bytes(SEARCH_FILE),
            ballast_held: writer.ballast_held.load(Ordering::Relaxed),
        }
    }
}

/// Brings the schema up to date, unless a newer program has been there.
fn prepare_schema(
    side: &mut WriteSide,
    path: &Path,
    options: &Options,
    clock: &LocalClock,
) -> Result<(), OpenError> {
    let found = schema::applied(&side.connection).map_err(|failure| schema_error(path, failure))?;
    if found > schema::known() && options.migrate {
        return Err(OpenError::Newer {
            found,
            known: schema::known(),
        });
    }
    if options.migrate {
        let no_time = || schema_error(path, malformed("the clock shows no such time").into());
        let now = Timestamp::from_micros(clock.now_micros()).ok_or_else(no_time)?;
        schema::up(side, now).map_err(|failure| schema_error(path, failure))?;
    }
    Ok(())
}

fn schema_error(path: &Path, failure: Failure) -> OpenError {
    OpenError::Schema {
        path: path.to_owned(),
        source: Box::new(failure.into_store("migrate")),
    }
}
