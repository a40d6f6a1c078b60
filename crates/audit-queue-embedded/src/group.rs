//! One transaction: everything that waits for the writer, all of it or nothing.

use std::collections::{HashSet, VecDeque};

use audit_queue::{Frame, FrameId, Marks};
use rusqlite::{Connection, ErrorCode, TransactionBehavior, ffi};

use crate::rows::{self, Item, Totals};
use crate::state::Unwritten;

/// A frame on its way into the file.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) frame: Frame,
    /// Its bytes, made by the task that enqueues it.
    pub(crate) kept: Vec<u8>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// It is in.
    Added(Item),
    /// It was in already, or was settled a short while ago.
    Known,
    /// It would pass the mark.
    Full(Totals),
}

/// What the transaction leaves behind.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) totals: Totals,
    /// One for each frame, in order.
    pub(crate) outcomes: Vec<Outcome>,
}

/// The transaction did not happen.
#[derive(Debug, thiserror::Error)]
#[error("a transaction of the queue's file failed")]
pub(crate) struct Failed {
    #[source]
    pub(crate) error: rusqlite::Error,
    /// Whether it failed in the commit itself, after everything was written.
    pub(crate) in_commit: bool,
}

impl Failed {
    /// Whether it was for want of space. A quota or a limit on the file's size comes as a failed write.
    pub(crate) fn is_for_space(&self) -> bool {
        self.error.sqlite_error().is_some_and(|error| {
            error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_WRITE
        })
    }
}

/// Writes the group. Settles come first: they make room for the mark, and pages to use again.
pub(crate) fn write(
    connection: &mut Connection,
    before: &Totals,
    incoming: &[&Incoming],
    unwritten: &Unwritten,
    settled: &SettledIds,
    rules: &Rules,
) -> Result<Written, Failed> {
    let early = |error| Failed {
        error,
        in_commit: false,
    };
    let writing = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(early)?;
    let mut totals = *before;
    settle(&writing, &mut totals, unwritten, settled).map_err(early)?;
    let add = |frame: &&Incoming| add(&writing, &mut totals, frame, settled, rules);
    let outcomes = incoming
        .iter()
        .map(add)
        .collect::<rusqlite::Result<_>>()
        .map_err(early)?;
    rows::write_totals(&writing, &totals, unwritten.delivered_to).map_err(early)?;
    writing.commit().map_err(|error| Failed {
        error,
        in_commit: true,
    })?;
    Ok(Written { totals, outcomes })
}

fn settle(
    writing: &Connection,
    totals: &mut Totals,
    unwritten: &Unwritten,
    settled: &SettledIds,
) -> rusqlite::Result<()> {
    if !unwritten.settled.is_empty() {
        rows::delete(writing, &unwritten.settled)?;
        rows::remember_settled(writing, settled.next_batch, &unwritten.settled)?;
        if let Some(batch) = settled.too_old(unwritten.settled.len()) {
            rows::forget_settled(writing, batch)?;
        }
        unwritten
            .settled
            .iter()
            .for_each(|item| totals.subtract(item));
    }
    unwritten
        .returned
        .iter()
        .try_for_each(|seq| rows::count_redelivery(writing, *seq))
}

/// What decides whether a frame is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) marks: Marks,
    /// Time of arrival of this group.
    pub(crate) arrived: i64,
}

impl Rules {
    /// Our own frames never pass the mark, and one frame always fits into an empty queue, else it never would.
    const fn would_pass_the_mark(&self, totals: &Totals, item: &Item) -> bool {
        let bytes = totals.bytes.saturating_sub(totals.bytes_internal);
        let empty = totals.events == 0 && bytes == 0;
        let over = totals.events.saturating_add(item.events) > self.marks.events_max
            || bytes.saturating_add(item.kept) > self.marks.bytes_max;
        !item.internal && !empty && over
    }
}

fn add(
    writing: &Connection,
    totals: &mut Totals,
    incoming: &Incoming,
    settled: &SettledIds,
    rules: &Rules,
) -> rusqlite::Result<Outcome> {
    let frame = &incoming.frame;
    let item = Item {
        seq: totals.next_seq,
        id: frame.id,
        events: frame.events.len() as u64,
        internal: frame.internal,
        kept: incoming.kept.len() as u64,
        redelivered: 0,
    };
    if settled.knows(frame.id) {
        return Ok(Outcome::Known);
    }
    if rules.would_pass_the_mark(totals, &item) {
        return Ok(if rows::is_waiting(writing, frame.id)? {
            Outcome::Known
        } else {
            Outcome::Full(*totals)
        });
    }
    if !rows::insert(writing, &item, rules.arrived, &incoming.kept)? {
        return Ok(Outcome::Known);
    }
    totals.add(&item);
    totals.next_seq += 1;
    Ok(Outcome::Added(item))
}

/// Ids of frames settled last, in the file by transaction and here as a set.
#[derive(Debug)]
pub(crate) struct SettledIds {
    ids: HashSet<FrameId>,
    batches: VecDeque<rows::SettledBatch>,
    /// Ids in `batches`.
    count: usize,
    max: usize,
    next_batch: i64,
}

impl SettledIds {
    pub(crate) fn new(batches: Vec<rows::SettledBatch>, max: usize) -> Self {
        let ids: HashSet<FrameId> = batches
            .iter()
            .flat_map(|batch| batch.ids.iter().copied())
            .collect();
        let next_batch = batches
            .last()
            .map_or(1, |last| last.batch.saturating_add(1));
        let count = batches.iter().map(|batch| batch.ids.len()).sum();
        Self {
            ids,
            batches: batches.into(),
            count,
            max,
            next_batch,
        }
    }

    fn knows(&self, id: FrameId) -> bool {
        self.ids.contains(&id)
    }

    /// Knows them from now on, even when the transaction that writes them has to be tried again.
    pub(crate) fn note(&mut self, items: &[Item]) {
        self.ids.extend(items.iter().map(|item| item.id));
    }

    /// The last batch that has to go when `more` ids come.
    fn too_old(&self, more: usize) -> Option<i64> {
        let mut left = self.count.saturating_add(more);
        let old = self.batches.iter().take_while(|batch| {
            let over = left > self.max;
            left = left.saturating_sub(batch.ids.len());
            over
        });
        old.last().map(|batch| batch.batch)
    }

    /// The transaction is written.
    pub(crate) fn written(&mut self, items: &[Item]) {
        if items.is_empty() {
            return;
        }
        let too_old = self.too_old(items.len());
        while let Some(batch) = self
            .batches
            .pop_front_if(|batch| Some(batch.batch) <= too_old)
        {
            self.count = self.count.saturating_sub(batch.ids.len());
            batch.ids.iter().for_each(|id| _ = self.ids.remove(id));
        }
        self.count += items.len();
        self.batches.push_back(rows::SettledBatch {
            batch: self.next_batch,
            ids: items.iter().map(|item| item.id).collect(),
        });
        self.next_batch += 1;
    }
}
