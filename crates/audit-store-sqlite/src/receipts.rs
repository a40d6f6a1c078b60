//! `Receipts`: the books behind the conservation law.

use async_trait::async_trait;
use audit_store::{Receipt, Receipts, StoreError, Totals, Via};
use rusqlite::Row;

use crate::code::{self, fixed, time, uint, uint32};
use crate::database::Database;
use crate::error::{Failure, malformed, refused};

/// Frames a call may name (`Receipts::find`).
const FRAMES_MAX: usize = 1_000;

#[async_trait]
impl Receipts for Database {
    async fn find(&self, frames: &[[u8; 16]]) -> Result<Vec<Receipt>, StoreError> {
        if frames.len() > FRAMES_MAX {
            return Err(refused(format!("more than {FRAMES_MAX} frames")));
        }
        let frames = frames.to_vec();
        self.read("find receipts", move |connection| {
            let sql = "SELECT frame_id, source, via, events, stored, duplicate, conflict, dead_lettered, committed_at
                 FROM receipt WHERE frame_id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let mut found = Vec::new();
            for frame in &frames {
                if let Some(row) = statement.query([frame])?.next()? {
                    found.push(read(row)?);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn totals(&self, via: Via) -> Result<Totals, StoreError> {
        self.read("read totals", move |connection| {
            let sql = "SELECT events, stored, duplicate, conflict, dead_lettered FROM receipt_total WHERE via = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([code::via_code(via)])?;
            let Some(row) = rows.next()? else { return Err(malformed("receipt totals are missing").into()) };
            Ok(Totals {
                events: uint(row.get(0)?, "total events")?,
                stored: uint(row.get(1)?, "total stored")?,
                duplicate: uint(row.get(2)?, "total duplicate")?,
                conflict: uint(row.get(3)?, "total conflict")?,
                dead_lettered: uint(row.get(4)?, "total dead-lettered")?,
            })
        })
        .await
    }
}

fn read(row: &Row<'_>) -> Result<Receipt, Failure> {
    let count = |index, what| -> Result<u32, Failure> { Ok(uint32(row.get(index)?, what)?) };
    let frame = row
        .get_ref(0)?
        .as_blob()
        .map_err(|_type| malformed("receipt frame"))?;
    Ok(Receipt {
        frame_id: fixed(frame, "receipt frame")?,
        source: row.get(1)?,
        via: code::via_of(row.get(2)?)?,
        events: count(3, "receipt events")?,
        stored: count(4, "receipt stored")?,
        duplicate: count(5, "receipt duplicate")?,
        conflict: count(6, "receipt conflict")?,
        dead_lettered: count(7, "receipt dead-lettered")?,
        committed_at: time(row.get(8)?, "receipt time")?,
    })
}
