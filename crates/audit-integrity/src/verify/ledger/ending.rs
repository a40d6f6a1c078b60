//! The end of a ledger's verification: what only the whole tells.

use super::super::places::{Place, Verdict};
use super::super::{Against, Controls, FindingKind, Outcome, Report};
use super::{Anchored, LedgerCheck};

impl LedgerCheck {
    /// Judges what is left open.
    #[must_use]
    pub fn finish(self) -> Report {
        self.finish_with_controls().0
    }

    /// As [`Self::finish`], for the directory: also what its sealed entries say.
    #[must_use]
    pub fn finish_with_controls(mut self) -> (Report, Controls) {
        for (place, verdict) in std::mem::take(&mut self.places).judge() {
            self.tell_place(&place, verdict);
        }
        self.settle_tiles();
        self.tell_rollback();
        self.tell_anchor();
        self.tell_unsealed();
        let ledger = self.setup.ledger;
        self.report.against = self
            .best
            .iter()
            .map(|(source, tree)| Against {
                ledger,
                tree: *tree,
                source: *source,
            })
            .collect();
        (self.report, self.sealed)
    }

    pub(in super::super) fn tell_place(&mut self, place: &Place, verdict: Verdict) {
        let (leaf, id) = (Some(place.leaf), Some(place.sealed));
        match verdict {
            Verdict::Gone => {
                self.report.count(Outcome::Missing, 1);
                let detail = "the entry is there, its event is not".to_owned();
                self.tell(Outcome::Missing, FindingKind::Deleted, leaf, id, detail);
            }
            Verdict::MovedTo(to) => {
                self.report.count(Outcome::Tampered, 1);
                let detail = format!("sealed at leaf {}, stored at leaf {to}", place.leaf);
                self.tell(Outcome::Tampered, FindingKind::Reordered, leaf, id, detail);
            }
            Verdict::Edited(columns) => {
                self.report.count(Outcome::Tampered, 1);
                self.tell(
                    Outcome::Tampered,
                    FindingKind::Edited,
                    leaf,
                    id,
                    format!("columns: {}", columns.join(", ")),
                );
            }
        }
    }

    /// Somebody signed more leaves than there are.
    fn tell_rollback(&mut self) {
        let ahead: Vec<_> = self
            .trees
            .ahead()
            .filter(|(tree, _)| tree.size > self.next)
            .collect();
        let Some(most) = ahead.iter().map(|(tree, _)| tree.size).max() else {
            return;
        };
        for (tree, voice) in &ahead {
            if ahead
                .iter()
                .any(|(other, of)| of == voice && other.size > tree.size)
            {
                continue;
            }
            let detail = format!(
                "{} covers {} leaves, the ledger ends after {}",
                voice.name(),
                tree.size,
                self.next
            );
            self.tell(
                Outcome::Missing,
                FindingKind::RolledBack,
                Some(self.next),
                None,
                detail,
            );
        }
        self.report.count(Outcome::Missing, most - self.next);
    }

    /// What was published is in the anchor and in the database.
    fn tell_anchor(&mut self) {
        let Anchored {
            size,
            is_stored,
            is_read,
            passed_over,
            ..
        } = self.anchor;
        if let Some(size) = size.filter(|_size| !is_stored) {
            let detail = format!("the anchored checkpoint of {size} leaves is not stored");
            self.tell(
                Outcome::Tampered,
                FindingKind::BadCheckpoint,
                None,
                None,
                detail,
            );
        }
        if is_read && passed_over > 0 {
            let kept = size.map_or_else(|| "nothing".to_owned(), |size| format!("{size} leaves"));
            let detail = format!(
                "the anchor holds {kept}; {passed_over} newer checkpoints had been anchored"
            );
            self.tell(
                Outcome::Unverifiable,
                FindingKind::AnchorUnreadable,
                None,
                None,
                detail,
            );
        }
    }

    fn tell_unsealed(&mut self) {
        let open = std::mem::take(&mut self.pending);
        if open == 0 {
            return;
        }
        let (leaf, id) = self
            .first_pending
            .map_or((self.since_agreed, None), |(leaf, id)| (leaf, Some(id)));
        if !self.head_is_authentic {
            self.report.count(Outcome::Tampered, open);
            let detail = format!(
                "no lane vouches for the {open} events from here on, and nobody signed them"
            );
            return self.tell(
                Outcome::Tampered,
                FindingKind::Inserted,
                Some(leaf),
                id,
                detail,
            );
        }
        self.report.count(Outcome::Unverifiable, open);
        if !self.broken && self.setup.verifier_key.is_some() {
            let detail = format!("no signed checkpoint covers the {open} events from here on");
            self.tell(
                Outcome::Unverifiable,
                FindingKind::Unsealed,
                Some(leaf),
                id,
                detail,
            );
        }
    }
}
