//! `TextIndex`: full text in a file of its own, with its own cursors; lags, and can be thrown away and rebuilt.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_integrity::row::EventRow;
use audit_store::{StoreError, TextIndex};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::code::{int, ledger_code, position, uint};
use crate::database::Database;
use crate::error::{Failure, OpenError, refused};
use crate::options::Options;

mod words;

/// Version of the file; another version is thrown away and rebuilt, because everything in it follows the ledgers.
const VERSION: i32 = 2;
/// Page cache of the index's own connection, in KiB.
const CACHE_KIB: i64 = 4 * 1_024;

/// Contentless: only the index is kept, the text stays in `audit_event`. No sizes either, which only ranking would need.
/// rowid = position.
const SCHEMA: &str = "
    DROP TABLE IF EXISTS event_text;
    DROP TABLE IF EXISTS text_cursor;
    CREATE VIRTUAL TABLE event_text USING fts5 (words, content = '', columnsize = 0, tokenize = 'unicode61');
    CREATE TABLE text_cursor (ledger INTEGER NOT NULL PRIMARY KEY, next INTEGER NOT NULL) STRICT;";

/// The connection that writes the index. Never the one that commits: indexing delays no acknowledgement.
#[derive(Debug)]
pub(crate) struct TextWriter {
    // None once closed. Held for one batch at a time, on blocking threads only.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl TextWriter {
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let database = |source| OpenError::Database {
            path: path.to_owned(),
            source,
        };
        let connection = open(path, options).map_err(database)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(Some(connection))),
        })
    }

    /// Empties the index; its cursors start again at 0.
    pub(crate) async fn clear(&self) -> Result<(), StoreError> {
        self.write("clear the text index", |transaction| {
            Ok(transaction.execute_batch(SCHEMA)?)
        })
        .await
    }

    pub(crate) fn close(&self) {
        drop(
            self.connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    async fn write<T, F>(&self, what: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let job = move || {
            let mut guard = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let closed = StoreError::Unavailable {
                what,
                source: "the store is closed".into(),
            };
            let connection = guard.as_mut().ok_or(closed)?;
            in_transaction(connection, work).map_err(|failure| failure.into_store(what))
        };
        let away = |join| StoreError::Unavailable {
            what,
            source: Box::new(join),
        };
        tokio::task::spawn_blocking(job).await.map_err(away)?
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let transaction = connection.transaction()?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn open(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL: after a power cut the file is whole and a little older; its cursor says so and the rest is indexed again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let version: i32 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    if version != VERSION {
        let transaction = connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    Ok(connection)
}

#[async_trait]
impl TextIndex for Database {
    async fn cursor(&self, ledger: LedgerId) -> Result<LeafIndex, StoreError> {
        let code = ledger_code(ledger);
        self.text_writer()?
            .write("read the text cursor", move |transaction| {
                cursor(transaction, code)
            })
            .await
    }

    async fn index(
        &self,
        ledger: LedgerId,
        from: LeafIndex,
        next: LeafIndex,
        rows: &[EventRow],
    ) -> Result<(), StoreError> {
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            if row.ledger != ledger || row.leaf_index < from || row.leaf_index >= next {
                return Err(refused("a row outside of the range to be indexed"));
            }
            // An expired body leaves nothing to look for.
            if let Some(canonical) = &row.canonical {
                texts.push((
                    position(row.ledger, row.leaf_index.0)?,
                    words::of(canonical),
                ));
            }
        }
        let (code, from, next) = (ledger_code(ledger), from, int(next.0)?);
        let write =
            move |transaction: &Transaction<'_>| index(transaction, code, from, next, &texts);
        self.text_writer()?.write("index text", write).await
    }
}

impl Database {
    fn text_writer(&self) -> Result<&TextWriter, StoreError> {
        self.text
            .as_ref()
            .ok_or_else(|| refused("this store has no text index"))
    }
}

fn cursor(connection: &Connection, ledger: i16) -> Result<LeafIndex, Failure> {
    let sql = "SELECT next FROM text_cursor WHERE ledger = ?1";
    let next: Option<i64> = connection
        .query_row(sql, [ledger], |row| row.get(0))
        .optional()?;
    Ok(LeafIndex(uint(next.unwrap_or(0), "text cursor")?))
}

fn index(
    transaction: &Transaction<'_>,
    ledger: i16,
    from: LeafIndex,
    next: i64,
    texts: &[(i64, String)],
) -> Result<(), Failure> {
    let at = cursor(transaction, ledger)?;
    if at != from {
        return Err(refused(format!("the text index is at {}, not at {}", at.0, from.0)).into());
    }
    let mut insert =
        transaction.prepare_cached("INSERT INTO event_text (rowid, words) VALUES (?1, ?2)")?;
    for (position, text) in texts {
        insert.execute(params![position, text])?;
    }
    let sql = "INSERT INTO text_cursor (ledger, next) VALUES (?1, ?2)
         ON CONFLICT (ledger) DO UPDATE SET next = excluded.next";
    transaction.execute(sql, params![ledger, next])?;
    Ok(())
}
