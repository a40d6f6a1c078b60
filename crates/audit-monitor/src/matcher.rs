//! Matching of single events: stateless, the same in every process.

use std::sync::Arc;

use audit_event::{AuditEvent, OWN_ORGANIZATION};
use audit_integrity::digest::sha256;
use audit_integrity::ledger::Digest;
use rsigma_eval::{Event, EventValue};

use crate::calendar::Settings;
use crate::episode::Episode;
use crate::observation::{Evidence, Group, Measured, Observation, Position};
use crate::rules::{Body, Correlation, Kind, Rule, RuleSet};
use crate::view::{EventView, ROOTS};

/// Numbers beyond this many millionths, either way, count as this: a million of them still add up.
const MILLIONTHS_MAX: i128 = 1_000_000_000_000_000_000_000_000;

/// Finds the rules that an event matches, and what correlations observe of it.
pub struct Matcher {
    engine: rsigma_eval::Engine,
    rules: Arc<RuleSet>,
    settings: Settings,
    /// By the index of the rule in the set.
    targets: Vec<Target>,
    /// Those of [`ROOTS`] that a rule asks for.
    roots: Vec<&'static str>,
}

/// What a match of a detection leads to.
#[derive(Debug, Clone, Default)]
struct Target {
    /// A match is an alert.
    alone: bool,
    /// Correlations, by index in the set, and which of their legs this is.
    legs: Vec<(usize, u16)>,
}

/// What was found in one event.
#[derive(Debug, Default)]
pub struct Found {
    /// Episodes of this event alone.
    pub episodes: Vec<Episode>,
    /// What correlations count; given to a [`crate::WindowStore`] in a [`crate::Batch`].
    pub observations: Vec<Observation>,
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher")
            .field("rules", &self.engine.rule_count())
            .finish_non_exhaustive()
    }
}

impl Matcher {
    /// Compiles the rules that are in use.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, settings: Settings) -> Self {
        let targets = targets(rules.rules());
        let mut engine = rsigma_eval::Engine::new();
        let wanted = targets.iter().enumerate();
        let wanted = wanted.filter(|(_, target)| target.alone || !target.legs.is_empty());
        let compiled: Vec<_> = wanted
            .filter_map(|(index, _)| numbered(rules.rules().get(index)?, index))
            .collect();
        // Every rule compiled when it was loaded, or it would not be in the set.
        engine.add_rules(&compiled);
        Self {
            engine,
            roots: roots(&compiled),
            rules,
            settings,
            targets,
        }
    }

    pub(crate) fn view<'e>(&'e self, event: &'e AuditEvent) -> EventView<'e> {
        let customs = self.settings.of(&event.organization_id);
        EventView::new(event, customs, &self.roots)
    }

    /// Calendars and networks of organisations.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// The detections that match an event, also those that only feed correlations, in the order of the set.
    #[must_use]
    pub fn matches(&self, event: &AuditEvent) -> Vec<&Rule> {
        let view = self.view(event);
        let rules = self.rules.rules();
        let matching = self.matching(event, &view);
        matching
            .into_iter()
            .filter_map(|index| rules.get(index))
            .collect()
    }

    /// What is found in an event.
    #[must_use]
    pub fn observe(&self, event: &AuditEvent, position: Position) -> Found {
        let view = self.view(event);
        let evidence = Evidence {
            at: event.statement.timestamp,
            event: event.id,
            position,
        };
        let seen = Seen {
            event,
            view: &view,
            evidence,
        };
        let mut found = Found::default();
        for index in self.matching(event, &view) {
            self.lead_on(index, &seen, &mut found);
        }
        found
    }

    /// Indices of the matching detections, ascending.
    pub(crate) fn matching(&self, event: &AuditEvent, view: &EventView<'_>) -> Vec<usize> {
        // Our own events raise no detection: an alert would write the next.
        if event.organization_id.as_str() == OWN_ORGANIZATION {
            return Vec::new();
        }
        let rules = self.rules.rules();
        let results = self.engine.evaluate(view);
        let mut matching: Vec<usize> = results
            .iter()
            .filter_map(|result| result.header.rule_id.as_deref()?.parse().ok())
            .filter(|index| {
                let rule: Option<&Rule> = rules.get(*index);
                rule.is_some_and(|rule| rule.concerns(&event.organization_id))
            })
            .collect();
        matching.sort_unstable();
        matching
    }

    /// The correlations that count an event because this detection matches it, and the groups that they count it in.
    pub(crate) fn counts(&self, index: usize, event: &AuditEvent) -> Vec<(&Rule, Arc<Group>)> {
        let view = self.view(event);
        let evidence = Evidence {
            at: event.statement.timestamp,
            event: event.id,
            ..Evidence::NONE
        };
        let seen = Seen {
            event,
            view: &view,
            evidence,
        };
        let mut found = Found::default();
        self.lead_on(index, &seen, &mut found);
        let counted = found.observations.into_iter().filter_map(|observation| {
            let mut rules = self.rules.rules().iter();
            let rule = rules.find(|rule| rule.hash() == observation.rule)?;
            Some((rule, observation.group))
        });
        counted.collect()
    }

    fn lead_on(&self, index: usize, seen: &Seen<'_>, found: &mut Found) {
        let Some((rule, target)) = self.rules.rules().get(index).zip(self.targets.get(index))
        else {
            return;
        };
        if target.alone {
            let group = Group::of(&rule.hash(), &seen.event.organization_id, Vec::new());
            found
                .episodes
                .push(Episode::of_one(rule, group, seen.evidence));
        }
        for (correlation, leg) in &target.legs {
            let Some(rule) = self.rules.rules().get(*correlation) else {
                continue;
            };
            if rule.concerns(&seen.event.organization_id)
                && let Some(correlation) = rule.correlation()
                && let Some(observation) = seen.observation(&rule.hash(), correlation, *leg)
            {
                let known = found
                    .observations
                    .iter()
                    .any(|known| (known.rule, known.leg) == (observation.rule, observation.leg));
                if !known {
                    found.observations.push(observation);
                }
            }
        }
    }
}

/// A detection as the evaluator takes it. Results name a rule by its id; ours are looked up by place.
pub(crate) fn numbered(rule: &Rule, index: usize) -> Option<rsigma_parser::SigmaRule> {
    match rule.body() {
        Body::Detection { rule, .. } => {
            let mut rule = (**rule).clone();
            rule.id = Some(index.to_string());
            Some(rule)
        }
        Body::Correlation(_) => None,
    }
}

/// More than are asked for, where a rule looks for such a word; never less.
fn roots(rules: &[rsigma_parser::SigmaRule]) -> Vec<&'static str> {
    let detections = rules
        .iter()
        .map(|rule| serde_json::to_string(&rule.detection));
    let asked: Result<Vec<String>, _> = detections.collect();
    let is_asked = |root: &&str| match &asked {
        Ok(asked) => asked.iter().any(|detection| detection.contains(*root)),
        Err(_) => true,
    };
    ROOTS.into_iter().filter(is_asked).collect()
}

fn targets(rules: &[Rule]) -> Vec<Target> {
    let mut targets = vec![Target::default(); rules.len()];
    for (index, rule) in rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.is_enabled())
    {
        match rule.body() {
            Body::Detection { alone, .. } => {
                if let Some(target) = targets.get_mut(index) {
                    target.alone = *alone;
                }
            }
            Body::Correlation(correlation) => {
                for (leg, detection) in correlation.legs.iter().enumerate() {
                    if let Some(target) = targets.get_mut(*detection) {
                        target
                            .legs
                            .push((index, u16::try_from(leg).unwrap_or(u16::MAX)));
                    }
                }
            }
        }
    }
    targets
}

/// An event that is being looked at.
struct Seen<'e> {
    event: &'e AuditEvent,
    view: &'e EventView<'e>,
    evidence: Evidence,
}

impl Seen<'_> {
    /// `None` when the event lacks what the correlation counts.
    fn observation(&self, rule: &Digest, of: &Correlation, leg: u16) -> Option<Observation> {
        let measured = self.measure(of)?;
        let values = of.group_by.iter().map(|field| {
            let path = field.paths.get(usize::from(leg)).unwrap_or(&field.name);
            let value = self.view.get_field(path);
            (field.name.clone(), value.as_ref().and_then(told))
        });
        let (group_id, group) = Group::of(rule, &self.event.organization_id, values.collect());
        let legs_matter = matches!(of.kind, Kind::Temporal | Kind::TemporalOrdered);
        Some(Observation {
            rule: *rule,
            group_id,
            group,
            // An event that two rules match is still one event to count.
            leg: if legs_matter { leg } else { 0 },
            evidence: self.evidence,
            measured,
            clock: self.evidence.at,
        })
    }

    fn measure(&self, of: &Correlation) -> Option<Measured> {
        match of.kind {
            Kind::EventCount | Kind::Temporal | Kind::TemporalOrdered => Some(Measured::Presence),
            Kind::ValueCount => self.token(&of.fields).map(Measured::Token),
            Kind::Sum | Kind::Average | Kind::Percentile(_) => {
                let value = self.view.get_field(of.fields.first()?)?;
                millionths(&value).map(Measured::Millionths)
            }
        }
    }

    /// The values of all fields; `None` when one is absent.
    fn token(&self, fields: &[String]) -> Option<[u8; 16]> {
        let mut text = Vec::new();
        for field in fields {
            let value = self.view.get_field(field)?;
            let value = told(&value)?;
            text.extend_from_slice(value.len().to_string().as_bytes());
            text.push(b'\n');
            text.extend_from_slice(value.as_bytes());
        }
        sha256(&[b"audit-token/1\n", &text])
            .0
            .first_chunk()
            .copied()
    }
}

/// A single value as text; a list, an object and null have none.
fn told(value: &EventValue<'_>) -> Option<String> {
    value.as_str().map(std::borrow::Cow::into_owned)
}

/// A number, or a text that is one.
fn millionths(value: &EventValue<'_>) -> Option<i128> {
    let exact = match value {
        EventValue::Int(integer) => Some(i128::from(*integer)),
        EventValue::Str(text) => text.trim().parse::<i64>().ok().map(i128::from),
        _ => None,
    };
    if let Some(integer) = exact {
        return Some((integer * 1_000_000).clamp(-MILLIONTHS_MAX, MILLIONTHS_MAX));
    }
    let float = match value {
        EventValue::Float(float) => *float,
        EventValue::Str(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates, and the clamp comes after it"
    )]
    let millionths = float.is_finite().then(|| (float * 1e6).round() as i128)?;
    Some(millionths.clamp(-MILLIONTHS_MAX, MILLIONTHS_MAX))
}
