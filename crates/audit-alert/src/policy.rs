//! Who is told of what, and when not.

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::time::Duration;

use audit_event::{OrganizationId, Timestamp};
use audit_store::AlertLevel;
use croner::Cron;
use jiff::tz::TimeZone;

use crate::notice::NoticeKind;

/// The name in the outbox under which steps wait for the trail; no handler may have it.
pub const TRAIL: &str = "trail";
/// How long a suppression may last, in days: what is suppressed for longer is a rule to switch off.
const SUPPRESSION_DAYS_MAX: u64 = 31;

/// Who is told of what, and when not.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// How long after one alert of a group was told another one is kept, but not told. Zero tells all.
    pub cooldown: Duration,
    /// What happens while nobody acknowledges an alert, in order.
    pub escalation: Vec<Escalation>,
    /// When nobody is told.
    pub suppressions: Vec<Suppression>,
    /// Who is told.
    pub handlers: Vec<Recipient>,
}

/// What happens when an alert is not acknowledged for some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// How long after the raising; each step's is longer than that of the one before.
    pub after: Duration,
    /// The level that it has from then on, unless it has a higher one.
    pub raise_to: Option<AlertLevel>,
    /// Handlers that hear of it from then on, whatever they hear of otherwise.
    pub handlers: Vec<String>,
}

/// A time in which alerts are kept, but told to nobody: those that are raised in it.
#[derive(Debug, Clone)]
pub struct Suppression {
    name: String,
    starts: Box<Cron>,
    lasts: Duration,
    zone: TimeZone,
    rules: Vec<String>,
    organizations: Vec<OrganizationId>,
}

/// A handler, and what it hears of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its name.
    pub name: String,
    /// Only of alerts of this level or a higher one.
    pub at_least: AlertLevel,
    /// Only of these organisations; empty for all.
    pub organizations: Vec<OrganizationId>,
    /// Only of these rules; `abc*` stands for all that begin with `abc`; empty for all.
    pub rules: Vec<String>,
    /// Only these kinds of notices; empty for all.
    pub kinds: Vec<NoticeKind>,
}

/// What is wrong with a policy; each names the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyProblem {
    /// No cron expression.
    #[error("suppression {suppression:?}: {starts:?} is no cron expression: {reason}")]
    Cron {
        /// Name of the suppression.
        suppression: String,
        /// The text.
        starts: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A cron expression that no time matches.
    #[error("suppression {suppression:?}: {starts:?} never starts")]
    Never {
        /// Name of the suppression.
        suppression: String,
        /// The text.
        starts: String,
    },
    /// No time zone.
    #[error("suppression {suppression:?}: there is no time zone {zone:?}")]
    Zone {
        /// Name of the suppression.
        suppression: String,
        /// The text.
        zone: String,
    },
    /// Longer than allowed, or nothing.
    #[error(
        "suppression {suppression:?}: it lasts between 1 second and {SUPPRESSION_DAYS_MAX} days"
    )]
    Lasts {
        /// Name of the suppression.
        suppression: String,
    },
    /// An escalation that comes no later than the one before it.
    #[error("escalation {number}: it must come later than the one before it")]
    Order {
        /// Its place, from 1.
        number: usize,
    },
    /// More than can be counted.
    #[error("{count} escalations are more than 255")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// An escalation to a handler that there is not.
    #[error("escalation {number}: there is no handler {handler:?}")]
    NoHandler {
        /// Its place, from 1.
        number: usize,
        /// The name.
        handler: String,
    },
    /// A name that is taken, by another handler or by the trail.
    #[error("there is more than one handler {handler:?}")]
    NameTaken {
        /// The name.
        handler: String,
    },
}

impl Policy {
    /// The policy, if it can work.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn checked(self) -> Result<Self, Vec<PolicyProblem>> {
        let mut problems = Vec::new();
        let mut names = BTreeSet::from([TRAIL]);
        for handler in &self.handlers {
            if !names.insert(&handler.name) {
                problems.push(PolicyProblem::NameTaken {
                    handler: handler.name.clone(),
                });
            }
        }
        if self.escalation.len() > usize::from(u8::MAX) {
            problems.push(PolicyProblem::TooMany {
                count: self.escalation.len(),
            });
        }
        let mut before = Duration::ZERO;
        for (number, step) in (1..).zip(&self.escalation) {
            if step.after <= before {
                problems.push(PolicyProblem::Order { number });
            }
            before = step.after;
            let unknown = |name: &&String| !self.handlers.iter().any(|known| known.name == **name);
            let unknown = step.handlers.iter().filter(unknown);
            problems.extend(unknown.map(|handler| PolicyProblem::NoHandler {
                number,
                handler: handler.clone(),
            }));
        }
        match problems.is_empty() {
            true => Ok(self),
            false => Err(problems),
        }
    }

    /// The first suppression that mutes an alert that is raised now.
    pub(crate) fn suppression(
        &self,
        rule: &str,
        organization: &OrganizationId,
        now: Timestamp,
    ) -> Option<&Suppression> {
        self.suppressions
            .iter()
            .find(|suppression| suppression.mutes(rule, organization, now))
    }

    /// Names of those who hear of such an alert.
    pub(crate) fn recipients(
        &self,
        rule: &str,
        organization: &OrganizationId,
        level: AlertLevel,
    ) -> Vec<String> {
        let hears = |handler: &&Recipient| {
            level >= handler.at_least
                && is_among(&handler.organizations, organization)
                && is_of(&handler.rules, rule)
        };
        let hearing = self.handlers.iter().filter(hears);
        hearing.map(|handler| handler.name.clone()).collect()
    }

    /// Whether a handler, as it is configured now, wants to hear this kind of notice. One that is gone does not.
    pub(crate) fn wants(&self, handler: &str, kind: NoticeKind) -> bool {
        let handler = self.handlers.iter().find(|known| known.name == handler);
        handler.is_some_and(|handler| handler.kinds.is_empty() || handler.kinds.contains(&kind))
    }

    /// From one step of the escalation to the next: `done` have been taken.
    pub(crate) fn until_next_escalation(&self, done: u8) -> Option<Duration> {
        let next = self.escalation.get(usize::from(done))?;
        let before = done
            .checked_sub(1)
            .and_then(|last| self.escalation.get(usize::from(last)))
            .map_or(Duration::ZERO, |last| last.after);
        Some(next.after.saturating_sub(before))
    }
}

impl Suppression {
    /// One of that name: it starts whenever the cron expression (5 fields, or 6 with seconds in front) matches in the time zone (a
    /// name as `Europe/Berlin`), and lasts so long from then on, whatever clocks do meanwhile.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(
        name: &str,
        starts: &str,
        lasts: Duration,
        zone: &str,
    ) -> Result<Self, PolicyProblem> {
        let suppression = name.to_owned();
        let cron = Cron::from_str(starts).map_err(|error| PolicyProblem::Cron {
            suppression: suppression.clone(),
            starts: starts.to_owned(),
            reason: error.to_string(),
        })?;
        let zone = TimeZone::get(zone).map_err(|_unknown| PolicyProblem::Zone {
            suppression: suppression.clone(),
            zone: zone.to_owned(),
        })?;
        let allowed = 1..=SUPPRESSION_DAYS_MAX * 86_400;
        if !allowed.contains(&lasts.as_secs()) {
            return Err(PolicyProblem::Lasts { suppression });
        }
        let epoch = jiff::Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
        if cron.find_next_occurrence(&epoch, true).is_err() {
            return Err(PolicyProblem::Never {
                suppression,
                starts: starts.to_owned(),
            });
        }
        Ok(Self {
            name: suppression,
            starts: Box::new(cron),
            lasts,
            zone,
            rules: Vec::new(),
            organizations: Vec::new(),
        })
    }

    /// Mutes these rules only; `abc*` stands for all that begin with `abc`; none named is all.
    #[must_use]
    pub fn of_rules(mut self, rules: Vec<String>) -> Self {
        self.rules = rules;
        self
    }

    /// Mutes alerts of these organisations only; none named is all.
    #[must_use]
    pub fn of_organizations(mut self, organizations: Vec<OrganizationId>) -> Self {
        self.organizations = organizations;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is on at this time.
    #[must_use]
    pub fn is_on(&self, at: Timestamp) -> bool {
        // Whole seconds: cron knows no others.
        let Ok(second) = jiff::Timestamp::from_second(at.micros().div_euclid(1_000_000)) else {
            return false;
        };
        let now = second.to_zoned(self.zone.clone());
        // All last equally long, so that the last one to start is the last one to end.
        let started = self.starts.find_previous_occurrence(&now, true);
        started.is_ok_and(|started| {
            let since = second
                .as_second()
                .saturating_sub(started.timestamp().as_second());
            u64::try_from(since).is_ok_and(|since| since < self.lasts.as_secs())
        })
    }

    fn mutes(&self, rule: &str, organization: &OrganizationId, now: Timestamp) -> bool {
        is_of(&self.rules, rule) && is_among(&self.organizations, organization) && self.is_on(now)
    }
}

fn is_among(organizations: &[OrganizationId], organization: &OrganizationId) -> bool {
    organizations.is_empty() || organizations.contains(organization)
}

fn is_of(patterns: &[String], rule: &str) -> bool {
    let fits = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => rule.starts_with(beginning),
        None => rule == pattern,
    };
    patterns.is_empty() || patterns.iter().any(fits)
}
