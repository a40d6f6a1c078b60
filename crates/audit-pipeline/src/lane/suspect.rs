//! Frames that were delivered again and again without getting a receipt: something in them may kill the process.
//!
//! Each is taken alone, one event a commit. Before an event is looked at, a durable mark says so; the event that is found
//! marked so often without its own commit having been answered is the killer, and becomes a dead letter. Its neighbours are
//! stored.

use std::time::Duration;

use audit_integrity::ledger::{LeafIndex, LedgerId};
use audit_queue::{FrameId, Refused};
use audit_runtime::Backoff;
use audit_store::DeadLetterReason;

use super::batch::{self, FrameWork, Place};
use super::commit::Writes;
use super::intake::{Arrival, Incoming, Reading, read_event};
use super::state::LaneState;
use super::{End, Lane, ProofPolicy};
use crate::hubs::EventOutcome;
use crate::outward::{ask, within};

/// An event that was begun this often and never answered is given up: a power cut may hit an innocent one once.
const BEGUN_MAX: u64 = 3;

/// How far a frame was got through, over all processes that tried. Kept as a cursor; a suspect frame is rare, so the few
/// bytes that stay are never cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// The event that was begun last.
    index: u64,
    /// How often it was begun without an answer.
    begun: u64,
}

impl Mark {
    fn to_cursor(self) -> LeafIndex {
        LeafIndex(self.index.saturating_mul(4).saturating_add(self.begun))
    }

    fn of_cursor(cursor: LeafIndex) -> Self {
        Self {
            index: cursor.0 / 4,
            begun: cursor.0 % 4,
        }
    }

    /// The mark after beginning an event; `None` when it was begun too often.
    fn begin(self, index: u64) -> Option<Self> {
        match index.cmp(&self.index) {
            // Answered before: it is stored or a dead letter.
            std::cmp::Ordering::Less => Some(self),
            std::cmp::Ordering::Equal if self.begun >= BEGUN_MAX => None,
            std::cmp::Ordering::Equal => Some(Self {
                begun: self.begun + 1,
                ..self
            }),
            std::cmp::Ordering::Greater => Some(Self { index, begun: 1 }),
        }
    }
}

impl Lane {
    /// Settles one suspect frame; tells when nothing of it was stored.
    pub(super) async fn settle_suspect(
        &self,
        state: &mut LaneState,
        incoming: Incoming,
        proofs: ProofPolicy,
    ) -> Result<Option<Refused>, End> {
        tracing::warn!(frame = %incoming.frame.id, redelivered = incoming.redelivered, "a suspect frame is taken alone");
        let mut frames = [FrameWork::new(&incoming)];
        let (id, events) = (incoming.frame.id, incoming.arrivals());
        let count = events.len();
        let mut mark = self.mark(id).await?;
        for (index, event) in events.enumerate() {
            let writes = if index + 1 == count {
                Writes::Receipts
            } else {
                Writes::Letters
            };
            let event = (index, event);
            self.settle_one(state, &mut frames, event, &mut mark, writes, proofs)
                .await?;
        }
        self.tell(&frames);
        let [frame] = frames;
        Ok(frame.refusal())
    }

    async fn settle_one(
        &self,
        state: &mut LaneState,
        frames: &mut [FrameWork; 1],
        (index, event): (usize, Arrival),
        mark: &mut Mark,
        writes: Writes,
        proofs: ProofPolicy,
    ) -> Result<(), End> {
        let [work] = frames;
        let mut leaders = Vec::new();
        let id = work.id;
        let before = *mark;
        if let Some(reason) = self.letter_of(work, index).await? {
            work.decide(index, outcome_of(reason));
        } else if let Some(begun) = mark.begin(index as u64) {
            // C9: marked, and not looked at. If the process dies before the answer, the mark says at which event.
            self.set_mark(id, mark, begun).await?;
            let place = Place { frame: 0, index };
            let reading = Reading {
                registry: &self.parts.registry,
                proofs,
            };
            let candidate = read_event(&reading, place, event, work);
            leaders = batch::lead(candidate.into_iter().collect());
        } else {
            tracing::error!(alert = true, frame = %id, index, "an event whose own commit kills the process is given up");
            let detail =
                format!("the process died {BEGUN_MAX} times in the commit of this event alone");
            // An item that is no event stays one: replayed as an event of ours it could name any organisation.
            let reason = if event.is_an_event() {
                DeadLetterReason::Poison
            } else {
                DeadLetterReason::NotAnEvent
            };
            work.dead_letter_unread(index, reason, detail, event.bytes);
        }
        let committed = self.commit_parts(state, leaders, frames, writes).await;
        if committed.is_err() && *mark != before {
            self.forgive(id, mark, before).await;
        }
        committed
    }

    /// Takes the mark back: the process lived to see a failure, so this event did not kill it, and an outage is never an
    /// event's fault. Patient, because a mark that stays would count against the event.
    async fn forgive(&self, frame: FrameId, mark: &mut Mark, before: Mark) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        while self.set_mark(frame, mark, before).await.is_err() && !self.parts.shutdown.is_begun() {
            self.pause(backoff.next_wait(&*self.parts.random)).await;
        }
    }

    /// Why the event is a dead letter already, from a delivery before.
    async fn letter_of(
        &self,
        work: &FrameWork,
        index: usize,
    ) -> Result<Option<DeadLetterReason>, End> {
        let asked = self.parts.store.dead_letters.get(work.letter_id(index));
        let found = self.look_up(within(self.settings.call_timeout, asked).await)?;
        Ok(found.map(|found| found.letter.reason))
    }

    async fn mark(&self, frame: FrameId) -> Result<Mark, End> {
        let name = name_of(frame);
        let asked = self.parts.store.cursors.get(&name, LedgerId::Events(0));
        let cursor = self.look_up(within(self.settings.call_timeout, asked).await)?;
        Ok(Mark::of_cursor(cursor))
    }

    async fn set_mark(&self, frame: FrameId, mark: &mut Mark, new: Mark) -> Result<(), End> {
        if *mark == new {
            return Ok(());
        }
        let name = name_of(frame);
        let cursors = &self.parts.store.cursors;
        let asked = cursors.set(&name, LedgerId::Events(0), new.to_cursor());
        // Contained: a panic while a mark is taken back would let it count against the event.
        self.look_up(ask(self.settings.call_timeout, asked).await)?;
        *mark = new;
        Ok(())
    }
}

/// One name a frame, whichever lane takes it next.
fn name_of(frame: FrameId) -> String {
    format!("suspect/{frame}")
}

const fn outcome_of(reason: DeadLetterReason) -> EventOutcome {
    match reason {
        DeadLetterReason::Conflict => EventOutcome::Conflict,
        _ => EventOutcome::DeadLettered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_given_up_at_its_third_unanswered_beginning_and_not_its_neighbours() {
        let mut mark = Mark::of_cursor(LeafIndex(0));
        for begun in 1..=BEGUN_MAX {
            mark = mark.begin(0).unwrap();
            assert_eq!(mark, Mark { index: 0, begun });
            assert_eq!(Mark::of_cursor(mark.to_cursor()), mark);
        }
        assert_eq!(mark.begin(0), None);
        let next = mark.begin(1).unwrap();
        assert_eq!(next, Mark { index: 1, begun: 1 });
        assert_eq!(next.begin(0), Some(next), "an answered one moves nothing");
    }
}
