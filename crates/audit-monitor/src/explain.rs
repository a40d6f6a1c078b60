//! Why an event is found: for somebody who tries a rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit_event::AuditEvent;
use rsigma_eval::{FieldMatch, MatchDetailLevel};
use serde_json::Value;

use crate::matcher::{Matcher, numbered};
use crate::observation::Group;
use crate::rules::{Body, Rule};
use crate::view::EventView;

/// Longest text that an explanation shows of a value or a pattern, in bytes.
const SHOWN_MAX: usize = 512;

/// Why a detection matches an event, and what follows from it.
#[derive(Debug, Clone)]
pub struct Explanation<'m> {
    /// The detection.
    pub rule: &'m Rule,
    /// The match alone is an episode; false for a rule that only feeds correlations.
    pub raises: bool,
    /// Names of its selections that match.
    pub selections: Vec<String>,
    /// What in the event they match.
    pub fields: Vec<Because>,
    /// The correlations that count the event because of it, and the group that they count it in.
    pub counts: Vec<(&'m Rule, Arc<Group>)>,
}

/// A field that matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Because {
    /// Its path, as the rule has it; `keyword` where a word was found anywhere.
    pub field: String,
    /// Its value; long ones are cut, and shown as text. `null` where the rule wants it absent.
    pub value: Value,
    /// The selection that asks for it.
    pub selection: Option<String>,
    /// What it was compared with; a long pattern is cut.
    pub pattern: Option<String>,
    /// The rule says `not`.
    pub negated: bool,
}

impl Matcher {
    /// The detections that match an event, in the order of the set, each with the reason. Slow: to be asked by people.
    #[must_use]
    pub fn explain(&self, event: &AuditEvent) -> Vec<Explanation<'_>> {
        let view = self.view(event);
        let matching = self.matching(event, &view);
        let mut reasons = self.reasons(&matching, &view);
        matching
            .into_iter()
            .filter_map(|index| {
                let rule = self.rules().rules().get(index)?;
                let (selections, fields) = reasons.remove(&index).unwrap_or_default();
                Some(Explanation {
                    rule,
                    raises: matches!(rule.body(), Body::Detection { alone: true, .. }),
                    selections,
                    fields,
                    counts: self.counts(index, event),
                })
            })
            .collect()
    }
}

impl Matcher {
    /// The selections and fields of matching detections, by index in the set: asked once more, of an engine that takes note.
    fn reasons(&self, matching: &[usize], view: &EventView<'_>) -> BTreeMap<usize, Reasons> {
        let rules = self.rules().rules();
        let compiled = matching
            .iter()
            .filter_map(|index| numbered(rules.get(*index)?, *index));
        let compiled: Vec<_> = compiled.collect();
        let mut engine = rsigma_eval::Engine::new();
        engine.set_match_detail(MatchDetailLevel::Full);
        engine.add_rules(&compiled);
        let results = engine.evaluate(view);
        let reasons = results.iter().filter_map(|result| {
            let index = result.header.rule_id.as_deref()?.parse().ok()?;
            let body = result.as_detection()?;
            let fields = body.matched_fields.iter().map(Because::of).collect();
            Some((index, (body.matched_selections.clone(), fields)))
        });
        reasons.collect()
    }
}

/// Names of selections, and what they match.
type Reasons = (Vec<String>, Vec<Because>);

impl Because {
    fn of(found: &FieldMatch) -> Self {
        Self {
            field: found.field.clone(),
            value: shown(&found.value),
            selection: found.selection.clone(),
            pattern: found.pattern.clone().map(cut),
            negated: found.negated,
        }
    }
}

fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text.clone())),
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            if text.len() > SHOWN_MAX {
                Value::String(cut(text))
            } else {
                value.clone()
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(SHOWN_MAX));
    text
}
