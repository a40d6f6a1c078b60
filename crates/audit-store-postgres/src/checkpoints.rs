//! `Checkpoints`: signed notes, insert-only.

use async_trait::async_trait;
use audit_integrity::checkpoint::SignedCheckpoint;
use audit_integrity::ledger::LedgerId;
use audit_store::checkpoints::StoredNote;
use audit_store::{Checkpoints, StoreError};
use tokio_postgres::Row;

use crate::code::{address, bound, position};
use crate::database::Database;
use crate::error::{malformed, refused};
use crate::value::get;

#[async_trait]
impl Checkpoints for Database {
    async fn insert(
        &self,
        ledger: LedgerId,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), StoreError> {
        let at = position(ledger, checkpoint.checkpoint.size)?;
        let note = checkpoint.note.as_str();
        let sql = "INSERT INTO audit.checkpoint (position, note) VALUES ($1, $2) ON CONFLICT (position) DO NOTHING";
        let what = "keep a checkpoint";
        if self.execute(what, sql, &[&at, &note]).await? == 1 {
            return Ok(());
        }
        // The first note of a size stays: one tree, one note, published again after a crash. The root is compared in
        // the notes, because a column beside them would be one that nothing protects.
        let sql = "SELECT note FROM audit.checkpoint WHERE position = $1";
        let found = self.query_opt(what, sql, &[&at]).await?;
        let kept = found.ok_or_else(|| malformed("checkpoint: gone while it was kept"))?;
        match body(get(&kept, 0, "checkpoint note")?) == body(note) {
            true => Ok(()),
            false => Err(refused(
                "a checkpoint of this size with another root is kept",
            )),
        }
    }

    async fn newest(&self, ledger: LedgerId) -> Result<Option<StoredNote>, StoreError> {
        let (start, end) = (position(ledger, 0)?, bound(ledger, u64::MAX)?);
        let sql =
            "SELECT position, note FROM audit.checkpoint WHERE position >= $1 AND position <= $2
            ORDER BY position DESC LIMIT 1";
        let found = self
            .query_opt("read the newest checkpoint", sql, &[&start, &end])
            .await?;
        found.as_ref().map(read).transpose()
    }

    async fn covering(
        &self,
        ledger: LedgerId,
        size: u64,
    ) -> Result<Option<StoredNote>, StoreError> {
        let (start, end) = (bound(ledger, size)?, bound(ledger, u64::MAX)?);
        let sql =
            "SELECT position, note FROM audit.checkpoint WHERE position >= $1 AND position <= $2
            ORDER BY position LIMIT 1";
        let found = self
            .query_opt("read a checkpoint", sql, &[&start, &end])
            .await?;
        found.as_ref().map(read).transpose()
    }

    async fn after(
        &self,
        ledger: LedgerId,
        size: u64,
        max: u32,
    ) -> Result<Vec<StoredNote>, StoreError> {
        let (start, end) = (bound(ledger, size)?, bound(ledger, u64::MAX)?);
        let sql =
            "SELECT position, note FROM audit.checkpoint WHERE position > $1 AND position <= $2
            ORDER BY position LIMIT $3";
        let rows = self
            .query("read checkpoints", sql, &[&start, &end, &i64::from(max)])
            .await?;
        rows.iter().map(read).collect()
    }
}

/// What a signed note says, without its signatures (C2SP signed-note: up to the empty line).
fn body(note: &str) -> &str {
    note.split_once("\n\n")
        .map_or(note, |(body, _signatures)| body)
}

fn read(row: &Row) -> Result<StoredNote, StoreError> {
    let (_ledger, size) = address(get(row, 0, "checkpoint position")?)?;
    Ok(StoredNote {
        size: size.0,
        note: get(row, 1, "checkpoint note")?,
    })
}
