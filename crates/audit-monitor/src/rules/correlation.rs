//! What a correlation asks of a window, compiled from Sigma.

use rsigma_parser::{
    ConditionExpr, ConditionOperator, CorrelationCondition, CorrelationRule, CorrelationType,
    Quantifier, SelectorPattern, WindowMode,
};
use serde_json::{Value, json};

/// Windows beyond this are refused: ten years, so that no sum of times overflows.
const SPAN_SECONDS_MAX: u64 = 10 * 366 * 86_400;

/// What is computed of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    EventCount,
    ValueCount,
    Temporal,
    TemporalOrdered,
    Sum,
    Average,
    /// By linear interpolation, 0 to 100; the median is 50.
    Percentile(u64),
}

impl Kind {
    /// Whether its observations carry a number.
    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Sum | Self::Average | Self::Percentile(_))
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Lt,
    Lte,
    Gt,
    Gte,
    Eq,
    Neq,
}

/// When a window is over its threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// All of the comparisons hold.
    Compare(Vec<(Op, u64)>),
    /// Every leg is there.
    AllLegs,
    /// An expression over the legs that are there.
    Expression(Expression),
}

/// A condition over legs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Leg(usize),
    /// So many of these legs.
    AtLeast(usize, Vec<usize>),
}

/// A correlation. Its legs are the rules it refers to, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Correlation {
    pub(crate) kind: Kind,
    /// Indices in the rule set.
    pub(crate) legs: Vec<usize>,
    pub(crate) group_by: Vec<GroupField>,
    /// Length of the window in microseconds.
    pub(crate) span: i64,
    pub(crate) test: Test,
    /// Fields whose values are counted or computed with.
    pub(crate) fields: Vec<String>,
}

/// A field that parts observations into groups.
#[derive(Debug, Clone)]
pub(crate) struct GroupField {
    pub(crate) name: String,
    /// The path in the events of each leg.
    pub(crate) paths: Vec<String>,
}

/// A rule that a correlation refers to.
pub(super) struct Leg<'r> {
    pub(super) index: usize,
    /// The names it can be called by: as the correlation does, its id, its name.
    pub(super) names: Vec<&'r str>,
}

/// Compiles a correlation over legs that were found.
pub(super) fn compile(rule: &CorrelationRule, legs: &[Leg<'_>]) -> Result<Correlation, String> {
    if rule.window != WindowMode::Sliding {
        return Err(format!(
            "'{}' windows are not supported, only sliding ones",
            rule.window.as_str()
        ));
    }
    if rule.timespan.seconds == 0 || rule.timespan.seconds > SPAN_SECONDS_MAX {
        return Err(format!(
            "'{}' is no length of a window: more than nothing, at most ten years",
            rule.timespan.original
        ));
    }
    let seconds = i64::try_from(rule.timespan.seconds).unwrap_or(i64::MAX);
    let (test, fields, percentile) = condition(rule, legs)?;
    let kind = kind(rule.correlation_type, percentile)?;
    check_fields(kind, &fields)?;
    Ok(Correlation {
        kind,
        legs: legs.iter().map(|leg| leg.index).collect(),
        group_by: group_by(rule, legs),
        span: seconds.saturating_mul(1_000_000),
        test,
        fields,
    })
}

fn kind(stated: CorrelationType, percentile: Option<u64>) -> Result<Kind, String> {
    Ok(match stated {
        CorrelationType::EventCount => Kind::EventCount,
        CorrelationType::ValueCount => Kind::ValueCount,
        CorrelationType::Temporal => Kind::Temporal,
        CorrelationType::TemporalOrdered => Kind::TemporalOrdered,
        CorrelationType::ValueSum => Kind::Sum,
        CorrelationType::ValueAvg => Kind::Average,
        CorrelationType::ValueMedian => Kind::Percentile(50),
        CorrelationType::ValuePercentile => match percentile.unwrap_or(50) {
            rank @ 0..=100 => Kind::Percentile(rank),
            rank => return Err(format!("'{rank}' is no percentile: 0 to 100")),
        },
    })
}

fn check_fields(kind: Kind, fields: &[String]) -> Result<(), String> {
    match (kind, fields.len()) {
        (Kind::ValueCount, 0) => Err("a condition of value_count needs a 'field'".to_owned()),
        (kind, count) if kind.is_numeric() && count != 1 => {
            Err("a condition over numbers needs one 'field'".to_owned())
        }
        _ => Ok(()),
    }
}

type Condition = (Test, Vec<String>, Option<u64>);

fn condition(rule: &CorrelationRule, legs: &[Leg<'_>]) -> Result<Condition, String> {
    let temporal = matches!(
        rule.correlation_type,
        CorrelationType::Temporal | CorrelationType::TemporalOrdered
    );
    match &rule.condition {
        CorrelationCondition::Extended(expression) if temporal => {
            let test = Test::Expression(compile_expression(expression, legs)?);
            Ok((test, Vec::new(), None))
        }
        CorrelationCondition::Extended(_) => {
            Err("only a temporal correlation's 'condition' is an expression".to_owned())
        }
        CorrelationCondition::Threshold {
            predicates,
            field,
            percentile,
        } => {
            let fields = field.clone().unwrap_or_default();
            // Sigma: a temporal correlation without a condition wants every rule. The parser writes an absent one as "at least 1".
            let absent = matches!(predicates.as_slice(), [(ConditionOperator::Gte, 1)]);
            let test = if temporal && absent {
                Test::AllLegs
            } else {
                Test::Compare(
                    predicates
                        .iter()
                        .map(|(op, n)| (compare(*op), *n))
                        .collect(),
                )
            };
            Ok((test, fields, *percentile))
        }
    }
}

fn compare(op: ConditionOperator) -> Op {
    match op {
        ConditionOperator::Lt => Op::Lt,
        ConditionOperator::Lte => Op::Lte,
        ConditionOperator::Gt => Op::Gt,
        ConditionOperator::Gte => Op::Gte,
        ConditionOperator::Eq => Op::Eq,
        ConditionOperator::Neq => Op::Neq,
    }
}

fn compile_expression(stated: &ConditionExpr, legs: &[Leg<'_>]) -> Result<Expression, String> {
    let all = |parts: &[ConditionExpr]| {
        let parts = parts.iter().map(|part| compile_expression(part, legs));
        parts.collect::<Result<Vec<_>, _>>()
    };
    match stated {
        ConditionExpr::And(parts) => Ok(Expression::And(all(parts)?)),
        ConditionExpr::Or(parts) => Ok(Expression::Or(all(parts)?)),
        ConditionExpr::Not(part) => Ok(Expression::Not(Box::new(compile_expression(part, legs)?))),
        ConditionExpr::Identifier(name) => legs
            .iter()
            .position(|leg| leg.names.contains(&name.as_str()))
            .map(Expression::Leg)
            .ok_or_else(|| format!("the condition names '{name}', which is not among the rules")),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => select(quantifier, pattern, legs),
    }
}

fn select(
    quantifier: &Quantifier,
    pattern: &SelectorPattern,
    legs: &[Leg<'_>],
) -> Result<Expression, String> {
    let chosen: Vec<usize> = legs
        .iter()
        .enumerate()
        .filter(|(_, leg)| {
            let mut names = leg.names.iter();
            names.any(|name| pattern.matches_detection_name(name))
        })
        .map(|(position, _)| position)
        .collect();
    let count = match quantifier {
        Quantifier::Any => 1,
        Quantifier::All => chosen.len(),
        Quantifier::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
    };
    if chosen.is_empty() || count > chosen.len() {
        return Err(format!(
            "the condition wants {quantifier} of '{pattern}', and there are {}",
            chosen.len()
        ));
    }
    Ok(Expression::AtLeast(count, chosen))
}

fn group_by(rule: &CorrelationRule, legs: &[Leg<'_>]) -> Vec<GroupField> {
    let path_in = |name: &String, leg: &Leg<'_>| {
        let alias = rule.aliases.iter().find(|alias| alias.alias == *name);
        let mut called = leg.names.iter();
        alias
            .and_then(|alias| called.find_map(|called| alias.mapping.get(*called)))
            .unwrap_or(name)
            .clone()
    };
    rule.group_by
        .iter()
        .map(|name| GroupField {
            name: name.clone(),
            paths: legs.iter().map(|leg| path_in(name, leg)).collect(),
        })
        .collect()
}

impl Correlation {
    /// What decides its matches, but for the legs; for its hash.
    pub(super) fn meaning(&self) -> Value {
        let groups: Vec<&Vec<String>> = self.group_by.iter().map(|group| &group.paths).collect();
        let names: Vec<&String> = self.group_by.iter().map(|group| &group.name).collect();
        json!([
            format!("{:?}", self.kind),
            names,
            groups,
            self.span,
            format!("{:?}", self.test),
            self.fields,
        ])
    }
}
