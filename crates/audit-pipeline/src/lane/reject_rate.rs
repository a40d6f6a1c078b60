//! The brake: a broken schema must not empty the queue into the dead letters.

use std::collections::VecDeque;

/// Events the share is judged over (DESIGN §3.4).
const WINDOW: usize = 1_000;

/// Fewest refusals that can stop a lane: one poison event among its first few is no broken schema.
const REFUSALS_MIN: usize = 10;

#[derive(Debug)]
pub(super) struct RejectRate {
    share_max: f64,
    last: VecDeque<bool>,
    refused: usize,
}

impl RejectRate {
    pub(super) fn new(share_max: f64) -> Self {
        Self {
            share_max,
            last: VecDeque::with_capacity(WINDOW),
            refused: 0,
        }
    }

    pub(super) fn stored(&mut self, events: usize) {
        for _ in 0..events.min(WINDOW) {
            self.push(false);
        }
    }

    /// Notes a refusal; `true` when there were too many.
    pub(super) fn refused(&mut self) -> bool {
        self.push(true);
        #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
        let share = self.refused as f64 / WINDOW as f64;
        self.refused >= REFUSALS_MIN && share > self.share_max
    }

    fn push(&mut self, refused: bool) {
        if self.last.len() == WINDOW && self.last.pop_front() == Some(true) {
            self.refused -= 1;
        }
        self.last.push_back(refused);
        self.refused += usize::from(refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_tenth_of_the_last_thousand_stops() {
        let mut rate = RejectRate::new(0.1);
        rate.stored(1_000);
        assert!((0..100).all(|_| !rate.refused()), "a tenth is allowed");
        assert!(rate.refused(), "one more is not");
        rate.stored(1_000);
        assert!(!rate.refused(), "old refusals are forgotten");
    }

    #[test]
    fn a_lane_that_can_store_nothing_stops_too() {
        let mut rate = RejectRate::new(0.1);
        assert_eq!((0..1_000).position(|_| rate.refused()), Some(100));
    }
}
