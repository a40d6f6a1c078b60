//! What an operator changes about rules without editing them.

use std::collections::BTreeMap;
use std::time::Duration;

use audit_event::OrganizationId;

use super::load::correlation_hash;
use super::{Body, Level, Rule, RuleProblem, Test};

/// Changes, by the key of the rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning {
    /// The rules that are tuned.
    pub rules: BTreeMap<String, RuleTuning>,
}

/// Changes of one rule; what is `None` stays as the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleTuning {
    /// Whether it is in use.
    pub enabled: Option<bool>,
    /// The number its condition compares with; of a correlation with one comparison.
    pub threshold: Option<u64>,
    /// Length of its window; of a correlation. More than nothing, at most ten years.
    pub window: Option<Duration>,
    /// How much it matters.
    pub severity: Option<Level>,
    /// The only organisations it is for.
    pub organizations: Option<Vec<OrganizationId>>,
}

const SPAN_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

pub(super) fn apply(tuning: &Tuning, rules: &mut [Rule]) -> Vec<RuleProblem> {
    let mut problems = Vec::new();
    for (key, change) in &tuning.rules {
        let result = match rules.iter_mut().find(|rule| rule.key == *key) {
            Some(rule) => change_rule(rule, change),
            None => Err("no rule has this key".to_owned()),
        };
        if let Err(reason) = result {
            problems.push(RuleProblem {
                file: "tuning".to_owned(),
                line: 0,
                reason: format!("{key}: {reason}"),
            });
        }
    }
    rehash(rules);
    problems
}

/// All of a change, or nothing of it.
fn change_rule(rule: &mut Rule, change: &RuleTuning) -> Result<(), String> {
    let mut changed = rule.clone();
    if let Some(threshold) = change.threshold {
        set_threshold(&mut changed.body, threshold)?;
    }
    if let Some(window) = change.window {
        set_window(&mut changed.body, window)?;
    }
    changed.enabled = change.enabled.unwrap_or(changed.enabled);
    changed.level = change.severity.unwrap_or(changed.level);
    if let Some(organizations) = &change.organizations {
        changed.organizations = Some(organizations.clone());
    }
    *rule = changed;
    Ok(())
}

fn set_threshold(body: &mut Body, threshold: u64) -> Result<(), String> {
    let Body::Correlation(correlation) = body else {
        return Err("a threshold is for correlations".to_owned());
    };
    match &mut correlation.test {
        Test::Compare(comparisons) => match comparisons.as_mut_slice() {
            [(_, number)] => {
                *number = threshold;
                Ok(())
            }
            _ => Err("it compares more than once, so no one threshold can be set".to_owned()),
        },
        Test::AllLegs | Test::Expression(_) => Err("its condition has no threshold".to_owned()),
    }
}

fn set_window(body: &mut Body, window: Duration) -> Result<(), String> {
    let Body::Correlation(correlation) = body else {
        return Err("a window is for correlations".to_owned());
    };
    if window.is_zero() || window > SPAN_MAX {
        return Err("a window is longer than nothing and at most ten years".to_owned());
    }
    correlation.span = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
    Ok(())
}

fn rehash(rules: &mut [Rule]) {
    let hashes: Vec<_> = rules
        .iter()
        .map(|rule| {
            rule.correlation()
                .map(|correlation| correlation_hash(&rule.key, correlation, rules))
        })
        .collect();
    for (rule, hash) in rules.iter_mut().zip(hashes) {
        rule.hash = hash.unwrap_or(rule.hash);
    }
}
