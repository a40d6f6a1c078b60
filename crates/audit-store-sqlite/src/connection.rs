//! Opening SQLite connections the one way this crate uses them.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::options::Options;

/// "AUDT": tells our file from any other SQLite database.
const APPLICATION_ID: i32 = 0x4155_4454;
/// Bytes a page. Index updates touch pages all over the tree and each goes to the log whole, so small pages write less.
pub(crate) const PAGE_BYTES: u32 = 4_096;
/// Statements kept prepared on a connection; more than this crate has.
const STATEMENTS: usize = 96;

/// The one connection that writes.
pub(crate) fn writing(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let database = |source| OpenError::Database {
        path: path.to_owned(),
        source,
    };
    let connection = Connection::open(path).map_err(database)?;
    claim(&connection, path)?;
    set_writing(&connection, options).map_err(database)?;
    Ok(connection)
}

/// Marks a new file as ours, and refuses one that is not.
fn claim(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let database = |source| OpenError::Database {
        path: path.to_owned(),
        source,
    };
    let found: i32 = connection
        .query_row("PRAGMA application_id", (), |row| row.get(0))
        .map_err(database)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
        .map_err(database)?;
    match found {
        APPLICATION_ID => Ok(()),
        0 if tables == 0 => {
            connection
                .pragma_update(None, "page_size", PAGE_BYTES)
                .map_err(database)?;
            connection
                .pragma_update(None, "application_id", APPLICATION_ID)
                .map_err(database)
        }
        _ => Err(OpenError::Foreign {
            path: path.to_owned(),
        }),
    }
}

fn set_writing(connection: &Connection, options: &Options) -> rusqlite::Result<()> {
    set_common(connection, options, options.write_cache_kib)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a commit is on the disk when it returns. NORMAL would only promise that it is not torn.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The write thread copies the log into the file itself, after it has answered.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    if let Some(pages) = options.pages_max {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(())
}

fn set_common(connection: &Connection, options: &Options, cache_kib: u32) -> rusqlite::Result<()> {
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    // Negative means KiB instead of pages.
    connection.pragma_update(None, "cache_size", -i64::from(cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// A connection that only reads; `search` is attached under that name.
pub(crate) fn reading(
    path: &Path,
    search: Option<&Path>,
    options: &Options,
) -> Result<Connection, OpenError> {
    let database = |source| OpenError::Database {
        path: path.to_owned(),
        source,
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database)?;
    set_common(&connection, options, options.read_cache_kib).map_err(database)?;
    if let Some(search) = search {
        connection
            .execute("ATTACH DATABASE ?1 AS search", [search.to_string_lossy()])
            .map_err(database)?;
    }
    Ok(connection)
}
