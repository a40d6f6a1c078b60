//! What a verification run found.

use super::{Finding, FindingKind, Outcome};
use crate::ledger::LedgerId;
use crate::tree::Tree;

/// Findings kept; the rest is counted. Deleting a whole ledger must not fill memory.
pub const FINDINGS_MAX: usize = 10_000;

/// Where a tree that was compared came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The event database.
    Database,
    /// The anchor.
    Anchor,
    /// Whoever asked.
    Request,
}

impl Source {
    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Anchor => "anchor",
            Self::Request => "request",
        }
    }
}

/// A signed tree that the ledger was found to begin with: the largest of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Against {
    /// Which ledger.
    pub ledger: LedgerId,
    /// The tree.
    pub tree: Tree,
    /// Who keeps it.
    pub source: Source,
}

/// Events by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of the outcomes")]
pub struct Counts {
    pub valid: u64,
    pub valid_erased: u64,
    pub expired: u64,
    pub missing: u64,
    pub tampered: u64,
    pub unverifiable: u64,
}

impl Counts {
    /// Counts events of one outcome.
    pub fn add(&mut self, outcome: Outcome, events: u64) {
        let slot = match outcome {
            Outcome::Valid => &mut self.valid,
            Outcome::ValidErased => &mut self.valid_erased,
            Outcome::Expired => &mut self.expired,
            Outcome::Missing => &mut self.missing,
            Outcome::Tampered => &mut self.tampered,
            Outcome::Unverifiable => &mut self.unverifiable,
        };
        *slot = slot.saturating_add(events);
    }

    /// Every outcome with its count, in the order of the enum.
    #[must_use]
    pub fn each(&self) -> [(Outcome, u64); 6] {
        [
            (Outcome::Valid, self.valid),
            (Outcome::ValidErased, self.valid_erased),
            (Outcome::Expired, self.expired),
            (Outcome::Missing, self.missing),
            (Outcome::Tampered, self.tampered),
            (Outcome::Unverifiable, self.unverifiable),
        ]
    }
}

/// What a run says in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunResult {
    /// Events were checked and each is as it was sealed.
    Pass,
    /// Something was altered or is gone.
    Fail,
    /// Nothing was checked, or something could not be decided.
    Inconclusive,
}

impl RunResult {
    /// The name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What was found in one or more ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Events looked at: one outcome each.
    pub checked: u64,
    /// Those outcomes.
    pub outcomes: Counts,
    /// The trees it was checked against.
    pub against: Vec<Against>,
    /// What is wrong, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// Findings that were left out.
    pub findings_omitted: u64,
    failed: bool,
    undecided: bool,
}

impl Report {
    /// Notes a finding. Its outcome decides the result, also when there is no room for it.
    pub fn find(&mut self, finding: Finding) {
        match finding.outcome {
            Outcome::Missing | Outcome::Tampered => self.failed = true,
            Outcome::Unverifiable => self.undecided = true,
            Outcome::Valid | Outcome::ValidErased | Outcome::Expired => {}
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_omitted += 1;
        }
    }

    /// Counts events of one outcome as looked at.
    pub fn count(&mut self, outcome: Outcome, events: u64) {
        self.checked = self.checked.saturating_add(events);
        self.outcomes.add(outcome, events);
    }

    /// Adds what was found in another ledger.
    pub fn merge(&mut self, other: Self) {
        for (outcome, events) in other.outcomes.each() {
            self.outcomes.add(outcome, events);
        }
        self.checked = self.checked.saturating_add(other.checked);
        self.against.extend(other.against);
        self.findings_omitted += other.findings_omitted;
        self.failed |= other.failed;
        self.undecided |= other.undecided;
        other
            .findings
            .into_iter()
            .for_each(|finding| self.find(finding));
    }

    /// Whether any finding is of this kind.
    #[must_use]
    pub fn has(&self, kind: FindingKind) -> bool {
        self.findings.iter().any(|finding| finding.kind == kind)
    }

    /// Whether everything was decided and nothing was found wrong.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.result() == RunResult::Pass
    }

    /// What it comes to. Nothing checked is never a pass.
    #[must_use]
    pub fn result(&self) -> RunResult {
        let counts = &self.outcomes;
        if self.failed || counts.missing > 0 || counts.tampered > 0 {
            RunResult::Fail
        } else if self.undecided || counts.unverifiable > 0 || self.checked == 0 {
            RunResult::Inconclusive
        } else {
            RunResult::Pass
        }
    }
}
