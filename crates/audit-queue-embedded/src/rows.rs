//! Rows of the file: one place that knows the SQL of reading and writing them.

use audit_queue::{Frame, FrameId, FrameLimits, Payload};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The row of totals: what the file holds and has held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    pub(crate) next_seq: u64,
    pub(crate) enqueued: u64,
    pub(crate) enqueued_internal: u64,
    pub(crate) frames: u64,
    pub(crate) events: u64,
    pub(crate) events_internal: u64,
    /// Of all frames.
    pub(crate) bytes: u64,
    /// Of our own frames.
    pub(crate) bytes_internal: u64,
}

/// What is known of a frame without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) seq: u64,
    pub(crate) id: FrameId,
    pub(crate) events: u64,
    pub(crate) internal: bool,
    /// Length of its bytes as kept.
    pub(crate) kept: u64,
    /// How often it was delivered before.
    pub(crate) redelivered: u32,
}

/// Ids that one transaction settled.
#[derive(Debug)]
pub(crate) struct SettledBatch {
    pub(crate) batch: i64,
    pub(crate) ids: Vec<FrameId>,
}

impl Totals {
    pub(crate) fn add(&mut self, item: &Item) {
        self.frames += 1;
        self.bytes += item.kept;
        if item.internal {
            self.enqueued_internal += item.events;
            self.events_internal += item.events;
            self.bytes_internal += item.kept;
        } else {
            self.enqueued += item.events;
            self.events += item.events;
        }
    }

    pub(crate) const fn subtract(&mut self, item: &Item) {
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(item.kept);
        if item.internal {
            self.events_internal = self.events_internal.saturating_sub(item.events);
            self.bytes_internal = self.bytes_internal.saturating_sub(item.kept);
        } else {
            self.events = self.events.saturating_sub(item.events);
        }
    }
}

pub(crate) fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    connection.query_row(
        "SELECT next_seq, enqueued, enqueued_internal, frames, events, events_internal, bytes, bytes_internal FROM totals",
        [],
        |row| {
            Ok(Totals {
                next_seq: row.get(0)?,
                enqueued: row.get(1)?,
                enqueued_internal: row.get(2)?,
                frames: row.get(3)?,
                events: row.get(4)?,
                events_internal: row.get(5)?,
                bytes: row.get(6)?,
                bytes_internal: row.get(7)?,
            })
        },
    )
}

pub(crate) fn write_totals(
    connection: &Connection,
    totals: &Totals,
    delivered_to: u64,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE totals SET next_seq = ?1, delivered_to = ?2, enqueued = ?3, enqueued_internal = ?4, frames = ?5,
         events = ?6, events_internal = ?7, bytes = ?8, bytes_internal = ?9",
    )?;
    update.execute(params![
        totals.next_seq,
        delivered_to,
        totals.enqueued,
        totals.enqueued_internal,
        totals.frames,
        totals.events,
        totals.events_internal,
        totals.bytes,
        totals.bytes_internal
    ])?;
    Ok(())
}

/// Whether it was put in; `false` when a frame of this id waits already.
pub(crate) fn insert(
    connection: &Connection,
    item: &Item,
    arrived: i64,
    kept: &[u8],
) -> rusqlite::Result<bool> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO frame (seq, id, arrived, events, internal, redelivered, frame) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)
         ON CONFLICT (id) DO NOTHING",
    )?;
    Ok(insert.execute(params![
        item.seq,
        item.id.0,
        arrived,
        item.events,
        item.internal,
        kept
    ])? == 1)
}

pub(crate) fn is_waiting(connection: &Connection, id: FrameId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM frame WHERE id = ?1")?
        .exists([id.0])
}

/// Deletes frames; those that stand beside each other go by one statement.
pub(crate) fn delete(connection: &Connection, items: &[Item]) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM frame WHERE seq BETWEEN ?1 AND ?2")?;
    for run in items.chunk_by(|one, next| one.seq + 1 == next.seq) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            delete.execute([first.seq, last.seq])?;
        }
    }
    Ok(())
}

pub(crate) fn count_redelivery(connection: &Connection, seq: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE frame SET redelivered = redelivered + 1 WHERE seq = ?1")?
        .execute([seq])?;
    Ok(())
}

pub(crate) fn remember_settled(
    connection: &Connection,
    batch: i64,
    items: &[Item],
) -> rusqlite::Result<()> {
    let ids: Vec<u8> = items.iter().flat_map(|item| item.id.0).collect();
    connection
        .prepare_cached("INSERT OR REPLACE INTO settled (batch, ids) VALUES (?1, ?2)")?
        .execute(params![batch, ids])?;
    Ok(())
}

pub(crate) fn forget_settled(connection: &Connection, up_to: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM settled WHERE batch <= ?1")?
        .execute([up_to])?;
    Ok(())
}

pub(crate) fn settled(connection: &Connection) -> rusqlite::Result<Vec<SettledBatch>> {
    let mut select = connection.prepare("SELECT batch, ids FROM settled ORDER BY batch")?;
    let batches = select.query_map([], |row| {
        let ids: Vec<u8> = row.get(1)?;
        Ok(SettledBatch {
            batch: row.get(0)?,
            ids: ids.as_chunks().0.iter().copied().map(FrameId).collect(),
        })
    })?;
    batches.collect()
}

pub(crate) fn oldest_arrival(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT arrived FROM frame ORDER BY seq LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()
}

/// How much one read may bring: deliveries, and bytes unfolded (but always one frame).
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadBudget {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
    pub(crate) limits: FrameLimits,
}

const SELECT: &str = "SELECT seq, id, events, internal, redelivered, frame FROM frame";

/// Frames from `from` to before `to`, in order.
pub(crate) fn read_range(
    connection: &Connection,
    from: u64,
    to: u64,
    budget: ReadBudget,
) -> rusqlite::Result<Vec<(Item, Payload)>> {
    let mut select = connection.prepare_cached(&format!(
        "{SELECT} WHERE seq >= ?1 AND seq < ?2 ORDER BY seq"
    ))?;
    let mut rows = select.query([from, to])?;
    let mut taken = Taken::new(budget);
    while let Some(row) = rows.next()? {
        if !taken.take(row)? {
            break;
        }
    }
    Ok(taken.frames)
}

/// The named frames, in the order named.
pub(crate) fn read_named(
    connection: &Connection,
    seqs: &[u64],
    budget: ReadBudget,
) -> rusqlite::Result<Vec<(Item, Payload)>> {
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE seq = ?1"))?;
    let mut taken = Taken::new(budget);
    for seq in seqs {
        let mut rows = select.query([seq])?;
        if let Some(row) = rows.next()?
            && !taken.take(row)?
        {
            break;
        }
    }
    Ok(taken.frames)
}

struct Taken {
    budget: ReadBudget,
    bytes: usize,
    frames: Vec<(Item, Payload)>,
}

impl Taken {
    const fn new(budget: ReadBudget) -> Self {
        Self {
            budget,
            bytes: 0,
            frames: Vec::new(),
        }
    }

    /// Takes the row when it fits; `false` ends the reading. A frame that cannot be read is taken only alone.
    fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let bytes = row.get_ref(5)?.as_blob()?;
        let unfolded = Frame::unfolded_len(bytes);
        let kept = bytes.len() as u64;
        let first = self.frames.is_empty();
        if self.frames.len() >= self.budget.frames.max(1)
            || (!first && self.bytes.saturating_add(unfolded) > self.budget.bytes)
        {
            return Ok(false);
        }
        let id = FrameId(row.get(1)?);
        let payload = payload(bytes, id, self.budget.limits);
        let unreadable = matches!(payload, Payload::Unreadable { .. });
        if unreadable && !first {
            return Ok(false);
        }
        let item = Item {
            seq: row.get(0)?,
            id,
            events: row.get(2)?,
            internal: row.get(3)?,
            kept,
            redelivered: row.get(4)?,
        };
        self.bytes = self.bytes.saturating_add(unfolded);
        self.frames.push((item, payload));
        Ok(!unreadable)
    }
}

fn payload(bytes: &[u8], id: FrameId, limits: FrameLimits) -> Payload {
    match Frame::decode(bytes, limits) {
        Ok(frame) if frame.id == id => Payload::Frame(frame),
        Ok(frame) => Payload::Unreadable {
            reason: format!("the row of frame {id} holds frame {}", frame.id),
        },
        Err(error) => Payload::Unreadable {
            reason: error.to_string(),
        },
    }
}
