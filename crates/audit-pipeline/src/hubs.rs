//! Where the two flows of one process meet: a lane tells what became of a frame.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audit_integrity::ledger::{Digest, LeafIndex, LedgerId};
use audit_queue::FrameId;
use tokio::sync::oneshot;

/// What became of one event of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOutcome {
    /// Stored by this commit.
    Stored(Address),
    /// It was stored already, with the same claim.
    Duplicate(Address),
    /// It was stored already, with another claim; kept as a dead letter.
    Conflict,
    /// Kept as a dead letter for another reason.
    DeadLettered,
}

/// Where an event is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Its ledger.
    pub ledger: LedgerId,
    /// Its position.
    pub leaf_index: LeafIndex,
    /// Its leaf.
    pub leaf_hash: Digest,
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameOutcome {
    /// Event by event, in the frame's order.
    Events(Arc<Vec<EventOutcome>>),
    /// It has a receipt of an earlier commit: look the events up by identity.
    LookUp,
}

/// Frames that somebody waits for. Holds nothing about frames nobody asked for, so it is bounded by the waiters.
#[derive(Debug, Clone, Default)]
pub struct Settlements {
    waiting: Arc<Mutex<HashMap<FrameId, Vec<oneshot::Sender<FrameOutcome>>>>>,
}

impl Settlements {
    fn lock(&self) -> MutexGuard<'_, HashMap<FrameId, Vec<oneshot::Sender<FrameOutcome>>>> {
        // A map of senders is whole after any panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks to be told; call it before the frame is enqueued, so that nothing is missed.
    pub fn wait_for(&self, frame: FrameId) -> oneshot::Receiver<FrameOutcome> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        let senders = waiting.entry(frame).or_default();
        senders.retain(|sender| !sender.is_closed());
        senders.push(sender);
        receiver
    }

    /// Whether somebody still waits for the frame.
    #[must_use]
    pub fn is_awaited(&self, frame: FrameId) -> bool {
        self.lock().contains_key(&frame)
    }

    /// Frames that somebody waits for.
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.lock().len()
    }

    /// Some of the frames that somebody waits for, at most `max`.
    #[must_use]
    pub fn some_awaited(&self, max: usize) -> Vec<FrameId> {
        let mut waiting = self.lock();
        waiting.retain(|_, senders| senders.iter().any(|sender| !sender.is_closed()));
        let mut frames: Vec<FrameId> = waiting.keys().copied().collect();
        // Oldest first: ids are ordered by time.
        frames.sort_unstable();
        frames.truncate(max);
        frames
    }

    /// Tells everybody who waits for the frame.
    pub fn tell(&self, frame: FrameId, outcome: &FrameOutcome) {
        for sender in self.lock().remove(&frame).unwrap_or_default() {
            // A waiter that gave up has had its answer.
            drop(sender.send(outcome.clone()));
        }
    }

    /// Forgets waiters of a frame that was never enqueued, or that gave up.
    pub fn forget(&self, frame: FrameId) {
        let mut waiting = self.lock();
        if waiting.get_mut(&frame).is_some_and(|senders| {
            senders.retain(|sender| !sender.is_closed());
            senders.is_empty()
        }) {
            waiting.remove(&frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_told_once_to_everybody_who_waits_and_then_forgotten() {
        let hub = Settlements::default();
        let frame = FrameId([7; 16]);
        let (one, two) = (hub.wait_for(frame), hub.wait_for(frame));
        hub.tell(frame, &FrameOutcome::LookUp);
        assert_eq!(
            (one.await, two.await),
            (Ok(FrameOutcome::LookUp), Ok(FrameOutcome::LookUp))
        );
        assert!(!hub.is_awaited(frame));
        drop(hub.wait_for(frame));
        hub.forget(frame);
        assert!(
            !hub.is_awaited(frame),
            "a waiter that gave up leaves nothing behind"
        );
    }
}
