//! What the queue knows in memory: what was handed out, what was given back, and the tail.
//!
//! One mutex guards it, held for memory work only. Frames not settled are, by `seq`: held, given back, or from `cursor` on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use audit_queue::{Batch, Budget, Delivery, Frame, Marks, Payload, SourcePosition};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::rows::{Item, Totals};

/// The one partition of this queue.
const PARTITION: u32 = 0;

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    /// As of the last transaction; the writer sets it.
    pub(crate) totals: Totals,
    /// The writer asks for them before each transaction.
    pub(crate) marks: Marks,
    /// First frame that was never handed out by this process.
    cursor: u64,
    /// Frames handed out and given back, with their count of deliveries.
    returned: BTreeMap<u64, u32>,
    held: BTreeMap<u64, Hold>,
    next_token: u64,
    /// Frames from `cursor` on without a gap, so that a consumer that keeps up needs no file.
    tail: VecDeque<Cached>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    hold: Duration,
    /// Not in the file yet; the writer takes it with its next transaction.
    unwritten: Unwritten,
    /// Who wants to know when it is written.
    waiting: Vec<oneshot::Sender<()>>,
    writer_gone: bool,
    /// No call is taken any more.
    pub(crate) closed: bool,
}

/// What consumers did since the last transaction.
#[derive(Debug, Default)]
pub(crate) struct Unwritten {
    /// Settled frames.
    pub(crate) settled: Vec<Item>,
    /// Frames given back, to be counted.
    pub(crate) returned: Vec<u64>,
    /// First frame not handed out.
    pub(crate) delivered_to: u64,
}

#[derive(Debug)]
struct Hold {
    until: Instant,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Cached {
    item: Item,
    frame: Frame,
    memory: usize,
}

/// What a receiver is to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Hand this out.
    Ready(Batch),
    /// Read these given-back frames from the file.
    ReadNamed(Vec<u64>),
    /// Read frames from the first to before the second from the file.
    ReadRange(u64, u64),
    /// Wait for a frame, at most until a hold ends.
    Wait(Option<Instant>),
}

/// What a decoded frame takes in memory, roughly: its bytes, and two allocations an event.
pub(crate) fn memory_of(frame: &Frame) -> usize {
    frame
        .raw_len()
        .saturating_add(frame.events.len().saturating_mul(96))
}

impl State {
    pub(crate) const fn new(
        totals: Totals,
        marks: Marks,
        cursor: u64,
        tail_bytes_max: usize,
        hold: Duration,
    ) -> Self {
        Self {
            totals,
            marks,
            cursor,
            returned: BTreeMap::new(),
            held: BTreeMap::new(),
            next_token: 1,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
            hold,
            unwritten: Unwritten {
                settled: Vec::new(),
                returned: Vec::new(),
                delivered_to: 0,
            },
            waiting: Vec::new(),
            writer_gone: false,
            closed: false,
        }
    }

    /// A frame was written. It joins the tail when the tail reaches up to it and has room.
    pub(crate) fn enqueued(&mut self, item: Item, frame: Frame) {
        let follows = self
            .tail
            .back()
            .map_or(self.cursor, |last| last.item.seq + 1);
        let memory = memory_of(&frame);
        if follows == item.seq && self.tail_bytes.saturating_add(memory) <= self.tail_bytes_max {
            self.tail_bytes += memory;
            self.tail.push_back(Cached {
                item,
                frame,
                memory,
            });
        }
    }

    pub(crate) fn next(&mut self, budget: Budget, now: Instant) -> Next {
        self.end_holds(now);
        if !self.returned.is_empty() {
            return Next::ReadNamed(
                self.returned
                    .keys()
                    .copied()
                    .take(budget.deliveries.max(1))
                    .collect(),
            );
        }
        if self.tail.is_empty() && self.cursor < self.totals.next_seq {
            return Next::ReadRange(self.cursor, self.totals.next_seq);
        }
        let taken = self.take_tail(budget);
        if taken.is_empty() {
            Next::Wait(self.held.values().map(|hold| hold.until).min())
        } else {
            Next::Ready(self.hand_out(taken, now))
        }
    }

    fn take_tail(&mut self, budget: Budget) -> Vec<(Item, Payload)> {
        let mut taken = Vec::new();
        let mut bytes = 0_usize;
        while let Some(first) = self.tail.front() {
            bytes = bytes.saturating_add(first.frame.raw_len());
            let full = taken.len() >= budget.deliveries.max(1) || bytes > budget.bytes;
            if full && !taken.is_empty() {
                break;
            }
            if let Some(cached) = self.tail.pop_front() {
                self.tail_bytes = self.tail_bytes.saturating_sub(cached.memory);
                taken.push((cached.item, Payload::Frame(cached.frame)));
            }
        }
        taken
    }

    /// Frames read from the file are handed out; what was read is `read_to` at most, when nothing else was there.
    pub(crate) fn was_read(
        &mut self,
        mut frames: Vec<(Item, Payload)>,
        read_to: Option<u64>,
        now: Instant,
    ) -> Option<Batch> {
        for (item, _) in &mut frames {
            if let Some(redelivered) = self.returned.get(&item.seq) {
                item.redelivered = *redelivered;
            }
        }
        if frames.is_empty() {
            self.cursor = read_to.map_or(self.cursor, |to| self.cursor.max(to));
            return None;
        }
        Some(self.hand_out(frames, now))
    }

    /// Given-back frames that the file does not hold are forgotten: they can never be delivered.
    pub(crate) fn forget_returned(&mut self, seqs: &[u64]) {
        self.returned.retain(|seq, _| !seqs.contains(seq));
    }

    fn hand_out(&mut self, frames: Vec<(Item, Payload)>, now: Instant) -> Batch {
        let token = self.next_token;
        self.next_token += 1;
        let mut items = Vec::with_capacity(frames.len());
        let mut deliveries = Vec::with_capacity(frames.len());
        for (item, payload) in frames {
            self.returned.remove(&item.seq);
            self.cursor = self.cursor.max(item.seq + 1);
            items.push(item);
            // Of the frame's id, not of `seq`: a new file starts counting again, and positions are unique for ever.
            let source = SourcePosition(format!("embedded:{}", item.id));
            deliveries.push(Delivery {
                source,
                redelivered: item.redelivered,
                payload,
            });
        }
        self.held.insert(
            token,
            Hold {
                until: now + self.hold,
                items,
            },
        );
        Batch {
            partition: PARTITION,
            token,
            deliveries,
            refused: Vec::new(),
        }
    }

    /// Takes back what was not renewed in time.
    fn end_holds(&mut self, now: Instant) {
        let ended: Vec<u64> = self
            .held
            .iter()
            .filter(|(_, hold)| hold.until <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in ended {
            tracing::warn!(
                token,
                "a batch was neither settled nor renewed in time and is delivered again"
            );
            self.release(token);
        }
    }

    /// Whether the batch was held; its frames wait again, before all that were never delivered.
    pub(crate) fn release(&mut self, token: u64) -> bool {
        let Some(hold) = self.held.remove(&token) else {
            return false;
        };
        for item in hold.items {
            self.unwritten.returned.push(item.seq);
            self.returned
                .insert(item.seq, item.redelivered.saturating_add(1));
        }
        true
    }

    /// Frames handed out.
    pub(crate) fn held_frames(&self) -> u64 {
        self.held.values().map(|hold| hold.items.len() as u64).sum()
    }

    /// The batch never reached a consumer: its frames wait again, and were not delivered.
    pub(crate) fn take_back(&mut self, token: u64) {
        if let Some(hold) = self.held.remove(&token) {
            self.returned.extend(
                hold.items
                    .into_iter()
                    .map(|item| (item.seq, item.redelivered)),
            );
        }
    }

    /// Whether the batch was held; its frames are on their way out of the file.
    pub(crate) fn settle(&mut self, token: u64) -> bool {
        let Some(hold) = self.held.remove(&token) else {
            return false;
        };
        self.unwritten.settled.extend(hold.items);
        true
    }

    pub(crate) fn renew(&mut self, token: u64, now: Instant) -> bool {
        let Some(hold) = self.held.get_mut(&token) else {
            return false;
        };
        hold.until = now + self.hold;
        true
    }

    /// Tells when everything up to now is written; drops the answer when there is no writer any more.
    pub(crate) fn when_written(&mut self, answer: oneshot::Sender<()>) {
        if !self.writer_gone {
            self.waiting.push(answer);
        }
    }

    pub(crate) fn writer_is_gone(&mut self) {
        self.writer_gone = true;
        self.waiting.clear();
    }

    /// What is to be written, and who wants to know when it is.
    pub(crate) fn take_unwritten(&mut self) -> (Unwritten, Vec<oneshot::Sender<()>>) {
        let unwritten = Unwritten {
            delivered_to: self.cursor,
            ..std::mem::take(&mut self.unwritten)
        };
        (unwritten, std::mem::take(&mut self.waiting))
    }

    /// The transaction failed; the next one tries again.
    pub(crate) fn put_back_unwritten(&mut self, mut unwritten: Unwritten) {
        unwritten.settled.append(&mut self.unwritten.settled);
        unwritten.returned.append(&mut self.unwritten.returned);
        self.unwritten = unwritten;
    }

    /// Whether every delivered frame was settled or given back.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }
}
