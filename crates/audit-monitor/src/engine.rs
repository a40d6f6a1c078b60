//! Correlations as a state machine: from observations to episodes, without I/O and without a clock.
//!
//! What an engine does with a group is a function of the group's observations and of the watermark at each. So a store may evaluate a
//! group now or later, in one batch or in many, and finds the same episodes.

pub(crate) mod codec;
mod state;
mod table;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit_integrity::ledger::Digest;

pub(crate) use self::table::Table;
use crate::episode::Episode;
use crate::rules::{Correlation, Op, Rule, RuleSet, Test};

/// Bounds of what the windows hold, and how long they wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How much older than the newest event an event may be and still be evaluated in its place; later ones are evaluated apart. At most
    /// a year.
    pub allowed_lateness: Duration,
    /// Groups that are kept; the one that was observed longest ago makes way.
    pub groups_max: usize,
    /// Observations that one group waits with, and that its window holds, each.
    pub entries_per_group_max: usize,
    /// Observations of all groups.
    pub entries_max: usize,
    /// Episodes that wait to be taken; when there are more, no batch is applied.
    pub episodes_max: usize,
}

impl Default for Limits {
    /// 60 s; 100,000 groups; 10,000 observations each and 2,000,000 in all, which are about 400 MB at the most; 10,000 episodes.
    fn default() -> Self {
        Self {
            allowed_lateness: Duration::from_secs(60),
            groups_max: 100_000,
            entries_per_group_max: 10_000,
            entries_max: 2_000_000,
            episodes_max: 10_000,
        }
    }
}

const LATENESS_MAX: Duration = Duration::from_secs(366 * 86_400);

impl Limits {
    fn lateness_micros(&self) -> i64 {
        state::micros(self.allowed_lateness.min(LATENESS_MAX))
    }
}

/// The correlations in use, compiled.
#[derive(Debug)]
pub struct Engine {
    rules: Arc<RuleSet>,
    /// Index in the set, by the hash of the rule.
    correlations: BTreeMap<Digest, usize>,
    limits: Limits,
    problems: Vec<String>,
}

impl Engine {
    /// Of the enabled correlations of a set.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, limits: Limits) -> Self {
        let enabled = rules.rules().iter().enumerate();
        let enabled = enabled.filter(|(_, rule)| rule.is_enabled() && rule.is_correlation());
        let correlations = enabled.map(|(index, rule)| (rule.hash(), index)).collect();
        let problems = rules
            .rules()
            .iter()
            .filter(|rule| rule.is_enabled())
            .filter_map(|rule| unreachable_threshold(rule, &limits))
            .collect();
        Self {
            rules,
            correlations,
            limits,
            problems,
        }
    }

    /// Rules that can never raise under these limits, with the reason.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The longest window: state that was lost is rebuilt by reading again from so much before the cursor.
    #[must_use]
    pub fn longest_window(&self) -> Duration {
        let spans = self
            .correlations
            .keys()
            .filter_map(|hash| self.correlation(hash));
        let longest = spans.map(|(_, correlation)| correlation.span).max();
        Duration::from_micros(
            longest
                .and_then(|span| u64::try_from(span).ok())
                .unwrap_or(0),
        )
    }

    /// How far back what is stored can still matter: the longest window, and twice the allowed lateness around it.
    #[must_use]
    pub fn reach(&self) -> Duration {
        let lateness = self.limits.allowed_lateness.min(LATENESS_MAX);
        self.longest_window().saturating_add(lateness * 2)
    }

    pub(crate) fn correlation(&self, hash: &Digest) -> Option<(&Rule, &Correlation)> {
        let rule = self.rules.rules().get(*self.correlations.get(hash)?)?;
        Some((rule, rule.correlation()?))
    }
}

/// A window holds so many observations at the most; a count beyond that never comes.
fn unreachable_threshold(rule: &Rule, limits: &Limits) -> Option<String> {
    let correlation = rule.correlation()?;
    let Test::Compare(comparisons) = &correlation.test else {
        return None;
    };
    let most = u64::try_from(limits.entries_per_group_max).unwrap_or(u64::MAX);
    let beyond = comparisons.iter().any(|(op, number)| match op {
        Op::Gte | Op::Eq => *number > most,
        Op::Gt => *number >= most,
        Op::Lt | Op::Lte | Op::Neq => false,
    });
    (beyond && !correlation.kind.is_numeric()).then(|| {
        format!(
            "{}: its threshold is beyond the {most} observations that a window holds",
            rule.key()
        )
    })
}

/// Why memory ran short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shortage {
    /// A whole group made way for another: its window is forgotten, its open episode closed.
    GroupEvicted,
    /// The oldest events of a full window were forgotten before they were out of it: counts are too small.
    WindowCut,
    /// A full group was evaluated before the watermark had passed: events that come in between are late.
    Hurried,
}

/// What a bound of [`Limits`] forced, for a metric and an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub shortage: Shortage,
    /// Key of the rule.
    pub rule: String,
    /// How often.
    pub count: u64,
}

/// Counts of what was forced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices(BTreeMap<(Shortage, String), u64>);

impl Notices {
    fn add(&mut self, shortage: Shortage, rule: &Rule) {
        *self.0.entry((shortage, rule.key().to_owned())).or_default() += 1;
    }

    fn evicted(&mut self, rule: &Rule) {
        self.add(Shortage::GroupEvicted, rule);
    }

    fn cut(&mut self, rule: &Rule) {
        self.add(Shortage::WindowCut, rule);
    }

    fn hurried(&mut self, rule: &Rule) {
        self.add(Shortage::Hurried, rule);
    }

    fn merge(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    pub(crate) fn into_list(self) -> Vec<Notice> {
        let notice = |((shortage, rule), count)| Notice {
            shortage,
            rule,
            count,
        };
        self.0.into_iter().map(notice).collect()
    }
}

/// What steps have to tell.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) episodes: Vec<Episode>,
    pub(crate) late: u64,
    pub(crate) notices: Notices,
}
