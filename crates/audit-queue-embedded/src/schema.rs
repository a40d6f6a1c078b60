//! The file: its tables, and what is done when it is opened.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::options::{OpenError, Options};
use crate::rows::{self, Totals};

/// Format of the file (`user_version`).
const FORMAT: i64 = 1;

/// `AWQ1`: tells `file` and people whose database this is.
const APPLICATION_ID: i64 = 0x4157_5131;

/// What the log file keeps when it is empty, so that settling works on a full disk; and what it is cut down to after a burst.
const LOG_KEPT_BYTES: i64 = 16 << 20;

/// `seq` is the order of the queue and is never used again. `totals` is one row, written by every transaction:
/// `delivered_to` is the first `seq` that was not handed out by the process that wrote it.
const TABLES: &str = "
CREATE TABLE frame (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    arrived INTEGER NOT NULL,
    events INTEGER NOT NULL,
    internal INTEGER NOT NULL,
    redelivered INTEGER NOT NULL,
    frame BLOB NOT NULL
) STRICT;
CREATE TABLE settled (
    batch INTEGER PRIMARY KEY,
    ids BLOB NOT NULL
) STRICT;
CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    next_seq INTEGER NOT NULL,
    delivered_to INTEGER NOT NULL,
    enqueued INTEGER NOT NULL,
    enqueued_internal INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    events INTEGER NOT NULL,
    events_internal INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    bytes_internal INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
";

/// What the file says when it is opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) writing: Connection,
    pub(crate) totals: Totals,
    /// First frame that waits, or the next one.
    pub(crate) first_seq: u64,
    pub(crate) settled: Vec<rows::SettledBatch>,
}

/// Opens or creates the file for writing and counts what a dead process had been given.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Opened, OpenError> {
    let database = |source| OpenError::Database {
        path: path.to_owned(),
        source,
    };
    let mut writing = Connection::open(path).map_err(database)?;
    let found = prepare(&mut writing, options).map_err(database)?;
    if found > FORMAT {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
        });
    }
    recover(writing).map_err(database)
}

/// A connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let open = || {
        let reading = Connection::open(path)?;
        reading.pragma_update(None, "query_only", true)?;
        reading.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(reading)
    };
    open().map_err(|source| OpenError::Database {
        path: path.to_owned(),
        source,
    })
}

/// Sets the connection up and makes the tables when the file is new; answers the file's format.
fn prepare(writing: &mut Connection, options: &Options) -> rusqlite::Result<i64> {
    // Takes effect only before the first table is made.
    writing.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    writing.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    writing.pragma_update(None, "synchronous", "FULL")?;
    // The writer decides when.
    writing.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    writing.pragma_update_and_check(None, "journal_size_limit", LOG_KEPT_BYTES, |_| Ok(()))?;
    writing.busy_timeout(std::time::Duration::from_secs(5))?;
    writing.set_prepared_statement_cache_capacity(32);
    if let Some(pages) = options.pages_max {
        writing.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    let found: i64 = writing.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == 0 {
        let making = writing.transaction()?;
        making.execute_batch(TABLES)?;
        making.pragma_update(None, "application_id", APPLICATION_ID)?;
        making.pragma_update(None, "user_version", FORMAT)?;
        making.commit()?;
    }
    Ok(found)
}

/// Frames that a process held when it died were delivered once more than they say.
fn recover(mut writing: Connection) -> rusqlite::Result<Opened> {
    let recovering = writing.transaction()?;
    recovering.execute(
        "UPDATE frame SET redelivered = redelivered + 1 WHERE seq < (SELECT delivered_to FROM totals)",
        [],
    )?;
    recovering.execute("UPDATE totals SET delivered_to = 0", [])?;
    let totals = rows::totals(&recovering)?;
    let first: Option<u64> = recovering
        .query_row("SELECT seq FROM frame ORDER BY seq LIMIT 1", [], |row| {
            row.get(0)
        })
        .optional()?;
    let settled = rows::settled(&recovering)?;
    recovering.commit()?;
    Ok(Opened {
        writing,
        first_seq: first.unwrap_or(totals.next_seq),
        totals,
        settled,
    })
}
