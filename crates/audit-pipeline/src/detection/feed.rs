//! From the lanes to detection: what was committed, as long as there is room.

use audit_event::AuditEvent;
use audit_integrity::entry::SealedEvent;
use audit_integrity::ledger::{LeafIndex, LedgerId};
use tokio::sync::mpsc;

/// Commits that wait at most; what comes while so many wait is read from the store later. A commit has at most 10,000 events.
const COMMITS_MAX: usize = 4;

/// The events of one commit.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) ledger: LedgerId,
    pub(super) from: LeafIndex,
    pub(super) events: Vec<AuditEvent>,
}

/// The lanes' end.
#[derive(Debug, Clone)]
pub struct Feed {
    commits: mpsc::Sender<Committed>,
}

/// Detection's end.
#[derive(Debug)]
pub struct Intake {
    commits: mpsc::Receiver<Committed>,
}

/// Both ends.
#[must_use]
pub fn feed() -> (Feed, Intake) {
    let (sender, receiver) = mpsc::channel(COMMITS_MAX);
    (Feed { commits: sender }, Intake { commits: receiver })
}

impl Feed {
    /// Hands over what a commit has stored. Never waits.
    pub(crate) fn offer(&self, events: Vec<SealedEvent>) {
        let Some(first) = events.first() else {
            return;
        };
        let Ok(place) = self.commits.try_reserve() else {
            return;
        };
        let (ledger, from) = (first.header.ledger, first.header.index);
        let events = events.into_iter().map(|sealed| sealed.draft.into_parts().0);
        place.send(Committed {
            ledger,
            from,
            events: events.collect(),
        });
    }
}

impl Intake {
    pub(super) async fn next(&mut self) -> Option<Committed> {
        self.commits.recv().await
    }
}
