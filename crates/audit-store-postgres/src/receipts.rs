//! `Receipts`: the books behind the conservation law.

use async_trait::async_trait;
use audit_store::{Receipt, Receipts, StoreError, Totals, Via};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::code::{self, uint, uint32};
use crate::database::Database;
use crate::error::{malformed, refused};
use crate::value::{get, time};

/// Frames a call may name (`Receipts::find`).
const FRAMES_MAX: usize = 1_000;

#[async_trait]
impl Receipts for Database {
    async fn find(&self, frames: &[[u8; 16]]) -> Result<Vec<Receipt>, StoreError> {
        if frames.len() > FRAMES_MAX {
            return Err(refused(format!("more than {FRAMES_MAX} frames")));
        }
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| Uuid::from_bytes(*frame))
            .collect();
        let sql = "SELECT frame_id, source, via, events, stored, duplicate, conflict, dead_lettered, committed_at
            FROM audit.receipt WHERE frame_id = ANY ($1)";
        let rows = self.query("find receipts", sql, &[&frames]).await?;
        rows.iter().map(read).collect()
    }

    async fn totals(&self, via: Via) -> Result<Totals, StoreError> {
        // A row for each ledger; their number is fixed.
        let sql = "SELECT coalesce(sum(events), 0)::bigint, coalesce(sum(stored), 0)::bigint,
                coalesce(sum(duplicate), 0)::bigint, coalesce(sum(conflict), 0)::bigint,
                coalesce(sum(dead_lettered), 0)::bigint
            FROM audit.receipt_total WHERE via = $1";
        let found = self
            .query_opt("read totals", sql, &[&code::via_code(via)])
            .await?;
        let row = found.ok_or_else(|| malformed("receipt totals are missing"))?;
        Ok(Totals {
            events: uint(get(&row, 0, "total events")?, "total events")?,
            stored: uint(get(&row, 1, "total stored")?, "total stored")?,
            duplicate: uint(get(&row, 2, "total duplicate")?, "total duplicate")?,
            conflict: uint(get(&row, 3, "total conflict")?, "total conflict")?,
            dead_lettered: uint(get(&row, 4, "total dead-lettered")?, "total dead-lettered")?,
        })
    }
}

fn read(row: &Row) -> Result<Receipt, StoreError> {
    let count = |index, what| uint32(get(row, index, what)?, what);
    Ok(Receipt {
        frame_id: get::<Uuid>(row, 0, "receipt frame")?.into_bytes(),
        source: get(row, 1, "receipt source")?,
        via: code::via_of(get(row, 2, "way of a receipt")?)?,
        events: count(3, "receipt events")?,
        stored: count(4, "receipt stored")?,
        duplicate: count(5, "receipt duplicate")?,
        conflict: count(6, "receipt conflict")?,
        dead_lettered: count(7, "receipt dead-lettered")?,
        committed_at: time(row, 8, "receipt time")?,
    })
}
