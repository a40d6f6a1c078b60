//! `Checkpoints`: signed notes, insert-only.

use async_trait::async_trait;
use audit_integrity::checkpoint::SignedCheckpoint;
use audit_integrity::ledger::LedgerId;
use audit_store::checkpoints::StoredNote;
use audit_store::{Checkpoints, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::code::{address, bound, position};
use crate::database::Database;
use crate::error::{Failure, malformed, refused};

#[async_trait]
impl Checkpoints for Database {
    async fn insert(
        &self,
        ledger: LedgerId,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), StoreError> {
        let at = position(ledger, checkpoint.checkpoint.size)?;
        let note = checkpoint.note.clone();
        self.write("keep a checkpoint", move |transaction| {
            insert(transaction, at, &note)
        })
        .await
    }

    async fn newest(&self, ledger: LedgerId) -> Result<Option<StoredNote>, StoreError> {
        let range = (position(ledger, 0)?, bound(ledger, u64::MAX)?);
        let sql = "SELECT position, note FROM checkpoint WHERE position >= ?1 AND position <= ?2 ORDER BY position DESC LIMIT 1";
        self.read("read the newest checkpoint", move |connection| {
            one(connection, sql, range)
        })
        .await
    }

    async fn covering(
        &self,
        ledger: LedgerId,
        size: u64,
    ) -> Result<Option<StoredNote>, StoreError> {
        let range = (bound(ledger, size)?, bound(ledger, u64::MAX)?);
        let sql = "SELECT position, note FROM checkpoint WHERE position >= ?1 AND position <= ?2 ORDER BY position LIMIT 1";
        self.read("read a checkpoint", move |connection| {
            one(connection, sql, range)
        })
        .await
    }

    async fn after(
        &self,
        ledger: LedgerId,
        size: u64,
        max: u32,
    ) -> Result<Vec<StoredNote>, StoreError> {
        let range = (bound(ledger, size)?, bound(ledger, u64::MAX)?, max);
        self.read("read checkpoints", move |connection| {
            let sql = "SELECT position, note FROM checkpoint WHERE position > ?1 AND position <= ?2 ORDER BY position LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(range)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(found)
        })
        .await
    }
}

fn insert(connection: &Connection, at: i64, note: &str) -> Result<(), Failure> {
    let sql = "SELECT note FROM checkpoint WHERE position = ?1";
    let kept: Option<String> = connection
        .query_row(sql, [at], |row| row.get(0))
        .optional()?;
    if let Some(kept) = kept {
        // The first note of a size stays: one tree, one note, published again after a crash. The root is compared in
        // the notes, because a column beside them would be one that nothing protects.
        return match body(&kept) == body(note) {
            true => Ok(()),
            false => Err(refused("a checkpoint of this size with another root is kept").into()),
        };
    }
    connection.execute(
        "INSERT INTO checkpoint (position, note) VALUES (?1, ?2)",
        params![at, note],
    )?;
    Ok(())
}

/// What a signed note says, without its signatures (C2SP signed-note: up to the empty line).
fn body(note: &str) -> &str {
    note.split_once("\n\n")
        .map_or(note, |(body, _signatures)| body)
}

fn one(
    connection: &Connection,
    sql: &str,
    range: (i64, i64),
) -> Result<Option<StoredNote>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(range)?;
    match rows.next()? {
        Some(row) => Ok(Some(read(row)?)),
        None => Ok(None),
    }
}

fn read(row: &Row<'_>) -> Result<StoredNote, Failure> {
    let (_ledger, size) = address(row.get(0)?)?;
    let note = row
        .get_ref(1)?
        .as_str()
        .map_err(|_utf8| malformed(format!("checkpoint of size {}", size.0)))?;
    Ok(StoredNote {
        size: size.0,
        note: note.to_owned(),
    })
}
