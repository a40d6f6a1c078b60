//! The reference of benchmarks: the same rows into the same schema, by a loop that does nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use audit_integrity::row::EventRow;
use audit_store::StoreError;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::connection;
use crate::error::Failure;
use crate::options::Options;
use crate::row::{INSERT, columns_of};
use crate::schema;

/// How a reference loop writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loop {
    /// Rows a transaction inserts.
    pub transaction_rows: usize,
    /// SQLite copies its log when it has so many pages of 4,096 bytes.
    pub checkpoint_pages: u32,
}

/// What a program does that sets nothing, and what one does that was tuned as the store is. The faster one is the reference.
pub const LOOPS: [Loop; 2] = [
    Loop {
        transaction_rows: 1_000,
        checkpoint_pages: 1_000,
    },
    Loop {
        transaction_rows: 5_000,
        checkpoint_pages: 4_096,
    },
];

/// What the reference loop reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareInsert {
    /// Rows inserted.
    pub rows: usize,
    /// From the first BEGIN to the last COMMIT, checkpoints of the log included.
    pub elapsed: Duration,
}

/// Inserts rows into the event table of a new database file, in transactions that are each fsync'd.
///
/// Same schema, same indexes, same settings as the store, but for the log, which SQLite copies by itself. No ledger, no
/// receipts, no threads.
///
/// # Errors
/// Why the rows cannot be inserted; the file must not exist.
pub fn bare_insert(path: &Path, rows: &[EventRow], by: Loop) -> Result<BareInsert, StoreError> {
    let away = |error| StoreError::Unavailable {
        what: "open the reference database",
        source: Box::new(error),
    };
    let mut connection = connection::writing(path, &Options::default()).map_err(away)?;
    insert(&mut connection, rows, by).map_err(|failure| failure.into_store("insert reference rows"))
}

/// What the reference read reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareRead {
    /// Rows read.
    pub rows: usize,
    /// Time it took.
    pub elapsed: Duration,
}

/// Reads every column of every row that [`bare_insert`] wrote, in leaf order, and does nothing with them.
///
/// # Errors
/// Why the rows cannot be read.
pub fn bare_read(path: &Path) -> Result<BareRead, StoreError> {
    let away = |error| StoreError::Unavailable {
        what: "open the reference database",
        source: Box::new(error),
    };
    let connection = connection::writing(path, &Options::default()).map_err(away)?;
    read(&connection).map_err(|failure| failure.into_store("read reference rows"))
}

fn read(connection: &Connection) -> Result<BareRead, Failure> {
    let began = Instant::now();
    let mut statement = connection.prepare("SELECT * FROM audit_event ORDER BY position")?;
    let columns = statement.column_count();
    let mut found = statement.query([])?;
    let (mut rows, mut bytes) = (0, 0);
    while let Some(row) = found.next()? {
        for column in 0..columns {
            bytes += match row.get_ref(column)? {
                ValueRef::Text(value) | ValueRef::Blob(value) => value.len(),
                ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
            };
        }
        rows += 1;
    }
    // The sum keeps the reads from being left out.
    std::hint::black_box(bytes);
    Ok(BareRead {
        rows,
        elapsed: began.elapsed(),
    })
}

fn insert(connection: &mut Connection, rows: &[EventRow], by: Loop) -> Result<BareInsert, Failure> {
    connection.pragma_update(None, "wal_autocheckpoint", by.checkpoint_pages)?;
    connection.execute_batch(&schema::all_sql())?;
    let began = Instant::now();
    for batch in rows.chunks(by.transaction_rows.max(1)) {
        let transaction = connection.transaction()?;
        {
            let mut statement = transaction.prepare_cached(INSERT)?;
            for row in batch {
                columns_of(row)?.insert(&mut statement)?;
            }
        }
        transaction.commit()?;
    }
    Ok(BareInsert {
        rows: rows.len(),
        elapsed: began.elapsed(),
    })
}
