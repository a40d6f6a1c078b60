//! Puts the documents of all files together: filters into the rules they are for, correlations onto the rules they refer to.

use std::collections::{BTreeMap, HashMap};

use rsigma_parser::{
    ConditionExpr, CorrelationRule, Detection, DetectionItem, Detections, FilterRule,
    FilterRuleTarget, LogSource, Modifier, SelectorPattern, SigmaRule, SigmaValue,
};
use serde_json::json;

use super::correlation::{self, Leg};
use super::document::{Document, Parsed};
use super::{Body, Level, Rule, RuleProblem, RuleSet, hash};

pub(super) fn link(documents: Vec<Document>) -> RuleSet {
    let mut linking = Linking::default();
    for document in &documents {
        match &document.body {
            Parsed::Fault(problem) => linking.set.problems.push(problem.clone()),
            Parsed::Rule(rule) => linking.detection(document, rule),
            Parsed::Correlation(_) | Parsed::Filter(_) => {}
        }
    }
    // After every rule is there: a filter or a correlation may stand before what it is about.
    for (number, document) in documents.iter().enumerate() {
        if let Parsed::Filter(filter) = &document.body {
            linking.filter(document, filter, number);
        }
    }
    linking.hash_detections();
    for document in &documents {
        if let Parsed::Correlation(rule) = &document.body {
            linking.correlation(document, rule);
        }
    }
    linking.finish(&documents)
}

#[derive(Default)]
struct Linking {
    set: RuleSet,
    /// Ids and names of detections, to their place in the set.
    named: BTreeMap<String, usize>,
    /// Detections that a correlation speaks for.
    spoken_for: Vec<usize>,
}

impl Linking {
    fn detection(&mut self, document: &Document, rule: &SigmaRule) {
        let key = key_of(&rule.id, &rule.name, &rule.title);
        if let Err(reason) = self
            .check_key(&key)
            .and_then(|()| check_version(rule.sigma_version))
            .and_then(|()| check_placeholders(&rule.detection))
            .and_then(|()| compiles(rule))
        {
            return self.set.problems.push(document.problem(reason));
        }
        let index = self.set.rules.len();
        let names = [&rule.id, &rule.name].into_iter().flatten();
        self.named.extend(names.map(|name| (name.clone(), index)));
        let mut rule = rule.clone();
        // Attributes steer the evaluator, as far as to copying whole events into its results.
        rule.custom_attributes.clear();
        self.set.rules.push(Rule {
            key,
            title: rule.title.clone(),
            level: level_of(rule.level),
            file: document.file.clone(),
            line: document.line,
            // Worked out when the filters are in.
            hash: hash::of_parts("", &json!(null)),
            enabled: true,
            organizations: None,
            body: Body::Detection {
                rule: Box::new(rule),
                alone: true,
            },
        });
    }

    fn check_key(&self, key: &str) -> Result<(), String> {
        match self.set.get(key) {
            None => Ok(()),
            Some(first) => Err(format!(
                "'{key}' is already the key of a rule: {}, line {}",
                first.file, first.line
            )),
        }
    }

    fn filter(&mut self, document: &Document, filter: &FilterRule, number: usize) {
        if let Err(reason) =
            check_version(filter.sigma_version).and_then(|()| check_placeholders(&filter.detection))
        {
            return self.set.problems.push(document.problem(reason));
        }
        let mut found = false;
        for rule in &mut self.set.rules {
            if let Body::Detection { rule, .. } = &mut rule.body
                && is_meant(filter, rule)
            {
                found = true;
                add_filter(rule, filter, number);
            }
        }
        if !found {
            let reason = "this filter is for no rule that is loaded";
            self.set.problems.push(document.problem(reason));
        }
    }

    fn hash_detections(&mut self) {
        for rule in &mut self.set.rules {
            if let Body::Detection { rule: sigma, .. } = &rule.body {
                rule.hash = hash::of_detection(&rule.key, sigma);
            }
        }
    }

    fn correlation(&mut self, document: &Document, rule: &CorrelationRule) {
        match self.compile(rule) {
            Ok(compiled) => self.set.rules.push(Rule {
                file: document.file.clone(),
                line: document.line,
                ..compiled
            }),
            Err(reason) => self.set.problems.push(document.problem(reason)),
        }
    }

    fn compile(&mut self, rule: &CorrelationRule) -> Result<Rule, String> {
        let key = key_of(&rule.id, &rule.name, &rule.title);
        self.check_key(&key)?;
        check_version(rule.sigma_version)?;
        if rule.rules.is_empty() {
            return Err("the correlation refers to no rules".to_owned());
        }
        let legs: Result<Vec<Leg<'_>>, String> =
            rule.rules.iter().map(|name| self.leg(name)).collect();
        let legs = legs?;
        let correlation = correlation::compile(rule, &legs)?;
        let indices: Vec<usize> = legs.iter().map(|leg| leg.index).collect();
        if !rule.generate {
            self.spoken_for.extend(&indices);
        }
        Ok(Rule {
            hash: correlation_hash(&key, &correlation, &self.set.rules),
            key,
            title: rule.title.clone(),
            level: level_of(rule.level),
            file: String::new(),
            line: 0,
            enabled: true,
            organizations: None,
            body: Body::Correlation(correlation),
        })
    }

    fn leg<'r>(&'r self, name: &'r str) -> Result<Leg<'r>, String> {
        let index = *self.named.get(name).ok_or_else(|| {
            format!("the correlation refers to '{name}', which is no detection that is loaded")
        })?;
        let mut names = vec![name];
        names.extend(
            self.named
                .iter()
                .filter(|(_, at)| **at == index)
                .map(|(name, _)| name.as_str()),
        );
        Ok(Leg { index, names })
    }

    fn finish(mut self, documents: &[Document]) -> RuleSet {
        for index in &self.spoken_for {
            if let Some(Rule {
                body: Body::Detection { alone, .. },
                ..
            }) = self.set.rules.get_mut(*index)
            {
                *alone = false;
            }
        }
        let order = |file: &str| documents.iter().position(|document| document.file == file);
        self.set
            .problems
            .sort_by_cached_key(|problem: &RuleProblem| (order(&problem.file), problem.line));
        self.set
    }
}

/// The hash of a correlation is that of what it asks, and of the rules it asks about.
pub(super) fn correlation_hash(
    key: &str,
    correlation: &correlation::Correlation,
    rules: &[Rule],
) -> audit_integrity::ledger::Digest {
    let legs = correlation.legs.iter().filter_map(|leg| rules.get(*leg));
    let legs: Vec<String> = legs.map(|rule| hex::encode(rule.hash.0)).collect();
    hash::of_parts(key, &json!(["correlation", correlation.meaning(), legs]))
}

fn key_of(id: &Option<String>, name: &Option<String>, title: &str) -> String {
    let stated = name.as_ref().or(id.as_ref());
    stated.map_or_else(|| title.to_owned(), Clone::clone)
}

fn level_of(level: Option<rsigma_parser::Level>) -> Level {
    match level {
        Some(rsigma_parser::Level::Informational) => Level::Informational,
        Some(rsigma_parser::Level::Low) => Level::Low,
        Some(rsigma_parser::Level::Medium) | None => Level::Medium,
        Some(rsigma_parser::Level::High) => Level::High,
        Some(rsigma_parser::Level::Critical) => Level::Critical,
    }
}

fn check_version(stated: Option<u32>) -> Result<(), String> {
    match stated {
        Some(major) if rsigma_parser::is_unsupported(stated) => {
            Err(format!("'sigma-version' {major} is not supported"))
        }
        _ => Ok(()),
    }
}

fn compiles(rule: &SigmaRule) -> Result<(), String> {
    rsigma_eval::compile_rule(rule)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// A placeholder is filled in from a list that the rule's author does not know, and no such list is given: it would match nothing, or
/// the field of that name.
fn check_placeholders(detections: &Detections) -> Result<(), String> {
    match first_placeholder(&detections.named) {
        Some(name) => Err(format!("the placeholder '{name}' has no value")),
        None => Ok(()),
    }
}

/// In the order of the sections' names.
fn first_placeholder(sections: &HashMap<String, Detection>) -> Option<&str> {
    let mut names: Vec<&String> = sections.keys().collect();
    names.sort();
    let mut sections = names.into_iter().filter_map(|name| sections.get(name));
    sections.find_map(placeholder)
}

fn placeholder(detection: &Detection) -> Option<&str> {
    match detection {
        Detection::AllOf(items) => items.iter().find_map(placeholder_of_item),
        Detection::AnyOf(parts) | Detection::And(parts) => parts.iter().find_map(placeholder),
        Detection::Keywords(_) => None,
        Detection::ArrayMatch { body, .. } => placeholder(body),
        Detection::Conditional { named, .. } => first_placeholder(named),
    }
}

fn placeholder_of_item(item: &DetectionItem) -> Option<&str> {
    if !item.field.has_modifier(Modifier::Expand) {
        return None;
    }
    let text = item.values.iter().find_map(|value| match value {
        SigmaValue::String(text) => Some(text.original.as_str()),
        _ => None,
    });
    Some(text.unwrap_or("expand"))
}

fn is_meant(filter: &FilterRule, rule: &SigmaRule) -> bool {
    let named = match &filter.rules {
        FilterRuleTarget::Any => true,
        FilterRuleTarget::Specific(names) => names.iter().any(|name| {
            let own = [rule.id.as_ref(), rule.name.as_ref(), Some(&rule.title)];
            own.into_iter().flatten().any(|own| own == name)
        }),
    };
    named
        && filter
            .logsource
            .as_ref()
            .is_none_or(|wanted| has_logsource(wanted, &rule.logsource))
}

/// Whether a rule's source is, where a filter says anything of it, the filter's.
fn has_logsource(wanted: &LogSource, stated: &LogSource) -> bool {
    let agrees = |wanted: &Option<String>, stated: &Option<String>| match (wanted, stated) {
        (Some(wanted), Some(stated)) => wanted.eq_ignore_ascii_case(stated),
        (wanted, _) => wanted.is_none(),
    };
    agrees(&wanted.category, &stated.category)
        && agrees(&wanted.product, &stated.product)
        && agrees(&wanted.service, &stated.service)
}

/// A filter's sections move into the rule under names of their own, and its condition is asked for as well.
fn add_filter(rule: &mut SigmaRule, filter: &FilterRule, number: usize) {
    // An underscore keeps a section out of "of them".
    let prefix = format!("_filter_{number}_");
    let sections = filter.detection.named.iter();
    let sections = sections.map(|(name, section)| (format!("{prefix}{name}"), section.clone()));
    rule.detection.named.extend(sections);
    let Some(wanted) = filter.detection.conditions.first() else {
        return;
    };
    let wanted = renamed(wanted, &prefix);
    for condition in &mut rule.detection.conditions {
        *condition = ConditionExpr::And(vec![condition.clone(), wanted.clone()]);
    }
}

fn renamed(condition: &ConditionExpr, prefix: &str) -> ConditionExpr {
    let all = |parts: &[ConditionExpr]| parts.iter().map(|part| renamed(part, prefix)).collect();
    match condition {
        ConditionExpr::And(parts) => ConditionExpr::And(all(parts)),
        ConditionExpr::Or(parts) => ConditionExpr::Or(all(parts)),
        ConditionExpr::Not(part) => ConditionExpr::Not(Box::new(renamed(part, prefix))),
        ConditionExpr::Identifier(name) => ConditionExpr::Identifier(format!("{prefix}{name}")),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => ConditionExpr::Selector {
            quantifier: quantifier.clone(),
            pattern: SelectorPattern::Pattern(match pattern {
                SelectorPattern::Them => format!("{prefix}*"),
                SelectorPattern::Pattern(pattern) => format!("{prefix}{pattern}"),
            }),
        },
    }
}
