//! Sigma rules: loaded from text, tuned, and known by the hash of what they mean.

mod correlation;
mod document;
mod hash;
mod load;
mod tuning;

use audit_event::OrganizationId;
use audit_integrity::ledger::Digest;
use rsigma_parser::SigmaRule;

pub(crate) use self::correlation::{Correlation, Expression, Kind, Op, Test};
pub use self::tuning::{RuleTuning, Tuning};

/// Why a file, or one rule of it, was not loaded. The others were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// Name of the file, as it was handed in; `tuning` for a problem of the [`Tuning`].
    pub file: String,
    /// Line of the file, from 1; 0 in a [`Tuning`], which has none. The first line of the rule when its reason names no place.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// How much a rule matters, in Sigma's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Informational,
    Low,
    /// Also of a rule that states none.
    Medium,
    High,
    Critical,
}

impl Level {
    /// The name in rule files and alerts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// From the least to the most.
    pub(crate) const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];
}

/// A loaded rule.
#[derive(Debug, Clone)]
pub struct Rule {
    key: String,
    title: String,
    level: Level,
    file: String,
    line: usize,
    hash: Digest,
    enabled: bool,
    /// `None`: every organisation.
    organizations: Option<Vec<OrganizationId>>,
    body: Body,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Matches single events. `alone`: a match is an alert; false for a rule that only feeds correlations.
    Detection { rule: Box<SigmaRule>, alone: bool },
    /// Matches windows of what other rules matched.
    Correlation(Correlation),
}

impl Rule {
    /// What it is called: its name; its id, or its title, when it has none. Unique in a [`RuleSet`].
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The file it was loaded from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line of the file where it begins, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Digest of its key and of everything that decides what it matches: not of its title, its level or its comments. An episode is
    /// known by it, so a rule that was edited raises anew, and one that was reworded does not.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// Whether it is in use.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether it matches windows of events and not single ones.
    #[must_use]
    pub fn is_correlation(&self) -> bool {
        matches!(self.body, Body::Correlation(_))
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn correlation(&self) -> Option<&Correlation> {
        match &self.body {
            Body::Correlation(correlation) => Some(correlation),
            Body::Detection { .. } => None,
        }
    }

    /// Whether it is in use for an organisation.
    pub(crate) fn concerns(&self, organization: &OrganizationId) -> bool {
        self.enabled
            && self
                .organizations
                .as_ref()
                .is_none_or(|scope| scope.contains(organization))
    }
}

/// Rules that belong together: correlations refer to detections of the same set.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    problems: Vec<RuleProblem>,
}

impl RuleSet {
    /// Loads rules from files, each a name and its text: Sigma 2.1 YAML, one document or many. What cannot be loaded is a problem and
    /// stops nothing else; a rule with the key of an earlier one is such a problem. Rules refer to each other across files.
    #[must_use]
    pub fn load<N, T>(files: impl Iterator<Item = (N, T)>) -> Self
    where
        N: Into<String>,
        T: AsRef<str>,
    {
        let documents = files.flat_map(|(name, text)| document::read(&name.into(), text.as_ref()));
        load::link(documents.collect())
    }

    /// The rules that ship with the product: `crates/audit-monitor/rules`.
    #[must_use]
    pub fn built_in() -> Self {
        Self::load(crate::built_in::FILES.into_iter())
    }

    /// The same rules, tuned. What the tuning names and the set does not have is a problem of the result.
    #[must_use]
    pub fn tuned(mut self, tuning: &Tuning) -> Self {
        let problems = tuning::apply(tuning, &mut self.rules);
        self.problems.extend(problems);
        self
    }

    /// What could not be loaded, in the order of the files.
    #[must_use]
    pub fn problems(&self) -> &[RuleProblem] {
        &self.problems
    }

    /// The rules, in the order of the files.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule with that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.key == key)
    }
}
